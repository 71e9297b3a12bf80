"""Keys, quoted and bare."""

from __future__ import annotations

import pytest

from lingstream.core.document.ops import Append, Set
from lingstream.core.parsing import StreamParser

from ..support import parse


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('"a": 1}', "a"),
        ("'a': 1}", "a"),
        ("“a”: 1}", "a"),
        ('""a"": 1}', "a"),
        ('a": 1}', "a"),
        ('"a: 1}', "a"),
        ("a: 1}", "a"),
        ("a 1}", "a"),
        ("a /* b */: 1}", "a"),
        ("first name: 1}", "first name"),
        ("$ref-1: 1}", "$ref-1"),
        ('"a"b": 1}', 'a"b'),
        ('"a\\x41\\u4e2d": 1}', "aA中"),
        ('"a\nb": 1}', "a\nb"),
        ('"\\ud83d": 1}', "\ufffd"),
    ],
)
def test_what_a_key_is(text: str, key: str) -> None:
    assert parse(['{"x": 0, ' + text]).document == {"x": 0, key: 1}


@pytest.mark.parametrize("text", ['"a', '"a"', "a", "a}", "a, b}"])
def test_what_is_no_key(text: str) -> None:
    assert parse(['{"x": 0, ' + text]).document == {"x": 0}


def test_a_key_is_withheld_until_its_colon() -> None:
    parser = StreamParser()
    assert [op for char in "{'it's a" for op in parser.feed(char)] == [Set("", {})]
    assert parser.feed("': 'x") == [Append("it's a", "x")]
