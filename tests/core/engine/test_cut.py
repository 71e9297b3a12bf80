"""Answers that were cut off by a limit on their length: what is kept, what closes as cut, what starts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Closed
from lingstream.core.engine import registry
from lingstream.core.engine.plan import TriggerPlan
from lingstream.core.engine.run import Run
from lingstream.core.log.state import RunState
from lingstream.core.parsing import StreamParser, TextParser
from lingstream.core.parsing.html import HtmlParser
from lingstream.core.parsing.schema import SchemaParser
from lingstream.core.provider import Chunk
from lingstream.providers.scripted import ScriptedProvider
from tests.core.parsing.support import fold_all, repair_cases
from tests.core.parsing.test_html import PIECES
from tests.core.parsing.test_parser_properties import BOUNDED, broken, pieces, texts
from tests.core.parsing.test_schema import schemas, values
from tests.core.support import Outcome, outcome

from .test_bot import plan as one_bot
from .test_workflow import MemoryJournal, asked, bot, plan


class Cut(NamedTuple):
    value: Any
    whole: list[tuple[str, str]]
    cut: list[tuple[str, str]]
    repairs: list[Any]


def read(chunks: Iterable[str], parser: Any, *, cut: bool = True) -> Cut:
    ops = [op for chunk in chunks for op in parser.feed(chunk)] + parser.close(cut=cut)
    value = fold_all(ops)
    assert repr(value) == repr(parser.value)
    closed = [op for op in ops if isinstance(op, Closed)]
    assert all(jsonuri.get(value, op.uri) == op.value for op in closed if op.cut)
    first = next((place for place, op in enumerate(closed) if op.cut), len(closed))
    assert all(op.cut for op in closed[first:]), "what is cut closes last, innermost first"
    parts = ([(op.uri, repr(op.value)) for op in closed if op.cut is wanted] for wanted in (False, True))
    return Cut(value, *parts, list(parser.repairs))


def begins(part: Any, whole: Any) -> bool:
    """Whether ``part`` is ``whole`` in the making, and nothing in it was made up."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and begins(value, whole[key]) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(begins, part, whole))
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    return repr(part) == repr(whole)


def open_at(text: str, value: Any) -> list[str]:
    """The uris of what is open at the end of a piece of valid JSON: containers, and a string."""
    marks = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    half, marks = '"' in marks, marks.partition('"')[0]
    depth = sum(map(marks.count, "{[")) - sum(map(marks.count, "}]"))
    half = half and marks.rstrip()[-1:] in (":", "[", ",")
    uris, uri, inner = [], "", value
    for _ in range(depth):
        uris.append(uri)
        inner = value
        last = list(value)[-1] if isinstance(value, dict) and value else str(len(value) - 1)
        uri = jsonuri.concat(uri, jsonuri.escape(last))
        value = jsonuri.get(value, jsonuri.escape(last), None) if value else None
    if half and (isinstance(inner, list) or marks.rstrip().endswith(":")):
        uris.append(uri)
    return uris[::-1]


@BOUNDED
@given(texts(), st.integers(0, 1000))
def test_of_valid_json_nothing_is_made_up_wherever_it_is_cut(text: str, seed: int) -> None:
    document = json.loads(text)
    settled = dict(read([text], StreamParser(), cut=False).whole)
    for end in range(0, len(text), max(1, len(text) // 60)):
        part = text[:end]
        found = read([part], StreamParser())
        assert found.value is None or begins(found.value, document)
        assert all(settled[uri] == value for uri, value in found.whole)
        assert read(pieces(part, seed), StreamParser()) == found
        assert read(list(part), StreamParser()) == found


CUTS: dict[str, tuple[str, Any, list[str]]] = {
    "in a string": ('{"a": "x", "b": "hel', {"a": "x", "b": "hel"}, ["b", ""]),
    "behind its quote": ('{"a": "x"', {"a": "x"}, [""]),
    "at its beginning": ('{"a": "', {"a": ""}, ["a", ""]),
    "in an escape": ('{"a": "x\\u4e', {"a": "x"}, ["a", ""]),
    "in half of a pair": ('{"a": "x\\ud83d', {"a": "x"}, ["a", ""]),
    "in a number": ('{"a": [1, 23', {"a": [1]}, ["a", ""]),
    "in an exponent": ('{"a": 2e', {}, [""]),
    "behind a number": ('{"a": 12 ', {"a": 12}, [""]),
    "in a literal": ('{"a": tru', {}, [""]),
    "behind a literal's last letter": ('{"a": true', {}, [""]),
    "in a key": ('{"a": 1, "bc', {"a": 1}, [""]),
    "in a key of punctuation": ('{"a": "x", ";', {"a": "x"}, [""]),
    "behind such a key": ('{"a": "", "}"', {"a": ""}, [""]),
    "behind a key": ('{"a": 1, "bc"', {"a": 1}, [""]),
    "behind a colon": ('{"a": 1, "b":', {"a": 1}, [""]),
    "behind a comma": ('{"a": [1,', {"a": [1]}, ["a", ""]),
    "between brackets": ('{"a": [{"b": 1}', {"a": [{"b": 1}]}, ["a", ""]),
    "behind the document": ('{"a": 1}', {"a": 1}, []),
    "in what follows the document": ('{"a": 1}\nI hope', {"a": 1}, []),
    "in a lone string": ('"hel', "hel", [""]),
    "in a lone number": ("-12", None, []),
    "in prose": ("Here is the ans", None, []),
    "in a text without quotes": ("{a: 1, b: hello wor", {"a": 1}, [""]),
    "between its words": ("{a: 1, b: hello ", {"a": 1}, [""]),
    "without outer braces": ('"a": "x', {"a": "x"}, ["a", ""]),
    "in a fence": ('```json\n{"a": [', {"a": []}, ["a", ""]),
    "in an escaped document": ('{\\"a\\": \\"he', {"a": "he"}, ["a", ""]),
    "brackets that may be text": ('{"a": "x\n}', {"a": "x\n}"}, ["a", ""]),
}


@pytest.mark.parametrize("name", CUTS)
def test_what_is_kept_and_what_is_closed_as_cut(name: str) -> None:
    text, expected, cut = CUTS[name]
    for chunks in ([text], list(text)):
        found = read(chunks, StreamParser())
        assert found.value == expected
        assert [uri for uri, _ in found.cut] == cut


@BOUNDED
@given(texts())
def test_what_is_open_closes_as_cut_and_nothing_else(text: str) -> None:
    if not text.startswith(("{", "[")):
        return
    for end in range(1, len(text), max(1, len(text) // 40)):
        found = read([text[:end]], StreamParser())
        assert [uri for uri, _ in found.cut] == open_at(text[:end], found.value)


@BOUNDED
@given(broken() | st.sampled_from([case["input"] for case in repair_cases()]), st.integers(0, 1000))
def test_no_cut_of_broken_json_breaks_the_parser(text: str, seed: int) -> None:
    for end in range(0, len(text), max(1, len(text) // 20)):
        part = text[:end]
        assert read(list(part), StreamParser()) == read(pieces(part, seed), StreamParser())


@pytest.mark.parametrize("before", ["", "<think>Hm.</think>"])
def test_text_keeps_what_came(before: str) -> None:
    text = "Hello there {"
    for end in range(len(text) + 1):
        for chunks in ([before + text[:end]], list(before + text[:end])):
            found = read(chunks, TextParser())
            assert (found.value, found.whole, [uri for uri, _ in found.cut]) == (text[:end], [], [""])


MARKUP = (
    "<h1>Fish &amp; <i>chips</i></h1><ul><li>one<li title='a>b'>two &#x1F600;</ul>"
    "<pre>\nx  y</pre><p>a<br>b <b>c</b> d<table><tr><td>1<td>2</table><script>x</script>end",
    "```html\n<p>a</p>\n<p>b</p>\n```\n",
    "<p>a</p>\n```js\nlet a < 1;\n  b\n  ```\n<p>b</p>\n~~~\nc\n~~~\n",
)


@pytest.mark.parametrize("markup", MARKUP)
def test_of_markup_nothing_is_made_up_wherever_it_is_cut(markup: str) -> None:
    whole = read([markup], HtmlParser(), cut=False)
    settled = dict(whole.whole)
    for end in range(markup.index("<") + 1, len(markup)):
        part = markup[:end]
        found = read([part], HtmlParser())
        assert begins(found.value, whole.value), part
        assert all(settled[uri] == value for uri, value in found.whole), part
        assert found.cut[-1][0] == ""
        assert read(list(part), HtmlParser()) == found


@BOUNDED
@given(st.lists(st.sampled_from(PIECES), max_size=14), st.integers(0, 1000))
def test_no_cut_of_a_soup_of_tags_breaks_the_parser(soup: list[str], seed: int) -> None:
    text = "".join(soup)
    for end in range(0, len(text), max(1, len(text) // 20)):
        found = read(list(text[:end]), HtmlParser())
        assert read(pieces(text[:end], seed), HtmlParser()) == found
        assert found.cut[-1][0] == ""


SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "color": {"enum": ["red", "green"]},
        "many": {"type": "array", "items": {"type": "string"}},
        "deep": {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "number"}}}},
        "flag": {"type": ["boolean", "null"]},
    },
    "required": ["text", "count"],
    "additionalProperties": False,
}
GUIDED = (
    '{"Text": "hello", "count": "1234", "color": "Green", "many": "only one", "deep": {"a": ["1.5", 2]}, '
    '"extra": [1, "x"], "flag": "yes"}',
    '{"text": "a", "text": "bcd", "count": 5.0, "many": ["x", "y"], "flag": null, "color": "red"}',
)


def guided() -> SchemaParser:
    return SchemaParser(StreamParser(), SCHEMA)


@pytest.mark.parametrize("text", GUIDED)
def test_under_a_schema_nothing_is_made_up_wherever_it_is_cut(text: str) -> None:
    settled: dict[str, set[str]] = {}
    for uri, value in read([text], guided(), cut=False).whole:
        settled.setdefault(uri, set()).add(value)
    for end in range(len(text)):
        part = text[:end]
        found = read([part], guided())
        assert all(value in settled[uri] for uri, value in found.whole), part
        again = read(list(part), guided())
        assert again[:3] == found[:3]
        assert [repair[:2] for repair in again.repairs] == [repair[:2] for repair in found.repairs]


@BOUNDED
@given(values, schemas, st.integers(0, 1000))
def test_no_cut_breaks_any_schema(value: Any, schema: Any, seed: int) -> None:
    text = json.dumps(value)
    for end in range(0, len(text), max(1, len(text) // 20)):
        found, again = (
            read(chunks, SchemaParser(StreamParser(), schema))[:3]
            for chunks in (list(text[:end]), pieces(text[:end], seed))
        )
        assert found == again


@pytest.mark.parametrize(
    ("text", "expected", "cut"),
    [
        ('{"count": "12', {}, [""]),
        ('{"color": "re', {}, [""]),
        ('{"flag": "ye', {}, [""]),
        ('{"many": "on', {"many": ["on"]}, ["many/0", "many", ""]),
        ('{"deep": {"a": "1', {"deep": {}}, ["deep", ""]),
        ('{"extra": ["x', {}, [""]),
        ('{"text": "he', {"text": "he"}, ["text", ""]),
    ],
)
def test_what_a_schema_wants_whole_is_not_written_in_half(text: str, expected: Any, cut: list[str]) -> None:
    found = read([text], guided())
    assert found.value == expected
    assert [uri for uri, _ in found.cut] == cut
    assert "schema-missing" not in {repair.kind for repair in found.repairs}


# -- bots ---------------------------------------------------------------------------------------------


def cut_off(text: str, *, finish: str = "length") -> list[list[Any]]:
    return [[text, Chunk(finish=finish)]]


def events(ended: Outcome, name: str = "bot#1") -> list[tuple[str, str, bool]]:
    bodies = [frame.body for frame in ended.frames if frame.kind == "event" and "uri" in frame.body]
    return [(body["event"], body["uri"], body.get("cut", False)) for body in bodies if body["bot"] == name]


def state_of(ended: Outcome) -> dict[str, Any]:
    """What a viewer that comes late is told."""
    state = RunState(ended.frames[0].body)
    for frame in ended.frames[1:]:
        state.apply(frame.kind, frame.body)
    return state.snapshot()


ANSWER = '{"title": "Whole", "list": ["one", "tw'


@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_the_wire_and_a_snapshot_say_what_was_cut(finish: str) -> None:
    ended = await outcome(one_bot(), cut_off(ANSWER, finish=finish))
    assert ended.document == {"title": "Whole", "list": ["one", "tw"]}
    assert ended.status == "finished"
    assert events(ended)[:-2] == [
        ("string-response", "title", False),
        ("string-response", "list/0", False),
        ("string-response", "list/1", True),
        ("object-response", "list", True),
        ("object-response", "", True),
    ]
    known = state_of(ended)["bots"]["bot#1"]
    assert (known["cut"], known["finish"]) == (["list/1", "list", ""], finish)


async def test_an_answer_that_ended_by_itself_is_not_cut() -> None:
    ended = await outcome(one_bot(), cut_off('{"a": "b"', finish="stop"))
    assert not any(cut for _, _, cut in events(ended))
    assert not {"cut", "finish"} & set(state_of(ended)["bots"]["bot#1"])


async def test_a_field_that_nobody_may_see_is_not_told_of() -> None:
    ended = await outcome(one_bot(exclude=("list", "list/**")), cut_off(ANSWER))
    assert state_of(ended)["bots"]["bot#1"]["cut"] == [""]


@pytest.mark.parametrize("format", ["json", "text", "html"])
async def test_a_replay_closes_as_the_answer_did(format: str) -> None:
    journal = MemoryJournal()
    text = {"json": ANSWER, "text": "Hello wor", "html": "<p>Hello <b>wor"}[format]
    before = await outcome(one_bot(format=format), cut_off(text), journal=journal)
    again = await outcome(one_bot(format=format), [], journal=journal, epoch=2)
    assert again.document == before.document
    assert state_of(again)["bots"] == state_of(before)["bots"]
    assert state_of(again)["bots"]["bot#1"]["cut"][-1] == ""


@pytest.mark.parametrize(
    ("partial", "event", "pattern", "starts"),
    [
        (False, "string-response", "list/*", ["one"]),
        (True, "string-response", "list/*", ["one", "tw"]),
        (False, "object-response", "list", []),
        (True, "object-response", "list", ['["one", "tw"]']),
        (False, "string-response", "title", ["Whole"]),
    ],
)
async def test_a_trigger_starts_at_a_cut_field_only_where_it_says_so(
    partial: bool, event: Any, pattern: str, starts: list[str]
) -> None:
    trigger = TriggerPlan("first", "second", event, pattern, partial=partial)
    provider = ScriptedProvider({"I am first": cut_off(ANSWER)[0], "": "{}"}, rate=None)
    await outcome(plan(bot("first"), bot("second", quiet=True), triggers=(trigger,)), provider)
    assert asked(provider)[1:] == starts


@pytest.mark.parametrize(("partial", "expected"), [(False, ["one"]), (True, ["one", "tw"])])
async def test_python_gets_cut_fields_only_where_it_asks_for_them(
    partial: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_functions", {})
    seen: list[Any] = []
    called: list[Any] = []

    async def ask(run: Run) -> None:
        asking = run.bot().chat("go")
        asking.on("string-response", lambda field: called.append(field.value), partial=partial)
        async for field in asking.fields("list/*", partial=partial):
            seen.append(field)

    await outcome(ask, cut_off(ANSWER))
    assert [field.value for field in seen] == expected
    assert called == ["Whole", *expected]
    assert [field.cut for field in seen] == [False, True][: len(seen)]


async def test_a_schema_judges_a_cut_answer_and_says_that_it_was_cut() -> None:
    schema = {"type": "object", "required": ["title", "end"]}
    ended = await outcome(one_bot(schema=schema), cut_off(ANSWER))
    assert (ended.status, ended.errors[0]["code"]) == ("failed", "schema")
    assert "was cut off" in ended.errors[0]["message"]


@pytest.mark.parametrize("finish", ["x\x00y", "a b", "l" * 60])
async def test_a_finish_reason_that_is_no_name_is_called_other(finish: str) -> None:
    journal = MemoryJournal()
    ended = await outcome(one_bot(), cut_off('{"a": 1}', finish=finish), journal=journal)
    assert state_of(ended)["bots"]["bot#1"]["finish"] == "other"
    assert [result.finish for result in journal.results.values()] == ["other"]


# -- no JSON at all -----------------------------------------------------------------------------------

NO_JSON: dict[str, tuple[list[Any], str]] = {
    "nothing": ([Chunk(finish="stop")], "an empty answer"),
    "white space": (["\n\n "], "text without any (3 characters)"),
    "a refusal in words": (["I'm sorry, I can't help with that."], "text without any (34 characters)"),
    "a refusal that is marked": (["No.", Chunk(finish="content_filter")], "a refusal (3 characters)"),
    "a refusal without a word": ([Chunk(finish="content_filter")], "a refusal"),
    "only reasoning": ([Chunk(reasoning="Hm."), Chunk(finish="stop")], "only reasoning"),
    "only a tool call": ([Chunk(finish="tool_calls")], "only a tool call"),
    "reasoning in the text": (["<think>Hm. {}</think>"], "text without any (21 characters)"),
    "prose that was cut off": (
        ["Sure, here", Chunk(finish="length")],
        "text without any (10 characters, cut off)",
    ),
    "a number that was cut off": (["12", Chunk(finish="length")], "text without any (2 characters, cut off)"),
}


@pytest.mark.parametrize("name", NO_JSON)
async def test_a_bot_that_was_to_write_json_and_wrote_none_fails(name: str) -> None:
    answer, came = NO_JSON[name]
    ended = await outcome(one_bot(), [answer], input="go")
    (error,) = ended.errors
    assert (ended.status, error["code"], error["message"]) == (
        "failed",
        "no-json",
        f"expected JSON, got {came}",
    )
    assert error["retryable"]
    assert {"inference-done", "response"}.isdisjoint(event for event, _ in ended.events("bot#1"))


@pytest.mark.parametrize("text", ["null", "{}", "[]", '""', "0", "false", "Sure: {}"])
async def test_empty_json_is_json(text: str) -> None:
    assert (await outcome(one_bot(), text, input="go")).status == "finished"


@pytest.mark.parametrize("format", ["text", "html"])
async def test_who_is_to_write_no_json_may_write_nothing(format: str) -> None:
    ended = await outcome(one_bot(format=format), [[Chunk(reasoning="Hm.")]], input="go")
    assert ended.status == "finished"


async def test_where_the_step_is_optional_the_run_goes_on_and_keeps_the_error() -> None:
    ended = await outcome(one_bot(optional=True), "Sorry, no.", input="go")
    assert ended.status == "finished"
    assert [error["code"] for error in ended.errors] == ["no-json"]


async def test_only_triggers_on_the_error_start() -> None:
    names = ("string-response", "object-response", "inference-done", "response", "error")
    steps = [bot(name, quiet=True, input="by " + name) for name in names]
    triggers = tuple(TriggerPlan("first", name, name) for name in names)  # type: ignore[arg-type]
    provider = ScriptedProvider({"I am first": "Sorry, no.", "": "{}"}, rate=None)
    await outcome(plan(bot("first"), *steps, triggers=triggers), provider)
    assert asked(provider)[1:] == ["by error"]


def test_a_second_close_is_silent_as_before() -> None:
    parsers: list[Callable[[], Any]] = [StreamParser, TextParser, HtmlParser, guided]
    for make in parsers:
        parser = make()
        parser.feed("<p>{" if make is HtmlParser else '{"a": "b')
        assert parser.close(cut=True)
        assert parser.close(cut=True) == []
