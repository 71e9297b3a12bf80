"""Citations whose sources change while somebody looks at the answer, under the strictest policy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import html
from playwright.sync_api import Page, expect

from ..chaos.patience import scaled
from .conftest import ROOT, NewPage, serve, until
from .played import STREAM, Peer, append, done, set_, snapshot
from .test_citations import CITATIONS, DOCUMENT, MARKDOWN, MARKS, NOTE, PLAIN

CHANGED = "The source has changed since."
LAMP = "The green lamp at the harbour burns whale oil until midnight."
BELL = "The old bell above the school rings seven times on Sundays."
FRESH, STALE = ".ling-cite[data-known]:not([data-stale])", ".ling-cite[data-stale]"
CHIPS, STALE_CHIPS = ".ling-source[href]:visible", ".ling-source[data-stale]:visible"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    (folder / "lamp.md").write_text(f"# Lamp\n\n{LAMP}\n")
    (folder / "bell.md").write_text(f"# Bell\n\n{BELL}\n")
    (folder / "other.md").write_text("# Other\n\nNothing of all this.\n")
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[str]:
    """The demo with the folder as its documentation, which it watches."""
    directory = tmp_path_factory.mktemp("stale")
    settings = {"DJANGO_SETTINGS_MODULE": "tests.browser.stale_site", "LIBRARY_FOLDER": str(folder)}
    with serve(directory, settings, rate=2_000.0) as url:
        environment = {**os.environ, **settings, "DJANGO_SQLITE": str(directory / "demo.sqlite3")}
        manage = [sys.executable, "manage.py", "ling_knowledge", "sync", "docs"]
        subprocess.run(
            manage, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=scaled(100)
        )
        yield url


def ask(page: Page, question: str, number: int) -> None:
    page.get_by_label("Message").fill(question)
    page.keyboard.press("Enter")
    until(page, f"document.querySelectorAll('.ling-cite[data-verified=true]').length >= {number}")
    until(page, f"document.querySelectorAll('ling-stream[status=finished]').length === {number}")


def look(page: Page, url: str) -> None:
    """Open a page, and see later whether it was loaded anew."""
    page.goto(url)
    until(page, "document.querySelector('ling-chat').conversation !== null")
    page.evaluate("window.isTheSame = true")


def test_open_pages_show_it_without_a_reload(site: str, folder: Path, new_page: NewPage) -> None:
    page = new_page()
    look(page, f"{site}/ling/chat/docs-chat/")
    ask(page, "What does the green lamp at the harbour burn?", 1)
    ask(page, "How often does the old bell above the school ring?", 2)
    assert (page.locator(STALE).count(), page.locator(STALE_CHIPS).count()) == (0, 0)
    other = new_page()
    look(other, page.url)
    pages = (page, other)
    before = page.locator(".ling-markdown").first.bounding_box()
    page.evaluate("window.mark = document.querySelector('.ling-cite')")

    (folder / "lamp.md").write_text("# Lamp\n\nThe green lamp at the harbour was taken down.\n")
    for each in pages:
        first, second = each.locator("ling-stream").all()
        expect(first.locator(STALE).first).to_be_attached()
        assert (first.locator(FRESH).count(), second.locator(FRESH).count() > 0) == (0, True)
        first.locator(STALE).first.focus()
        expect(each.locator(NOTE).get_by_text(CHANGED)).to_have_count(1)
        each.keyboard.press("Escape")
        assert CHANGED in (first.locator(STALE).first.get_attribute("aria-label") or "")
        chips = each.locator(CHIPS).filter(has_text="Lamp").count()
        assert chips > 0, "each source is told below the answer"
        expect(each.locator(STALE_CHIPS)).to_have_count(chips)
        expect(each.get_by_role("link", name=CHANGED).and_(each.locator(CHIPS))).to_have_count(chips)
        expect(second.locator(CHIPS).filter(has_text="Bell").and_(second.locator(STALE_CHIPS))).to_have_count(
            0
        )
    assert page.locator(".ling-markdown").first.bounding_box() == before, "nothing moves"
    assert page.evaluate("window.mark === document.querySelector('.ling-cite')"), "nothing is drawn anew"

    (folder / "bell.md").unlink()
    for each in pages:
        expect(each.locator(FRESH)).to_have_count(0)
        assert each.evaluate("window.isTheSame"), "it was not loaded anew"
    marked, chips = page.locator(STALE).count(), page.locator(CHIPS).count()
    expect(page.locator(STALE_CHIPS)).to_have_count(chips)
    page.reload()
    expect(page.locator(STALE)).to_have_count(marked)
    expect(page.locator(FRESH)).to_have_count(0)
    expect(page.locator(STALE_CHIPS)).to_have_count(chips)

    drawn = html.fromstring(page.request.get(page.url).text())
    words = drawn.xpath("//a[contains(@class, 'ling-source')][@data-stale]/span[@data-changed][not(@hidden)]")
    assert [word.text.strip() for word in words] == [CHANGED] * chips, "the server draws it, too"
    assert all(json.loads(stream.get("data-stale")) for stream in drawn.xpath("//ling-stream[@data-stale]"))
    assert len(drawn.xpath("//ling-stream[@data-stale]")) == 2


class TestMarks:
    @pytest.fixture
    def peer(self, show: Callable[[str], Peer]) -> Peer:
        peer = show(STREAM % MARKDOWN)
        peer.start()
        peer.send(snapshot(DOCUMENT), done(2))
        return peer

    def mark(self, page: Page, uris: str) -> None:
        page.evaluate("(uris) => (document.querySelector('ling-stream').dataset.stale = uris)", uris)

    def test_follow_what_the_element_says(self, peer: Peer, page: Page) -> None:
        until(page, "document.querySelector('.ling-cite[href]') !== null")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.evaluate("window.nodes = [...document.querySelector('p').childNodes]")
        for uris, stale in (('["citations/0"]', [0]), ('["citations/1","citations/0"]', [0, 1]), ("[]", [])):
            self.mark(page, uris)
            expect(page.locator(STALE)).to_have_count(len(stale))
            labels = [mark.get_attribute("aria-label") or "" for mark in page.locator(MARKS).all()]
            assert [CHANGED in label for label in labels] == [0 in stale, 1 in stale, False]
            page.locator(MARKS).first.focus()
            expect(page.locator(NOTE)).to_contain_text("1. Clouds")
            expect(page.locator(NOTE).get_by_text(CHANGED)).to_have_count(int(0 in stale))
            page.keyboard.press("Escape")
            page.locator(MARKS).first.blur()
        same = "nodes.every((node, n) => node === document.querySelector('p').childNodes[n])"
        assert page.evaluate(same), "a number is marked where it stands"
        assert not [url for url in asked if "citations" in url], "the element says it, so nobody is asked"

    def test_that_come_later_are_marked_too(self, show: Callable[[str], Peer], page: Page) -> None:
        peer = show((STREAM % PLAIN).replace("<ling-stream", """<ling-stream data-stale='["citations/0"]'"""))
        peer.start()
        peer.send(snapshot({**DOCUMENT, "citations": [], "answer": "Of drops [1]"}))
        until(page, "document.querySelector('.ling-cite[href]') !== null")
        assert page.locator(STALE).count() == 0
        given: Any = CITATIONS[0]
        peer.ops(2, set_("citations/0", {}), *(set_(f"citations/0/{name}", given[name]) for name in given))
        peer.ops(3, append("answer", " and [1]."))
        expect(page.locator(STALE)).to_have_count(2)
