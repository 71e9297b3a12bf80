"""A day in the admin, once as each of the groups that `manage.py ling_groups` makes, by links only."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Locator, Page, expect

from .people import person
from .staff import Site, sign_in, start

EVERYBODY = frozenset({"viewers", "editors", "publishers", "operators", "knowledge editors"})
STAFF = EVERYBODY - {"knowledge editors"}
WRITERS = frozenset({"editors", "publishers"})
ADMIN = "/admin/lingstream"
KNOWLEDGE = "/admin/lingstream_knowledge"


class Step(NamedTuple):
    """A step of the day.

    :param who: the groups that may.
    :param links: the texts of the links to its page, from the admin's first page.
    :param control: what is on that page for who may, and for nobody else.
    :param typed: the address that refuses who may not: ``GET`` or ``POST``, its path with ``{name}`` for what
        the site calls so, and what is sent.
    """

    who: frozenset[str]
    links: tuple[str, ...]
    control: str
    typed: tuple[Any, ...]


STEPS = {
    "read a prompt": Step(
        STAFF, ("lingstream", "Prompts"), "text=cloud-details", ("GET", f"{ADMIN}/prompt/")
    ),
    "write a version": Step(
        WRITERS,
        ("lingstream", "Prompts", "cloud-details"),
        "textarea[name=text]",
        ("POST", f"{ADMIN}/prompt/{{prompt}}/change/", {"text": "No."}),
    ),
    "try a text": Step(
        WRITERS,
        ("lingstream", "Prompts", "cloud-details"),
        "#trial[data-ready] [name=beside]",
        ("POST", f"{ADMIN}/prompt/{{prompt}}/trial/"),
    ),
    "put a text into production": Step(
        frozenset({"publishers"}),
        ("lingstream", "Prompts", "cloud-details"),
        "[name=publish]",
        ("POST", f"{ADMIN}/prompt/{{prompt}}/publish/", {"version": "1"}),
    ),
    "add a workflow": Step(
        WRITERS, ("lingstream", "Workflows"), "text=Add workflow", ("GET", f"{ADMIN}/workflow/add/")
    ),
    "import workflows": Step(
        WRITERS,
        ("lingstream", "Workflows"),
        ".object-tools >> text=Import",
        ("GET", f"{ADMIN}/workflow/import/"),
    ),
    "export workflows": Step(
        STAFF, ("lingstream", "Workflows"), "option[value=export_json]", ("GET", f"{ADMIN}/workflow/")
    ),
    "publish a workflow": Step(
        frozenset({"publishers"}),
        ("lingstream", "Workflows", "clumsy"),
        "text=Save and publish",
        ("POST", f"{ADMIN}/workflow/{{clumsy}}/versions/", {"action": "publish"}),
    ),
    "roll a workflow back": Step(
        frozenset({"publishers"}),
        ("lingstream", "Workflows", "clumsy", "Versions"),
        "text=Roll back to v1",
        ("POST", f"{ADMIN}/workflow/{{clumsy}}/versions/", {"action": "roll-back", "number": "1"}),
    ),
    "read a run": Step(
        STAFF, ("lingstream", "Runs", "{run}"), "text=Play", ("GET", f"{ADMIN}/run/{{id}}/change/")
    ),
    "save a recording": Step(
        STAFF,
        ("lingstream", "Runs", "{run}"),
        "text=Save recording",
        ("GET", f"{ADMIN}/run/{{id}}/recording/"),
    ),
    "run it again": Step(
        WRITERS,
        ("lingstream", "Runs", "{run}"),
        "text=Run again, as of today",
        ("POST", f"{ADMIN}/run/{{id}}/again/today/"),
    ),
    "keep it as an example": Step(
        WRITERS,
        ("lingstream", "Runs", "{run}"),
        "text=Make this an example",
        ("POST", f"{ADMIN}/run/{{id}}/example/"),
    ),
    "stop runs": Step(
        frozenset({"operators"}),
        ("lingstream", "Runs"),
        "option[value=stop]",
        ("POST", f"{ADMIN}/run/{{id}}/stop/"),
    ),
    "add a schedule": Step(
        frozenset({"publishers", "operators"}),
        ("lingstream", "Schedules"),
        "text=Add schedule",
        ("GET", f"{ADMIN}/schedule/add/"),
    ),
    "see conversations": Step(
        frozenset({"operators"}),
        ("lingstream",),
        "th >> text=Conversations",
        ("GET", f"{ADMIN}/conversation/"),
    ),
    "see providers": Step(
        frozenset({"operators"}), ("lingstream",), "th >> text=Providers", ("GET", f"{ADMIN}/provider/")
    ),
    "look at a collection": Step(
        EVERYBODY, ("knowledge", "Collections"), "text=docs", ("GET", f"{KNOWLEDGE}/collection/")
    ),
    "try a search": Step(
        frozenset({"knowledge editors"}),
        ("knowledge", "Collections"),
        "text=Try a search",
        ("GET", f"{KNOWLEDGE}/collection/{{collection}}/trial/"),
    ),
    "add a golden question": Step(
        frozenset({"knowledge editors"}),
        ("knowledge", "Golden questions"),
        "text=Add golden question",
        ("GET", f"{KNOWLEDGE}/question/add/"),
    ),
    "have a source looked at": Step(
        frozenset({"knowledge editors", "operators"}),
        ("knowledge", "Sources"),
        "option[value=sync_selected]",
        ("POST", f"{KNOWLEDGE}/source/{{source}}/change/"),
    ),
}


@pytest.fixture
def names(site: Site, page: Page) -> dict[str, str]:
    """What the steps call things, with a run that has ended."""
    sign_in(page, site.url, "/admin/")
    run = start(page, "clumsy", "Who may?")
    page.evaluate("(run) => fetch(`/ling/runs/${run}/events/`).then((answer) => answer.text())", run)
    page.context.clear_cookies()
    tables = {
        "prompt": ("lingstream_prompt", "cloud-details"),
        "clumsy": ("lingstream_workflow", "clumsy"),
        "collection": ("lingstream_knowledge_collection", "docs"),
        "source": ("lingstream_knowledge_source", "docs"),
    }
    found = {
        name: str(site.rows(f"SELECT id FROM {table} WHERE slug = ?", slug)[0][0])
        for name, (table, slug) in tables.items()
    }
    return {**found, "id": run, "run": run[:8]}


def link(page: Page, text: str) -> Locator:
    """The link with exactly this text in what the page is about."""
    return page.locator("#content").get_by_role("link", name=text, exact=True).first


def reach(page: Page, start_page: str, links: tuple[str, ...], names: dict[str, str]) -> bool:
    """Follow links from the admin's first page; return whether all of them are there."""
    page.goto(start_page)
    for text in links:
        if not link(page, text.format(**names)).count():
            return False
        with page.expect_navigation():
            link(page, text.format(**names)).click()
    return True


def status(page: Page, site: Site, names: dict[str, str], method: str, path: str, sent: Any = None) -> int:
    """What an address that is typed, or a form that is forged, is answered with."""
    token = next(each["value"] for each in page.context.cookies() if each["name"] == "csrftoken")
    headers = {"X-CSRFToken": token, "Referer": site.url}
    url = site.url + path.format(**names)
    return page.request.fetch(url, method=method, headers=headers, form=sent, max_redirects=0).status


@pytest.mark.parametrize("group", sorted(EVERYBODY))
def test_each_does_what_it_may_and_meets_nothing_else(
    page: Page, site: Site, names: dict[str, str], group: str
) -> None:
    sign_in(page, site.url, "/admin/", person(group))
    wrong = []
    where: tuple[str, ...] | None = None
    there = False
    for name, step in STEPS.items():
        if step.links != where:
            where, there = step.links, reach(page, f"{site.url}/admin/", step.links, names)
        may = group in step.who
        control = page.locator("#content").locator(step.control)
        if may and there:
            expect(control.first).to_be_attached()
        shown = there and control.count() > 0
        if shown != may:
            wrong.append(f"{name}: {'shown' if shown else 'not shown'}")
        if not may and (got := status(page, site, names, *step.typed)) != 403:
            wrong.append(f"{name}: the typed address is answered with {got}")
    assert wrong == []


def test_an_editor_saves_tries_and_builds_and_puts_nothing_into_production(
    page: Page, site: Site, names: dict[str, str]
) -> None:
    sign_in(page, site.url, "/admin/", person("editors"))
    assert reach(page, f"{site.url}/admin/", ("lingstream", "Prompts", "cloud-details"), names)
    box = page.locator("textarea[name=text]")
    box.fill(box.input_value().replace("{{ tone }}", "salty"))
    panel = page.locator("#trial[data-ready]")
    panel.locator("#trial-target").select_option("cloud-facts/details")
    panel.locator("#trial-input-question").fill("Can I lie on a cloud?")
    panel.locator("[name=start]").click()
    column = panel.locator("[data-side=a]")
    expect(column.locator(".ling-try-tree").first).to_contain_text("In a salty tone:")
    expect(column.locator(".ling-try-state")).to_contain_text("finished")
    expect(column.get_by_role("button", name="Publish this")).to_have_count(0)
    with page.expect_navigation():
        page.locator("[name=_continue]").first.click()
    expect(page.locator(".messagelist")).to_contain_text("Saved as version 2. It is not live")
    expect(page.locator(".messagelist button")).to_have_count(0)
    expect(page.locator(".ling-standing")).to_contain_text("Live: v1")
    version = {"version": "2"}
    assert status(page, site, names, "POST", f"{ADMIN}/prompt/{{prompt}}/publish/", version) == 403

    assert reach(page, f"{site.url}/admin/", ("lingstream", "Workflows", "Add workflow"), names)
    page.locator("#id_slug").fill("by-an-editor")
    page.locator("#ling-graph [data-part=add]").click()
    page.keyboard.type("answer")
    page.locator("#steps-0 .field-prompt .select2-selection").click()
    page.keyboard.type("short answer")
    page.locator(".select2-results__option--highlighted", has_text="short answer").click()
    panel.locator("#trial-input-question").fill("Why does it rain?")
    panel.locator("[name=start]").click()
    expect(column.locator(".ling-try-state")).to_contain_text("finished")
    expect(column.locator(".ling-try-tree").first).to_contain_text("answer")
    expect(page.locator("[name=_publish]")).to_have_count(0)
    with page.expect_navigation():
        page.locator("[name=_continue]").first.click()
    expect(page.locator(".messagelist .success")).to_contain_text("by-an-editor")
    ((key,),) = site.rows("SELECT id FROM lingstream_workflow WHERE slug = 'by-an-editor'")
    path = f"{ADMIN}/workflow/{key}/versions/"
    assert status(page, site, names, "POST", path, {"action": "publish"}) == 403
    live = """SELECT v.number FROM lingstream_promptlabel l
        JOIN lingstream_promptversion v ON v.id = l.version_id
        WHERE l.prompt_id = ? AND l.name = 'production'"""
    assert site.rows(live, names["prompt"]) == [(1,)]
    assert site.rows("SELECT published_id FROM lingstream_workflow WHERE id = ?", key) == [(None,)]
