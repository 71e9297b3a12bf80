"""Which uri patterns are offered to who writes a trigger."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lingstream.core.engine.offers import Offer, example_in, of_schema, of_value, root_pattern

TEXT = {"type": "string"}
TOPICS = {
    "type": "object",
    "properties": {
        "outline": {"type": "array", "items": {"type": "object", "properties": {"topic": TEXT}}},
        "score": {"type": "number"},
        "a/b": {"anyOf": [TEXT, {"type": "null"}]},
        "free": {},
    },
}
TREE = {
    "type": "object",
    "properties": {"name": TEXT, "kids": {"type": "array", "items": {"$ref": "#"}}},
}


def told(offers: list[Offer]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for offer in offers:
        found.setdefault(offer.type, set()).add(offer.uri)
    return found


@pytest.mark.parametrize(
    ("schema", "strings", "containers"),
    [
        (TOPICS, {"outline/*/topic", "a\\/b"}, {"", "outline", "outline/*"}),
        (TEXT, {""}, set()),
        ({"type": "object", "properties": {"*": TEXT}}, {"\\*"}, {""}),
        ({"properties": {"a": TEXT}}, set(), set()),
        (None, set(), set()),
        ({}, set(), set()),
    ],
)
def test_of_a_schema(schema: Any, strings: set[str], containers: set[str]) -> None:
    found = told(of_schema(schema))
    assert (found.get("string", set()), found.get("container", set())) == (strings, containers)


def test_of_a_schema_that_refers_to_itself_there_is_an_end() -> None:
    found = of_schema(TREE)
    assert Offer("kids/*/kids/*/name", "string") in found
    assert len(found) < 100


@pytest.mark.parametrize(
    ("value", "strings", "containers"),
    [
        (
            {"outline": [{"topic": "a"}, {"topic": "b", "more": "c"}], "n": 1, "no": None, "x/y": "z"},
            {"outline/*/topic", "outline/*/more", "x\\/y"},
            {"", "outline", "outline/*"},
        ),
        ("text", {""}, set()),
        (["a"], {"*"}, {""}),
        (None, set(), set()),
    ],
)
def test_of_a_document(value: Any, strings: set[str], containers: set[str]) -> None:
    found = told(of_value(value))
    assert (found.get("string", set()), found.get("container", set())) == (strings, containers)


def test_of_a_large_document_some_are_enough() -> None:
    wide = {f"{first}": {f"{second}": ["x"] * 100 for second in range(300)} for first in range(300)}
    start = time.process_time()
    assert len(of_value(wide)) == 200
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('Reply with JSON in this form:\n{"outline": [{"topic": "…"}, {"topic": "…"}]}\n', "whole"),
        ('Tone: {{ tone }}\n```json\n{"outline": [{"topic": "…"}, {"topic": "…"}]}\n``` {% if x %}', "whole"),
        ('Not {"a": 1} but {"outline": [{"topic": "…"}, {"topic": "…"}]}, please', "whole"),
        ("{broken {{ braces }} [", None),
        ("[]", None),
        ("", None),
    ],
)
def test_the_example_in_a_prompt(text: str, value: str | None) -> None:
    expected = {"outline": [{"topic": "…"}, {"topic": "…"}]} if value else None
    assert example_in(text) == expected


@pytest.mark.parametrize("text", ["[" * 90_000, "{" * 90_000, '{"a":' * 20_000, '["' * 40_000])
def test_no_prompt_takes_long(text: str) -> None:
    start = time.process_time()
    assert example_in(text) is None
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("root", "pattern"),
    [
        ("", ""),
        ("outline/{{ match[0] }}/details", "outline/*/details"),
        ("a\\/b", "a\\/b"),
        ("{% if value %}x{% endif %}", None),
    ],
)
def test_a_root_as_a_pattern(root: str, pattern: str | None) -> None:
    assert root_pattern(root) == pattern
