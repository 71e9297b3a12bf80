"""Schema-guided repair: what is coerced, when it is told of, what is judged at the end."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import Draft202012Validator

from lingstream.core.document.ops import Append, Closed, Set
from lingstream.core.engine.plan import Plan, ProviderPlan
from lingstream.core.engine.run import Run
from lingstream.core.exceptions import ParseLimitError, SchemaFailure
from lingstream.core.parsing import StreamParser
from lingstream.core.parsing.schema import SchemaParser, validate
from lingstream.core.validation import SchemaFault
from tests.core.engine.test_bot import plan
from tests.core.support import ROOT, make_run, outcome

from .support import Folded, every_cut, fold_all, repair_cases


class Parsed(NamedTuple):
    value: str
    closed: list[tuple[str, str]]
    repairs: list[tuple[str, str]]


def parse(chunks: Iterable[str], schema: Any) -> Parsed:
    """Feed ``chunks``, close, and check on the way what must hold for every text and schema."""
    parser = SchemaParser(StreamParser(), schema)
    ops: list[Any] = []
    folded = Folded()
    for chunk in chunks:
        ops += (new := parser.feed(chunk))
        assert repr(folded.take(new)) == repr(parser.value)
    ops += (new := parser.close())
    document = folded.take(new)
    assert repr(document) == repr(parser.value)
    closed = [(op.uri, repr(op.value)) for op in ops if isinstance(op, Closed)]
    return Parsed(repr(document), closed, [(kind, uri) for kind, uri, _ in parser.repairs])


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def closed(**properties: Any) -> dict[str, Any]:
    return {**obj(**properties), "additionalProperties": False}


INT, NUM, STR, BOOL = ({"type": name} for name in ("integer", "number", "string", "boolean"))
LIST = {"type": "array", "items": STR}
INTS = {"type": "array", "items": INT}
COLOR = {"enum": ["dark blue", "red", "RED-ish"]}
NODES = {"type": "array", "items": {"$ref": "#/$defs/node"}}
OR_NULL = {"type": ["integer", "null"]}

# schema, text, value, kinds of repair
CASES: dict[str, tuple[Any, str, Any, list[str]]] = {
    "an item where an object's key is its number": (
        {
            "type": "array",
            "items": {"anyOf": [obj(**{"0": INT}), {"type": "array", "prefixItems": [STR]}]},
        },
        '[{"0": 1}, ["5"]]',
        [{"0": 1}, ["5"]],
        [],
    ),
    "a number in quotes": (obj(a=INT), '{"a": "10"}', {"a": 10}, ["number"]),
    "a number with a sign and spaces": (obj(a=NUM), '{"a": " +1.5 "}', {"a": 1.5}, ["number"]),
    "a whole number with a point": (obj(a=INT), '{"a": "10.0"}', {"a": 10}, ["number"]),
    "no whole number": (obj(a=INT), '{"a": "10.5"}', {"a": "10.5"}, []),
    "no number": (obj(a=INT), '{"a": "ten"}', {"a": "ten"}, []),
    "a very long number": (obj(a=INT), json.dumps({"a": "9" * 5000}), {"a": "9" * 5000}, []),
    "a number at the root": (INT, '"10"', 10, ["number"]),
    "yes": (obj(a=BOOL), '{"a": "yes"}', {"a": True}, ["boolean"]),
    "False": (obj(a=BOOL), '{"a": "False"}', {"a": False}, ["boolean"]),
    "one": (obj(a=BOOL, b=BOOL), '{"a": 1, "b": "0"}', {"a": True, "b": False}, ["boolean", "boolean"]),
    "a list that goes on": (obj(a=INTS), '{"a": ["1"], ["2"]}', {"a": [1, 2]}, None),
    "maybe": (obj(a=BOOL), '{"a": "maybe"}', {"a": "maybe"}, []),
    "text from a number": (obj(a=STR), '{"a": 10.5}', {"a": "10.5"}, ["string"]),
    "text from a boolean": (obj(a=STR), '{"a": true}', {"a": "true"}, ["string"]),
    "no text from null": (obj(a=STR), '{"a": null}', {"a": None}, []),
    "null in words": (obj(a=OR_NULL), '{"a": "null"}', {"a": None}, ["null"]),
    "nullable stays": (obj(a=OR_NULL), '{"a": null}', {"a": None}, []),
    "nullable number": (obj(a=OR_NULL), '{"a": "7"}', {"a": 7}, ["number"]),
    "nullable text stays": (obj(a={"type": ["string", "null"]}), '{"a": "null"}', {"a": "null"}, []),
    "a lone text": (obj(a=LIST), '{"a": "x y"}', {"a": ["x y"]}, ["array"]),
    "a lone number": (obj(a=INTS), '{"a": 3}', {"a": [3]}, ["array"]),
    "a lone number in quotes": (obj(a=INTS), '{"a": "3"}', {"a": [3]}, ["array", "number"]),
    "a lone object": (
        obj(a={"type": "array", "items": obj(b=INT)}),
        '{"a": {"b": "1"}}',
        {"a": [{"b": 1}]},
        ["array", "number"],
    ),
    "a lone null": (obj(a=LIST), '{"a": null}', {"a": None}, []),
    "a lone object among texts": (obj(a=LIST), '{"a": {"b": 1}}', {"a": {"b": 1}}, []),
    "a lone value at the root": (LIST, '"x"', ["x"], ["array"]),
    "a lone empty text": (obj(a=LIST), '{"a": ""}', {"a": [""]}, ["array"]),
    "items": (obj(a=INTS), '{"a": ["1", 2, "x"]}', {"a": [1, 2, "x"]}, ["number"]),
    "items by place": (
        {"type": "array", "prefixItems": [STR, INT], "items": BOOL},
        '[1, "2", "yes", "no"]',
        ["1", 2, True, False],
        ["string", "number", "boolean", "boolean"],
    ),
    "a member in capitals": (obj(a=COLOR), '{"a": "Red"}', {"a": "red"}, ["enum"]),
    "a member with other spacing": (obj(a=COLOR), '{"a": "Dark_Blue"}', {"a": "dark blue"}, ["enum"]),
    "a member with a hyphen": (obj(a=COLOR), '{"a": "reddish red ish"}', {"a": "reddish red ish"}, []),
    "a member as it is": (obj(a=COLOR), '{"a": "red"}', {"a": "red"}, []),
    "no member": (obj(a=COLOR), '{"a": "green"}', {"a": "green"}, []),
    "one of two": (obj(a={"enum": ["A", "a"]}), '{"a": "A "}', {"a": "A "}, []),
    "a constant": (obj(a={"const": "v1"}), '{"a": "V1"}', {"a": "v1"}, ["enum"]),
    "a member that is a number": (obj(a={"enum": [1, 2]}), '{"a": "2"}', {"a": 2}, ["enum"]),
    "a forbidden key": (closed(a=INT), '{"x": 1, "a": 2}', {"a": 2}, ["dropped"]),
    "a forbidden tree": (closed(a=INT), '{"x": {"y": ["z", {}]}, "a": 2}', {"a": 2}, ["dropped"]),
    "a forbidden text": (closed(a=INT), '{"x": "long text", "a": 2}', {"a": 2}, ["dropped"]),
    "keys of a pattern": (
        {**closed(a=INT), "patternProperties": {"^n": INT}},
        '{"n1": "1", "m1": "1"}',
        {"n1": 1},
        ["number", "dropped"],
    ),
    "other keys": ({"type": "object", "additionalProperties": INT}, '{"x": "1"}', {"x": 1}, ["number"]),
    "a key in capitals": (closed(name=STR), '{"Name": "x"}', {"name": "x"}, ["renamed"]),
    "a key with spaces": (obj(full_name=STR), '{"Full Name": "x"}', {"full_name": "x"}, ["renamed"]),
    "a key in camels": (obj(full_name=STR), '{"fullName": "x"}', {"full_name": "x"}, ["renamed"]),
    "a key with a hyphen, and what is below": (
        obj(**{"sub-topics": {"type": "array", "items": closed(t=INT)}}),
        '{"sub_topics": [{"T": "1"}]}',
        {"sub-topics": [{"t": 1}]},
        ["renamed", "renamed", "number"],
    ),
    "a key that could be two": (obj(a_b=STR, ab=STR), '{"A-B": "x"}', {"A-B": "x"}, []),
    "a key that is there already": (
        closed(name=STR),
        '{"name": "x", "Name": "y"}',
        {"name": "x"},
        ["dropped"],
    ),
    "a key that comes after": (closed(name=STR), '{"Name": "x", "name": "y"}', {"name": "y"}, ["renamed"]),
    "a key twice": (closed(n=INT), '{"n": "1", "n": "2"}', {"n": 2}, ["number", "number"]),
    "a key twice, an array around": (
        obj(a=LIST),
        '{"a": "x", "a": "yy"}',
        {"a": ["yy"]},
        ["array", "array"],
    ),
    "a key that wants an escape": (obj(**{"a/b": INT}), '{"A/B": "1"}', {"a/b": 1}, ["renamed", "number"]),
    "a missing key": (
        {**obj(a=INT, b=obj(c=INT)), "required": ["a", "b"]},
        '{"b": {}}',
        {"b": {}},
        ["missing"],
    ),
    "references": (
        {"$ref": "#/$defs/node", "$defs": {"node": closed(n=INT, kids=NODES)}},
        '{"n": "1", "kids": [{"n": "2", "x": 1, "kids": {"n": "3"}}]}',
        {"n": 1, "kids": [{"n": 2, "kids": [{"n": 3}]}]},
        ["number", "number", "dropped", "array", "number"],
    ),
    "a reference to itself": ({"$ref": "#"}, '{"a": "1"}', {"a": "1"}, []),
    "a reference elsewhere": (obj(a={"$ref": "https://example.com/x"}), '{"a": "1"}', {"a": "1"}, []),
    "alternatives that agree": (
        {"anyOf": [obj(a=INT), {"type": "null"}]},
        '{"a": "1"}',
        {"a": 1},
        ["number"],
    ),
    "alternatives that differ": (
        {"oneOf": [closed(a=INT, k={"const": "n"}), closed(a=STR, k={"const": "s"})]},
        '{"a": "1", "k": "S", "x": 0}',
        {"a": "1", "k": "s"},
        ["enum", "dropped"],
    ),
    "a choice that is not clear": (obj(a={"anyOf": [INT, BOOL]}), '{"a": "1"}', {"a": 1}, ["number"]),
    "text or number": (obj(a={"anyOf": [INT, STR]}), '{"a": "1"}', {"a": "1"}, []),
    "a text or a list of texts": (obj(a={"anyOf": [STR, LIST]}), '{"a": "1"}', {"a": "1"}, []),
    "all of": (
        {"allOf": [obj(a=INT), obj(b=BOOL)]},
        '{"a": "1", "b": "no"}',
        {"a": 1, "b": False},
        ["number", "boolean"],
    ),
    "no schema worth the name": ({"type": "nonsense"}, '{"a": "1"}', {"a": "1"}, []),
    "true": (True, '{"a": "1"}', {"a": "1"}, []),
    "broken JSON": (obj(a=INTS, b=BOOL), "{a: ['1', 2,], b: yes", {"a": [1, 2], "b": True}, None),
    "an object in an array": (obj(a=LIST), '{"a": ["x", "y": "z"]}', None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_output_is_brought_closer_at_every_cut(name: str) -> None:
    schema, text, value, kinds = CASES[name]
    whole = parse([text], schema)
    if value is not None:
        assert whole.value == repr(value)
    if kinds is not None:
        assert [kind for kind, _ in whole.repairs] == [f"schema-{kind}" for kind in kinds]
    if len(text) > 1000:
        return
    for pieces in every_cut(text):
        assert parse(pieces, schema) == whole


def test_example_of_the_docs_runs() -> None:
    examples = re.findall(r"```python\n(.*?)\n```\n", (ROOT / "docs" / "schema.md").read_text(), re.DOTALL)
    assert examples
    for example in examples:
        exec(compile(example, "docs/schema.md", "exec"), {})


class TestStreaming:
    def test_text_that_fits_goes_straight_through(self) -> None:
        parser = SchemaParser(StreamParser("page"), obj(title=STR, n=INT), "page")
        assert parser.feed('{"Title": "Clo') == [Set("page", {}), Append("page/title", "Clo")]
        assert parser.feed("uds") == [Append("page/title", "uds")]
        assert parser.feed('", "n": "1') == [Closed("page/title", "Clouds")]
        assert [*parser.feed('0"}'), *parser.close()] == [
            Set("page/n", 10),
            Closed("page/n", 10),
            Closed("page", {"title": "Clouds", "n": 10}),
        ]

    def test_a_lone_text_streams_inside_its_array(self) -> None:
        parser = SchemaParser(StreamParser(), obj(tags=LIST))
        assert parser.feed('{"tags": "so') == [Set("", {}), Set("tags", []), Append("tags/0", "so")]
        assert parser.feed("ft") == [Append("tags/0", "ft")]
        parser.feed('"}')
        parser.close()
        assert parser.value == {"tags": ["soft"]}

    def test_what_comes_out_grows_with_what_goes_in(self) -> None:
        """One op for each op: nothing is told of twice."""
        schema = obj(items={"type": "array", "items": closed(n=INT, text=STR, tags=LIST)})
        counts = []
        for size in (200, 400):
            items = [{"N": str(n), "text": "abc " * 5, "tags": "x", "no": [1]} for n in range(size)]
            text = json.dumps({"items": items})
            parser = SchemaParser(StreamParser(), schema)
            ops = [op for start in range(0, len(text), 5) for op in parser.feed(text[start : start + 5])]
            counts.append(len(ops))
        assert counts[1] < 2.1 * counts[0]

    def test_a_schema_of_many_references_is_given_up(self) -> None:
        links = {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(60)}
        schema = {"$ref": "#/$defs/0", "$defs": {**links, "60": closed(a=INT)}}
        assert parse(['{"b": "1"}'], schema).value == "{'b': '1'}"

    def test_bounds_of_the_parser_hold(self) -> None:
        parser = SchemaParser(StreamParser(max_depth=3), {"type": "array"})
        with pytest.raises(ParseLimitError):
            parser.feed("[1, [2, [3, [4")

    def test_what_was_read_before_an_error_is_the_value(self) -> None:
        parser = SchemaParser(StreamParser(max_depth=2), obj(a=STR, b=STR))
        ops = parser.feed('{"a": "te')
        with pytest.raises(ParseLimitError):
            parser.feed('xt", "B": "long", "c": [[')
        assert parser.value == {"a": "text", "b": "long", "c": []}
        assert fold_all(ops + parser.close()) == parser.value
        assert parser.close() == []

    def test_a_repair_says_how_much_had_been_read(self) -> None:
        text = '{"A": "x", "n": "12", "List": ["1", {"b": 2}], "no": [], } and'
        parser, read = SchemaParser(StreamParser(), closed(a=STR, n=INT, list=INTS)), {}
        for end, char in enumerate(text, 1):
            parser.feed(char)
            for kind, uri, offset in parser.repairs:
                if kind.startswith("schema-"):
                    assert read.setdefault((kind, uri), end) == offset
        assert [kind for kind, _ in read] == [
            f"schema-{kind}" for kind in ("renamed", "number", "renamed", "number", "dropped")
        ]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "1", "yes", "Red", "null", "x y"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "A", "full_name", "Full Name", "x/y", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)
SIMPLE = [True, False, INT, NUM, STR, BOOL, COLOR, OR_NULL, {"type": "null"}, {"const": 1}, {"$ref": "#"}]
schemas = st.recursive(
    st.sampled_from(SIMPLE),
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(
            lambda a, name, rest: {**obj(a=a, full_name=name), "additionalProperties": rest},
            inner,
            inner,
            inner,
        ),
        st.builds(lambda a: {**closed(a=a), "required": ["a"]}, inner),
        st.builds(
            lambda keyword, parts: {keyword: parts},
            st.sampled_from(["anyOf", "oneOf", "allOf"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(values, schemas, st.integers(0, 2**32))
def test_any_schema_gives_the_same_for_every_cut(value: Any, schema: Any, seed: int) -> None:
    text = json.dumps(value)
    whole = parse([text], schema)
    assert parse(list(text), schema) == whole
    cut = random.Random(seed).randint(0, len(text))
    assert parse([text[:cut], text[cut:]], schema) == whole


@settings(max_examples=300, deadline=None)
@given(values, schemas)
def test_what_fits_is_never_touched(value: Any, schema: Any) -> None:
    if fits(value, schema):
        parsed = parse([json.dumps(value)], schema)
        assert parsed.value == repr(value) or any(kind == "schema-renamed" for kind, _ in parsed.repairs)


def fits(value: Any, schema: Any) -> bool:
    """What ``jsonschema`` says; nothing fits a schema that asks for itself without end.

    Its stack is full then, and where the Rust below it notices, the exception is one of PyO3's, which has no
    name to catch it by.
    """
    try:
        return Draft202012Validator(schema).is_valid(value)
    except BaseException as error:
        if isinstance(error, RecursionError) or type(error).__name__ == "PanicException":
            return False
        raise


def test_nothing_fits_a_schema_that_asks_for_itself_without_end() -> None:
    before = sys.getrecursionlimit()
    try:
        for more in range(30):  # the stack is full at another place each time
            sys.setrecursionlimit(before + more)
            assert not fits(1, {"oneOf": [True, {"$ref": "#"}]})
    finally:
        sys.setrecursionlimit(before)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*repair_cases(), *repair_cases("repair_kinds")]).map(itemgetter("input")), schemas)
def test_broken_json_keeps_the_invariants_too(text: str, schema: Any) -> None:
    assert parse(list(text), schema) == parse([text], schema)


class TestValidate:
    def test_passes_what_fits(self) -> None:
        validate({"a": 1}, closed(a=INT))

    @pytest.mark.parametrize(
        ("schema", "value", "uri"),
        [
            (INT, "x", "root"),
            (obj(a=INTS), {"a": [1, "x"]}, "root/a/1"),
            (obj(**{"x/y": INT}), {"x/y": "z"}, "root/x\\/y"),
            ({**obj(a=INT), "required": ["a"]}, {}, "root"),
            (obj(a={"type": "string", "maxLength": 2}), {"a": "long"}, "root/a"),
        ],
    )
    def test_names_the_place(self, schema: Any, value: Any, uri: str) -> None:
        with pytest.raises(SchemaFailure, match="does not fit") as caught:
            validate(value, schema, "root")
        assert (caught.value.code, caught.value.uri, caught.value.retryable) == ("schema", uri, True)
        assert repr(uri) in caught.value.message

    @pytest.mark.parametrize(
        "schema", [{"type": 1}, {"$ref": "https://example.com/x"}, {"$ref": "#/nowhere"}]
    )
    def test_a_schema_that_cannot_be_used_is_not_retryable(self, schema: Any) -> None:
        with pytest.raises(SchemaFailure, match="cannot be used") as caught:
            validate({}, schema)
        assert not caught.value.retryable

    def test_is_bounded(self) -> None:
        with pytest.raises(SchemaFailure) as caught:
            validate(["x" * 10_000] * 1000, INTS)
        assert len(caught.value.message) < 500
        deep: Any = []
        for _ in range(600):
            deep = [deep]
        with pytest.raises(SchemaFailure, match="nesting"):
            validate(deep, {"type": "array", "items": {"$ref": "#"}})


class TestBots:
    async def test_repair_before_anyone_is_told(self) -> None:
        ended = await outcome(
            plan(schema=closed(n=INT, tags=LIST)), '{"N": "1", "tags": "x", "y": "z"}', input="go"
        )
        assert ended.document == {"n": 1, "tags": ["x"]}
        assert ended.events("bot#1")[:3] == [
            ("string-response", "tags/0"),
            ("object-response", "tags"),
            ("object-response", ""),
        ]
        assert ended.status == "finished"

    @pytest.mark.parametrize("spaces", [0, 100_000])
    async def test_fail_when_the_end_does_not_fit_and_keep_the_document(self, spaces: int) -> None:
        answer = '{"a":' + " " * spaces + '"x"}'
        ended = await outcome(plan(root="r", schema=obj(a=INT)), answer, input="go")
        assert ended.document == {"r": {"a": "x"}}
        (error,) = ended.errors
        assert (error["code"], error["retryable"], error["bot"]) == ("schema", True, "bot#1")
        assert "'r/a'" in error["message"]
        assert ended.status_of("bot#1") == ended.status == "failed"
        assert "response" not in dict(ended.events("bot#1"))

    @pytest.mark.parametrize(
        ("schema", "answer"),
        [
            (obj(a={"type": "string", "pattern": r"^(\w+\s?)*$"}), json.dumps({"a": "a" * 28 + "!"})),
            ({"patternProperties": {r"^(\w+\s?)*$": INT}}, json.dumps({"a" * 28 + "!": 1})),
            ({"patternProperties": {"[ab]*a[ab]{2000}c": INT}}, json.dumps({"abbab" * 12_000: 1})),
            ({"uniqueItems": True, "maxItems": 10}, json.dumps([2**63 + n for n in range(10_000)])),
            ({"uniqueItems": True, "maxItems": 10}, json.dumps([{"a": n} for n in range(2_000)])),
            ({"items": {"$ref": "#"}, "type": "array"}, "[" * 400),
        ],
        ids=[
            "pattern",
            "pattern of keys",
            "key with many states",
            "unique integers",
            "unique objects",
            "deep",
        ],
    )
    async def test_of_hostile_models_hold_nobody_up(self, schema: Any, answer: str) -> None:
        gaps: list[float] = []

        async def watch() -> None:
            while True:
                before = time.thread_time()
                await asyncio.sleep(0)
                gaps.append(time.thread_time() - before)

        watching = asyncio.create_task(watch())
        ended = await outcome(plan(schema=schema), [[answer]], input="go")
        watching.cancel()
        assert ended.status in ("finished", "failed")
        assert max(gaps) < 2  # reading 200 KB in one piece takes its time

    def test_with_a_schema_that_cannot_be_used_ask_no_model(self) -> None:
        with pytest.raises(SchemaFault, match="look-ahead"):
            make_run(Plan("w", providers=(ProviderPlan(),)))[0].bot(schema={"pattern": "(?=a)"})

    async def test_that_are_optional_fail_alone(self) -> None:
        ended = await outcome(plan(optional=True, schema=obj(a=INT)), '{"a": "x"}', input="go")
        assert (ended.status_of("bot#1"), ended.status) == ("failed", "finished")

    async def test_list_what_was_mended_and_what_never_came(self) -> None:
        bots = []

        async def flow(run: Run) -> None:
            bots.append(run.bot(schema={**obj(a=INT), "required": ["a", "b"]}).chat("go"))

        ended = await outcome(flow, '{"a": "1"}')
        kinds = [(repair["kind"], repair["uri"]) for repair in bots[0].writer.output.repairs]
        assert kinds == [("schema-number", "a"), ("schema-missing", "b")]
        assert '"b" is a required property' in ended.errors[0]["message"]

    async def test_of_other_formats_are_not_judged(self) -> None:
        ended = await outcome(plan(format="text", schema=INT), "text", input="go")
        assert ended.status == "finished"
