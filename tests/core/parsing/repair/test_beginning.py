"""Where the document begins."""

from __future__ import annotations

import pytest

from ..support import every_cut, parse


def test_no_document() -> None:
    parsed = parse(["Sorry, I cannot {do} that."])
    assert parsed.value == "None"
    assert parsed.preamble == "Sorry, I cannot {do} that."
    assert parsed.ops == []


@pytest.mark.parametrize(
    ("text", "preamble", "document"),
    [
        ('{"a": 1}', "", {"a": 1}),
        ('Sure {here}: {"a": 1}', "Sure {here}: ", {"a": 1}),
        ("See [1]: [1, 2]", "See [1]: ", [1, 2]),
        ("x[0] = [5, 6]", "x[0] = ", [5, 6]),
        ('[INFO] done {"a": 1}', "[INFO] done ", {"a": 1}),
        ('Here:\n```json\n{"a": 1}\n```\nBye', "Here:\n", {"a": 1}),
        ('Here:\n"a": 1, "b": 2', "Here:\n", {"a": 1, "b": 2}),
        ('The "a": 1', 'The "a": 1', None),
        ("(1, 2)", "", [1, 2]),
        ("Two (1, 2)", "Two (1, 2)", None),
        ("Nothing: []. Sorry", "Nothing: []. Sorry", []),
        ('"all of it"', "", "all of it"),
        ("-7", "", -7),
        ("7 of them", "7 of them", None),
        ('{\\"a\\": 1}', "", {"a": 1}),
        ("{&quot;a&quot;: 1}", "", {"a": 1}),
    ],
)
def test_what_begins_a_document(text: str, preamble: str, document: object) -> None:
    for pieces in every_cut(text):
        parsed = parse(pieces)
        assert (parsed.preamble, parsed.document) == (preamble, document)


@pytest.mark.parametrize(
    ("text", "value"),
    [("false", False), ("true", True), ("null", None), ("undefined", None), ("-Infinity", None)],
)
def test_a_literal_is_no_number_that_is_too_long(text: str, value: object) -> None:
    parsed = parse([text], max_number=3)
    assert (parsed.document, parsed.preamble) == (value, "")
