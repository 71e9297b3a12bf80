"""Try it, as who edits workflows and prompts uses it: watched, compared, stopped, refused and published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from lingstream.testing import OpenAIServer, Reply

from .conftest import serve
from .gate import Gate
from .staff import sign_in

ADMIN = "/admin/lingstream"
TOPICS = ['{"outline": [{"topic": "<b>One</b>"}', ', {"topic": "Two",}', "]}"]  # with a comma too many
ANSWERED = "finished"


gates: dict[str, Gate] = {}
asked: list[dict[str, Any]] = []


def reply(request: dict[str, Any]) -> Any:
    """Two topics and a detail of each; “refused” has none.

    What has “hold” waits behind the first topic, or before it if it is “silent”.
    """
    asked.append(request)
    question = request["messages"][-1]["content"]
    if "refused" in question:
        return Reply(status=400)
    if "Topic:" in question:
        return ["De", "tails."]
    gate = [gates.setdefault(question, Gate())] if "hold" in question else []
    if "silent" in question:
        return [*gate, *TOPICS]
    return [TOPICS[0], *gate, *TOPICS[1:]]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with OpenAIServer(reply) as model:
        environment = {
            "DJANGO_SETTINGS_MODULE": "tests.browser.admin_site",
            "LINGSTREAM_ENDPOINT": model.base_url,
            "LINGSTREAM_MODEL": "any",
        }
        with serve(tmp_path_factory.mktemp("trials"), environment) as url:
            yield url


def opened(page: Page, url: str, path: str) -> Locator:
    """Open a page of the admin, and return its panel."""
    sign_in(page, url, f"{ADMIN}/{path}/")
    return panel_of(page)


def panel_of(page: Page) -> Locator:
    panel = page.locator("#trial[data-ready]")
    expect(panel).to_be_visible()
    return panel


def run(panel: Locator) -> None:
    panel.locator("[name=start]").click()


def column(panel: Locator, side: str) -> Locator:
    return panel.locator(f"[data-side={side}]")


def state(panel: Locator, side: str = "a") -> Locator:
    return column(panel, side).locator(".ling-try-state")


def test_a_draft_is_watched_stopped_compared_and_tried_on_what_others_asked(page: Page, url: str) -> None:
    panel = opened(page, url, "workflow/2/change")
    page.locator("#steps-0 .ling-fold").click()
    page.fill("#id_steps-0-input", "Tell: {{ input.question }}")
    page.fill("#trial-input-question", "hold it")
    page.focus("#id_steps-0-input")
    page.keyboard.press("Control+Enter")
    tree = column(panel, "a").locator(".ling-try-tree").first
    expect(tree).to_contain_text("<b>One</b>")  # as text, while the rest is still to come
    expect(tree).to_contain_text("Details.")
    expect(state(panel)).to_contain_text("running")
    gates["Tell: hold it"].open()
    expect(state(panel)).to_contain_text(ANSWERED)
    expect(tree).to_contain_text("Two")
    expect(tree.locator(".ling-try-repair")).to_be_visible()
    steps = column(panel, "a").locator(".ling-try-steps > li")
    expect(steps).to_have_count(3)
    steps.first.locator("summary").click()
    expect(steps.first).to_contain_text("Tell: hold it")
    expect(steps.first).to_contain_text('{"topic": "Two",}')
    expect(steps.nth(1).locator(".ling-try-figures")).to_contain_text("in all")

    # Side by side, and stopped one by one or with one click.
    expect(column(panel, "a").get_by_role("button", name="Stop A")).to_be_hidden()  # there is the panel's own
    panel.locator("[name=beside]").check()
    page.fill("#trial-input-question", "hold both")
    page.select_option("#trial-version-b", "saved")
    page.fill("#trial-model-b", "other")
    page.fill("#trial-temperature-b", "0.5")
    column(panel, "b").locator(".ling-try-settings summary").click()
    page.fill("#trial-params-b", '{"max_tokens": 7}')
    run(panel)
    for side in "ab":
        expect(column(panel, side).locator(".ling-try-tree").first).to_contain_text("One")
    stop = {side: column(panel, side).get_by_role("button", name=f"Stop {side.upper()}") for side in "ab"}
    stop["b"].press("Enter")  # that column alone, also by the keyboard
    expect(state(panel, "b")).to_contain_text("canceled")
    expect(stop["b"]).to_be_disabled()
    expect(state(panel, "a")).to_contain_text("running")
    panel.locator("[name=stop]").click()
    expect(state(panel, "a")).to_contain_text("canceled")
    expect(stop["a"]).to_be_disabled()
    expect(panel.locator("[name=start]")).to_be_enabled()
    names = ("model", "temperature", "max_tokens")
    given = {each["messages"][-1]["content"]: [each.get(name) for name in names] for each in asked}
    assert (given["Tell: hold both"], given["hold both"]) == (["any", None, None], ["other", 0.5, 7])
    column(panel, "b").get_by_role("button", name="Make this the draft").click()
    expect(page.locator("#id_steps-0-model")).to_have_value("other")
    expect(page.locator("#id_steps-0-params")).to_have_value('{"max_tokens":7,"temperature":0.5}')

    # What people have asked.
    for question in ("first", "second", "refused"):
        start(page, question)
    panel.locator("[data-part=many] > summary").click()
    expect_real_runs(page, 3)
    panel.locator("[name=many]").click()
    expect(panel.locator("#trial-progress")).to_have_text("3 of 3")
    rows = panel.locator("[data-part=table] tbody tr")
    assert {text.split("\t")[0] for text in rows.all_inner_texts()} == {
        '{"question":"first"}',
        '{"question":"second"}',
        '{"question":"refused"}',
    }
    equal = {each: rows.filter(has_text=each).locator("td").nth(3) for each in ("second", "refused")}
    expect(equal["second"]).to_have_text("yes")
    expect(equal["refused"]).to_have_text("–")
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1280, "height": 800})

    page.reload()
    expect(page.locator("#id_steps-0-input")).to_have_value("{{ input.question }}")  # nothing was saved
    expect(panel_of(page).locator("#trial-from")).to_contain_text("first")


def test_a_step_is_a_bar_from_its_beginning_and_no_event_is_missed(page: Page, url: str) -> None:
    panel = opened(page, url, "workflow/2/change")
    page.fill("#trial-input-question", "silent hold")
    run(panel)
    steps = column(panel, "a").locator(".ling-try-steps > li")
    expect(steps).to_have_count(1)  # though its model has said nothing
    expect(steps.locator(".ling-try-bar")).to_have_attribute("aria-label", re.compile("outline#1"))
    expect(state(panel)).to_contain_text("running")
    gates["silent hold"].open()
    expect(state(panel)).to_contain_text(ANSWERED)

    def answer_late(route: Route) -> None:
        """Tell of a trial's start when the trial has ended."""
        response = route.fetch()
        told = f"{url}/admin/lingstream/workflow/trials/{response.json()['run']}/"
        while not page.request.get(told).json()["ended"]:
            pass
        route.fulfill(response=response)

    page.route("**/workflow/2/trial/", answer_late)
    page.fill("#trial-input-question", "at once")
    run(panel)
    expect(state(panel)).to_contain_text(ANSWERED)
    column(panel, "a").locator("summary", has_text="Events").click()
    events = column(panel, "a").locator(".ling-try-events")
    for event in ("outline#1 · string-response · outline/0/topic", "details#2 · response"):
        expect(events).to_contain_text(event)


def start(page: Page, question: str) -> None:
    """Start a real run."""
    page.evaluate(
        """async (question) => {
            const headers = {"X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value};
            const body = JSON.stringify({input: {question}});
            await fetch("/ling/workflows/outline/runs/", {method: "POST", headers, body});
        }""",
        question,
    )


def expect_real_runs(page: Page, count: int) -> None:
    """Wait for the end of real runs."""
    page.evaluate(
        """async (count) => {
            const url = "/admin/lingstream/workflow/trials/inputs/?workflow=outline";
            while ((await (await fetch(url)).json()).inputs.length < count) {
                await new Promise((resolve) => setTimeout(resolve, 50));
            }
        }""",
        count,
    )


def test_what_is_to_be_done_about_an_error_is_a_link_away(context: BrowserContext, url: str) -> None:
    page = context.new_page()  # whose console tells of the refusal
    sign_in(page, url, f"{ADMIN}/provider/1/change/")
    model = page.input_value("#id_default_model")
    page.fill("#id_default_model", "")
    page.click("[name=_save]")
    page.goto(f"{url}{ADMIN}/workflow/2/change/")
    panel = panel_of(page)
    page.fill("#trial-input-question", "why?")
    run(panel)
    expect(state(panel)).to_contain_text("not started")
    expect(panel.get_by_role("alert")).to_contain_text("names no model")
    panel.get_by_role("alert").get_by_role("link", name="Go to the providers").click()
    page.locator("#result_list tbody th a").first.click()
    page.fill("#id_default_model", model)
    page.click("[name=_save]")
    page.goto(f"{url}{ADMIN}/workflow/2/change/")
    page.fill("#trial-input-question", "why?")
    run(panel)
    expect(state(panel)).to_contain_text(ANSWERED)
    expect(panel.get_by_role("alert")).to_be_empty()


def test_what_is_wrong_is_shown_at_its_field(context: BrowserContext, url: str) -> None:
    page = context.new_page()  # whose console tells of each refusal
    panel = opened(page, url, "workflow/2/change")
    page.fill("#trial-input-question", "")
    run(panel)
    expect(page.locator("#trial-input-question")).to_have_attribute("aria-invalid", "true")
    page.fill("#trial-input-question", "why?")
    page.evaluate("document.querySelector('#id_limits').value = '[1]'")  # it is folded away
    run(panel)
    expect(page.locator("#id_limits")).to_be_visible()
    panel.get_by_role("button", name="Go to the field").click()
    expect(page.locator("#id_limits")).to_be_focused()
    expect(state(panel)).to_contain_text("not started")
    page.evaluate("document.querySelector('#id_steps-1-input').value = '{{ nobody }}'")
    run(panel)
    expect(page.locator("#id_steps-1-input")).to_be_visible()
    page.fill("#id_steps-1-input", "Topic: {{ value }}")
    page.fill("#id_limits", "")
    run(panel)
    expect(page.locator(".ling-try-error")).to_have_count(0)
    expect(state(panel)).to_contain_text(ANSWERED)
    # What is wrong with one side is said there.
    panel.locator("[name=beside]").check()
    page.evaluate("document.querySelector('#trial-params-b').value = '{\"max_tokens\": 0}'")  # folded, too
    run(panel)
    expect(page.locator("#trial-params-b")).to_have_attribute("aria-invalid", "true")
    expect(column(panel, "b").locator("details .errorlist")).to_contain_text("max_tokens")
    expect(column(panel, "b").locator("details .errorlist")).to_be_visible()
    expect(column(panel, "a").locator(".errorlist")).to_have_count(0)
    expect(state(panel)).to_contain_text(ANSWERED)
    expect(state(panel, "b")).to_contain_text("not started")
    panel.locator("[data-part=keep] > summary").click()
    panel.locator("[name=name]").fill("A short one")
    panel.locator("[name=keep]").click()
    expect(panel.locator("#trial-from")).to_contain_text("A short one")


def test_a_prompt_is_tried_and_published(page: Page, url: str) -> None:
    panel = opened(page, url, "prompt/add")
    page.fill("#id_slug", "fresh")
    page.fill("#id_text", "Be brief.")
    page.select_option("#trial-target", ":text")
    page.fill("#trial-json", '"Topic: clouds"')
    run(panel)
    expect(column(panel, "a").locator(".ling-try-result")).to_contain_text("Details.")
    assert [each["content"] for each in asked[-1]["messages"]] == ["Be brief.", "Topic: clouds"]
    with page.expect_navigation():
        column(panel, "a").get_by_role("button", name="Publish this").click()
    page.fill("#id_text", "Be briefer.")
    panel = panel_of(page)
    panel.locator("[name=beside]").check()
    page.select_option("#trial-target", ":text")
    page.select_option("#trial-version-b", "1")
    page.fill("#trial-json", '"Topic: clouds"')
    run(panel)
    for side in "ab":
        expect(state(panel, side)).to_contain_text(ANSWERED)
    assert {each["messages"][0]["content"] for each in asked[-2:]} == {"Be brief.", "Be briefer."}
    page.on("dialog", lambda dialog: dialog.accept())  # what is in the box is not saved
    with page.expect_navigation():
        column(panel, "b").get_by_role("button", name="Publish this").click()
    expect(page.locator(".messagelist")).to_contain_text("Version 1 is live")


def test_a_workflow_is_published_and_an_older_version_taken_up_again(page: Page, url: str) -> None:
    opened(page, url, "workflow/2/change")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    question = page.locator("#id_steps-0-input")
    column_a = tried_side_by_side(page, "")
    expect(column_a.get_by_role("button", name="Make this the draft")).to_have_count(0)  # it is
    first = published(page, column_a)
    page.locator("#steps-0 .ling-fold").click()
    question.fill("Second: {{ input.question }}")
    second = published(page, tried_side_by_side(page, ""))
    assert second == first + 1

    # The version before is the draft again, with another model; what is not saved is not lost unasked.
    column_b = tried_side_by_side(page, str(first), side="b", model="other")
    page.locator("#steps-0 .ling-fold").click()
    question.fill("Third: {{ input.question }}")
    column_b.get_by_role("button", name="Make this the draft").click()
    assert dialogs == ["What you have changed in the form is not saved, and will be lost."]
    expect(column_b.get_by_role("button", name="Publish this")).to_have_count(0)  # it is none that there is
    question.fill("Second: {{ input.question }}")
    with page.expect_navigation():
        column_b.get_by_role("button", name="Make this the draft").click()
    told = page.locator(".messagelist")
    expect(told).to_contain_text(f"V{first} is the draft now, with what was changed for the trial.")
    expect(question).to_have_value("{{ input.question }}")
    expect(page.locator("#id_steps-0-model")).to_have_value("other")
    expect(page.locator(".ling-standing")).to_contain_text(f"Published: v{second} · the draft differs")

    # What is published is not offered to be published, and goes back to what it was.
    column_b = tried_side_by_side(page, "published", side="b")
    expect(column_b.get_by_role("button", name="Make this the draft")).to_be_visible()
    expect(column_b.get_by_role("button", name="Publish this")).to_have_count(0)
    column_b = tried_side_by_side(page, str(first), side="b")
    with page.expect_navigation():
        column_b.get_by_role("button", name="Publish this").click()
    expect(told).to_contain_text(f"Rolled back to v{first}.")
    expect(page.locator(".ling-standing")).to_contain_text(f"Published: v{first} · the draft is the same")
    assert len(dialogs) == 1


def tried_side_by_side(page: Page, version: str, side: str = "a", model: str = "") -> Locator:
    """Try a version in a column, with its own model or another, and return the column when it is through."""
    panel = panel_of(page)
    panel.locator("[name=beside]").check()
    page.select_option(f"#trial-version-{side}", version)
    page.fill(f"#trial-model-{side}", model)
    page.fill("#trial-input-question", "clouds?")
    run(panel)
    for each in "ab":
        expect(state(panel, each)).to_contain_text(ANSWERED)
    expect(panel.locator("[name=start]")).to_be_enabled()
    return column(panel, side)


def published(page: Page, column: Locator) -> int:
    """Publish what a column has tried, and return the number of the version."""
    with page.expect_navigation():
        column.get_by_role("button", name="Publish this").click()
    expect(page.locator(".messagelist")).to_contain_text("published as", ignore_case=True)
    found = re.search(r"Published: v(\d+)", page.locator(".ling-standing").inner_text())
    assert found
    return int(found[1])
