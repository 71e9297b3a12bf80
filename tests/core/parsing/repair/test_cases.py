"""Broken JSON: the two tables of cases, at every cut."""

from __future__ import annotations

from typing import Any

import pytest

from lingstream.core.document.ops import Append, Closed, Set
from lingstream.core.exceptions import ParseError
from lingstream.core.parsing import StreamParser

from ..support import every_cut, parse, repair_cases

GIVEN = repair_cases()
MORE = repair_cases("repair_more")


def is_valid(case: dict[str, Any]) -> bool:
    return case["id"].startswith(("valid", "url", "scalar")) or case["id"] in VALID_IDS


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 12 and 12.0 are, 1 and true are not."""
    return one == other and repr(one).count("True") == repr(other).count("True")


VALID_IDS = {"dbl4", "smartin", "win2", "cn", "lone", "prose", "empty"}


@pytest.mark.parametrize("case", [*GIVEN, *MORE], ids=lambda case: case["id"])
def test_case(case: dict[str, Any]) -> None:
    whole = parse([case["input"]])
    assert any(same(whole.document, value) for value in [case["expected"], *case.get("also", [])])
    for pieces in every_cut(case["input"]):
        assert parse(pieces).told == whole.told


@pytest.mark.parametrize("case", [*GIVEN, *MORE], ids=lambda case: case["id"])
def test_a_case_cut_off_at_every_character(case: dict[str, Any]) -> None:
    for index in range(len(case["input"])):
        text = case["input"][:index]
        assert parse(list(text)).told == parse([text]).told


@pytest.mark.parametrize(
    "case", [case for case in [*GIVEN, *MORE] if not is_valid(case)], ids=lambda case: case["id"]
)
def test_every_repair_is_listed(case: dict[str, Any]) -> None:
    repairs = parse([case["input"]]).repairs
    assert repairs
    for repair in repairs:
        assert repair.kind
        assert 0 <= repair.offset <= len(case["input"])


@pytest.mark.parametrize(
    "case", [case for case in [*GIVEN, *MORE] if not is_valid(case)], ids=lambda case: case["id"]
)
def test_strict_mode_raises_instead(case: dict[str, Any]) -> None:
    with pytest.raises(ParseError) as caught:
        parse([case["input"]], repair=False)
    assert caught.value.line is not None
    assert 0 <= caught.value.offset <= len(case["input"])
    assert "expected" in caught.value.message
    assert "got" in caught.value.message


def test_at_most_one_case_in_twenty_needs_a_fix() -> None:
    fixed = [case["id"] for case in GIVEN if parse([case["input"]]).fixes]
    assert len(fixed) <= len(GIVEN) * 0.05
    assert fixed == ["arr-lost-quote"]


def test_text_under_doubt_is_withheld_then_appended() -> None:
    parser = StreamParser()
    assert parser.feed('{"a": "the "x"')[-1] == Append("a", 'the "x')
    assert parser.feed(', "y') == []
    assert parser.feed('"') == []
    assert parser.feed(" it") == [Append("a", '", "y" it')]


def test_a_lost_closing_quote_is_corrected_with_a_fix() -> None:
    parsed = parse(['{"a": "hello, "b": 1}'])
    assert Set("a", "hello", True) in parsed.ops
    assert [uri for uri, _ in parsed.closed] == ["a", "b", ""]


def test_repairs_carry_kind_uri_and_offset() -> None:
    repairs = parse(['Hi {"a": [1,, 2], \'b\': {"c": yes}}']).repairs
    assert [tuple(repair) for repair in repairs] == [
        ("prose", "", 0),
        ("comma", "a/1", 12),
        ("quotes", "", 18),
        ("unquoted", "b/c", 29),
    ]


@pytest.mark.parametrize(
    ("text", "uri", "offset", "line", "words"),
    [
        ('{"a": 1,}', "", 8, 1, "expected a key, got '}'"),
        ('{"a": [1,\n 2,\n x]}', "a/2", 15, 3, "got 'x'"),
        ('{\n"a"\n"b"}', "a", 6, 3, "expected ':'"),
        ('{"a": "x\ny"}', "a", 8, 1, "control character"),
        ('{"a": "\\q"}', "a", 7, 1, "expected an escape"),
        ('{"a": 01}', "a", 6, 1, "got '01'"),
        ('{"a": tru', "a", 6, 1, "got 'tru'"),
        ('{"a": 1', "", 7, 1, "expected '}', got the end of the text"),
        ('{"a": "x', "a", 8, 1, "expected a closing quote, got the end of the text"),
        ('{"a": 1} x', "", 9, 1, "expected the end of the text, got 'x'"),
        ("", "", 0, 1, "expected a JSON value, got the end of the text"),
        ("x", "", 0, 1, "got 'x'"),
        ('["a" "b"]', "", 5, 1, "expected ',' or ']'"),
    ],
)
def test_strict_errors_say_where_and_what(text: str, uri: str, offset: int, line: int, words: str) -> None:
    for pieces in ([text], list(text)):
        with pytest.raises(ParseError) as caught:
            parse(pieces, repair=False)
        error = caught.value
        assert (error.uri, error.offset, error.line) == (uri, offset, line)
        assert words in error.message
        assert type(error) is ParseError


def test_the_root_closes_when_it_is_clear_that_no_key_follows() -> None:
    parser = StreamParser()
    assert Closed("", ["x"]) in StreamParser().feed('["x"]')
    assert Closed("", {"a": 1}) in StreamParser(repair=False).feed('{"a": 1}')
    assert parser.feed('{"a": 1} ')[-1] == Closed("a", 1)
    assert parser.feed("\nSo") == [Closed("", {"a": 1})]
    assert [repair.kind for repair in parser.repairs] == ["trailing"]


def test_an_error_is_raised_again() -> None:
    parser = StreamParser(repair=False)
    for _ in range(2):
        with pytest.raises(ParseError):
            parser.feed("[1,,]")
    assert parser.close() == []
