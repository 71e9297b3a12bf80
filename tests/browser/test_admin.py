"""The admin as who edits workflows uses it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from .staff import Site, sign_in

PATH = "/admin/lingstream/workflow/"


def go(page: Page, selector: str) -> None:
    """Click, and wait for the next page."""
    with page.expect_navigation():
        page.click(selector)


def row(page: Page, name: str) -> Locator:
    """The form of the step that is called so, opened."""
    number = page.evaluate(
        """(name) => [...document.querySelectorAll("#steps-group [id$='-name']")]
            .find((input) => input.value === name).name.split("-")[1]""",
        name,
    )
    found = page.locator(f"#steps-{number}")
    if (fold := found.locator(".ling-fold")).get_attribute("aria-expanded") == "false":
        fold.click()
    return found


def last(page: Page) -> Locator:
    """The form of the step that has been added."""
    return page.locator("#steps-group .inline-related:not(.empty-form)").last


def field(row: Locator, label: str) -> Locator:
    """The field that is called so; those of other kinds may be, too."""
    return row.get_by_label(re.compile(f"^{label}:?$")).locator("visible=true")


def shown(row: Locator) -> list[str]:
    """The headings of the fieldsets that are shown."""
    return [text.strip() for text in row.locator(".fieldset-heading:visible").all_inner_texts()]


def choose(row: Locator, kind: str) -> None:
    row.locator(".field-kind select").select_option(label=kind)


def save(page: Page) -> None:
    go(page, "[name=_continue] >> nth=0")


def message(page: Page) -> str:
    return page.inner_text(".messagelist")


def test_an_occasion_shows_what_its_kind_has(admin: Page) -> None:
    page = admin
    go(page, "a:text-is('cloud-facts')")
    page.click("#occasions-group summary")
    page.click("text=Add another Occasion")
    new = page.locator("#occasions-0")
    labels = new.locator("label:visible")

    def shown_of(kind: str) -> set[str]:
        new.locator(".field-kind select").select_option(kind)
        found = {text.strip().rstrip(":") for text in labels.all_inner_texts()}
        return found & {"After", "Factor", "At most", "Schedule", "Within", "Renew the secret", "A day"}

    assert shown_of("greeting") == {"A day"}
    assert shown_of("silence") == {"After", "Factor", "At most", "A day"}
    assert shown_of("schedule") == {"At most", "Schedule", "Within", "A day"}
    expect(new.locator("h3, h4, summary", has_text=re.compile("^Schedule$"))).to_be_visible()
    assert shown_of("webhook") == {"A day"}
    shown_of("silence")
    new.locator("[name$=-factor]").fill("0.5")
    shown_of("schedule")
    expect(new.get_by_text("Silence: each further pause")).to_be_hidden()
    save(page)
    expect(
        page.locator("#occasions-0 .errorlist:visible", has_text="greater than or equal to 1")
    ).to_be_visible()
    expect(page.locator("#occasions-0 .errorlist:visible", has_text="needs it")).to_be_visible()


def test_a_step_of_another_kind_is_added_filled_in_and_changed(admin: Page, site: Site) -> None:
    page = admin
    go(page, "a:text-is('cloud-facts')")
    assert shown(row(page, "answer")) == [
        "Model",
        "Options: Bot: ask a model",
        "Parameters, variables and history",
        "Output, and what viewers get of it",
        "Failures, and order",
    ]

    page.click("text=Add another Step")
    new = last(page)
    field(new, "Name").fill("post")
    assert shown(new)[:2] == ["Model", "Options: Bot: ask a model"]
    choose(new, "Write a letter")
    assert shown(new) == [
        "Options: Write a letter",
        "Output, and what viewers get of it",
        "Failures, and order",
    ]
    expect(field(new, "Prompt")).to_be_hidden()
    field(new, "Root").fill("post")
    field(new, "Ink").select_option("black")
    field(new, "Registered").check()
    field(new, "Copies").fill("10")
    field(new, "Headers").fill('{"lang":\n')
    save(page)

    new = row(page, "post")
    assert "errors below" in page.inner_text(".errornote")
    assert new.locator(".errorlist:visible").all_inner_texts() == [
        "This field is required.",
        "10 is greater than the maximum of 9",
        "This is not JSON: Expecting value in line 2, column 1.",
    ]
    expect(field(new, "Copies")).to_have_value("10")
    expect(field(new, "Headers")).to_have_value('{"lang":\n')
    expect(field(new, "Registered")).to_be_checked()
    field(new, "Addressee").fill("{{ input.question }}")
    field(new, "Headers").fill('{"lang": "en"}')
    field(new, "Copies").fill("1")
    save(page)

    assert "was changed successfully" in message(page)
    expected = {
        "to": "{{ input.question }}",
        "paper": "white",
        "ink": "black",
        "registered": True,
        "copies": 1,
        "headers": {"lang": "en"},
    }
    assert site.options("post") == ("letter", expected)
    stored = row(page, "post")
    assert shown(stored)[0] == "Options: Write a letter"
    expect(field(stored, "Addressee")).to_have_value("{{ input.question }}")

    choose(stored, "Compute values")
    assert shown(stored)[0] == "Options: Compute values"
    field(stored, "Set").fill('{"a": "1 + 1"}')
    choose(stored, "Write a letter")
    expect(field(stored, "Addressee")).to_have_value("{{ input.question }}")
    save(page)
    assert site.options("post") == ("letter", expected)

    choose(row(page, "post"), "Bot: ask a model")
    assert shown(row(page, "post"))[:2] == ["Model", "Options: Bot: ask a model"]
    choose(row(page, "post"), "Compute values")
    field(row(page, "post"), "Set").fill('{"a": "1 + 1"}')
    save(page)
    assert site.options("post") == ("compute", {"set": {"a": "1 + 1"}})
    assert shown(row(page, "post"))[0] == "Options: Compute values"


def test_what_is_hidden_is_not_sent_while_it_is_blank(admin: Page) -> None:
    """Django takes 1,000 fields of a page, which twenty steps would have otherwise."""
    page = admin
    go(page, "a:text-is('outline')")
    page.click("text=Add another Step")
    sent = """() => [...new FormData(document.querySelector("#workflow_form")).keys()]
        .filter((name) => /^steps-\\d+-options-(?!bot-)/.test(name))"""
    assert page.evaluate(sent) == []
    step = last(page)
    number = (step.get_attribute("id") or "").removeprefix("steps-")
    choose(step, "Write a letter")
    assert f"steps-{number}-options-letter-to" in page.evaluate(sent)
    field(step, "Addressee").fill("Ada")
    choose(step, "Bot: ask a model")
    assert page.evaluate(sent) == [f"steps-{number}-options-letter-to"]


def test_half_a_number_is_not_taken_for_none(admin: Page) -> None:
    """A browser sends nothing in its place, and the option would be left out."""
    page = admin
    go(page, "a:text-is('outline')")
    page.click("text=Add another Step")
    step = last(page)
    choose(step, "Write a letter")
    field(step, "Weight").press_sequentially("5e")
    page.click("[name=_continue] >> nth=0")
    expect(field(step, "Weight")).to_be_focused()
    choose(step, "Bot: ask a model")
    save(page)
    assert "was changed successfully" in message(page)


@pytest.mark.parametrize("width", [375, 768, 1280])
def test_nothing_scrolls_sideways(admin: Page, width: int) -> None:
    page = admin
    page.set_viewport_size({"width": width, "height": 800})
    go(page, "a:text-is('outline')")
    page.click("text=Add another Step")
    step = last(page)
    choose(step, "Write a letter")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cut = """() => [...document.querySelectorAll("#steps-group :is(input, select, textarea)")]
        .filter((each) => each.getClientRects().length)
        .filter((each) => each.getBoundingClientRect().right
            > each.closest(".form-row")?.getBoundingClientRect().right + 0.5)
        .map((each) => each.name)"""
    assert page.evaluate(cut) == []


def test_without_scripts_every_kind_is_there_folded_away(
    browser: Any, site: Site, request: pytest.FixtureRequest
) -> None:
    context = browser.new_context(java_script_enabled=False)
    request.addfinalizer(context.close)
    page = context.new_page()
    sign_in(page, site.url, PATH)
    go(page, "a:text-is('outline')")
    step = page.locator("#steps-0")
    assert {"Model", "Options: Compute values", "Options: Write a letter"} <= set(shown(step))
    expect(field(step, "Addressee")).to_be_hidden()
    step.locator(".ling-kind-letter summary").click()
    expect(field(step, "Addressee")).to_be_visible()
