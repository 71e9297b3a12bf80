"""One tab, several people: what an element keeps for a reload is kept for who was signed in."""

from __future__ import annotations

from playwright.sync_api import Page

from .conftest import until
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


START = """async (question) => {
    const { Client } = await import("/static/lingstream/index.js");
    const [mine, other] = [1, 2].map(() => new Client().start("cloud-facts", { question }));
    await Promise.all([mine.finished, other.finished]);
    return [mine.id, ["none", other.token, other.share, mine.token.slice(0, -1)]];
}"""
SHOW = """([run, tokens]) => document.querySelector("main").replaceChildren(
    ...["websocket", "sse", "poll"].flatMap((transport) => tokens.map((token) => {
        const [element, answer] = ["ling-stream", "p"].map((name) => document.createElement(name));
        const attributes = { run, token, transport };
        Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
        answer.setAttribute("data-ling", "answer");
        element.append(answer);
        return element;
    })))"""
STATES = "[...document.querySelectorAll('main > ling-stream')].map(({ state }) => state).join()"


def test_a_token_that_opens_nothing_leaves_it_to_the_session(page: Page, site: Site) -> None:
    sign_in(page, site.url, "/")
    shown = page.evaluate(START, "Can I lie on a cloud?")
    page.evaluate(SHOW, shown)
    until(page, f"{STATES} === '{','.join(['finished'] * 12)}'")
    texts = page.locator("main > ling-stream").all_inner_texts()
    assert len(set(texts)) == 1
    assert texts[0]

    page.context.clear_cookies()  # it is the session that has opened it
    page.goto(f"{site.url}/")
    page.evaluate(SHOW, shown)
    until(page, f"{STATES} === '{','.join(['failed'] * 12)}'")
    assert not page.locator("main [data-ling=answer]:not(:empty)").count()
