"""`<ling-stream>` against a socket that the test plays: what the element does with frames."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from lingstream.core.document.canonical import crc32

from .conftest import until
from .played import RUN, STREAM, VECTORS, Peer, append, done, set_, snapshot


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_folds_every_vector(show: Callable[[str], Peer], page: Page, case: dict[str, Any]) -> None:
    peer = show(f'<ling-stream run="{RUN}" token="T"></ling-stream>')
    peer.wait("subscribe")
    peer.send(*case["frames"])
    page.wait_for_selector(f"ling-stream[status={case['status']}]", state="attached")
    found = page.evaluate("JSON.stringify(document.querySelector('ling-stream').document)")
    assert crc32(json.loads(found)) == case["crc32"]


def test_starts_with_its_input_and_fills_its_fields(show: Callable[[str], Peer], page: Page) -> None:
    peer = show(STREAM % '<h1 data-ling="answer">Wait…</h1><p data-ling="deep/0/text"></p>')
    peer.start()
    assert peer.messages[0]["input"] == {"q": 1}
    assert page.inner_text("h1") == "Wait…"
    peer.send(snapshot())
    peer.ops(2, set_("", {}), append("answer", "No, "), set_("deep", []), set_("deep/0", {}))
    peer.ops(3, append("answer", "it is "), append("deep/0/text", "below"))
    peer.ops(4, append("answer", "air."))
    until(page, "document.querySelector('h1').textContent === 'No, it is air.'")
    assert page.get_attribute("h1", "data-ling-writing") == ""
    peer.send(
        {"run": RUN, "id": "1-5", "event": "string-response", "bot": "a#1", "root": "", "uri": "answer"}
    )
    page.wait_for_selector("h1:not([data-ling-writing])")
    assert page.get_attribute("ling-stream", "aria-busy") == "true"
    peer.send(done(6))
    page.wait_for_selector("ling-stream[status=finished][aria-busy=false]")
    assert page.text_content("p") == "below"


def test_each_and_if(show: Callable[[str], Peer], page: Page) -> None:
    peer = show(
        STREAM
        % """<p id="none" data-ling-if="!outline">nothing yet</p>
        <ol data-ling-each="outline"><template><li>
          <b data-ling="topic"></b><i data-ling="./details"></i><u data-ling="/title"></u>
          <em data-ling-if="details">has details</em>
          <ul data-ling-each="tags"><template><li data-ling="."></li></template></ul>
        </li></template></ol>
        <ul id="map" data-ling-each="map"><template><li data-ling="."></li></template></ul>"""
    )
    peer.start()
    peer.send(snapshot())
    page.wait_for_selector("#none")
    peer.ops(
        2,
        *[set_("", {}), append("title", "T"), set_("outline", []), set_("outline/0", {})],
        *[append("outline/0/topic", "one"), set_("outline/1", {}), append("outline/1/topic", "two")],
        *[set_("map", {"a/b": "x", "": 5})],
    )
    until(page, "document.querySelectorAll('ol > li').length === 2")
    assert page.is_hidden("#none")
    assert page.locator("em:visible").count() == 0
    kept = page.query_selector("ol > li")
    peer.ops(
        3, append("outline/0/details", "more"), set_("outline/1/tags", []), append("outline/1/tags/0", "t")
    )
    page.wait_for_selector("em:visible")
    assert page.locator("ol b").all_text_contents() == ["one", "two"]
    assert page.locator("ol i").all_text_contents() == ["more", ""]
    assert page.locator("ol u").all_text_contents() == ["T", "T"]
    assert page.locator("ol ul li").all_text_contents() == ["t"]
    assert page.locator("#map li").all_text_contents() == ["x", "5"]
    assert page.evaluate("first => first === document.querySelector('ol > li')", kept)
    peer.ops(4, set_("outline", [{"topic": "other"}], fix=True))
    until(page, "document.querySelectorAll('ol > li').length === 1")
    assert page.locator("ol b").all_text_contents() == ["other"]


def test_model_text_stays_text(show: Callable[[str], Peer], page: Page) -> None:
    evil = "<img src=x onerror=\"document.body.id='hacked'\"><script>document.body.id='hacked'</script>"
    peer = show(
        STREAM
        % """<p data-ling="a"></p><script type="module" id="s" data-ling="a"></script>
        <ul data-ling-each="list"><template><li data-ling="."></li></template></ul>
        <a data-ling-attr-href="link" data-ling-attr-title="a">link</a>
        <b data-ling-attr-href="good">good</b>"""
    )
    peer.start()
    peer.send(snapshot())
    peer.ops(2, set_("", {}), append("a", evil), set_("list", []), append("list/0", evil))
    peer.ops(
        3, append("a", evil), append("link", "java\nscript:alert(1)"), append("good", "https://example.com/")
    )
    peer.send(done(4))
    page.wait_for_selector("ling-stream[status=finished]", state="attached")
    assert page.text_content("p") == evil + evil
    assert page.text_content("li") == evil
    assert page.text_content("#s") == ""
    assert page.locator("img").count() == 0
    assert page.get_attribute("a", "href") is None
    assert page.get_attribute("a", "title") == evil + evil
    assert page.get_attribute("b", "href") == "https://example.com/"
    assert page.get_attribute("body", "id") is None


def test_a_long_text_is_appended_not_written_again(show: Callable[[str], Peer], page: Page) -> None:
    peer = show(STREAM % '<p data-ling="t"></p>')
    peer.start()
    peer.send(snapshot({"t": "x" * 65_536}))
    until(page, "document.querySelector('p').textContent.length === 65536")
    first = page.evaluate_handle("document.querySelector('p').firstChild")
    for number in range(2, 12):
        peer.ops(number, append("t", "y" * 1_000))
        until(page, f"document.querySelector('p').textContent.length === {65_536 + (number - 1) * 1_000}")
    assert first.evaluate("node => node === document.querySelector('p').firstChild && node.length === 65536")
    peer.ops(12, set_("t", "z", fix=True), append("t", "y" * 59_999))
    until(page, "document.querySelector('p').textContent.startsWith('zy')")
    assert page.evaluate("document.querySelector('p').textContent.length") == 60_000


def test_events_bubble_in_order(show: Callable[[str], Peer], page: Page) -> None:
    page.add_init_script(
        """window.seen = [];
        for (const type of ["started", "status", "snapshot", "ops", "event", "closed", "error", "done"])
            addEventListener(`ling:${type}`, ({detail}) => seen.push([type, detail]));"""
    )
    peer = show(STREAM % '<p data-ling="a"></p>')
    peer.start()
    peer.send(snapshot())
    peer.ops(2, set_("", {}), append("a", "x"))
    peer.send({"run": RUN, "id": "1-3", "event": "string-response", "bot": "b#1", "step": "b", "uri": "a"})
    peer.send({"run": RUN, "id": "1-4", "event": "custom", "data": {"n": 1}})
    fault = {"code": "provider", "message": "gone", "retryable": True, "bot": "b#1"}
    peer.send({"run": RUN, "id": "1-5", "error": fault})
    peer.send(done(6, "failed"))
    page.wait_for_selector("ling-stream[status=failed]", state="attached")
    seen = page.evaluate("seen")
    assert [kind for kind, _ in seen] == [
        *[
            "status",
            "started",
            "status",
            "snapshot",
            "ops",
            "event",
            "closed",
            "event",
            "error",
            "status",
            "done",
        ]
    ]
    details = dict(seen)
    assert details["started"] == {"run": RUN, "share": "S", "workflow": "w"}
    assert details["closed"] == {"uri": "a", "bot": "b#1", "step": "b", "cut": False, "value": "x"}
    assert details["error"] == fault
    assert details["done"]["status"] == "failed"
    assert details["done"]["document"] == {"a": "x"}


def test_several_share_one_socket(show: Callable[[str], Peer], page: Page) -> None:
    peer = show((STREAM % "") * 3)
    peer.wait("start", 3)
    assert len(peer.sockets) == 1
    assert len({message["ref"] for message in peer.messages}) == 3


def test_comes_back_behind_the_last_frame(show: Callable[[str], Peer], page: Page) -> None:
    peer = show(STREAM % '<p data-ling="a"></p>')
    peer.start()
    peer.send(snapshot())
    peer.ops(2, set_("", {}), append("a", "before, "))
    page.wait_for_selector("p:text('before')")
    peer.sockets[-1].close()
    message = peer.wait("subscribe")
    assert (message["run"], message["after"], message["token"]) == (RUN, "1-2", "T")
    assert page.get_attribute("ling-stream", "status") == "connecting"
    peer.ops(3, append("a", "after"))
    peer.send(done(4))
    page.wait_for_selector("ling-stream[status=finished]")
    assert page.text_content("p") == "before, after"


def test_stop_cancels_and_keeps_what_came(show: Callable[[str], Peer], page: Page) -> None:
    peer = show(STREAM % '<p data-ling="a"></p>')
    peer.start()
    peer.send(snapshot({"a": "half of"}))
    page.wait_for_selector("p:text('half of')")
    page.evaluate("document.querySelector('ling-stream').stop()")
    assert peer.wait("cancel")["run"] == RUN
    peer.send(done(2, "canceled"))
    page.wait_for_selector("ling-stream[status=canceled]")
    assert page.text_content("p") == "half of"


def test_a_new_start_cancels_the_run_before(show: Callable[[str], Peer], page: Page) -> None:
    peer = show(STREAM % '<p data-ling="a">?</p>')
    peer.start()
    peer.send(snapshot({"a": "first"}))
    page.wait_for_selector("p:text('first')")
    page.evaluate("document.querySelector('ling-stream').start({q: 2})")
    assert peer.wait("start", 2)["input"] == {"q": 2}
    peer.start(2, "another")  # it could be that run: so long as nobody knows, none is left
    assert peer.wait("unsubscribe")["run"] == RUN
    assert [message["type"] for message in peer.messages] == ["start", "cancel", "start", "unsubscribe"]
    page.wait_for_selector("p:text('?')")


def test_resume_survives_a_reload(show: Callable[[str], Peer], page: Page) -> None:
    peer = show("""<ling-stream workflow="w" data-input="{}"><p data-ling="a"></p></ling-stream>""")
    peer.start()
    peer.send(snapshot({"a": "x"}))
    page.wait_for_selector("p:text('x')")
    page.reload()
    message = peer.wait("subscribe")
    assert (message["run"], message["token"], "after" in message) == (RUN, "T", False)
    peer.send(snapshot({"a": "xy"}, 7), done(8))
    page.wait_for_selector("ling-stream[status=finished] p:text('xy')")


def test_the_page_gets_the_share_and_never_the_token(show: Callable[[str], Peer], page: Page) -> None:
    peer = show("""<ling-stream workflow="w" data-input="{}"></ling-stream>""")
    peer.start()
    peer.send(snapshot())
    page.wait_for_selector("ling-stream[status=running][share=S]", state="attached")
    assert '"T"' not in page.content()
    kept = page.evaluate("Object.values(sessionStorage).map((text) => JSON.parse(text))")
    assert [(each["run"], each["token"], each["share"]) for each in kept] == [(RUN, "T", "S")]
    page.reload()
    peer.wait("subscribe")
    page.wait_for_selector("ling-stream[share=S]", state="attached")
    page.evaluate("document.querySelector('ling-stream').stop()")
    assert peer.wait("cancel")["token"] == "T"


def test_a_share_in_the_page_watches_the_run(show: Callable[[str], Peer], page: Page) -> None:
    peer = show(f'<ling-stream run="{RUN}" share="S"><p data-ling="a"></p></ling-stream>')
    assert peer.wait("subscribe")["token"] == "S"
    peer.send(snapshot({"a": "x"}))
    page.wait_for_selector("p:text('x')")
    page.evaluate("document.querySelector('ling-stream').stop()")
    assert "token" not in peer.wait("cancel")


def test_a_resume_that_is_refused_starts_anew(show: Callable[[str], Peer], page: Page) -> None:
    peer = show("""<ling-stream workflow="w" data-input="{}"></ling-stream>""")
    peer.start()
    peer.send(snapshot())
    page.wait_for_selector("ling-stream[status=running]", state="attached")
    page.reload()
    ref = peer.wait("subscribe")["ref"]
    peer.send({"error": {"code": "not-found", "message": "no such run", "retryable": False}, "ref": ref})
    peer.wait("start", 2)


def test_moving_the_element_keeps_the_run_and_removing_it_stops_watching(
    show: Callable[[str], Peer], page: Page
) -> None:
    peer = show(STREAM % '<p data-ling="a"></p>' + "<div></div>")
    peer.start()
    peer.send(snapshot({"a": "x"}))
    page.wait_for_selector("p:text('x')")
    page.evaluate("document.querySelector('div').append(document.querySelector('ling-stream'))")
    peer.ops(2, append("a", "y"))
    page.wait_for_selector("div p:text('xy')")
    page.evaluate("window.kept = document.querySelector('ling-stream'); kept.remove()")
    assert peer.wait("unsubscribe")["run"] == RUN
    page.evaluate("document.body.append(kept)")
    assert peer.wait("subscribe")["run"] == RUN
    peer.send(snapshot({"a": "xyz"}, 5))
    page.wait_for_selector("body > ling-stream > p:text('xyz')")
    assert not any(message["type"] == "cancel" for message in peer.messages)


DOCS = (Path(__file__).parent.parent.parent / "docs" / "client.md").read_text()
HOWTO = (Path(__file__).parent.parent.parent / "docs" / "howto.md").read_text()


@pytest.mark.parametrize(
    "markup", re.findall(r"```html\n(<ling-stream.*?)```", DOCS, re.DOTALL), ids=["first", "each"]
)
def test_examples_of_the_docs(show: Callable[[str], Peer], page: Page, markup: str) -> None:
    peer = show(markup)
    peer.start()
    peer.send(
        snapshot(
            {
                "answer": "A.",
                "details": "D.",
                "related_question": ["Q1", "Q2"],
                "state": {"outline": True},
                "title": "T.",
                "outline": [{"topic": "O1", "details": "d1", "tags": ["t1", "t2"]}, {"topic": "O2"}],
            }
        )
    )
    page.wait_for_selector("li >> nth=1")
    shown = re.sub(r"\s+", " ", page.inner_text("ling-stream"))
    assert shown in ("A. D. Q1 Q2 Outline ready", "O1 d1 t1 t2 T. O2 T.")


def test_reasoning_is_shown_as_in_the_docs(show: Callable[[str], Peer], page: Page) -> None:
    markup = re.search(r"```html\n(<!-- \S+riddle.html -->.*?)```", HOWTO, re.DOTALL)
    code = re.search(r"```js\n(.*?)```", HOWTO, re.DOTALL)
    assert markup and code
    peer = show(markup[1])
    page.evaluate(f"() => {{ {code[1]} }}")
    peer.start()
    early = {"document": {}, "reasoning": {"bot#1": "A lock? "}, "status": "running", "bots": {}}
    peer.send({"run": RUN, "id": "1-1", "snapshot": early})
    page.wait_for_selector("pre.thoughts:text-is('A lock?')")
    more = {"event": "reasoning", "bot": "bot#1", "step": "bot", "root": "", "uri": "", "data": "A piano."}
    peer.send({"run": RUN, "id": "1-2", **more}, {"run": RUN, "id": "1-3", "event": "custom", "data": 1})
    peer.ops(4, {"uri": "answer", "delta": "A piano."})
    page.wait_for_selector("p:text-is('A piano.')")
    assert page.inner_text("pre.thoughts") == "A lock? A piano."


def test_the_client_alone_as_in_the_docs(show: Callable[[str], Peer], page: Page) -> None:
    peer = show("")
    source = re.search(r"```js\nimport \{ Client \}.*?\n\n(.*?)```", DOCS, re.DOTALL)
    assert source is not None
    code = source[1].replace('{ transport: "sse" }', "")
    page.evaluate(
        """code => {
            window.result = import("/static/lingstream/index.js").then(({ Client }) => {
                CODE
            });
        }""".replace("CODE", "return (async () => {" + code + "; return [status, document]; })();"),
        None,
    )
    peer.start()
    peer.send(snapshot({"answer": "A."}), done(2))
    assert page.evaluate("result") == ["finished", {"answer": "A."}]


def test_a_run_is_read_as_in_the_docs(show: Callable[[str], Peer], page: Page) -> None:
    peer = show("")
    source = re.search(r"```js\n(const reading.*?)```", DOCS, re.DOTALL)
    assert source is not None
    page.evaluate(
        """() => {
            window.read = [];
            const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
            const console = { log: (...all) => read.push(all.map(text).join(" ")) };
            window.result = import("/static/lingstream/index.js").then(async ({ Client }) => {
                const client = new Client();
                CODE
            });
        }""".replace("CODE", source[1])
    )
    peer.start()
    peer.send(snapshot({}))
    peer.ops(2, append("answer", "No. "))
    until(page, "read.length === 1")
    peer.ops(3, append("answer", "It is air."))
    peer.send(closed(4, "answer"))
    until(page, "read.length > 2")
    peer.ops(5, append("details", "D."))
    peer.send(done(6))
    page.evaluate("result")
    assert page.evaluate("read") == ["No. ", "It is air.", ' {"answer":"No. It is air."}', "details D."]


def closed(number: int, uri: str, *, cut: bool = False) -> dict[str, Any]:
    more = {"cut": True} if cut else {}
    names = {"bot": "a#1", "step": "a", "root": ""}
    return {"run": RUN, "id": f"1-{number}", "event": "string-response", **names, "uri": uri, **more}


CUT = (
    '<h1 data-ling="answer"></h1><ul data-ling-each="list"><template><li data-ling="."></li></template></ul>'
)


def test_a_field_that_was_cut_off_says_so_until_it_is_written_anew(
    show: Callable[[str], Peer], page: Page
) -> None:
    peer = show(STREAM % CUT)
    peer.start()
    peer.send(snapshot())
    peer.ops(2, set_("", {}), append("answer", "hal"), set_("list", []), append("list/0", "tw"))
    peer.send(closed(3, "answer", cut=True), closed(4, "list/0", cut=True), closed(5, "list", cut=True))
    page.wait_for_selector("h1[data-ling-cut]:not([data-ling-writing])")
    page.wait_for_selector("ul[data-ling-cut] li[data-ling-cut]")
    peer.ops(6, set_("answer", ""), append("answer", "whole"))
    page.wait_for_selector("h1:not([data-ling-cut])")
    assert page.text_content("h1") == "whole"
    peer.send(closed(7, "answer"), done(8))
    page.wait_for_selector("ling-stream[status=finished]")
    assert page.locator("[data-ling-cut]").count() == 2


def test_a_late_viewer_sees_what_was_cut_off(show: Callable[[str], Peer], page: Page) -> None:
    case = next(case for case in VECTORS["cases"] if case["name"].startswith("a late viewer of an answer"))
    peer = show(f'<ling-stream run="{RUN}" token="T">{CUT}<b data-ling="title"></b></ling-stream>')
    peer.wait("subscribe")
    peer.send(*case["frames"])
    page.wait_for_selector("ul[data-ling-cut] li:last-of-type[data-ling-cut]")
    assert page.locator("[data-ling-cut]").count() == 2


def failure(number: int, message: str = "there is no provider") -> dict[str, Any]:
    error = {"code": "no-provider", "message": message, "retryable": False}
    return {"run": RUN, "id": f"1-{number}", "error": error}


def test_a_run_that_fails_without_an_answer_leaves_no_white_page(
    show: Callable[[str], Peer], page: Page
) -> None:
    peer = show(STREAM % '<p id="answer" data-ling="answer"></p>')
    peer.start()
    peer.send(snapshot(), failure(2), done(3, "failed"))
    page.wait_for_selector("ling-stream > p[role=alert]:visible")
    assert page.text_content("[role=alert]") == "there is no provider"


def test_so_does_a_start_that_is_refused(show: Callable[[str], Peer], page: Page) -> None:
    peer = show(STREAM % "")
    ref = peer.wait("start")["ref"]
    error = {"code": "no-provider", "message": "<b>add one</b>", "retryable": False}
    peer.send({"error": error, "ref": ref})
    page.wait_for_selector("ling-stream > p[role=alert]:visible")
    assert page.text_content("[role=alert]") == "<b>add one</b>"


def test_a_page_says_itself_where_errors_go(show: Callable[[str], Peer], page: Page) -> None:
    peer = show(STREAM % '<em data-ling-error hidden>old</em><p data-ling="answer"></p>')
    peer.start()
    peer.send(snapshot(), failure(2, "only a bot"))
    peer.ops(3, set_("", {}), append("answer", "half"))
    until(page, "document.querySelector('p').textContent === 'half'")
    assert page.is_hidden("em"), "the run goes on"
    peer.send(failure(4, "the run"), done(5, "failed"))
    page.wait_for_selector("em:visible")
    assert page.text_content("em") == "the run"
    assert page.locator("[role=alert]").count() == 0
    page.evaluate("document.querySelector('ling-stream').start()")
    peer.start(2)
    page.wait_for_selector("em", state="hidden")


def test_a_run_that_fails_after_some_of_its_answer_shows_that(
    show: Callable[[str], Peer], page: Page
) -> None:
    peer = show(STREAM % '<p data-ling="answer"></p>')
    peer.start()
    peer.send(snapshot())
    peer.ops(2, set_("", {}), append("answer", "half"))
    peer.send(failure(3), done(4, "failed"))
    page.wait_for_selector("ling-stream[status=failed]")
    assert page.text_content("p") == "half"
    assert page.locator("[data-ling-error]").count() == 0


def test_events_leave_a_shadow_root(show: Callable[[str], Peer], page: Page) -> None:
    page.add_init_script(
        """window.heard = [];
        addEventListener("ling:status", ({ detail, target }) => heard.push([target.id, detail.status]));"""
    )
    peer = show('<div id="host"></div>')
    page.evaluate(
        """() => {
            const stream = document.createElement("ling-stream");
            stream.setAttribute("workflow", "w");
            document.querySelector("#host").attachShadow({ mode: "open" }).append(stream);
            customElements.whenDefined("ling-stream").then(() => stream.start({}));
        }"""
    )
    peer.start()
    peer.send(snapshot(), done(2))
    until(page, "heard.length === 3")
    assert page.evaluate("heard") == [["host", "connecting"], ["host", "running"], ["host", "finished"]]


def test_who_comes_late_to_a_failed_run_is_told(show: Callable[[str], Peer], page: Page) -> None:
    page.add_init_script(
        'window.told = []; addEventListener("ling:error", (event) => told.push(event.detail))'
    )
    peer = show(STREAM % "")
    peer.start()
    peer.send(snapshot())
    page.wait_for_selector("ling-stream[status=running]", state="attached")
    page.reload()
    peer.wait("subscribe")
    error = {"code": "no-provider", "message": "there is no provider", "retryable": False}
    early = {"document": None, "status": "failed", "bots": {}, "error": error}
    peer.send({"run": RUN, "id": "1-7", "snapshot": early}, done(8, "failed"))
    page.wait_for_selector("[role=alert]:text-is('there is no provider')")
    assert page.evaluate("told") == [error]
    assert [message["type"] for message in peer.messages] == ["start", "subscribe"], (
        "it is shown, not repeated"
    )
