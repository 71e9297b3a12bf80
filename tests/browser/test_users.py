"""One tab, several people: what an element keeps for a reload is kept for who was signed in."""

from __future__ import annotations

from playwright.sync_api import Page

from .staff import Site, sign_in

STREAM = "#cloud-facts ling-stream"


def sign_out(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/admin/")
    with page.expect_navigation():
        page.click("#logout-form button")


def shown(page: Page) -> tuple[str | None, str]:
    """The run that the element shows when it has looked for one, and its text."""
    page.wait_for_selector(f"{STREAM}:defined", state="attached")
    page.evaluate("new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))")
    return page.get_attribute(STREAM, "run"), page.text_content(f"{STREAM} [data-ling=answer]") or ""


def test_who_signs_in_next_sees_nothing_of_it(page: Page, site: Site) -> None:
    sign_in(page, site.url, "/")
    page.click("#cloud-facts button.primary")
    page.wait_for_selector(f"{STREAM}[status=finished]", state="attached")
    run, answer = shown(page)
    assert run
    assert answer
    page.reload()
    page.wait_for_selector(f"{STREAM}[status=finished]", state="attached")
    assert shown(page) == (run, answer), "who asked finds it again"

    sign_out(page, site)
    page.goto(f"{site.url}/")
    assert shown(page)[0] is None, "nobody is signed in"
    sign_in(page, site.url, "/", "operators")
    assert shown(page)[0] is None
    assert answer not in page.inner_text("body")

    sign_out(page, site)
    sign_in(page, site.url, "/")
    page.wait_for_selector(f"{STREAM}[status=finished]", state="attached")
    assert shown(page) == (run, answer), "it is kept for who asked, as long as the tab is open"
