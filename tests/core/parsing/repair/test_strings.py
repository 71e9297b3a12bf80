"""Values in quotes: what is withheld, and what is taken back."""

from __future__ import annotations

from lingstream.core.document.ops import Append, Set
from lingstream.core.parsing import StreamParser

from ..support import parse


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
