"""Whose run an element shows: after a reload, in copies of the page, as a property, after a failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from lingstream.core.document import canonical

from .conftest import until
from .played import RUN, STREAM, Peer, done, playing, snapshot

Show = Callable[[str], Peer]
FIRST = "document.querySelector('ling-stream')"
OTHER = "99999999-0000-4000-8000-000000000000"


def of(run: str, message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "run": run}


def kinds(peer: Peer) -> list[str]:
    return [message["type"] for message in peer.messages]


def begun(peer: Peer, page: Page, document: Any = None) -> None:
    peer.start()
    peer.send(snapshot(document or {"a": "x"}))
    page.wait_for_selector("ling-stream[status=running]", state="attached")


def test_what_the_element_writes_and_what_it_keeps(show: Show, page: Page) -> None:
    peer = show(STREAM % "")
    begun(peer, page)
    assert page.get_attribute("ling-stream", "run") == RUN
    assert page.get_attribute("ling-stream", "share") == "S"
    kept = json.loads(page.evaluate("Object.values(sessionStorage)[0]"))
    key = peer.messages[0]["key"]
    written = '{"q": 1}'
    assert kept == {"run": RUN, "token": "T", "share": "S", "input": {"q": 1}, "key": key, "written": written}


def test_a_reload_before_the_answer_starts_the_same(show: Show, page: Page) -> None:
    peer = show('<ling-stream workflow="w" manual></ling-stream>')
    page.evaluate(f"{FIRST}.start({{ q: 'by hand' }})")
    peer.wait("start")
    page.reload()
    peer.wait("start", 2)
    first, second = peer.messages
    assert (second["key"], second["input"]) == (first["key"], {"q": "by hand"})
    peer.start(2)
    peer.send(snapshot())
    page.wait_for_selector("ling-stream[status=running]", state="attached")
    page.reload()
    assert peer.wait("subscribe")["token"] == "T"


def test_what_was_asked_is_known_after_a_reload(show: Show, page: Page) -> None:
    peer = show('<ling-stream workflow="w"></ling-stream>')
    page.evaluate(f"{FIRST}.start({{ q: 'by hand' }})")
    begun(peer, page)
    page.reload()
    peer.wait("subscribe")
    assert page.evaluate(f"{FIRST}.run.input") == {"q": "by hand"}
    page.evaluate(f"{FIRST}.start({{ q: 'again' }})")
    peer.wait("start", 2)
    assert kinds(peer) == ["start", "subscribe", "cancel", "start"], "it was ours, so it is stopped"


AFTERWARDS = {
    "the same": (STREAM, "subscribe"),
    "another input": (STREAM.replace("1", "2"), "start"),
    "another workflow": (STREAM.replace('"w"', '"v"'), "start"),
    "an id": (STREAM.replace("<ling-stream", '<ling-stream id="other"'), "start"),
    "restart": (STREAM.replace("<ling-stream", "<ling-stream restart"), "start"),
    "its run by name": (STREAM.replace("<ling-stream", f'<ling-stream run="{RUN}"'), "subscribe"),
    "its run, but another input": (
        STREAM.replace("<ling-stream", f'<ling-stream run="{RUN}"').replace("1}", "2}"),
        "start",
    ),
    "restart beside a run": (STREAM.replace("<ling-stream", f'<ling-stream restart run="{RUN}"'), "start"),
    "other content around it": ("<p>News</p><div>" + STREAM + "</div>", "subscribe"),
}


@pytest.mark.parametrize(("markup", "kind"), AFTERWARDS.values(), ids=AFTERWARDS)
def test_the_next_page_has(show: Show, page: Page, markup: str, kind: str) -> None:
    begun(show(STREAM % ""), page)
    peer = show(markup % "")
    message = peer.wait(kind)
    assert kinds(peer) == [kind]
    if kind == "subscribe":
        assert (message["run"], message["token"]) == (RUN, "T")


def test_restart_pays_again_at_each_visit(show: Show, page: Page) -> None:
    peer = show(STREAM.replace("<ling-stream", "<ling-stream restart") % "")
    begun(peer, page)
    page.reload()
    peer.wait("start", 2)
    assert page.evaluate("sessionStorage.length") == 0


def test_a_run_that_is_named_beside_one_that_is_kept(show: Show, page: Page) -> None:
    begun(show(STREAM % ""), page)
    peer = show(STREAM.replace("<ling-stream", f'<ling-stream run="{OTHER}" share="S2"') % "")
    message = peer.wait("subscribe")
    assert (message["run"], message["token"]) == (OTHER, "S2")


ALIKE = {
    "without ids": STREAM * 3,
    "with ids": "".join(STREAM.replace("<ling-stream", f'<ling-stream id="{name}"') for name in "abc"),
    "one with an id": STREAM * 2 + STREAM.replace("<ling-stream", '<ling-stream id="c"'),
    "in shadow roots": "".join(
        f'<div><template shadowrootmode="open">{STREAM}</template></div>' for _ in range(3)
    ),
    "with one id": STREAM.replace("<ling-stream", '<ling-stream id="a"') * 3,
}


@pytest.mark.parametrize("markup", ALIKE.values(), ids=ALIKE)
def test_each_of_several_of_one_workflow_has_its_own(show: Show, page: Page, markup: str) -> None:
    peer = show(markup.replace("%s", ""))
    peer.wait("start", 3)
    runs = [OTHER[:-1] + str(number) for number in range(3)]
    for run, message in zip(runs, list(peer.messages), strict=True):
        peer.send(
            {"started": {"run": run, "token": f"T{run}", "workflow": "w"}, "ref": message["ref"]},
            of(run, snapshot()),
        )
    until(page, "sessionStorage.length === 3")
    page.reload()
    peer.wait("subscribe", 3)
    asked = [(message["run"], message["token"]) for message in peer.messages[3:]]
    assert asked == [(run, f"T{run}") for run in runs]


@pytest.mark.parametrize("is_there", [True, False])
def test_the_end_is_checked_by_what_is_loaded_for_it(context: BrowserContext, is_there: bool) -> None:
    page = context.new_page()  # the browser itself tells of a module that does not come
    with playing(page) as show:
        peer = show('<ling-stream workflow="w" manual><p data-ling="a"></p></ling-stream>')
        if not is_there:
            page.route("**/checksum.js", lambda route: route.abort())
        page.evaluate(f"{FIRST}.start({{}})")
        begun(peer, page)
        peer.send(done(2, crc32=1))
        if is_there:
            assert peer.wait("subscribe").get("after") is None, "it asks for a snapshot"
            peer.send(snapshot({"a": "x"}), done(2, crc32=canonical.crc32({"a": "x"})))
        page.wait_for_selector("ling-stream[status=finished]")
        assert kinds(peer) == ["start", "subscribe"][: 1 + is_there]


def test_a_copy_shows_the_run_of_the_original(show: Show, page: Page) -> None:
    peer = show(STREAM % '<p data-ling="a"></p>')
    begun(peer, page)
    page.evaluate(f"document.body.append({FIRST}.cloneNode(true))")
    page.wait_for_selector("ling-stream:last-of-type p:text-is('x')")
    page.evaluate(f"{FIRST}.remove()")
    peer.ops(2, {"uri": "a", "delta": "y"})
    page.wait_for_selector("p:text-is('xy')")
    peer.send(done(3))
    page.wait_for_selector("ling-stream[status=finished]")
    assert kinds(peer) == ["start"]


def test_a_page_out_of_a_cache_shows_its_run(show: Show, page: Page) -> None:
    """As Turbo keeps pages: a clone of the body, put in place of another one later."""
    peer = show(STREAM % '<p data-ling="a"></p>')
    begun(peer, page)
    page.evaluate("window.kept = document.body.cloneNode(true); document.body.replaceChildren()")
    assert peer.wait("unsubscribe")["run"] == RUN
    page.evaluate("document.body.replaceWith(kept)")
    message = peer.wait("subscribe")
    assert (message["run"], message["token"]) == (RUN, "T")
    assert page.text_content("p") == "x"
    peer.send(snapshot({"a": "xyz"}, 5), done(6))
    page.wait_for_selector("ling-stream[status=finished] p:text-is('xyz')")
    assert kinds(peer) == ["start", "unsubscribe", "subscribe"]


def test_what_it_wrote_is_written_again_when_a_morph_takes_it_away(show: Show, page: Page) -> None:
    peer = show(STREAM % "")
    begun(peer, page)
    names = ["run", "share", "status", "aria-busy"]
    page.evaluate(f"names => names.forEach((name) => {FIRST}.removeAttribute(name))", names)
    until(page, f"['{RUN}', 'S', 'running', 'true'].join() === "
          f"{json.dumps(names)}.map((name) => {FIRST}.getAttribute(name)).join()")  # fmt: skip
    page.evaluate(f"{FIRST}.setAttribute('status', 'finished')")
    page.wait_for_selector("ling-stream[status=running]", state="attached")
    assert kinds(peer) == ["start"]


SETS = {
    "an id": f"stream.run = '{OTHER}'; stream.setAttribute('share', 'S2')",
    "an attribute": f"stream.setAttribute('run', '{OTHER}'); stream.setAttribute('share', 'S2')",
    "a run": f"stream.run = client.subscribe('{OTHER}', {{ share: 'S2' }})",
    "an id, before it is on the page": f"""
        const other = document.createElement("ling-stream");
        other.run = '{OTHER}';
        other.setAttribute("share", "S2");
        stream.replaceWith(other)""",
    "a run, before it is on the page": f"""
        const other = document.createElement("ling-stream");
        other.run = client.subscribe('{OTHER}', {{ share: 'S2' }});
        stream.replaceWith(other)""",
}


@pytest.mark.parametrize("code", SETS.values(), ids=SETS)
def test_a_run_is_set(show: Show, page: Page, code: str) -> None:
    peer = show(STREAM % "")
    begun(peer, page)
    page.evaluate(
        f"""async () => {{
            const {{ Client }} = await import("/static/lingstream/index.js");
            const [stream, client] = [{FIRST}, new Client()];
            {code};
        }}"""
    )
    message = peer.wait("subscribe")
    assert (message["run"], message["token"]) == (OTHER, "S2")
    assert peer.wait("unsubscribe")["run"] == RUN
    peer.send(of(OTHER, snapshot({"a": "other"})), of(OTHER, done(2)))
    page.wait_for_selector("ling-stream[status=finished]", state="attached")
    assert page.get_attribute("ling-stream", "run") == OTHER
    assert "cancel" not in kinds(peer), "the run before is somebody's"


def test_a_run_is_taken_away(show: Show, page: Page) -> None:
    peer = show(STREAM % '<p data-ling="a">?</p>')
    begun(peer, page)
    page.evaluate(f"{FIRST}.run = undefined")
    assert peer.wait("unsubscribe")["run"] == RUN
    page.wait_for_selector("p:text-is('?')")
    assert page.evaluate(f"[{FIRST}.state, ...{FIRST}.getAttributeNames()]") == [
        "idle",
        "workflow",
        "data-input",
    ]


def test_a_run_that_is_set_stays_its_owners(show: Show, page: Page) -> None:
    peer = show("<ling-stream></ling-stream>")
    page.evaluate(
        f"""async () => {{
            const {{ Client }} = await import("/static/lingstream/index.js");
            window.run = new Client().start("w", {{}});
            {FIRST}.run = run;
            {FIRST}.run = run;
        }}"""
    )
    begun(peer, page)
    page.evaluate(f"{FIRST}.remove()")
    peer.send(done(2))
    until(page, "run.status === 'finished'")
    assert kinds(peer) == ["start"]


def test_one_that_is_replaced_ten_times_shows_the_last(show: Show, page: Page) -> None:
    peer = show(STREAM % '<p data-ling="a"></p>')
    page.evaluate(f"for (let round = 0; round < 10; round += 1) {FIRST}.start({{ round }})")
    peer.wait("start", 11)
    runs = [OTHER[:-2] + f"{number:02}" for number in range(11)]
    for run, message in zip(runs, list(peer.messages), strict=True):
        peer.send(
            {"started": {"run": run, "token": "T", "workflow": "w"}, "ref": message["ref"]},
            of(run, snapshot({"a": run})),
        )
    page.wait_for_selector(f"p:text-is('{runs[-1]}')")
    peer.wait("cancel", 10)
    assert {message["run"] for message in peer.messages if message["type"] == "cancel"} == set(runs[:-1])
    peer.send(of(runs[-1], done(2)))
    page.wait_for_selector("ling-stream[status=finished]")
    assert page.text_content("p") == runs[-1]


GONE = {"code": "not-found", "message": "no such run", "retryable": False}


def test_without_a_question_in_the_page_a_run_that_is_gone_leaves_it_idle(show: Show, page: Page) -> None:
    peer = show('<ling-stream workflow="w"></ling-stream>')
    page.evaluate(f"{FIRST}.start({{}})")
    begun(peer, page)
    page.reload()
    peer.send({"error": GONE, "ref": peer.wait("subscribe")["ref"]})
    until(page, f"{FIRST}.state === 'idle' && !{FIRST}.hasAttribute('run')")
    assert page.evaluate("sessionStorage.length") == 0


AGAIN = {
    "refused": ({"code": "rate-limited", "message": "…", "retryable": True}, True),
    "refused for good": ({"code": "forbidden", "message": "…", "retryable": False}, True),
    "failed": (None, False),
}


@pytest.mark.parametrize(("fault", "same"), AGAIN.values(), ids=AGAIN)
@pytest.mark.parametrize("way", ["retry()", "command"])
def test_again(show: Show, page: Page, fault: dict[str, Any] | None, same: bool, way: str) -> None:
    peer = show('<ling-stream id="s" workflow="w"></ling-stream><button commandfor="s" command="--retry">')
    page.evaluate(f"{FIRST}.start({{ q: 'by hand' }})")
    if fault:
        peer.send({"error": fault, "ref": peer.wait("start")["ref"]})
    else:
        peer.start()
        peer.send(snapshot({"a": "half"}), done(2, "failed"))
    page.wait_for_selector("ling-stream[status=failed]", state="attached")
    page.evaluate(f"{FIRST}.retry()" if way == "retry()" else "document.querySelector('button').click()")
    peer.wait("start", 2)
    first, second = (message for message in peer.messages if message["type"] == "start")
    assert second["input"] == {"q": "by hand"}
    assert (second["key"] == first["key"]) == same
    page.wait_for_selector("ling-stream[status=connecting]", state="attached")
    page.evaluate(f"{FIRST}.retry()")
    peer.start(2, OTHER)
    peer.send(of(OTHER, snapshot({"a": "whole"})), of(OTHER, done(2)))
    page.wait_for_selector("ling-stream[status=finished]", state="attached")
    assert kinds(peer).count("start") == 2, "while it is busy there is nothing to do again"


def test_a_start_that_was_refused_is_not_asked_again_by_a_reload(show: Show, page: Page) -> None:
    peer = show('<ling-stream workflow="w"></ling-stream>')
    page.evaluate(f"{FIRST}.start({{}})")
    peer.send({"error": GONE, "ref": peer.wait("start")["ref"]})
    page.wait_for_selector("ling-stream[status=failed]", state="attached")
    page.reload()
    until(page, f"{FIRST}?.state === 'idle'")
    assert kinds(peer) == ["start"]
