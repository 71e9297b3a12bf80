"""The page of a run in Chromium, under a strict policy: watched while it runs, stopped, and played."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import serve, until
from .staff import sign_in

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.browser.admin_site"}
START = """async () => {
    const headers = {
        "content-type": "application/json", accept: "application/json",
        "x-csrftoken": /csrftoken=([^;]+)/.exec(document.cookie)[1],
    };
    const body = JSON.stringify({ input: { question: "Can I lie on a cloud?" } });
    const answer = await fetch("/ling/workflows/outline/runs/", { method: "POST", headers, body });
    return (await answer.json()).run;
}"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("runs")
    with serve(directory, SETTINGS) as url:
        _talk_slowly(directory / "demo.sqlite3")
        yield url


def _talk_slowly(database: Path) -> None:
    """Let the demo's model take its time, so that a run can be stopped on the busiest machine."""
    with closing(sqlite3.connect(database)) as connection, connection:
        ((options,),) = connection.execute("SELECT options FROM lingstream_provider WHERE name = 'demo'")
        slow = json.dumps({**json.loads(options), "rate": 8})
        connection.execute("UPDATE lingstream_provider SET options = ? WHERE name = 'demo'", [slow])


def test_a_run_is_watched_and_stopped_and_played(page: Page, url: str) -> None:
    sign_in(page, url, "/admin/lingstream/")
    expect(page.locator("#content")).to_contain_text("Nothing has run in the last week.")
    page.goto(f"{url}/admin/lingstream/workflow/")
    page.click("#result_list a:text-is('outline')")
    page.click("[name=_publish] >> nth=0")
    expect(page.locator(".messagelist .success").first).to_contain_text("v1")

    run = page.evaluate(START)
    page.goto(f"{url}/admin/lingstream/run/{run}/change/")
    live = page.locator(".ling-live")
    expect(live.locator("[data-live=document]")).to_contain_text('"topic": "')
    rows = page.locator(".ling-waterfall tbody tr")
    expect(rows.first).to_contain_text("outline#1")
    expect(rows.first).to_contain_text("running")
    box = page.locator("#ling-graph .ling-box[aria-label^='outline']")
    expect(box).to_have_attribute("aria-label", re.compile("running$"))
    # What a field of it has started comes while it goes on, below it, and its bar grows.
    expect(rows.nth(1)).to_contain_text("details#1")
    expect(rows.nth(1)).to_contain_text("string-response ← outline#1")
    expect(rows.nth(1).locator("th")).to_have_class("ling-depth-1")
    expect(page.locator(".ling-run .ling-status")).to_have_text("running")
    until(page, "document.querySelector('.ling-course svg').viewBox.baseVal.width > 1000")
    # Of what has ended there are the texts.
    expect(page.locator(".ling-step", has_text="details#1")).to_be_attached()
    assert page.locator(".ling-run .ling-status").inner_text() == "running"
    page.get_by_role("button", name="Stop").click()
    # The end comes by the stream, and then the page shows what is stored.
    expect(page.locator(".ling-run .ling-status")).to_have_text("canceled")
    expect(page.locator(".ling-waterfall tbody tr").first).to_contain_text("outline#1")
    expect(page.locator(".ling-course rect.ling-bar").first).to_be_visible()
    expect(box).to_have_attribute("aria-label", re.compile("canceled$|finished$"))
    expect(page.locator("#ling-graph .ling-arrow")).to_contain_text("outline/*/topic")
    box.click()
    expect(page.locator(".ling-step", has_text="outline#1").locator("summary").first).to_be_focused()
    expect(page.locator(".ling-step", has_text="outline#1").locator(".ling-texts")).to_be_visible()

    page.get_by_role("button", name="Play").click()
    played = page.locator(".ling-played")
    expect(played.locator("pre")).to_contain_text('"topic": "')
    # As what was stopped said no more; a step that had just ended is all that there is.
    expect(played.locator("[role=status]")).to_have_text(re.compile("failed|finished"))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    page.goto(f"{url}/admin/lingstream/")
    expect(page.locator(".ling-of-day")).to_be_visible()
    page.get_by_label("the last week").check()
    expect(page.locator(".ling-of-week")).to_be_visible()
    expect(page.locator(".ling-of-day")).to_be_hidden()
    page.goto(f"{url}/admin/lingstream/run/?q=lie+clo")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    assert page.evaluate(
        "document.querySelector('.results').scrollWidth <= document.querySelector('.results').clientWidth"
    )
    cell = page.locator(".field-shown_workflow")
    expect(cell).to_have_text("outline v1")
    cell.get_by_role("link", name="v1").click()
    expect(page.locator("#changelist-filter li.selected", has_text="v1")).to_be_visible()
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.locator(".field-shown_owner").get_by_role("link").first.click()
    expect(page.locator("#changelist-filter summary").first).to_contain_text("owner")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
