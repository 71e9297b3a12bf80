"""Every page of the admin that is ours: nothing of it offends the site's policy, axe, or a small screen."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from ..node import peers
from .staff import Site, sign_in, start

OF_DJANGO = [
    "empty-table-header:.original",  # the first column of rows in a table,
    "empty-table-header:th:last-child",  # and the last, where rows can only be looked at
    "aria-prohibited-attr:.help-tooltip",  # of a choice of many
    "label-title-only:#searchbar",
    "link-in-text-block:.small > a",  # "Show all"
    "scrollable-region-focusable:.inline-group",  # a table of rows on a small screen
]
"""What axe says of the stock admin: a rule, and where."""
FOUND = """async ([known, rules]) => {
    document.getAnimations().forEach((each) => each.finish());  // links change their colour slowly
    const { violations } = await axe.run("#content", rules ? { runOnly: rules } : {});
    const ofDjango = (id, selector) => known.some((each) => {
        const [rule, ...where] = each.split(":");
        return rule === id && document.querySelector(selector)?.matches(where.join(":"));
    });
    return violations.flatMap(({ id, nodes }) => nodes
        .filter(({ target }) => !ofDjango(id, target.join(" ")))
        .map(({ target, html }) => `${id}: ${target.join(" ")} ${html.slice(0, 100)}`));
}"""
BEYOND = """() => [document.documentElement, ...document.querySelectorAll("#content, #content > *")]
    .filter((each) => each.scrollWidth > innerWidth && getComputedStyle(each).overflowX === "visible")
    .map((each) => `${each.tagName}#${each.id}: ${each.scrollWidth}`)"""


def row(table: str, where: str = "1", *values: Any) -> Callable[[Site], str]:
    """The key of the first row that fits, as it stands in addresses."""

    def key(site: Site) -> str:
        ((found,),) = site.rows(f"SELECT id FROM {table} WHERE {where} ORDER BY id LIMIT 1", *values)
        return str(uuid.UUID(found)) if isinstance(found, str) and len(found) == 32 else str(found)

    return key


def of_workflow(slug: str) -> Callable[[Site], str]:
    return row("lingstream_workflow", "slug = ?", slug)


def of_run(slug: str) -> Callable[[Site], str]:
    """The run of a workflow, once it has ended."""
    return row("lingstream_run", "workflow = ? AND finished_at IS NOT NULL AND NOT trial", slug)


PROMPT = row("lingstream_prompt", "slug = 'field-guide'")
PAGES: dict[str, tuple[str, Callable[[Site], str] | None]] = {
    "the index": ("lingstream/", None),
    "workflows": ("lingstream/workflow/", None),
    "a workflow": ("lingstream/workflow/{}/change/", of_workflow("field-guide")),
    "a chat": ("lingstream/workflow/{}/change/", of_workflow("companion")),
    "a new workflow": ("lingstream/workflow/add/", None),
    "versions": ("lingstream/workflow/{}/versions/?a=1&b=2", of_workflow("clumsy")),
    "import": ("lingstream/workflow/import/", None),
    "prompts": ("lingstream/prompt/", None),
    "a prompt": ("lingstream/prompt/{}/change/", PROMPT),
    "a new prompt": ("lingstream/prompt/add/", None),
    "two versions": ("lingstream/prompt/{}/compare/?a=1&b=1", PROMPT),
    "what a model is told": ("lingstream/prompt/{}/preview/", PROMPT),
    "prompt versions": ("lingstream/promptversion/", None),
    "a prompt version": ("lingstream/promptversion/{}/change/", row("lingstream_promptversion")),
    "runs": ("lingstream/run/", None),
    "a run": ("lingstream/run/{}/change/", of_run("field-guide")),
    "a run that was mended": ("lingstream/run/{}/change/", of_run("clumsy")),
    "a run that failed": ("lingstream/run/{}/change/", of_run("broken")),
    "a run with citations": ("lingstream/run/{}/change/", of_run("docs-chat")),
    "step runs": ("lingstream/botrun/", None),
    "a step run": ("lingstream/botrun/{}/change/", row("lingstream_botrun")),
    "conversations": ("lingstream/conversation/", None),
    "a conversation": ("lingstream/conversation/{}/change/", row("lingstream_conversation")),
    "feedback": ("lingstream/feedback/", None),
    "attachments": ("lingstream/attachment/", None),
    "processes": ("lingstream/runner/", None),
    "occasions": ("lingstream/occasion/", None),
    "an occasion": ("lingstream/occasion/{}/change/", row("lingstream_occasion")),
    "schedules": ("lingstream/schedule/", None),
    "a schedule": ("lingstream/schedule/{}/change/", row("lingstream_schedule")),
    "providers": ("lingstream/provider/", None),
    "a provider": ("lingstream/provider/{}/change/", row("lingstream_provider")),
    "collections": ("lingstream_knowledge/collection/", None),
    "a collection": ("lingstream_knowledge/collection/{}/change/", row("lingstream_knowledge_collection")),
    "a search": (
        "lingstream_knowledge/collection/{}/trial/?question=trigger",
        row("lingstream_knowledge_collection"),
    ),
    "sources": ("lingstream_knowledge/source/", None),
    "a source": ("lingstream_knowledge/source/{}/change/", row("lingstream_knowledge_source")),
    "a dry run": ("lingstream_knowledge/source/{}/dry-run/", row("lingstream_knowledge_source")),
    "documents": ("lingstream_knowledge/document/", None),
    "a document": ("lingstream_knowledge/document/{}/change/", row("lingstream_knowledge_document")),
    "golden questions": ("lingstream_knowledge/question/", None),
    "a golden question": ("lingstream_knowledge/question/{}/change/", row("lingstream_knowledge_question")),
    "embedders": ("lingstream_knowledge/embedder/", None),
}


class Watched:
    """A page whose complaints are kept, but for those that axe makes by measuring."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def faults(self) -> list[str]:
        """What is wrong with what the page shows now: said meanwhile, as it is, and small and dark."""
        found, page = list(self.complaints), self.page
        page.evaluate((peers() / "node_modules" / "axe-core" / "axe.min.js").read_text())
        found += page.evaluate(FOUND, [OF_DJANGO, ["color-contrast"]]) + page.evaluate(BEYOND)
        page.set_viewport_size({"width": 375, "height": 800})
        page.emulate_media(color_scheme="dark")
        found += page.evaluate(FOUND, [OF_DJANGO, None]) + page.evaluate(BEYOND)
        page.set_viewport_size({"width": 1280, "height": 800})
        page.emulate_media(color_scheme="light")
        return found


@pytest.fixture(scope="module")
def staff(tab: Page, site: Site) -> Page:
    """The superuser, when runs of each sort have ended."""
    sign_in(tab, site.url, "/admin/")
    started = [
        start(tab, slug, "What is a trigger?") for slug in ("field-guide", "clumsy", "broken", "docs-chat")
    ]
    for run in started:
        tab.evaluate("(run) => fetch(`/ling/runs/${run}/events/`).then((answer) => answer.text())", run)
    return tab


@pytest.fixture
def watched(staff: Page) -> Iterator[Watched]:
    found = Watched(staff)
    yield found
    staff.remove_listener("console", found._note)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_ours(watched: Watched, site: Site, name: str) -> None:
    path, key = PAGES[name]
    answer = watched.page.goto(f"{site.url}/admin/{path.format(key(site) if key else '')}")
    assert answer is not None
    assert answer.status == 200
    assert watched.faults() == []


def test_a_recording_that_is_played(watched: Watched, site: Site) -> None:
    page = watched.page
    page.goto(f"{site.url}/admin/lingstream/run/{of_run('clumsy')(site)}/change/")
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".ling-played [role=status]")).to_have_text("finished")
    assert watched.faults() == []
