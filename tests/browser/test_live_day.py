"""A day in the admin beside the public page: what is published shows there, and what runs there is seen here.

Which group meets what is for `test_days`; here who may does it, and a visitor looks at what comes of it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from lingstream.testing import OpenAIServer, Reply

from ..chaos.patience import scaled
from .conftest import NewPage, serve
from .gate import Gate
from .staff import SETTINGS, sign_in
from .test_days import link
from .test_demo import ask, document, ended, open_demo

TOPICS = ["Water", "Light"]
SLOW = 10  # pieces a second of the model that breaks off
HELD = "What holds a cloud?"
KETTLE = "Why does the kettle sing?"

gate = Gate()


def reply(request: dict[str, Any]) -> Any:
    """Answer in the voice that the prompt asks for."""
    told, *_, asked = (str(message["content"]) for message in request["messages"])
    voice = re.findall(r"^Tone: (.*)$", told, re.MULTILINE)[-1:]
    if HELD in asked and '"answer"' in told:
        return ['{"answer": "Nothing does.", "why": "Because', gate, '."}']
    if KETTLE in asked:
        sung = ["It sings. "] * 30
        return Reply(['{"answer": "', *sung, {"error": {"message": "The lid blew off."}}], rate=SLOW)
    if '"outline"' in told:
        return json.dumps({"outline": [{"topic": topic} for topic in TOPICS]})
    said = f"As {voice[0]} as can be." if voice else "就是这样。"
    fields = {"answer": said, "details": said, "details_cn": said, "related_question": ["Why?"]}
    named = {name: value for name, value in fields.items() if f'"{name}"' in told}
    return json.dumps(named) if named else said


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with OpenAIServer(reply) as model:
        environment = {**SETTINGS, "LINGSTREAM_ENDPOINT": model.base_url, "LINGSTREAM_MODEL": "any"}
        with serve(tmp_path_factory.mktemp("day"), environment, rows="tests.browser.admin_rows") as url:
            yield url
            gate.open()


@pytest.fixture
def visitor(browser: Browser, listen: NewPage, url: str) -> Iterator[Page]:
    """Somebody whom the site does not know, on its page."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(scaled(30_000))
    page = listen(context.new_page())
    open_demo(page, url)
    yield page
    context.close()


def arrive(page: Page, url: str, name: str, *links: str) -> None:
    """Sign in, and follow links from the admin's first page."""
    sign_in(page, url, "/admin/", name)
    follow(page, "lingstream", *links)


def follow(page: Page, *links: str) -> None:
    for text in links:
        with page.expect_navigation():
            link(page, text).click()


def see_at_once(visitor: Page, editor: Page, button: Locator, text: str) -> None:
    """The next run of who is on the page already has the text of which somebody has just said: publish."""
    button.hover()
    begun = time.monotonic()
    with editor.expect_response(lambda response: response.request.method == "POST"):
        button.click(no_wait_after=True)
    ask(visitor, "cloud-facts")
    expect(visitor.locator("#cloud-facts .answer")).to_have_text(text)
    assert time.monotonic() - begun < scaled(1.0)
    ended(visitor, "cloud-facts")


def test_a_text_is_tried_beside_another_published_and_taken_back(page: Page, visitor: Page, url: str) -> None:
    ask(visitor, "cloud-facts")
    ended(visitor, "cloud-facts")
    expect(visitor.locator("#cloud-facts .answer")).to_have_text("As friendly as can be.")

    arrive(page, url, "publishers", "Prompts", "cloud-answer")
    box = page.locator("textarea[name=text]")
    box.fill(box.input_value().replace("{{ tone }}", "salty"))
    panel = page.locator("#trial[data-ready]")
    panel.locator("#trial-target").select_option("cloud-facts/answer")
    panel.locator("#trial-input-question").fill("Can I lie on a cloud?")
    panel.locator("[name=start]").click()
    tried = panel.locator("[data-side=a] .ling-try-tree").first
    expect(tried).to_contain_text("As salty as can be.")
    panel.locator("[name=beside]").check()
    panel.locator("#trial-version-b").select_option("1")
    panel.locator("[name=start]").click()
    expect(panel.locator("[data-side=b] .ling-try-tree").first).to_contain_text("As friendly as can be.")
    expect(tried).to_contain_text("As salty as can be.")

    publish = panel.locator("[data-side=a]").get_by_role("button", name="Publish this")
    see_at_once(visitor, page, publish, "As salty as can be.")
    expect(page.locator(".messagelist")).to_contain_text("Saved as version 2, which is live.")
    page.locator(".ling-version:nth-of-type(2) summary").click()
    see_at_once(visitor, page, page.get_by_role("button", name="Make v1 live"), "As friendly as can be.")
    expect(page.locator(".ling-standing")).to_contain_text("Live: v1")


def act(page: Page, action: str) -> Locator:
    """Choose all rows of a list and an action; return the button that does it."""
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option(action)
    return page.locator(".actions button[name=index]")


def exported(page: Page) -> Any:
    """All workflows, as a file."""
    with page.expect_download() as download:
        act(page, "export_json").click()
    return json.loads(Path(download.value.path()).read_text())


def wipe(page: Page) -> None:
    """Delete all that a list has."""
    with page.expect_navigation():
        act(page, "delete_selected").click()
    with page.expect_navigation():
        page.locator("#content [type=submit]").click()
    expect(page.locator("#result_list")).to_have_count(0)


def outlined(visitor: Page) -> Any:
    """The document of a run that begins now."""
    ask(visitor, "outline")
    ended(visitor, "outline")
    expect(visitor.locator("#outline li h2")).to_have_text(TOPICS)
    return document(visitor, "outline")


def test_what_is_exported_wiped_and_imported_writes_an_equal_document(
    page: Page, visitor: Page, url: str, tmp_path: Path
) -> None:
    before = outlined(visitor)
    arrive(page, url, "publishers", "Workflows")
    kept = exported(page)
    assert {"cloud-facts", "outline", "clumsy"} <= kept["workflows"].keys()
    wipe(page)
    page.goto(f"{url}/admin/")
    follow(page, "lingstream", "Prompts")
    wipe(page)
    ask(visitor, "outline")
    ended(visitor, "outline", "failed")

    page.goto(f"{url}/admin/")
    follow(page, "lingstream", "Workflows", "Import")
    file = tmp_path / "all.json"
    file.write_text(json.dumps(kept))
    page.locator("[name=file]").set_input_files(file)
    with page.expect_navigation():
        page.get_by_role("button", name="Show what would change").click()
    expect(page.locator(".errorlist, .errornote")).to_have_count(0)
    with page.expect_navigation():
        page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".messagelist .success")).to_contain_text("Imported")
    assert outlined(visitor) == before
    assert exported(page) == kept


def test_a_run_of_a_visitor_is_watched_and_stopped(page: Page, visitor: Page, url: str) -> None:
    ask(visitor, "cloud-facts", HELD)
    answer = visitor.locator("#cloud-facts .answer")
    expect(answer).to_have_text("Nothing does.")
    arrive(page, url, "operators", "Runs")
    row = page.locator("#result_list tbody tr", has_text=HELD)
    expect(row.locator(".ling-status")).to_have_text("running")
    with page.expect_navigation():
        row.locator("th a").click()
    expect(page.locator("[data-live=document]")).to_contain_text('"why": "Because"')
    expect(page.locator(".ling-waterfall tbody tr")).to_contain_text(["answer#1"])
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".ling-run .ling-status")).to_have_text("canceled")
    ended(visitor, "cloud-facts", "canceled")
    expect(answer).to_have_text("Nothing does.")


SAID = """() => {
    const place = document.querySelector(".ling-played [role=status]");
    window.said = [];
    new MutationObserver(() => {
        const text = place.textContent;
        if (text !== said.at(-1)?.text) said.push({ at: performance.now(), text });
    }).observe(place, { childList: true });
}"""


def test_a_run_that_failed_is_found_by_its_text_and_played(page: Page, visitor: Page, url: str) -> None:
    ask(visitor, "cloud-facts", KETTLE)
    ended(visitor, "cloud-facts", "failed")
    arrive(page, url, "viewers", "Runs")
    page.locator("#searchbar").fill("kettle blew")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    row = page.locator("#result_list tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("The lid blew off.")
    with page.expect_navigation():
        row.locator("th a").click()
    took = page.locator(".ling-waterfall tbody tr td:nth-child(6)").inner_text()
    page.evaluate(SAID)
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".ling-played [role=status]")).to_contain_text("failed")
    expect(page.locator(".ling-played pre")).to_contain_text("It sings. It sings. ")
    first, *_, last = (entry for entry in page.evaluate("said") if entry["text"])
    assert (first["text"], last["text"].split(" ")[0]) == ("running", "failed")
    assert (last["at"] - first["at"]) / 1_000 < float(took.removesuffix(" s")) / 2
