"""What screen readers hear: lines about the run and whole sentences, and never a region that grows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from playwright.sync_api import Page

from .conftest import until
from .played import STREAM, Peer, append, done, set_, snapshot

Show = Callable[[str], Peer]
LISTEN = """
window.heard = [];
customElements.whenDefined("ling-stream").then(() => {
    for (const stream of document.querySelectorAll("ling-stream")) listen(stream);
});
const listen = async (stream) => {
    while (!stream.shadowRoot) await new Promise(requestAnimationFrame);
    const region = stream.shadowRoot.querySelector("[role=status]");
    new MutationObserver(() => heard.push([performance.now(), region.textContent]))
        .observe(region, { childList: true, characterData: true, subtree: true });
};
"""
SAYS = STREAM.replace("<ling-stream", "<ling-stream data-ling-announce=sentences")
STARTED, FINISHED = "The answer is being written.", "The answer is complete."


def heard(page: Page) -> list[str]:
    return [text for _, text in page.evaluate("heard")]


def test_by_default_it_says_what_becomes_of_the_run(show: Show, page: Page) -> None:
    page.add_init_script(LISTEN)
    peer = show(STREAM % '<p data-ling="a"></p>')
    peer.start()
    peer.send(snapshot({}))
    until(page, "heard.length === 1")
    for number in range(2, 6):
        peer.ops(number, append("a", "A sentence. "))
    peer.send(done(6))
    until(page, "heard.length === 2")
    assert heard(page) == [STARTED, FINISHED]


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("failed", "There is no answer: something went wrong."),
        ("lost", "There is no answer: something went wrong."),
        ("canceled", "Halt!"),
    ],
)
def test_other_ends_and_other_words(show: Show, page: Page, status: str, word: str) -> None:
    page.add_init_script(LISTEN)
    words = 'data-ling-started="Los!" data-ling-canceled="Halt!"'
    peer = show(STREAM.replace("<ling-stream", f"<ling-stream {words}") % "")
    peer.start()
    peer.send(snapshot({}))
    until(page, "heard.length === 1")
    peer.send(done(2, status))
    until(page, "heard.length === 2")
    assert heard(page) == ["Los!", word]


def test_off_is_silent(show: Show, page: Page) -> None:
    page.add_init_script(LISTEN)
    peer = show(STREAM.replace("<ling-stream", "<ling-stream data-ling-announce=off") % "" + STREAM % "")
    peer.start()
    peer.send(snapshot({}), done(2))
    until(page, "heard.length > 0 && heard.at(-1)[1].includes('written')")
    assert len(heard(page)) == 1, "that of the other one"


def test_who_comes_after_the_end_is_told_nothing(show: Show, page: Page) -> None:
    peer = show(STREAM % "")
    peer.start()
    peer.send(snapshot({}))
    page.wait_for_selector("ling-stream[status=running]", state="attached")
    page.add_init_script(LISTEN)
    page.reload()
    peer.wait("subscribe")
    peer.send(snapshot({"a": "x"}, 5), done(6))
    page.wait_for_selector("ling-stream[status=finished]", state="attached")
    page.evaluate("new Promise((go) => setTimeout(go, 50))")
    assert heard(page) == []


TEXTS = {
    "English": (["It rai", "ns. It po", "urs! Does i", "t"], ["It rains.", "It pours!", "Does it"]),
    "Chinese": (["云是", "水。它们", "会落", "下来"], ["云是水。", "它们会落下来"]),
    "abbreviations, as the browser knows them": (
        ["It costs 3.5 ", "dollars. Really", "."],
        ["It costs 3.5 dollars.", "Really."],
    ),
}


@pytest.mark.parametrize("segmenter", [True, False])
@pytest.mark.parametrize(("pieces", "sentences"), TEXTS.values(), ids=TEXTS)
def test_sentences(show: Show, page: Page, pieces: list[str], sentences: list[str], segmenter: bool) -> None:
    page.add_init_script(LISTEN + ("" if segmenter else "delete Intl.Segmenter;"))
    peer = show(SAYS % '<p data-ling="a" lang="not a language"></p><ul><li data-ling="other"></li></ul>')
    peer.start()
    peer.send(snapshot({}))
    for number, piece in enumerate(pieces, 2):
        peer.ops(number, append("a", piece))
        until(page, f"document.querySelector('p').textContent.endsWith({piece!r})")
        if piece == pieces[-2]:
            until(page, f"heard.some(([, text]) => text.includes({sentences[0]!r}))")
    peer.send(done(9))
    until(page, f"heard.at(-1)[1].endsWith({FINISHED!r})")
    assert " ".join(heard(page)) == " ".join([STARTED, *sentences, FINISHED])
    times = [at for at, _ in page.evaluate("heard")]
    assert all(later - sooner > 950 for sooner, later in pairwise(times))


def test_a_text_without_an_end_is_said_in_parts_and_freezes_nothing(show: Show, page: Page) -> None:
    page.add_init_script(LISTEN)
    peer = show(SAYS % '<p data-ling="a"></p>')
    peer.start()
    peer.send(snapshot({}))
    peer.ops(2, set_("a", ""), append("a", "x" * 400_000))
    until(page, "heard.some(([, text]) => text.length >= 10_000)")
    longest = page.evaluate("Math.max(...heard.map(([, text]) => text.length))")
    assert longest < 30_000


def test_it_is_not_seen_and_no_part_of_the_text(show: Show, page: Page) -> None:
    peer = show(STREAM % '<p data-ling="a"></p>')
    peer.start()
    peer.send(snapshot({"a": "x"}))
    until(page, "document.querySelector('ling-stream').shadowRoot.querySelector('span').textContent !== ''")
    region = "document.querySelector('ling-stream').shadowRoot.querySelector('span')"
    box = page.evaluate(f"(({{ width, height }}) => [width, height])({region}.getBoundingClientRect())")
    assert box == [1, 1], "a strict policy allows it"
    assert page.evaluate("document.querySelector('ling-stream').innerText.trim()") == "x"
    assert page.evaluate(f"{region}.getAttribute('aria-busy')") == "false"
