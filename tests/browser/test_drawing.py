"""When `<ling-stream>` writes the page: frames, slices of them, and who may hold them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

from .conftest import until
from .played import RUN, STREAM, Peer, append, done, snapshot

LIST = '<ul data-ling-each="list"><template><li data-ling="."></li></template></ul>'
HEAR = """for (const type of ["draw", "render", "done"])
    addEventListener(`ling:${type}`, () => heard.push([type, document.querySelectorAll("li").length]));
window.heard = [];"""


def test_a_long_list_comes_over_several_frames_and_done_behind_the_last(
    show: Callable[[str], Peer], page: Page
) -> None:
    page.add_init_script(HEAR)
    peer = show(STREAM % LIST)
    peer.start()
    peer.send(snapshot({"list": [f"item {index}" for index in range(10_000)]}), done(2))
    until(page, "heard.some(([type]) => type === 'done')")
    heard: list[list[Any]] = page.evaluate("heard")
    counts = [count for kind, count in heard if kind == "draw"]
    assert len(counts) > 5
    assert counts == sorted(counts)
    assert heard[-2:] == [["render", 10_000], ["done", 10_000]]
    assert [kind for kind, count in heard if count == 0][-1] == "draw"
    assert page.locator("li").last.text_content() == "item 9999"


def test_ops_are_told_once_a_frame_before_it_is_drawn(show: Callable[[str], Peer], page: Page) -> None:
    page.add_init_script(
        """window.told = [];
        const tell = ({ type, detail }) => told.push([type.slice(5), detail.id ?? null, detail.ops ?? []]);
        for (const type of ["ops", "closed", "draw"]) addEventListener(`ling:${type}`, tell);"""
    )
    peer = show(STREAM % '<p data-ling="a"></p>')
    peer.start()
    peer.send(snapshot({"a": ""}))
    until(page, "document.querySelector('ling-stream').document?.a === ''")
    # No frame comes between them, as none comes while a task lasts.
    receive = """frames => {
        told.length = 0;
        const { run } = document.querySelector("ling-stream");
        for (const frame of frames) run.receive(frame);
    }"""
    words = [append("a", word) for word in ("one ", "two ", "three ")]
    frames = [{"run": RUN, "id": f"1-{number}", "ops": [op]} for number, op in enumerate(words, 2)]
    closed = {"run": RUN, "id": "1-4", "event": "string-response", "bot": "b#1", "step": "b", "uri": "b"}
    page.evaluate(receive, [*frames[:2], closed | {"id": "1-3+1"}, frames[2]])
    until(page, "document.querySelector('p').textContent === 'one two three '")
    assert page.evaluate("told")[:4] == [
        ["ops", "1-3", words[:2]],
        ["closed", None, []],
        ["ops", "1-4", words[2:]],
        ["draw", None, []],
    ]


def test_ops_do_not_wait_where_there_are_no_frames(show: Callable[[str], Peer], page: Page) -> None:
    page.add_init_script(
        """window.told = 0;
        addEventListener("ling:ops", ({ detail }) => (told += detail.ops.length));"""
    )
    peer = show(STREAM % '<p data-ling="a"></p>')
    peer.start()
    peer.send(snapshot({"a": "x"}))
    until(page, "document.querySelector('p').textContent === 'x'")
    page.evaluate(
        """async () => {
            await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
            window.requestAnimationFrame = () => 0;
        }"""
    )
    peer.ops(2, *[append("a", "x")] * 999)
    until(page, "document.querySelector('ling-stream').document.a.length === 1000")
    assert page.evaluate("told") == 0
    peer.ops(3, append("a", "x"))
    until(page, "told === 1000")
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    peer.ops(4, append("a", "x"))
    until(page, "told === 1001")


def test_what_is_prevented_is_kept_and_drawn_by_who_prevents_it(
    show: Callable[[str], Peer], page: Page
) -> None:
    page.add_init_script(
        """window.held = [];
        window.rendered = 0;
        window.ended = 0;
        addEventListener("ling:draw", (event) => {
            if (!window.free) event.preventDefault();
            held.push(event.detail);
        });
        addEventListener("ling:render", () => (rendered += 1));
        addEventListener("ling:done", () => (ended += 1));"""
    )
    peer = show(STREAM % '<p data-ling="a">Wait…</p>')
    peer.start()
    peer.send(snapshot({"a": "x"}))
    until(page, "held.at(-1)?.document?.a === 'x'")
    peer.ops(2, append("a", "y"))
    until(page, "held.at(-1).document.a === 'xy' && held.length > 2")
    assert page.text_content("p") == "Wait…"
    assert page.evaluate("rendered") == 0
    page.evaluate("held.at(-1).draw()")
    assert (page.text_content("p"), page.evaluate("rendered")) == ("xy", 1)
    peer.ops(3, append("a", "z"))
    peer.send(done(4))
    until(page, "ended === 1")
    assert page.text_content("p") == "xy"
    page.evaluate("window.free = true; document.querySelector('ling-stream').refresh()")
    until(page, "document.querySelector('p').textContent === 'xyz'")


def test_buttons_and_texts_follow_the_status(show: Callable[[str], Peer], page: Page) -> None:
    peer = show(
        STREAM % '<output data-ling="@status"></output><button data-ling-prop-disabled="@busy">Ask</button>'
    )
    peer.start()
    peer.send(snapshot())
    until(page, "document.querySelector('output').textContent === 'running'")
    assert page.is_disabled("button")
    peer.send(done(2))
    until(page, "document.querySelector('output').textContent === 'finished'")
    assert page.is_enabled("button")
