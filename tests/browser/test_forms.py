"""Forms and buttons of a page without a script of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from .conftest import until
from .played import RUN, Peer, done, playing, snapshot

Show = Callable[[str], Peer]
FORM = '<ling-stream id="ask" workflow="w"><form data-ling-start>%s<button>Ask</button></form></ling-stream>'
FIRST = "document.querySelector('ling-stream')"
SCHEMA = {
    "type": "object",
    "properties": {
        "count": {"type": "integer"},
        "score": {"type": ["null", "number"]},
        "sure": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "integer"}},
        "size": {"enum": [1, 2, "big"]},
        "zip": {"type": "string"},
        "who": {"type": "object", "properties": {"age": {"type": "integer"}}},
        "agree": {"type": "string"},
    },
}
TYPED = f'<script type="application/json" id="lingstream-schema-w">{json.dumps(SCHEMA)}</script>'

FIELDS: dict[str, tuple[str, Any]] = {
    "text": ('<input name="q" value="Why?">', {"q": "Why?"}),
    "empty text": ('<input name="q">', {"q": ""}),
    "text area": ('<textarea name="q">a\nb</textarea>', {"q": "a\nb"}),
    "number": ('<input type="number" name="n" value="2.5">', {"n": 2.5}),
    "no number": ('<input type="number" name="n">', {}),
    "range": ('<input type="range" name="n" value="7">', {"n": 7}),
    "number as text": ('<input name="n" value="7">', {"n": "7"}),
    "box": ('<input type="checkbox" name="b" checked>', {"b": True}),
    "box, not ticked": ('<input type="checkbox" name="b">', {"b": False}),
    "box, switched off": ('<input type="checkbox" name="b" disabled>', {}),
    "boxes": (
        '<input type="checkbox" name="b" value="x" checked><input type="checkbox" name="b" value="y">',
        {"b": ["x"]},
    ),
    "radio": (
        '<input type="radio" name="r" value="x" checked><input type="radio" name="r" value="y">',
        {"r": "x"},
    ),
    "list": ("<select name=s><option>x<option selected>y</select>", {"s": "y"}),
    "several of a list": ("<select name=s multiple><option selected>x<option>y</select>", {"s": ["x"]}),
    "none of a list": ("<select name=s multiple><option>x</select>", {}),
    "one name": ('<input name="q" value="a"><input name="q" value="b">', {"q": ["a", "b"]}),
    "paths": (
        '<input name="a/b" value="1"><input name="a/c" value="2"><input name="d/0/e" value="3">'
        '<input name="d/1/e" value="4">',
        {"a": {"b": "1", "c": "2"}, "d": [{"e": "3"}, {"e": "4"}]},
    ),
    "names of the language": (
        '<input name="__proto__/x" value="1"><input name="constructor" value="2">',
        {"__proto__": {"x": "1"}, "constructor": "2"},
    ),
    "a token of Django's": ('<input type="hidden" name="csrfmiddlewaretoken" value="x">', {}),
    "no name": ("<input value=x>", {}),
    "no file": ('<input type="file" name="f">', {}),
    "schema: integer": (TYPED + '<input name="count" value="7">', {"count": 7}),
    "schema: no integer": (TYPED + '<input name="count" value="">', {}),
    "schema: not a number at all": (TYPED + '<input name="count" value="many">', {"count": "many"}),
    "schema: number or null": (TYPED + '<input name="score" value="0.5">', {"score": 0.5}),
    "schema: boolean of a list": (
        TYPED + '<select name="sure"><option value="false">no</select>',
        {"sure": False},
    ),
    "schema: one of an array": (TYPED + '<input name="tags" value="3">', {"tags": [3]}),
    "schema: no number, by its control": (
        TYPED + '<input type="number" name="zip" value="01234">',
        {"zip": "01234"},
    ),
    "schema: listed": (TYPED + '<select name="size"><option>2</select>', {"size": 2}),
    "schema: inside": (TYPED + '<input name="who/age" value="3">', {"who": {"age": 3}}),
    "schema: a box with a text": (
        TYPED + '<input type="checkbox" name="agree" value="yes" checked>',
        {"agree": "yes"},
    ),
    "schema: unknown": (TYPED + '<input type="number" name="other" value="1">', {"other": 1}),
}


@pytest.mark.parametrize(("fields", "expected"), FIELDS.values(), ids=FIELDS)
def test_fields_are_the_input(show: Show, page: Page, fields: str, expected: Any) -> None:
    peer = show(FORM.replace("<form", '<form id="f"') % fields)
    page.click("button")
    assert peer.wait("start")["input"] == expected


def test_the_button_that_was_pressed_is_a_field_too(show: Show, page: Page) -> None:
    peer = show(FORM % '<button name="way" value="short">Short</button>')
    page.click("text=Short")
    assert peer.wait("start")["input"] == {"way": "short"}


def test_the_page_may_add_fields_or_keep_the_form_to_itself(show: Show, page: Page) -> None:
    peer = show(FORM % "")
    page.evaluate(
        """() => {
            const form = document.querySelector("form");
            form.addEventListener("formdata", ({ formData }) => formData.set("more", "1"));
            form.addEventListener("submit", (event) => window.keep && event.preventDefault());
            window.keep = true;
        }"""
    )
    page.click("button")
    assert page.evaluate(f"{FIRST}.state") == "idle"
    page.evaluate("window.keep = false")
    page.click("button")
    assert peer.wait("start")["input"] == {"more": "1"}
    assert len(peer.messages) == 1


def test_the_browser_checks_before(show: Show, page: Page) -> None:
    peer = show(FORM % '<input name="q" required>')
    page.click("button")
    assert page.evaluate(f"[{FIRST}.state, document.activeElement.name]") == ["idle", "q"]
    page.fill("input", "Why?")
    page.press("input", "Enter")
    assert peer.wait("start")["input"] == {"q": "Why?"}


def test_enter_twice_asks_once(show: Show, page: Page) -> None:
    peer = show(FORM % '<input name="q" value="Why?">')
    page.press("input", "Enter")
    page.press("input", "Enter")
    peer.start()
    peer.send(snapshot())
    page.wait_for_selector("ling-stream[status=running]", state="attached")
    page.press("input", "Enter")
    page.fill("input", "How?")
    page.press("input", "Enter")
    assert peer.wait("start", 2)["input"] == {"q": "How?"}
    assert [message["type"] for message in peer.messages] == ["start", "cancel", "start"]
    peer.start(2)
    peer.send(done(2))
    page.wait_for_selector("ling-stream[status=finished]", state="attached")
    page.press("input", "Enter")
    assert peer.wait("start", 3)["input"] == {"q": "How?"}, "what is over may be asked again"


REFUSED = {
    "a file": ('<input type="file" name="f">', "a file"),
    "a name that is no path": ('<input name="a//b" value="x">', "a//b"),
    "a name inside of another": ('<input name="a" value="x"><input name="a/b" value="y">', "a/b"),
}


@pytest.mark.parametrize(("fields", "word"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_sent_is_said(context: BrowserContext, fields: str, word: str) -> None:
    page = context.new_page()  # the console is told too
    with playing(page) as open_page:
        peer = open_page(FORM % fields)
        if "file" in fields:
            page.set_input_files("input", {"name": "x.txt", "mimeType": "text/plain", "buffer": b"x"})
        page.click("button")
        assert word in page.inner_text("ling-stream[status=failed] [role=alert]")
        assert peer.messages == []


def test_what_the_server_refuses_is_said_at_the_field(show: Show, page: Page) -> None:
    peer = show(FORM % '<input name="other"><input name="a/b" value="x">')
    page.click("button")
    fault = {"code": "invalid-input", "message": "too short", "retryable": False, "uri": "a/b/0"}
    peer.send({"error": fault, "ref": peer.wait("start")["ref"]})
    page.wait_for_selector("ling-stream[status=failed]", state="attached")
    field = "document.querySelector('[name=\"a/b\"]')"
    assert page.evaluate(f"{field}.validationMessage") == "too short"
    assert page.evaluate(f"document.activeElement === {field}")
    page.fill("[name='a/b']", "longer")
    page.click("button")
    peer.wait("start", 2)
    assert peer.messages[-1]["input"] == {"other": "", "a": {"b": "longer"}}


BUTTONS = (
    '<button id="start" commandfor="ask" command="--start">Start</button>'
    '<button id="stop" commandfor="ask" command="--stop">Stop</button>'
)


PLACES = ["beside", "inside", "later", "in a form"]


@pytest.mark.parametrize(
    ("place", "native"), [*product(PLACES, [True, False]), ("in a shadow root", True)], ids=str
)
def test_buttons_start_and_stop(show: Show, page: Page, place: str, native: bool) -> None:
    if not native:
        page.add_init_script(
            """for (const name of ["commandForElement", "command"]) delete HTMLButtonElement.prototype[name];
            const stop = (event) => event.isTrusted && event.stopImmediatePropagation();
            addEventListener("command", stop, true);"""
        )
    stream = """<ling-stream id="ask" workflow="w" data-input='{"q": 1}' manual>%s</ling-stream>"""
    markup = {
        "beside": stream % "" + BUTTONS,
        "inside": stream % BUTTONS,
        "later": stream % "",
        "in a form": stream % "" + f"<form>{BUTTONS.replace('<button', '<button type=button')}</form>",
        "in a shadow root": f'<div><template shadowrootmode="open">{stream % ""}{BUTTONS}</template></div>',
    }
    peer = show(markup[place])
    if place == "later":
        page.evaluate(
            """(buttons) => {
                for (const [name, command] of [["start", "--start"], ["stop", "--stop"]]) {
                    const button = document.createElement("button");
                    Object.assign(button, { id: name, textContent: name });
                    button.setAttribute("commandfor", "ask");
                    button.setAttribute("command", command);
                    document.body.append(button);
                }
            }""",
            None,
        )
    page.click("#start")
    page.click("#start")
    assert peer.wait("start")["input"] == {"q": 1}
    peer.start()
    peer.send(snapshot())
    page.wait_for_selector("ling-stream[status=running]", state="attached")
    page.click("#stop")
    assert peer.wait("cancel")["run"] == RUN
    assert [message["type"] for message in peer.messages] == ["start", "cancel"]
    assert page.url.rstrip("/") == "http://lingstream.test"


def test_start_by_a_button_asks_what_the_form_says(show: Show, page: Page) -> None:
    peer = show(BUTTONS + FORM % '<input name="q" required>')
    page.click("#start")
    assert page.evaluate(f"[{FIRST}.state, document.activeElement.name]") == ["idle", "q"]
    page.fill("input", "Why?")
    page.click("#start")
    assert peer.wait("start")["input"] == {"q": "Why?"}


def test_a_form_of_a_stream_inside_is_its_own(show: Show, page: Page) -> None:
    peer = show(f'<ling-stream id="outer" workflow="v">{FORM % ""}</ling-stream>')
    page.click("button")
    assert peer.wait("start")["workflow"] == "w"
    until(page, "document.querySelector('#outer').state === 'idle'")
