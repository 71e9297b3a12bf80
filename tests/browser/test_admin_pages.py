"""All pages of the admin that are ours, and those that a model writes on: policy, axe and small screens."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import polib
import pytest
from playwright.sync_api import ConsoleMessage, Locator, Page, expect

from ..catalogs import PACKAGES, catalog_of
from ..node import peers
from .conftest import until
from .staff import Site, sign_in, start

OF_DJANGO = [
    "empty-table-header:.original",  # the first column of rows in a table,
    "empty-table-header:th:last-child",  # and the last, where rows can only be looked at
    "aria-prohibited-attr:.help-tooltip",  # of a choice of many
    "label-title-only:#searchbar",
    "link-in-text-block:.small > a",  # "Show all"
    "scrollable-region-focusable:.inline-group",  # a table of rows on a small screen
    "scrollable-region-focusable:.wrapper",  # the same, since 6.1
]
"""What axe says of the stock admin: a rule, and where."""
FOUND = """async ([where, known, rules]) => {
    document.getAnimations().forEach((each) => each.finish());  // links change their colour slowly
    const { violations } = await axe.run(where, rules ? { runOnly: rules } : {});
    const ofDjango = (id, selector) => known.some((each) => {
        const [rule, ...where] = each.split(":");
        return rule === id && document.querySelector(selector)?.matches(where.join(":"));
    });
    return violations.flatMap(({ id, nodes }) => nodes
        .filter(({ target }) => !ofDjango(id, target.join(" ")))
        .map(({ target, html }) => `${id}: ${target.join(" ")} ${html.slice(0, 100)}`));
}"""
TEXTS = """(where) => {
    const walker = document.createTreeWalker(document.querySelector(where), NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const { data, parentElement: place } = walker.currentNode;
        if (!place.closest("pre, script, textarea, code, [lang=en], .ling-kind-letter")) found.push(data);
    }
    for (const name of ["aria-label", "placeholder", "title"]) {
        const named = document.querySelectorAll(`${where} [${name}]`);
        found.push(...[...named].map((each) => each.getAttribute(name)));
    }
    return found.map((text) => text.trim().replace(/\\s+/g, " "));
}"""
"""All that people read at a place, but for what they, models or :mod:`tests.outside.letter` have written."""
BEYOND = """() => [document.documentElement, ...document.querySelectorAll("#content, #content > *")]
    .filter((each) => each.scrollWidth > innerWidth && getComputedStyle(each).overflowX === "visible")
    .map((each) => `${each.tagName}#${each.id}: ${each.scrollWidth}`)"""
CUT = """() => [...document.querySelectorAll("#changelist .results")]
    .filter((each) => each.scrollWidth > each.clientWidth)
    .map((each) => `a list: ${each.scrollWidth} instead of ${each.clientWidth}`)"""
"""Lists of which a part can only be seen by scrolling."""

TWICE = """() => [...document.querySelectorAll(".tabular td.original p")]
    .filter((each) => each.checkVisibility() && each.textContent.trim())
    .map((each) => `a row that says twice what it is: ${each.textContent.trim()}`)"""

REPORTS = {"Reports": "trusted-types"}
REPORT = """() => {
    window.reported = [];
    document.addEventListener("securitypolicyviolation", (event) => {
        const { disposition, sourceFile, lineNumber, sample } = event;
        if (disposition === "report") reported.push(`markup: ${sourceFile}:${lineNumber} ${sample}`);
    });
}"""
"""Keeps what Trusted Types would refuse: Django's own jQuery assigns markup, ours does not."""
OURS = "/static/lingstream/"


NAMES = frozenset(("collection", "folder", "greeting", "production", "question", "silence", "text", "vector"))
"""What rows and their values are called, and what is said elsewhere as well."""


@cache
def english(*apps: Path) -> frozenset[str]:
    """The texts that Chinese says otherwise, and as labels begin, which Django writes with a capital."""
    entries = (entry for app in apps for entry in polib.pofile(str(catalog_of(app, "zh_Hans"))))
    texts = {each.msgid for each in entries if each.msgstr.casefold() != each.msgid.casefold()} - NAMES
    return frozenset(texts | {text[:1].upper() + text[1:] for text in texts})


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
        if message.type in ("error", "warning") and not message.text.startswith("[Report Only]"):
            self.complaints.append(message.text)

    def markup(self) -> list[str]:
        """What scripts of ours have assigned as markup on the page that is shown."""
        return [each for each in self.page.evaluate("reported") if OURS in each]

    def faults(self, where: str = "#content") -> list[str]:
        """What is wrong with what the page shows now: said meanwhile, as it is, and small and dark."""
        found, page = [*self.complaints, *self.markup()], self.page
        page.evaluate((peers() / "node_modules" / "axe-core" / "axe.min.js").read_text())
        found += page.evaluate(FOUND, [where, OF_DJANGO, ["color-contrast"]]) + page.evaluate(BEYOND)
        found += page.evaluate(CUT) + page.evaluate(TWICE)
        page.set_viewport_size({"width": 375, "height": 800})
        page.emulate_media(color_scheme="dark")
        found += page.evaluate(FOUND, [where, OF_DJANGO, None]) + page.evaluate(BEYOND)
        page.set_viewport_size({"width": 1280, "height": 800})
        page.emulate_media(color_scheme="light")
        self.complaints.clear()
        return found


@pytest.fixture(scope="module")
def staff(tab: Page, site: Site) -> Page:
    """The superuser, when runs of each sort have ended."""
    tab.set_extra_http_headers(REPORTS)
    tab.add_init_script(f"({REPORT})()")
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


def test_markup_that_a_script_of_ours_assigned_would_be_told(watched: Watched, site: Site) -> None:
    page, script = watched.page, f"{OURS}admin/run-play.js"
    wrong = "document.createElement('p').innerHTML = '<b>markup</b>';"
    page.route(f"**{script}", lambda route: route.fulfill(body=wrong, content_type="text/javascript"))
    page.goto(f"{site.url}/admin/lingstream/run/{of_run('clumsy')(site)}/change/")
    until(page, f"reported.some((each) => each.includes({script!r}))")
    assert "<b>markup</b>" in watched.markup()[0]
    page.unroute(f"**{script}")
    page.goto(f"{site.url}/admin/lingstream/prompt/add/")
    watched.complaints.clear()


def test_none_has_english_left_in_chinese_or_is_too_wide(watched: Watched, site: Site) -> None:
    page, found = watched.page, list[str]()
    page.set_extra_http_headers({**REPORTS, "Accept-Language": "zh-hans"})
    page.set_viewport_size({"width": 375, "height": 800})
    for name, (path, key) in PAGES.items():
        page.goto(f"{site.url}/admin/{path.format(key(site) if key else '')}")
        found += [
            f"{name}: {text}"
            for text in page.evaluate(TEXTS, "#content")
            if text.rstrip(":?*") in english(*PACKAGES)
        ]
        found += [f"{name}: {wide}" for wide in page.evaluate(BEYOND)]
    page.set_extra_http_headers(REPORTS)
    page.set_viewport_size({"width": 1280, "height": 800})
    assert not found, "\n".join(found)


def test_a_recording_that_is_played(watched: Watched, site: Site) -> None:
    page = watched.page
    page.goto(f"{site.url}/admin/lingstream/run/{of_run('clumsy')(site)}/change/")
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".ling-played [role=status]")).to_have_text("finished")
    assert watched.faults() == []


QUESTION = "What does the rain say?"


def in_the_panel(page: Page, site: Site, sides: int = 1) -> Locator:
    page.goto(f"{site.url}/admin/lingstream/workflow/{of_workflow('patient')(site)}/change/")
    panel = page.locator("#trial[data-ready]")
    panel.locator("#trial-input-question").fill(QUESTION)
    panel.locator("[name=beside]").set_checked(sides > 1)
    panel.locator("[name=start]").click()
    return panel.locator(".ling-try-column:visible .ling-try-string").nth(sides - 1)


def side_by_side(page: Page, site: Site) -> Locator:
    return in_the_panel(page, site, 2)


def on_the_page_of_a_run(page: Page, site: Site) -> Locator:
    page.goto(f"{site.url}/admin/lingstream/run/{start(page, 'patient', QUESTION)}/change/")
    page.locator(".ling-live summary").click()
    return page.locator("[data-live=document]")


def in_a_chat(page: Page, site: Site) -> Locator:
    page.goto(f"{site.url}/ling/chat/patient/")
    until(page, "document.querySelector('ling-chat').conversation !== null")
    page.get_by_role("textbox", name="Message").fill(QUESTION)
    page.keyboard.press("Enter")
    return page.locator(".ling-turn .ling-markdown")


def on_the_demo(page: Page, site: Site) -> Locator:
    page.goto(site.url)
    page.locator("#cloud-facts ling-stream").evaluate(
        "(stream) => stream.setAttribute('workflow', 'patient')"
    )
    page.locator("#cloud-facts button.primary").click()
    return page.locator("#cloud-facts .answer")


class Writing(NamedTuple):
    """A page on which a model writes.

    :param begin: goes there, and returns where the text comes.
    :param where: is looked at.
    :param stop: the button that stops it.
    :param stopped: what is there then.
    """

    begin: Callable[[Page, Site], Locator]
    where: str
    stop: str
    stopped: str


OF_TRIALS = ("#content", "#trial [name=stop]", "[name=start]:enabled")
WRITING = {
    "a trial": Writing(in_the_panel, *OF_TRIALS),
    "two trials": Writing(side_by_side, *OF_TRIALS),
    "a run": Writing(
        on_the_page_of_a_run,
        "#content",
        ".ling-run form[action$='/stop/'] button",
        ".ling-run .ling-status-canceled",
    ),
    "a chat": Writing(in_a_chat, "body", "[data-stop]", "ling-stream[status=canceled]"),
    "the demo": Writing(
        on_the_demo, "body", "#cloud-facts [command=--stop]", "#cloud-facts ling-stream[status=canceled]"
    ),
}


@pytest.mark.parametrize("name", WRITING)
def test_a_page_that_is_written(watched: Watched, site: Site, name: str) -> None:
    page, writing = watched.page, WRITING[name]
    place = writing.begin(page, site)
    expect(place).to_contain_text("Drop by drop.")
    before = place.inner_text()
    assert watched.faults(writing.where) == []
    expect(place).not_to_have_text(before)  # it has gone on meanwhile
    page.locator(writing.stop).click()
    expect(page.locator(writing.stopped).first).to_be_attached()
    for summary in page.locator(".ling-try-steps summary").all():
        summary.click()
    assert watched.faults(writing.where) == []
