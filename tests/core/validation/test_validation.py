"""JSON schemas: what is refused when one is saved, what is told of a value, and what each may cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import Draft202012Validator

from lingstream.core import validation
from lingstream.core.document.depth import MAX_DEPTH, check_depth
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.validation import SchemaFault, compile_schema

STRING = {"type": "string"}


@contextmanager
def takes_less_than(seconds: float) -> Iterator[None]:
    """CPU time of this thread: the machine may be busy with something else."""
    began = time.thread_time()
    yield
    assert time.thread_time() - began < seconds


def nested(depth: int, leaf: Any = None) -> Any:
    value = leaf
    for _ in range(depth):
        value = [value]
    return value


def chain(count: int, keyword: str) -> dict[str, Any]:
    """Definitions of which each refers to the next one twice."""
    ref = "#/$defs/{}".format
    defs: dict[str, Any] = {str(n): {keyword: [{"$ref": ref(n + 1)}] * 2} for n in range(count)}
    return {"$ref": ref(0), "$defs": {**defs, str(count): {"type": "integer"}}}


def evaluated_anew(count: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(count):
        schema = {"unevaluatedProperties": False, "allOf": [schema], "anyOf": [schema]}
    return schema


REFUSED: dict[str, tuple[Any, str, str]] = {
    "a type that there is not": ({"properties": {"a": {"type": "strin"}}}, "properties/a/type", "strin"),
    "a word for a number": ({"minimum": "a"}, "minimum", "number"),
    "a look-ahead": ({"items": {"pattern": "(?=a)b"}}, "items/pattern", "look-ahead"),
    "a look-behind": ({"pattern": "(?<!a)b"}, "pattern", "look-behind"),
    "a backreference": ({"pattern": r"(a)\1"}, "pattern", "backreferences"),
    "a look-ahead for keys": ({"patternProperties": {"(?!a)": {}}}, r"patternProperties/(?!a)", "look-ahead"),
    "no pattern": ({"pattern": "("}, "pattern", "no regular expression"),
    "a pattern that grows": ({"pattern": "(a{1000}){1000}"}, "pattern", "too large"),
    "a pattern too large": ({"pattern": "^.{1,2000}$"}, "pattern", "maxLength"),
    "another server": ({"$ref": "http://127.0.0.1:1/x"}, r"\$ref", "within the schema"),
    "a file": ({"items": {"$ref": "file:///etc/passwd"}}, r"items/\$ref", "within the schema"),
    "a reference to nothing": ({"$ref": "#/$defs/a"}, "", "does not exist"),
    "a dynamic reference": ({"$dynamicRef": "#a"}, r"\$dynamicRef", "no other reference"),
    "another address inside": ({"properties": {"a": {"$id": "x"}}}, r"properties/a/\$id", "elsewhere"),
    "a draft that there is not": ({"$schema": "http://127.0.0.1:1/draft"}, "", "meta-schema"),
    "a schema too deep": ({"items": nested(1200)}, "", "nest"),
    "a schema too long": ({"description": "x" * 300_000}, "", "characters"),
    "references that double": (chain(40, "anyOf"), "", "cheaper"),
    "requirements that double": (chain(40, "allOf"), "", "cheaper"),
    "what is evaluated anew at each level": (evaluated_anew(10), "", "cheaper"),
    "an enum that is a table": ({"items": {"enum": [{"a": n} for n in range(15_000)]}}, "", "cheaper"),
}


class TestCompile:
    @pytest.mark.parametrize("name", REFUSED)
    def test_refuses_what_cannot_be_used_and_says_where(self, name: str) -> None:
        schema, uri, message = REFUSED[name]
        with takes_less_than(2), pytest.raises(SchemaFault) as caught:
            compile_schema(schema)
        assert caught.value.uri.replace("\\", "") == uri.replace("\\", "")
        assert message in caught.value.message
        assert len(caught.value.message) < 500
        assert isinstance(caught.value.message, Phrase)

    @pytest.mark.parametrize(
        "schema",
        [
            {},
            {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{}], "definitions": {"a": {}}},
            {"$id": "https://example.com/a", "$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#"}}}},
            {"pattern": r"^\w{1,200}$"},
            {"pattern": "^(a+)+$", "format": "no-such-format"},
            evaluated_anew(3),
        ],
    )
    def test_takes_the_rest(self, schema: Any) -> None:
        assert compile_schema(schema).failures(None) == []

    def test_the_same_schema_is_compiled_once_and_few_are_kept(self) -> None:
        first = compile_schema({"minLength": 1})
        assert compile_schema({"minLength": 1}) is first
        for number in range(200):
            compile_schema({"minLength": number})
        assert len(validation._compiled) <= 128
        assert compile_schema({"minLength": 1}) is not first


PEOPLE = {
    "type": "object",
    "properties": {"name": STRING, "tags": {"type": "array", "items": {"enum": ["a", "b"]}}},
    "required": ["name"],
    "additionalProperties": False,
}
TREE = {"type": "object", "properties": {"children": {"items": {"$ref": "#"}}, "n": {"type": "integer"}}}

TOLD: dict[str, tuple[Any, Any, tuple[str | int, ...], str]] = {
    "a type": (STRING, 3, (), '3 is not of type "string"'),
    "types": ({"type": ["string", "null"]}, [1], (), "a list of 1 items is not of types"),
    "a missing key": (PEOPLE, {"tags": []}, (), '"name" is a required property'),
    "a key too many": (PEOPLE, {"name": "x", "age": 3}, (), "'age' was unexpected"),
    "an item of a field": (PEOPLE, {"name": "x", "tags": ["a", "c"]}, ("tags", 1), '"c" is not one of'),
    "the one nearest to the root": (PEOPLE, {"tags": ["c"]}, (), "required"),
    "a key with a slash": ({"properties": {"a/b": STRING}}, {"a/b": 1}, ("a/b",), "string"),
    "through a reference": (TREE, {"children": [{"children": [{"n": "x"}]}]},
        ("children", 0, "children", 0, "n"), '"x"'),
    "no alternative": ({"anyOf": [STRING, {"type": "null"}]}, 5, (), "fits none of the 2 schemas in anyOf"),
    "the alternative of its type": (
        {"anyOf": [{"type": "object", "required": ["a"]}, {"type": "null"}]}, {}, (),
        '"a" is a required property',
    ),
    "two of one": ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 5, (), "fits 2 of the schemas in oneOf"),
    "not": ({"not": STRING}, "x", (), '"x"'),
    "then": ({"if": {"minimum": 5}, "then": {"maximum": 7}}, 9, (), "9 is greater than the maximum of 7"),
    "else": ({"if": {"minimum": 5}, "else": {"type": "null"}}, 3, (), "null"),
    "all": ({"allOf": [{}, {"items": STRING}]}, ["a", 1], (1,), "1 is not"),
    "contains": ({"contains": STRING}, [1, 2], (), "contains 0 items"),
    "names of keys": ({"propertyNames": {"maxLength": 2}}, {"abc": 1}, (), 'the name "abc"'),
    "a key by its pattern": ({"patternProperties": {"^n": STRING}}, {"n1": 1}, ("n1",), "string"),
    "the rest": ({"prefixItems": [{}], "items": STRING}, [1, 1], (1,), "string"),
    "items as draft 7 has them": (
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [STRING], "additionalItems": False},
        ["a", 2], (1,), "2",
    ),
    "dependent": ({"dependentSchemas": {"a": {"required": ["b"]}}}, {"a": 1}, (), '"b" is a required'),
    "dependent keys": ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, (), '"b" is a required property'),
    "unevaluated": (
        {"unevaluatedProperties": False, "allOf": [{"properties": {"a": {}}}]}, {"b": 1}, (), "does not fit",
    ),
    "items twice": ({"uniqueItems": True}, [{"a": 1}, {"a": 1.0}], (), "not unique"),
    "false": ({"properties": {"a": False}}, {"a": 1}, ("a",), "does not fit"),
    "a long text": ({"maxLength": 3}, "x" * 100_000, (), "…"),
    "half a character": ({"maxLength": 1}, "\ud800ab", (), "longer"),
}  # fmt: skip


class TestFailures:
    @pytest.mark.parametrize("name", TOLD)
    def test_tell_the_place_what_was_expected_and_what_came(self, name: str) -> None:
        schema, value, path, message = TOLD[name]
        found = compile_schema(schema).failures(value)
        assert found[0].path == path
        assert message in found[0].message
        assert len(found[0].message) < 300
        assert isinstance(found[0].phrase, Phrase)
        assert found[0].phrase == found[0].message

    @pytest.mark.parametrize(
        ("items", "unique"),
        [
            ([1, True, "1", None, [1], {"a": 1}], True),
            ([1, 1.0], False),
            ([[1], [1.0]], False),
            ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], False),
            ([0, False], True),
            ([[0], [False]], True),
            ([2**63, 2**63 + 1], True),
            ([2**80, 2**80], False),
            ([[2**80], [2**80 + 1]], True),
            ([2**80, 2.0**80], False),
            ([2**61, 1, -(2**61)], True),
        ],
    )
    def test_unique_is_as_json_has_it(self, items: list[Any], unique: bool) -> None:
        assert (compile_schema({"uniqueItems": True}).failures(items) == []) is unique

    @pytest.mark.parametrize("value", [{1, 2}, object(), nested(100_000)], ids=["set", "object", "deep"])
    def test_what_is_no_json_is_the_callers_mistake(self, value: Any) -> None:
        with pytest.raises(UsageError):
            compile_schema({"items": {"$ref": "#"}}).failures(value)


scalars = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 2.0]) | st.text("ab", max_size=3)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
leaf_schemas = st.sampled_from(
    [
        *({"type": name} for name in ("integer", "number", "string", "array", "object", "null", "boolean")),
        *({"minLength": 2}, {"maximum": 3}, {"enum": [1, "a", None, [0.5]]}, {"const": {"a": 2}}),
        *({"uniqueItems": True}, {"minItems": 2}, {"required": ["a"]}, {"pattern": "^a+$"}),
        *({"maxProperties": 1}, {"multipleOf": 2}),
    ]
)  # fmt: skip
any_schemas = st.recursive(
    leaf_schemas | st.booleans(),
    lambda inner: st.one_of(
        st.builds(lambda part: {"items": part}, inner),
        st.builds(lambda part, rest: {"prefixItems": [part], "items": rest}, inner, inner),
        st.builds(lambda a, b: {"properties": {"a": a}, "additionalProperties": b}, inner, inner),
        st.builds(lambda a, b: {"patternProperties": {"[ab]": a}, "propertyNames": b}, inner, inner),
        st.builds(lambda keyword, parts: {keyword: parts}, st.sampled_from(["anyOf", "oneOf", "allOf"]),
                  st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda a, b, c: {"if": a, "then": b, "else": c}, inner, inner, inner),
        st.builds(lambda part: {"not": part}, inner),
        st.builds(lambda part: {"contains": part, "maxContains": 2}, inner),
        st.builds(lambda part: {"dependentSchemas": {"a": part}}, inner),
        st.builds(lambda part: {"unevaluatedProperties": False, "properties": {"a": part}}, inner),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(any_schemas.filter(lambda schema: isinstance(schema, dict)), values)
def test_agrees_with_the_reference_in_python(schema: Any, value: Any) -> None:
    expected = Draft202012Validator(schema).is_valid(value)
    found = compile_schema(schema).failures(value)
    assert (found == []) is expected
    for failure in found:
        here = value
        for key in failure.path:
            here = here[key]  # the place exists


OBJECTS = [{"a": number} for number in range(20_000)]
ALTERNATIVES = {
    "anyOf": [{"type": "array", "items": {"type": "string", "minLength": n}} for n in range(1, 6)]
}
WAYS = {
    "anyOf": [{"properties": {"a": {"$ref": "#"}}, "required": [name]} for name in ("x", "y")]
    + [{"type": "null"}]
}


def branches(depth: int) -> Any:
    value: Any = 5
    for _ in range(depth):
        value = {"a": value, "x": 1, "y": 1}
    return value


# Each stopped a process for seconds to hours, or would have, in an engine without bounds.
COSTLY: dict[str, tuple[Any, Callable[[], Any]]] = {
    "29 characters that go back": ({"pattern": r"^(\w+\s?)*$"}, lambda: "a" * 28 + "!"),
    "a long text that goes back": ({"pattern": r"^(\w+\s?)*$"}, lambda: "a" * 250_000 + "!"),
    "keys that go back": ({"patternProperties": {r"^(\w+\s?)*$": {}}}, lambda: {"a" * 28 + "!": 1}),
    "a pattern with many states": ({"pattern": "[ab]*a[ab]{2000}c"}, lambda: "abbab" * 50_000),
    "keys with many states": (
        {"patternProperties": {"[ab]*a[ab]{2000}c": {}}}, lambda: {"abbab" * 5_000 + n: 1 for n in "abcdefg"},
    ),
    "a long key with many states": (
        {"patternProperties": {"[ab]*a[ab]{2000}c": {}}}, lambda: {"abbab" * 50_000: 1},
    ),
    "20,000 objects": ({"items": {"type": "object", "required": ["a"]}}, lambda: OBJECTS),
    "20,000 wrong objects": (
        {"items": {"required": ["b", "c"], "properties": {"a": STRING}}}, lambda: OBJECTS,
    ),
    "unique objects": ({"uniqueItems": True, "maxItems": 10}, lambda: [{"a": n} for n in range(18_000)]),
    "unique integers of 20 digits": ({"uniqueItems": True}, lambda: [2**63 + n for n in range(12_000)]),
    "unique integers beyond": ({"uniqueItems": True}, lambda: [10**30 + n for n in range(8_000)]),
    "unique integers of one hash": ({"uniqueItems": True}, lambda: [n * (2**61 - 1) for n in range(40_000)]),
    "unique lists": ({"uniqueItems": True}, lambda: [[n] for n in range(40_000)]),
    "numbers for five kinds of texts": (ALTERNATIVES, lambda: [1] * 120_000),
    "one wrong of 120,000": ({"items": {"type": "integer"}}, lambda: [1] * 119_999 + ["x"]),
    "objects in an enum": ({"items": {"enum": OBJECTS[:1_000]}}, lambda: OBJECTS),
    "large multiples": ({"items": {"multipleOf": 0.01}}, lambda: [1e300] * 40_000),
    "two ways at each level": (WAYS, lambda: branches(45)),
    "deep as a model may": ({"items": {"$ref": "#"}, "type": "array"}, lambda: nested(500, 5)),
    "unevaluated": ({"unevaluatedItems": False}, lambda: [1] * 120_000),
    "contains nothing": ({"contains": {"type": "null"}}, lambda: [1] * 120_000),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTLY)
def test_no_value_takes_long(name: str) -> None:
    schema, make = COSTLY[name]
    value, compiled = make(), compile_schema(schema)
    with takes_less_than(3):
        try:
            compiled.failures(value)
        except UsageError as error:
            assert error.code in ("too-costly", "too-deep")


def test_two_ways_at_each_level_are_fine_for_a_document_of_usual_depth() -> None:
    assert compile_schema(WAYS).failures(branches(8)) == []


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        (1, True),
        (nested(MAX_DEPTH), True),
        (nested(MAX_DEPTH + 1), False),
        ({"a": nested(MAX_DEPTH)}, False),
        (nested(100_000), False),
        ([[]] * 100_000, True),
        ("[" * 1000, True),
    ],
    ids=range(7),
)
def test_depth_is_bounded(data: Any, fits: bool) -> None:
    with takes_less_than(1):
        if fits:
            check_depth(data)
        else:
            with pytest.raises(UsageError, match="nesting") as caught:
                check_depth(data)
            assert caught.value.code == "too-deep"
