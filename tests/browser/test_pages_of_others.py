"""`<ling-stream>` on pages where other libraries write too: the real ones, from npm."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.chaos.patience import scaled
from tests.node import node, peers

from .conftest import until
from .played import RUN, Peer, append, done, playing, set_, snapshot

MORPHS = ["idiomorph", "turbo", "htmx"]
FRAMEWORKS = ["react", "vue", "svelte", "alpine"]
MARKUP = """<ling-stream id="s" workflow="w" data-input='{"q": 1}'>
  <h1 data-ling="title">Wait…</h1><p class="first" data-ling-if="list" hidden>there is a list</p>
  <p class="second" data-ling-if="!list">no list</p>
  <article data-ling="answer" data-ling-attr-title="title" data-ling-class-long="answer"></article>
  <input data-ling-prop-value="title">
  <ul data-ling-each="list"><template><li data-ling="text"></li></template></ul>
  <ol data-ling-each="cards" data-ling-key="id"><li>a header</li><template>
    <li><b data-ling="id"></b><i data-ling-if="more" hidden>more</i>
      <ul data-ling-each="tags"><template><li data-ling="."></li></template></ul></li></template></ol>
  <div data-ling-html="tree"></div>
</ling-stream>"""
DOCUMENT: dict[str, Any] = {
    "title": "Title",
    "answer": "".join(f"word{index} " for index in range(30)),
    "list": [{"text": f"item {index}"} for index in range(5)],
    "cards": [{"id": "a", "more": 1, "tags": ["x", "y"]}, {"id": "b", "tags": []}],
    "tree": [{"tag": "p", "children": ["drawn"]}],
}
STATE = """() => {
    const stream = document.querySelector("ling-stream");
    const texts = (selector) => [...stream.querySelectorAll(selector)].map((each) => each.textContent);
    const article = stream.querySelector("article");
    return {
        status: [stream.getAttribute("status"), stream.ariaBusy],
        title: texts("h1"), answer: texts("article"), list: texts("[data-ling-each=list] > li"),
        cards: texts("ol b"), headers: texts("ol > li:not([data-ling-item])"), tags: texts("ol ul li"),
        hidden: [...stream.querySelectorAll(".first, .second, i")].map((each) => each.hidden),
        attributes: [article.title, article.className], value: stream.querySelector("input").value,
        html: stream.querySelector("[data-ling-html]").innerHTML,
        writing: texts("[data-ling-writing]"),
    };
}"""
FRAMES = """(count) => new Promise((resolve) => {
    const next = () => (count-- > 0 ? requestAnimationFrame(next) : resolve());
    next();
})"""


@lru_cache
def bundle(name: str) -> str:
    command = [node(), str(peers() / "page.mjs"), name]
    result = subprocess.run(command, capture_output=True, text=True, timeout=scaled(60), check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def state(**changed: Any) -> dict[str, Any]:
    return {
        "status": ["finished", "false"],
        "title": ["Title"],
        "answer": [DOCUMENT["answer"]],
        "list": [each["text"] for each in DOCUMENT["list"]],
        "cards": ["a", "b"],
        "headers": ["a header"],
        "tags": ["x", "y"],
        "hidden": [False, True, False, True],
        "attributes": ["Title", "long"],
        "value": "Title",
        "html": "<p>drawn</p>",
        "writing": [],
        **changed,
    }


@pytest.fixture
def show(page: Page, library: str) -> Iterator[Callable[[str], Peer]]:
    with playing(page, policy={}, files={"/library.js": bundle(library)}) as open_page:

        def open_it(markup: str) -> Peer:
            peer = open_page(markup)
            page.evaluate("async () => { window.library = await import('/library.js'); }")
            return peer

        yield open_it


@pytest.mark.parametrize("library", MORPHS)
def test_a_morph_at_every_tenth_frame_spoils_nothing(
    show: Callable[[str], Peer], page: Page, library: str
) -> None:
    peer = show(MARKUP)
    peer.start()
    page.evaluate(
        """(markup) => {
            window.morphs = 0;
            let frames = 0;
            const next = () => {
                if (++frames % 10 === 0) {
                    library.morph(document.querySelector("#s"), markup);
                    morphs++;
                }
                window.ticking = requestAnimationFrame(next);
            };
            next();
        }""",
        MARKUP,
    )
    peer.send(snapshot())
    number = 2
    peer.ops(number, set_("", {}), append("title", "Title"), set_("list", []), set_("cards", []))
    for index, word in enumerate(DOCUMENT["answer"].split()):
        number += 1
        more = [set_(f"list/{index // 6}", DOCUMENT["list"][index // 6])] if index % 6 == 0 else []
        peer.ops(number, append("answer", f"{word} "), *more)
        page.evaluate(FRAMES, 3)
    peer.ops(number + 1, set_("cards", DOCUMENT["cards"]), set_("tree", DOCUMENT["tree"]))
    until(page, "morphs > 9")
    page.evaluate(FRAMES, 2)
    page.evaluate("cancelAnimationFrame(ticking)")
    page.evaluate(FRAMES, 5)
    written = [DOCUMENT["title"], DOCUMENT["answer"]]
    assert page.evaluate(STATE) == state(status=["running", "true"], writing=written)
    peer.send(done(number + 2))
    page.wait_for_selector("ling-stream[status=finished]")
    page.evaluate(FRAMES, 2)
    assert page.evaluate(STATE) == state()


@pytest.mark.parametrize("library", MORPHS)
def test_a_morph_after_the_end_spoils_nothing_and_peace_returns(
    show: Callable[[str], Peer], page: Page, library: str
) -> None:
    peer = show(MARKUP)
    peer.start()
    peer.send(snapshot(DOCUMENT), done(2))
    page.wait_for_selector("ling-stream[status=finished]")
    for _ in range(3):
        page.evaluate("(markup) => void library.morph(document.querySelector('#s'), markup)", MARKUP)
        page.evaluate(FRAMES, 4)
        assert page.evaluate(STATE) == state()
    page.evaluate(
        """() => {
            window.changes = 0;
            const all = { subtree: true, childList: true, attributes: true, characterData: true };
            new MutationObserver((records) => (changes += records.length)).observe(document.body, all);
        }"""
    )
    page.evaluate(FRAMES, 20)
    assert page.evaluate("changes") == 0


@pytest.mark.parametrize("library", MORPHS)
def test_a_morph_with_the_first_paint_spoils_nothing(
    show: Callable[[str], Peer], page: Page, library: str
) -> None:
    """The server renders what there was when it was asked: less than we have by now."""
    painted = MARKUP.replace(">Wait…<", ' data-ling-placeholder="">Tit<').replace(
        '<ul data-ling-each="list">',
        '<ul data-ling-each="list"><li data-ling="text" data-ling-item="0">item 0</li>'
        '<li data-ling="text" data-ling-item="1">it</li>',
    )
    peer = show(painted)
    peer.start()
    peer.send(snapshot(DOCUMENT), done(2))
    page.wait_for_selector("ling-stream[status=finished]")
    for _ in range(2):
        page.evaluate("(markup) => void library.morph(document.querySelector('#s'), markup)", painted)
        page.evaluate(FRAMES, 4)
        assert page.evaluate(STATE) == state()


@pytest.mark.parametrize("library", FRAMEWORKS)
def test_a_framework_and_we_write_side_by_side(show: Callable[[str], Peer], page: Page, library: str) -> None:
    peer = show('<div id="app"></div>')
    page.evaluate("(run) => { window.unmount = library.mount(document.querySelector('#app'), run); }", RUN)
    assert peer.wait("subscribe")["run"] == RUN
    peer.send(snapshot({"answer": "a", "list": ["x"]}))
    page.wait_for_selector("li:text-is('x')")
    page.evaluate("increment()")
    peer.ops(2, append("answer", "b"), append("list/1", "y"))
    page.wait_for_selector("li:text-is('y')")
    page.evaluate("increment()")
    peer.ops(3, append("answer", "c"), append("list/2", "z"))
    peer.send(done(4))
    page.wait_for_selector("ling-stream[status=finished]")
    assert page.text_content("output") == "2"
    assert page.text_content("ling-stream > p") == "abc"
    assert page.locator("ling-stream ul > li").all_text_contents() == ["x", "y", "z"]
    page.evaluate("unmount()")
    page.wait_for_selector("ling-stream", state="detached")
