"""The graph on a workflow's page: seen, and built from an empty form by mouse and by keyboard."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from ..node import peers
from .staff import Site, sign_in
from .test_admin import PATH, field, go, message, row, save
from .test_demo import FOUND

MOST_FIELDS, MOST_ACTIONS = 12, 40
ASKS = "Why does it rain?"
ASKED = "Question: {{ input.question }}; topic: {{ value }}"


class Built(NamedTuple):
    steps: list[tuple[Any, ...]]
    triggers: list[tuple[Any, ...]]


def built(database: Path, slug: str) -> Built:
    """A workflow as it is stored."""
    steps = """SELECT s.name, s.kind, p.slug, s.input, s.root, s.format FROM lingstream_step s
        JOIN lingstream_workflow w ON w.id = s.workflow_id LEFT JOIN lingstream_prompt p ON p.id = s.prompt_id
        WHERE w.slug = ? ORDER BY s.id"""
    triggers = """SELECT a.name, t.event, t.pattern, b.name, t.root FROM lingstream_trigger t
        JOIN lingstream_workflow w ON w.id = t.workflow_id
        JOIN lingstream_step a ON a.id = t.source_id JOIN lingstream_step b ON b.id = t.target_id
        WHERE w.slug = ?"""
    with closing(sqlite3.connect(database)) as connection:
        return Built(*(connection.execute(query, [slug]).fetchall() for query in (steps, triggers)))


OUTLINE = Built(
    [
        ("outline", "bot", "outline", "{{ input.question }}", "", "json"),
        ("details", "bot", "outline-details", ASKED, "outline/{{ match[0] }}/details", "text"),
    ],
    [("outline", "string-response", "outline/*/topic", "details", None)],
)


class Editor:
    """Who uses the page; counts what they do, and the fields that they write into."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.fields = self.actions = 0

    def click(self, target: Locator) -> None:
        target.click()
        self.actions += 1

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.actions += 1

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)
        self.actions += 1
        self.fields += 1

    def choose_prompt(self, name: str) -> None:
        """In the box that the focus is in, or the one that has just been clicked."""
        self.type(name)
        expect(self.page.locator(".select2-results__option--highlighted")).to_contain_text(name)

    def check(self) -> None:
        assert self.fields <= MOST_FIELDS
        assert self.actions <= MOST_ACTIONS


def box(page: Page, name: str) -> Locator:
    return page.locator(f"#ling-graph .ling-box[aria-label^='{name}']")


def arrow(page: Page, ends: str) -> Locator:
    return page.locator(f"#ling-graph .ling-arrow[aria-label^='{ends}']")


def expect_tried(page: Page) -> None:
    """What is in the form has written an outline, and of each topic the details."""
    column = page.locator("#trial [data-side=a]")
    expect(column.locator(".ling-try-state")).to_contain_text("finished")
    expect(column.locator(".ling-try-tree").first).to_contain_text("details")


def published(page: Page, database: Path, slug: str) -> Built:
    assert "Published as v1" in message(page)
    return built(database, slug)


def test_outline_is_built_tried_and_published_from_an_empty_form_by_mouse(admin: Page, site: Site) -> None:
    page, editor = admin, Editor(admin)
    page.goto(f"{site.url}/admin/lingstream/workflow/add/")
    add = page.locator("#ling-graph [data-part=add]")
    editor.click(page.locator("#id_slug"))
    editor.type("by-mouse")
    editor.click(add)
    editor.type("outline")
    editor.click(page.locator("#steps-0 .field-prompt .select2-selection"))
    editor.choose_prompt("Outline: topics")
    editor.click(page.locator(".select2-results__option--highlighted"))
    editor.click(add)
    editor.type("details")
    editor.click(page.locator("#id_steps-1-input"))
    editor.press("Control+A")
    editor.type(ASKED)
    page.locator("#id_steps-1-format").select_option("text")
    editor.actions, editor.fields = editor.actions + 2, editor.fields + 1
    editor.click(page.locator("#steps-1 .field-prompt .select2-selection"))
    editor.choose_prompt("Outline: one topic")
    editor.click(page.locator(".select2-results__option--highlighted"))
    editor.click(arrow(page, "outline → details"))
    editor.type("outline/*/topic")
    editor.click(page.locator("#trial-input-question"))
    editor.type(ASKS)
    editor.click(page.locator("#trial [name=start]"))
    expect_tried(page)
    with page.expect_navigation():
        editor.click(page.locator("[name=_publish]"))
    editor.check()
    assert published(page, site.database, "by-mouse") == OUTLINE


def test_and_by_keyboard_alone(admin: Page, site: Site) -> None:
    page, editor = admin, Editor(admin)
    page.goto(f"{site.url}/admin/lingstream/workflow/add/")
    expect(page.locator("#id_slug")).to_be_focused()
    editor.type("by-keyboard")
    editor.press(*["Tab"] * 8, "Enter")
    expect(page.locator("#id_steps-0-name")).to_be_focused()
    editor.type("outline")
    editor.press(*["Tab"] * 5, "Enter")
    editor.choose_prompt("Outline: topics")
    editor.press("Enter", "Escape")
    expect(box(page, "outline")).to_be_focused()
    editor.press("n")
    editor.type("details")
    editor.press(*["Tab"] * 2)
    editor.type(ASKED.removesuffix("{{ value }}"))  # which stands there already
    editor.press(*["Tab"] * 2)
    editor.type("text")
    editor.press("Tab", "Enter")
    editor.choose_prompt("Outline: one topic")
    editor.press("Enter", "Escape", "Tab")
    expect(arrow(page, "outline → details")).to_be_focused()
    editor.press("Enter")
    editor.type("outline/*/topic")
    editor.press("Control+Enter")
    expect(page.locator("#trial-input-question")).to_be_focused()  # as nothing is asked yet
    editor.type(ASKS)
    editor.press("Control+Enter")
    expect_tried(page)
    with page.expect_navigation():
        editor.press("Control+Shift+Enter")
    editor.check()
    assert published(page, site.database, "by-keyboard") == OUTLINE


def lines(page: Page, group: str) -> list[str]:
    """The rows of a group, each in its one line, and a mark at those that are open."""
    return page.locator(f"#{group}-group .inline-related:not(.empty-form)").evaluate_all(
        """(rows) => rows.map((row) => {
            const mark = row.classList.contains("ling-folded") ? "" : "> ";
            return mark + row.querySelector(".ling-fold").textContent.trim();
        })"""
    )


def unmet(page: Page) -> Locator:
    return page.locator(".ling-unmet:visible")


def test_what_is_typed_is_drawn_and_what_is_chosen_is_opened(admin: Page) -> None:
    page = admin
    go(page, "a:text-is('outline')")
    details = "details · bot Outline: one topic · outline/*/topic → outline/{{ match[0] }}/details"
    assert lines(page, "steps") == ["outline · bot Outline: topics", details]
    assert lines(page, "triggers") == ["outline · string-response · outline/*/topic → details"]

    box(page, "outline").click()
    assert lines(page, "steps") == ["> outline · bot Outline: topics", details]
    field(row(page, "outline"), "Name").fill("plan")
    expect(box(page, "plan")).to_have_attribute("aria-pressed", "true")
    expect(arrow(page, "plan → details")).to_be_visible()
    page.keyboard.press("Escape")
    expect(box(page, "plan")).to_be_focused()

    arrow(page, "plan → details").focus()
    page.keyboard.press("Enter")
    pattern = page.locator("#id_triggers-0-pattern")
    expect(pattern).to_be_focused()
    options = page.locator("#id_triggers-0-pattern-places option")
    expect(options).to_have_count(1)
    expect(options).to_have_attribute("value", "outline/*/topic")
    pattern.fill("outline/*/title")
    expect(unmet(page)).to_have_text(re.compile("example in its prompt.* It has: outline/\\*/topic"))
    pattern.fill("**/topic")
    expect(unmet(page)).to_have_count(0)
    page.locator("#id_triggers-0-event").select_option("object-response")
    expect(unmet(page)).to_have_text(re.compile("It has: outline, outline/\\*"))
    page.locator("#id_triggers-0-event").select_option("string-response")
    expect(unmet(page)).to_have_count(0)

    box(page, "details").focus()
    page.keyboard.press("c")
    expect(page.locator("[data-part=said]")).to_contain_text("Choose the step that details is to start")
    page.keyboard.press("Escape")
    expect(page.locator("[data-part=said]")).to_be_empty()
    page.locator("[data-part=connect]").click()
    page.locator("#ling-graph summary").click()
    page.locator("[data-part=list] button", has_text="plan").first.click()
    assert lines(page, "triggers")[1:] == ["> details · string-response → plan"]
    expect(arrow(page, "details → plan")).to_be_visible()
    page.locator("#triggers-1 .inline-deletelink").click()
    expect(arrow(page, "details → plan")).to_have_count(0)


def middle(target: Locator) -> tuple[float, float]:
    place = target.bounding_box()
    assert place
    return place["x"] + place["width"] / 2, place["y"] + place["height"] / 2


def test_a_line_that_is_dragged_from_a_box_to_another_is_a_trigger(admin: Page) -> None:
    page = admin
    go(page, "a:text-is('outline')")
    before = lines(page, "triggers")
    drawing = page.locator("#ling-graph [data-part=drawing]")
    none = page.locator(".ling-drag, .ling-aimed, .ling-dragging")

    def drag(to: Callable[[], tuple[float, float]]) -> None:
        drawing.scroll_into_view_if_needed()
        page.mouse.move(*middle(box(page, "details")))
        page.mouse.down()
        page.mouse.move(*to(), steps=4)

    def within(x: float, y: float) -> tuple[float, float]:
        left, top = middle(box(page, "details"))
        return left + x, top + y

    def corner() -> tuple[float, float]:
        place = drawing.bounding_box()
        assert place
        return place["x"] + 3, place["y"] + 3

    drag(to=lambda: within(20, 3))
    expect(drawing.locator(".ling-drag")).to_be_visible()
    page.mouse.up()
    drag(to=corner)
    page.mouse.up()
    drag(to=lambda: middle(box(page, "outline")))
    expect(box(page, "outline")).to_have_class(re.compile("ling-aimed"))
    page.keyboard.press("Escape")
    expect(none).to_have_count(0)
    page.mouse.up()
    assert lines(page, "triggers") == before
    drag(to=lambda: within(2, 2))  # a click of a hand that shakes
    page.mouse.up()
    expect(box(page, "details")).to_have_attribute("aria-pressed", "true")

    drag(to=lambda: middle(box(page, "outline")))
    page.mouse.up()
    assert lines(page, "triggers") == [*before, "> details · string-response → outline"]
    expect(page.locator("#id_triggers-1-pattern")).to_be_focused()
    expect(arrow(page, "details → outline")).to_have_attribute("aria-pressed", "true")
    expect(none).to_have_count(0)
    box(page, "outline").click()
    expect(box(page, "outline")).to_have_attribute("aria-pressed", "true")


def test_what_was_told_and_what_is_offered_stand_at_their_fields(admin: Page) -> None:
    page = admin
    go(page, "a:text-is('outline')")
    field(row(page, "details"), "Root").fill("one")
    save(page)
    assert "Saved, but look again" in message(page)
    wrong = page.locator(".ling-wrong").get_attribute("aria-label")
    assert wrong == "outline → details: string-response outline/*/topic"
    arrow(page, "outline → details").click()
    expect(page.locator("#triggers-0 .ling-warning")).to_contain_text("expected {{ match[0] }} in the root")

    step = row(page, "details")
    step.locator("summary", has_text="Output, and what").click()
    field(step, "Output schema").fill('{"answer": "text"}')
    field(step, "Root").fill("outline/{{ match[0] }}/details")
    save(page)
    step = page.locator("#steps-1")  # open, as something in it is wrong
    step.locator(".ling-convert").click()
    assert json.loads(field(step, "Output schema").input_value())["required"] == ["answer"]
    expect(step.locator(".errorlist")).to_have_count(0)
    field(step, "Output schema").fill("")
    save(page)
    assert "was changed successfully" in message(page)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (375, "dark")])
def test_axe_has_nothing_to_say_of_it(
    context: BrowserContext, site: Site, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = context.new_page()  # nobody listens to: axe tries to style its own measurements, in vain
    sign_in(page, site.url, PATH)
    page.set_viewport_size({"width": width, "height": 812})
    page.emulate_media(color_scheme=scheme)
    go(page, "a:text-is('cloud-facts')")
    box(page, "answer").click()
    page.locator("#ling-graph summary").click()
    page.evaluate((peers() / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = page.evaluate(FOUND.replace("axe.run()", "axe.run('#ling-graph, h3')"))
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
