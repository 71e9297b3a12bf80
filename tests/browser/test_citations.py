"""Numbers that lead to sources, in a real browser: when they do, what is shown, and what runs nothing."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.node import peers

from .conftest import ROOT, serve, until
from .files import put
from .played import ORIGIN, RUN, STREAM, Peer, append, done, set_, snapshot
from .sheet import Open, Sheet

PASSAGE = "Clouds are white. A cloud is made of tiny drops 😀, and nobody can lie on it."
QUOTE = "tiny drops 😀, and"
SOURCES = [
    {"id": "a", "title": "Clouds", "url": f"{ORIGIN}/clouds", "heading": "", "text": PASSAGE},
    {"id": "b", "title": "Note", "url": "", "heading": "", "text": "Rain <img src=x onerror=fail()> falls."},
]
CHECKED = {
    "title": "Clouds",
    "url": f"{ORIGIN}/clouds#:~:text=tiny%20drops",
    "start": 37,
    "end": 54,
    "verified": True,
}
CITATIONS: list[dict[str, Any]] = [
    {"source": 1, "quote": QUOTE, **CHECKED},
    {"source": 2, "quote": "It never rains", "title": "Note", "verified": False},
    {"source": 7, "quote": "x", "verified": False},
]
ANSWER = "Of drops[1], 是【2】 and [7] arr[0] `x[1]`."
DOCUMENT = {"sources": SOURCES, "citations": CITATIONS, "answer": ANSWER}
MARKS = ".ling-cite"
NOTE = ".ling-note"
PLAIN = '<p data-ling-cite="answer"></p>'
MARKDOWN = '<div data-ling-markdown="answer" data-ling-cite></div>'
LINK = ("[1]", CHECKED["url"], "Source 1: Clouds")
BUTTON = ("【2】", None, "Source 2: Note")


@pytest.fixture
def page(tab: Page, listen: Callable[[Page], Page]) -> Iterator[Page]:
    yield listen(tab)
    tab.unroute_all()


@pytest.fixture
def sheet(page: Page) -> Open:
    return lambda *args, **options: Sheet(page).open(*args, **options)


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo, with its documentation indexed, as `make run` serves it."""
    directory = tmp_path_factory.mktemp("docs")
    with serve(directory, {}, rate=200.0) as url:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.browser.strict",
            "DJANGO_SQLITE": str(directory / "demo.sqlite3"),
        }
        manage = [sys.executable, "manage.py", "ling_knowledge", "sync", "docs"]
        subprocess.run(manage, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=300)
        yield url


def links(page: Page) -> list[tuple[str | None, str | None, str | None]]:
    """Text, address and label of each number."""
    return [
        (mark.text_content(), mark.get_attribute("href"), mark.get_attribute("aria-label"))
        for mark in page.locator(MARKS).all()
    ]


class TestNumbers:
    @pytest.mark.parametrize(("markup", "more"), [(PLAIN, [LINK]), (MARKDOWN, [])])
    def test_lead_to_sources_that_there_are_and_else_stay_text(
        self, sheet: Open, page: Page, markup: str, more: list[Any]
    ) -> None:
        on = sheet(markup)
        on.replace(DOCUMENT)
        on.settle("answer")
        assert links(page) == [LINK, BUTTON, ("[7]", None, None), *more]
        states = [mark.get_attribute("data-verified") for mark in page.locator(MARKS).all()]
        assert states[:3] == ["true", "false", None]
        assert page.locator("section").text_content() == (
            ANSWER if markup == PLAIN else ANSWER.replace("`", "")
        )

    @pytest.mark.parametrize("markup", [PLAIN, MARKDOWN])
    def test_are_found_wherever_the_text_was_cut(self, sheet: Open, page: Page, markup: str) -> None:
        on = sheet(markup)
        on.replace({**DOCUMENT, "answer": ANSWER})
        on.settle("answer")
        whole = page.locator("section").inner_html()
        for cut in range(1, len(ANSWER)):
            on.replace({**DOCUMENT, "answer": ANSWER[:cut]})
            on.apply(append("answer", ANSWER[cut:]))
            on.settle("answer")
            assert page.locator("section").inner_html() == whole

    def test_change_nothing_else_of_a_text(self, sheet: Open, page: Page) -> None:
        """The same elements and text as without links, whatever the text is."""
        dice = random.Random(7)
        pieces = [
            "[1]",
            "[",
            "]",
            "1",
            "【1】",
            "*",
            "`",
            "\n\n- ",
            "a ",
            "](http://x)",
            "**",
            "![",
            "[2](/y)",
            "云",
            "|",
        ]
        on = sheet(f'{MARKDOWN}<div data-ling-markdown="answer"></div>{PLAIN}<p data-ling="answer"></p>')
        for _ in range(60):
            text = "".join(dice.choices(pieces, k=12))
            on.replace({**DOCUMENT, "answer": ""})
            for start in range(0, len(text), 5):
                on.apply(append("answer", text[start : start + 5]))
            on.settle("answer")
            one, other, third, fourth = page.evaluate(
                """() => [...document.querySelector("section").children].map((element) => {
                    const copy = element.cloneNode(true);
                    copy.querySelectorAll(".ling-cite").forEach((each) => each.replaceWith(each.textContent));
                    copy.normalize();
                    return copy.innerHTML;
                })"""
            )
            assert (one, third) == (other, fourth), text

    def test_become_links_when_their_sources_come(self, sheet: Open, page: Page) -> None:
        on = sheet(PLAIN)
        on.replace({"answer": "Of drops [1]."})
        assert links(page) == [("[1]", None, None)]
        on.apply(set_("citations", []), set_("citations/0", {"source": 1, "quote": QUOTE}))
        assert links(page) == [("[1]", None, None)], "nobody has checked it"
        on.apply(*(set_(f"citations/0/{name}", value) for name, value in CHECKED.items()))
        assert links(page) == [LINK]

    def test_are_made_again_where_a_script_has_changed_the_text(self, sheet: Open, page: Page) -> None:
        on = sheet(MARKDOWN)
        on.replace(DOCUMENT)
        on.settle("answer")
        page.evaluate("document.querySelector('[data-ling-markdown] p').remove()")
        until(page, "document.querySelectorAll('.ling-cite[href]').length === 1")
        assert links(page)[0] == LINK

    def test_in_items_of_a_list_have_the_items_sources(self, sheet: Open, page: Page) -> None:
        on = sheet(
            '<ul data-ling-each="list"><template>'
            '<li data-ling-cite="text" data-ling-citations="cited"></li></template></ul>'
        )
        on.replace({"list": [{"text": "A [1].", "cited": [CITATIONS[0]]}, {"text": "B [1].", "cited": []}]})
        assert links(page) == [LINK, ("[1]", None, None)]

    @pytest.mark.parametrize(
        "url",
        ["javascript:fail()", "java\nscript:fail()", "data:text/html,<script>fail()</script>", 5, None, {}],
    )
    def test_lead_nowhere_where_that_would_run_something(self, sheet: Open, page: Page, url: Any) -> None:
        on = sheet(PLAIN)
        on.replace({**DOCUMENT, "citations": [{**CITATIONS[0], "url": url}], "sources": []})
        assert links(page)[0][1:] == (None, "Source 1: Clouds") or url in (5, {})
        assert not (links(page)[0][1] or "").startswith(("javascript", "data"))

    @pytest.mark.parametrize(
        "document",
        [
            {"answer": "[1]", "citations": "x", "sources": {"0": 1}},
            {"answer": "[1]", "citations": [None, 1, [], {"source": {}}], "sources": [None]},
            {"answer": "[1]", "citations": [{"source": 1, "title": {"a": 1}, "start": "x"}], "sources": [{}]},
            {"answer": "[1][2]" * 5_000, "citations": CITATIONS, "sources": SOURCES},
            {"answer": "]" * 100_000, "citations": CITATIONS, "sources": SOURCES},
        ],
    )
    def test_survive_what_a_model_makes_of_them(self, sheet: Open, page: Page, document: Any) -> None:
        on = sheet(PLAIN if len(document["answer"]) > 100 else PLAIN + MARKDOWN)
        on.replace(document)
        on.settle("answer")
        assert page.locator(MARKS).count() <= 500
        assert set(on.texts("section > *")) == {document["answer"]}


class TestNote:
    @pytest.fixture
    def on(self, sheet: Open) -> Sheet:
        on = sheet(PLAIN)
        on.replace(DOCUMENT)
        return on

    def test_shows_on_focus_and_goes_by_escape(self, on: Sheet, page: Page) -> None:
        mark = page.locator(MARKS).first
        mark.focus()
        note = page.locator(NOTE)
        expect(note).to_be_visible()
        assert note.locator("mark").text_content() == QUOTE
        assert mark.get_attribute("aria-describedby") == note.get_attribute("id")
        assert note.get_attribute("role") == "tooltip"
        assert "The source says so." in (note.text_content() or "")
        page.keyboard.press("Escape")
        expect(note).to_be_hidden()
        assert mark.get_attribute("aria-describedby") is None
        assert page.evaluate("document.activeElement.className") == "ling-cite"

    def test_shows_on_hover_and_stays_for_a_pointer_that_comes(self, on: Sheet, page: Page) -> None:
        page.locator(MARKS).first.hover()
        note = page.locator(NOTE)
        expect(note).to_be_visible()
        note.hover()
        page.wait_for_timeout(500)
        expect(note).to_be_visible()
        page.mouse.move(0, 700)
        expect(note).to_be_hidden()

    def test_a_number_without_an_address_is_reached_by_the_keyboard(self, on: Sheet, page: Page) -> None:
        page.locator(MARKS).first.focus()
        expect(page.locator(NOTE)).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.locator(NOTE)).to_contain_text("2. Note")
        expect(page.locator(NOTE)).to_contain_text("The source does not say this in these words.")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "button"

    def test_what_stands_in_a_passage_is_text(self, on: Sheet, page: Page) -> None:
        page.locator(MARKS).nth(1).focus()
        expect(page.locator(NOTE)).to_contain_text("Rain <img src=x onerror=fail()> falls.")
        assert page.locator(f"{NOTE} img").count() == 0

    def test_says_nothing_of_a_number_that_leads_nowhere(self, on: Sheet, page: Page) -> None:
        page.locator(MARKS).nth(2).hover()
        page.wait_for_timeout(300)
        assert page.locator(NOTE).count() == 0 or page.locator(NOTE).is_hidden()


class TestRun:
    @pytest.fixture
    def page(self, new_page: Callable[[], Page]) -> Page:
        return new_page()

    def test_a_number_is_a_link_while_the_answer_is_being_written(
        self, show: Callable[[str], Peer], page: Page
    ) -> None:
        peer = show(STREAM % MARKDOWN)
        peer.start()
        peer.send(snapshot({}))
        peer.ops(2, set_("sources", SOURCES), set_("citations", []), set_("citations/0", {}))
        peer.ops(3, *(set_(f"citations/0/{name}", value) for name, value in CITATIONS[0].items()))
        peer.ops(4, append("answer", "Of drops [1], as "))
        until(page, "document.querySelector('.ling-cite[data-verified=true]') !== null")
        assert page.locator("ling-stream").get_attribute("status") == "running"
        peer.ops(5, append("answer", "they say."))
        peer.send(done(6))
        until(
            page,
            "document.querySelector('ling-stream').status === 'finished' || "
            "document.querySelector('ling-stream').getAttribute('status') === 'finished'",
        )
        assert links(page) == [LINK]

    def test_a_click_opens_the_place_of_the_passage(self, show: Callable[[str], Peer], page: Page) -> None:
        text = "<p style='height: 200vh'>far</p><p id=quote>A cloud is made of tiny drops.</p>"
        put(f"{ORIGIN}/clouds", f"<!DOCTYPE html><title>Clouds</title>{text}")
        peer = show(STREAM % PLAIN)
        peer.start()
        peer.send(snapshot(DOCUMENT))
        until(page, "document.querySelector('.ling-cite[href]') !== null")
        with page.context.expect_page() as opened:
            page.locator(MARKS).first.click()
        there = opened.value
        there.wait_for_load_state()
        until(there, "scrollY > 100")
        there.close()

    def test_says_that_a_source_has_changed_since(self, show: Callable[[str], Peer], page: Page) -> None:
        asked: list[str | None] = []

        def answer(route: Any) -> None:
            asked.append(route.request.headers.get("authorization"))
            route.fulfill(body=json.dumps({"stale": ["citations/0"]}), content_type="application/json")

        page.route(f"{ORIGIN}/ling/knowledge/runs/{RUN}/citations/", answer)
        peer = show(STREAM % PLAIN)
        peer.start()
        peer.send(snapshot(DOCUMENT), done(2))
        until(page, "document.querySelector('ling-stream').getAttribute('status') === 'finished'")
        for _ in range(2):
            page.locator(MARKS).first.focus()
            expect(page.locator(NOTE)).to_contain_text("The source has changed since.")
            page.locator(MARKS).nth(1).focus()
            expect(page.locator(NOTE)).to_contain_text("2. Note")
            expect(page.locator(NOTE)).not_to_contain_text("changed")
        assert asked == ["Ling S"]

    def test_axe_has_nothing_to_say(self, show: Callable[[str], Peer], page: Page) -> None:
        peer = show(f"<main><h1>Clouds</h1>{STREAM % PLAIN}</main>")
        peer.start()
        peer.send(snapshot(DOCUMENT))
        until(page, "document.querySelector('.ling-cite[href]') !== null")
        page.evaluate("document.title = 'Clouds'; document.documentElement.lang = 'en'")
        page.locator(MARKS).first.focus()
        expect(page.locator(NOTE)).to_be_visible()
        page.evaluate((peers() / "node_modules" / "axe-core" / "axe.min.js").read_text())
        found = page.evaluate(
            "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html]))"
        )
        assert found == []


class TestDemo:
    @pytest.fixture
    def page(self, new_page: Callable[[], Page]) -> Page:
        return new_page()

    def test_a_question_is_answered_with_links_to_the_places_that_say_so(self, docs: str, page: Page) -> None:
        page.goto(f"{docs}/docs/")
        page.get_by_role("button", name="Ask", exact=True).click()
        until(page, "document.querySelector('.ling-cite[data-verified=true]') !== null")
        until(page, "document.querySelector('ling-stream').getAttribute('status') === 'finished'")
        assert page.locator(".citations a.verified").count() >= 1
        page.locator(MARKS).first.focus()
        expect(page.locator(NOTE)).to_contain_text("The source says so.")
        with page.context.expect_page() as opened:
            page.locator(MARKS).first.click()
        there = opened.value
        there.wait_for_load_state()
        assert "/docs/workflows.md" in there.url
        until(there, "scrollY > 100")
        there.close()

    def test_the_chat_shows_what_is_cited_as_it_comes(self, docs: str, page: Page) -> None:
        page.goto(f"{docs}/ling/chat/docs-chat/")
        until(page, "document.querySelector('ling-chat').conversation !== null")
        page.get_by_label("Message").fill(
            "Why are absolute uris emitted by the parser instead of relative ones?"
        )
        page.keyboard.press("Enter")
        until(page, "document.querySelector('li:not([hidden]) > .ling-source.ling-verified[href]') !== null")
        assert page.locator("ling-stream").get_attribute("status") == "running", "the answer still grows"
        until(page, "document.querySelector('ling-stream').getAttribute('status') === 'finished'")
        assert page.locator(".ling-cite[data-verified=true]").count() >= 1
        assert page.locator(".ling-card").count() == 0, "neither passages nor citations are cards"
        page.reload()
        until(page, "document.querySelector('.ling-cite[data-verified=true]') !== null")
        assert page.locator(".ling-source.ling-verified").count() >= 1
