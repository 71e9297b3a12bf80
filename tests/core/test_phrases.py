"""Messages that are English to all but who says them in another language."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import orjson
import pytest

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase, from_parts, parts_of, phrased

FEW = Phrase("%(step)s has %(few)s", step="a", few=Phrase("%(number)s star", number=1))
GERMAN = {"%(step)s has %(few)s": "%(few)s hat %(step)s", "%(number)s star": "%(number)s Stern"}


def test_it_is_english_to_all_others() -> None:
    assert FEW == "a has 1 star"
    assert json.dumps([FEW]) == '["a has 1 star"]'
    assert orjson.dumps(UsageError(FEW).to_wire()["message"]) == b'"a has 1 star"'


def test_it_is_said_in_other_words_with_what_is_inside_it() -> None:
    assert FEW.said(GERMAN.__getitem__) == "1 Stern hat a"


def test_without_values_it_is_what_stands_there() -> None:
    assert Phrase("100 %, {{ a }} and %(b)s") == "100 %, {{ a }} and %(b)s"
    assert Phrase("100 %").said(str.title) == "100 %"


@pytest.mark.parametrize("copied", [copy.deepcopy(FEW), pickle.loads(pickle.dumps(FEW))])
def test_copies_are_phrases(copied: Phrase) -> None:
    assert copied == FEW
    assert copied.said(GERMAN.__getitem__) == "1 Stern hat a"


@pytest.mark.parametrize(
    "phrase", [FEW, Phrase("100 %"), Phrase("%(got)r", got="it's"), Phrase("%(a)s", a=["x"])]
)
def test_what_it_was_made_of_can_be_stored(phrase: Phrase) -> None:
    found = from_parts(str(phrase), json.loads(json.dumps(parts_of(phrase))))
    assert found == phrase
    assert isinstance(found, Phrase)
    assert found.template == phrase.template


def test_of_a_plain_text_there_is_nothing_to_store() -> None:
    assert parts_of("a has 1 star") is None


@pytest.mark.parametrize(
    "parts",
    [
        *(None, [], "x", 1, {}, {"template": 1}, {"template": "%(step)s"}, {"template": "%(a"}),
        *({"template": "another"}, {"template": "%(a)s", "values": ["a"]}),
        {"template": "%(a)s", "values": {"a": {}}},
    ],
)
def test_other_parts_leave_a_text_as_it_is(parts: Any) -> None:
    found = from_parts("a has 1 star", parts)
    assert found == "a has 1 star"
    assert not isinstance(found, Phrase)


def test_what_fills_it_in_can_be_changed() -> None:
    found = Phrase("%(who)s: %(few)s", who="a", few=FEW).mapped(str.upper)
    assert found == "A: A has 1 star"
    assert found.template == "%(who)s: %(few)s"


KNOWN = (
    Phrase("unexpected '%(got)s', expected '%(wanted)s'"),
    Phrase("unexpected '%(got)s'"),
    Phrase("end of block"),
)


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("unexpected 'x'", "unexpected '%(got)s'"),
        ("unexpected 'a', expected ')'", "unexpected '%(got)s', expected '%(wanted)s'"),
        ("unexpected '\n(.*'", "unexpected '%(got)s'"),
        ("end of block", "end of block"),
        ("end of block.", ""),
        ("unexpected '" + "x" * 600 + "'", ""),
    ],
)
def test_what_others_say_is_found_among_what_is_known(text: str, template: str) -> None:
    found = phrased(text, KNOWN)
    assert found == text
    assert (found.template if isinstance(found, Phrase) else "") == template


def test_and_so_is_what_stands_inside_it() -> None:
    found = phrased("unexpected 'end of block'", KNOWN)
    assert isinstance(found, Phrase)
    assert isinstance(found.values["got"], Phrase)
