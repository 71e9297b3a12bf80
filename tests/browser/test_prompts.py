"""A prompt editor's day: edit, look at what has changed, make it live, go back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from playwright.sync_api import Dialog, Page, expect

from ..node import peers
from .staff import Site, sign_in

PATH = "/admin/lingstream/prompt/"
BOX = "textarea[name=text]"
AXE = """axe.run("#content").then(({ violations }) =>
    violations.filter(({ id }) => id === "color-contrast" || id.startsWith("aria")).map(({ id, nodes }) =>
        [id, nodes.map(({ html }) => html)]))"""


def open_prompt(page: Page, site: Site) -> None:
    sign_in(page, site.url, PATH)
    with page.expect_navigation():
        page.click("#result_list >> text=cloud-answer")


def click(page: Page, selector: str) -> None:
    with page.expect_navigation():
        page.click(selector)


def look(page: Page, name: str) -> None:
    """Keep a picture, where somebody wants to see it."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / f"prompts-{name}.png", full_page=True)


def findings(page: Page) -> Any:
    """What axe has to say of the contrast and the roles of our pages, in both schemes."""
    page.evaluate((peers() / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        found += page.evaluate(AXE)
    return found


def test_a_text_is_edited_compared_made_live_and_taken_back(page: Page, site: Site) -> None:
    open_prompt(page, site)
    standing = page.locator(".ling-standing")
    expect(standing).to_contain_text("Live: v1 · you are editing v1")
    before = page.input_value(BOX)

    page.fill(BOX, before.replace("Tone: {{ tone }}", "Tone: pirate"))
    with page.context.expect_page() as opened:
        page.click("text=Compare with what is live")
    other = opened.value
    other.wait_for_load_state()
    assert other.locator(".ling-split mark").all_inner_texts() == ["{{ tone }}", "pirate"]
    assert findings(other) == []
    look(other, "compare-dark")
    other.emulate_media(color_scheme="light")
    look(other, "compare")
    other.check(".ling-choose-inline")
    expect(other.locator(".ling-split")).to_be_hidden()
    assert other.locator(".ling-as-inline del.ling-removed").last.inner_text().startswith("−")
    assert findings(other) == []
    other.set_viewport_size({"width": 375, "height": 700})
    assert other.evaluate("document.documentElement.scrollWidth") <= 375
    look(other, "compare-375")
    other.close()

    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.once("dialog", stay)
    with page.expect_event("dialog"):
        page.click("text=Home")
    assert asked == ["beforeunload"]
    assert "pirate" in page.input_value(BOX)  # and it is still here

    click(page, "[name=_continue] >> nth=0")
    told = page.locator(".messagelist .warning")
    expect(told).to_contain_text("Saved as version 2. It is not live: runs use v1.")
    look(page, "saved")
    click(page, ".messagelist >> text=Make v2 live")
    expect(page.locator(".messagelist .success")).to_contain_text("Version 2 is live")
    expect(standing).to_contain_text("Live: v2 · you are editing v2")
    assert "pirate" in page.input_value(BOX)

    page.click(".ling-version:nth-of-type(2) summary")
    click(page, "text=Make v1 live")
    expect(standing).to_contain_text("Live: v1 · you are editing v1")
    assert page.input_value(BOX) == before
    click(page, "text=History")
    assert page.locator("#change-history tbody tr td:last-child").all_inner_texts()[-2:] == [
        "production: v1 → v2",
        "production: v2 → v1",
    ]


def test_messages_are_shown_as_the_model_gets_them(page: Page, site: Site) -> None:
    open_prompt(page, site)
    page.fill(BOX, page.input_value(BOX) + "\n\n## user\nHi\n\n## assistant\n{}\n")
    page.check("[name=messages]")
    with page.context.expect_page() as opened:
        page.click("text=Show what the model is told")
    other = opened.value
    other.wait_for_load_state()
    assert [text.split()[0] for text in other.locator(".ling-messages h2").all_inner_texts()] == [
        "system",
        "user",
        "assistant",
    ]
    look(other, "preview")
    other.fill("[name=input]", '{"question": "Why?"}')
    click(other, "text=Show it with this input")
    expect(other.locator(".ling-messages li")).to_have_count(3)
    assert findings(other) == []
    other.close()
    page.emulate_media(color_scheme="dark")
    look(page, "dark")
    page.emulate_media(color_scheme="light")
    look(page, "page")
    page.set_viewport_size({"width": 375, "height": 700})
    look(page, "375")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.once("dialog", lambda dialog: dialog.accept())
