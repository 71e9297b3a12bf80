"""The page of a run in Chromium, under a strict policy: watched while it runs, stopped, and played."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from .staff import Site, sign_in, start


def test_a_run_is_watched_and_stopped_and_played(page: Page, site: Site) -> None:
    sign_in(page, site.url, "/admin/lingstream/")
    expect(page.locator(".ling-hours")).to_be_visible()

    run = start(page, "slow", "Can I lie on a marshmallow?")
    page.goto(f"{site.url}/admin/lingstream/run/{run}/change/")
    live = page.locator(".ling-live")
    expect(live.locator("[data-live=document]")).to_contain_text('"answer": "')
    expect(live.locator("[data-live=steps]")).to_contain_text("answer#1")
    page.get_by_role("button", name="Stop").click()
    # The end comes by the stream, and then the page shows what is stored.
    expect(page.locator(".ling-run .ling-status")).to_have_text("canceled")
    expect(page.locator(".ling-waterfall tbody tr").first).to_contain_text("answer#1")
    expect(page.locator(".ling-course rect.ling-bar").first).to_be_visible()

    page.get_by_role("button", name="Play").click()
    played = page.locator(".ling-played")
    expect(played.locator("pre")).to_contain_text('"answer": "')
    # As what was stopped said no more; a step that had just ended is all that there is.
    expect(played.locator("[role=status]")).to_have_text(re.compile("failed|finished"))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    page.goto(f"{site.url}/admin/lingstream/run/?q=lie+marsh")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    assert page.evaluate(
        "document.querySelector('.results').scrollWidth <= document.querySelector('.results').clientWidth"
    )
