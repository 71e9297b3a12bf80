"""Broken JSON: the two tables of cases, at every cut."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from lingstream.core.exceptions import ParseError
from lingstream.core.parsing import StreamParser

from ..support import Folded, every_cut, parse, repair_cases

GIVEN = repair_cases()
MORE = [*repair_cases("repair_more"), *repair_cases("repair_kinds")]


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


@pytest.mark.parametrize("case", [*GIVEN, *MORE], ids=lambda case: case["id"])
def test_the_value_is_what_was_told_of_so_far(case: dict[str, Any]) -> None:
    parser, folded = StreamParser(), Folded()
    for char in case["input"]:
        assert repr(folded.take(parser.feed(char))) == repr(parser.value)


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


def kinds_of(cases: list[dict[str, Any]]) -> set[str]:
    return {re.sub(r"-?\d+$", "", case["id"]) for case in cases}


FIXED = {
    *("arr-lost-quote", "miss-close-val", "missb", "quotes", "mixed", "found"),  # what nobody closed
    *("typographic-end", "record-open", "reasoning", "several", "junk-behind-string"),
}


@pytest.mark.parametrize("pieces", [list, re.compile(r" ?\w{1,6}|\s+|[^\w\s]{1,3}").findall])
def test_few_cases_need_a_fix(pieces: Callable[[str], list[str]]) -> None:
    """By the character, and in pieces like tokens."""
    cases = [*GIVEN, *MORE]
    fixed = [case for case in cases if parse(pieces(case["input"])).fixes]
    assert len(fixed) / len(cases) <= 0.05
    assert kinds_of(fixed) == FIXED


def test_repairs_carry_kind_uri_and_offset() -> None:
    repairs = parse(['Hi {"a": [1,, 2], \'b\': {"c": yes}}']).repairs
    assert [tuple(repair) for repair in repairs] == [
        ("prose", "", 0),
        ("comma", "a/1", 12),
        ("quotes", "", 18),
        ("unquoted", "b/c", 29),
    ]
