"""Texts made even."""

from __future__ import annotations

import time
from unicodedata import is_normalized

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.knowledge.text.normalise import normalise

CASES = {
    "line ends": ("a\r\nb\rc\u2028d\x85e", "a\nb\nc\nd\ne"),
    "spaces of other widths": ("a\u00a0b\u3000c\u2009d", "a b c d"),
    "spaces at the end of lines": ("a  \n\tb\t\n", "a\n\tb"),
    "code keeps its indentation": ("def f():\n    return 1", "def f():\n    return 1"),
    "many empty lines": ("a\n\n \n\n\nb", "a\n\nb"),
    "soft hyphens, at line ends too": ("exam\u00adple and exam\u00ad\nple", "example and example"),
    "what has no width": ("\ufeffa\u200bb\u2060c", "abc"),
    "joiners, which change letters": ("👩\u200d💻 می\u200cخواهم", "👩\u200d💻 می\u200cخواهم"),
    "NFC": ("e\u0301 ガ", "é ガ"),
    "case": ("README", "README"),
    "control characters": ("a\0b\x07c\x1b[1m", "abc[1m"),
    "half a character": ("a\ud800b", "a\ufffdb"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_evens(name: str) -> None:
    text, expected = CASES[name]
    assert normalise(text) == expected


@settings(max_examples=300)
@given(st.text(st.characters(codec=None)) | st.text("a \t\n\r\u00ad\u200b\u0301\u0316\0"))
def test_twice_is_once_and_every_database_can_store_it(text: str) -> None:
    even = normalise(text)
    assert normalise(even) == even
    assert is_normalized("NFC", even)
    assert "\0" not in even
    even.encode()


@pytest.mark.parametrize("piece", ["\u0300\u0316", "a\u0301", "\n", " ", "\u00ad\n", "\r\n ", "─"])
def test_a_megabyte_takes_no_long_time(piece: str) -> None:
    begin = time.process_time()
    normalise(piece * (1_000_000 // len(piece)))
    assert time.process_time() - begin < 5


def test_a_letter_keeps_as_many_marks_as_unicode_allows() -> None:
    assert len(normalise("a" + "\u0316" * 100)) == 31
