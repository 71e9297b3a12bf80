"""Values in quotes: what is withheld, and what is taken back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingstream.core.document.ops import Append, Set
from lingstream.core.parsing import StreamParser

from ..support import Folded, parse


def test_text_under_doubt_is_withheld_then_appended() -> None:
    parser = StreamParser()
    assert parser.feed('{"a": "the "x"')[-1] == Append("a", 'the "x')
    assert parser.feed(', "y') == []
    assert parser.feed('"') == []
    assert parser.feed(" it") == [Append("a", '", "y" it')]


def test_a_lost_closing_quote_is_corrected_with_a_fix() -> None:
    parsed = parse(list('{"a": "hello, "b": 1}'))
    assert Set("a", "hello", True) in parsed.ops


def test_what_was_not_handed_out_yet_is_corrected_without_a_fix() -> None:
    parsed = parse(['{"a": "hel', 'lo, "b": 1}'])
    assert [op for op in parsed.ops if isinstance(op, Append)] == [Append("a", "hel"), Append("a", "lo")]
    assert parsed.fixes == 0
    assert [uri for uri, _ in parsed.closed] == ["a", "b", ""]


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        (["x", "”", " said"], ["x", "", "” said"]),
        (["x”", ", ", "then"], ["x", "", "”, then"]),
        (["x” ", "y"], ["x", "” y"]),
        (['x\\"', ",", " y"], ["x", "", '", y']),
        (["“x”", "y"], ["“x", "”y"]),
        (["it’s", " y”"], ["it’s", " y"]),
    ],
)
def test_only_a_sign_and_what_can_stand_behind_a_string_is_held_back(
    pieces: list[str], told: list[str]
) -> None:
    for head, tail in (("", ""), ("\t", "\t")):  # valid JSON, and no more
        parser = StreamParser()
        parser.feed(f'{{"a": "{head}')
        deltas = ["".join(op.delta for op in parser.feed(piece)) for piece in pieces]
        assert deltas == told
        parser.feed(f'{tail}", "b": "')
        assert parser.value["a"] == (head + "".join(pieces) + tail).replace("\\", "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "x”, "b": 1}', "x"),
        ('{"a": "she said “no”, "b": 1}', "she said “no”"),
        ('{"a": "D:\\work\\", "b": 1}', "D:\\work\\"),
        ("{'a': 'x’, 'b': 1}", "x"),
        ('{"a": "x”[1], "b": 1}', "x"),
        ('{"a": "hello\n, "b": 1}', "hello"),
        ('{"a": "hello\r\n, "b": 1}', "hello"),
        ('```json\n{"a": "x”}\n```', "x"),
    ],
)
def test_what_was_held_back_needs_no_fix(text: str, value: str) -> None:
    parsed = parse(list(text))
    assert parsed.fixes == 0
    assert parsed.document["a"] == value


SIGNS = ["”", "“", "＂", "’", '"', "\\", "\n", ",", " ", "]", "}", "[1]", "【a】", "x"]


@given(st.lists(st.sampled_from(SIGNS)), st.data())
def test_what_is_held_back_changes_no_result(signs: list[str], data: st.DataObject) -> None:
    text = "".join(signs)
    valid = json.dumps({"a": text, "b": [text]}, ensure_ascii=False)
    for whole in (valid, f'{{"a": "{text}", "b": ["{text}"]}}'):
        cut = data.draw(st.integers(0, len(whole)))
        expected = parse([whole])
        assert parse([whole[:cut], whole[cut:]]).told == expected.told
        parser, folded = StreamParser(), Folded()
        for char in whole:
            assert repr(folded.take(parser.feed(char))) == repr(parser.value)
        folded.take(parser.close())
        assert repr(folded.document) == expected.value
    assert parse(list(valid)).fixes == 0


def test_json_as_text_is_told_of_with_the_quote_behind_it() -> None:
    """As tool calls have it: without a comma no quote opens a key, so the string has ended for sure."""
    parser = StreamParser()
    text = r'{"args": "{\"city\": \"Paris\"}", "next": 1}'
    end = text.index('",') + 1
    told = [op for char in text[:end] for op in parser.feed(char)]
    assert "".join(op.delta for op in told if type(op) is Append) == '{"city": "Paris"}'
