"""What a quote, a comma or a closing bracket is."""

from __future__ import annotations

import pytest

from lingstream.core.parsing.repair.delimiters import Next, fewest_faults, leave_open

from ..support import parse


@pytest.mark.parametrize(
    ("levels", "text", "left"),
    [
        ("]}", "]", "}"),
        ("]}", "}", ""),
        ("}", "]", "}"),
        ("}", "],\n[", "]}"),
        ("]", ", {", "}]"),
        ("}]", ")}", "]"),
    ],
)
def test_what_brackets_leave_open(levels: str, text: str, left: str) -> None:
    assert leave_open(levels, text) == left


@pytest.mark.parametrize(
    ("levels", "run", "following", "closed"),
    [
        ("]}", "}", Next.END, 2),  # {"a": [1}
        ("]}", "}", Next.KEY, 1),  # {"a": [1}, "b": 2}
        ("}]", "]", Next.ITEM, 1),  # [{"a": 1], {"b": 2}]
        ("}", "]", Next.KEY, 0),  # {"a": 1], "b": 2}
        ("}}", "]", Next.KEY, 1),  # {"a": {"b": 1], "c": 2}
        ("]}}", "}", Next.KEY, 2),  # {"a": {"b": [1}, "c": 2}
        ("", "}", Next.KEY, 0),  # {"a": 1}}, "b": 2}
        ("}]}", "]]", Next.END, 1),  # {"a": [{"b": 1]]
    ],
)
def test_the_reading_with_the_fewest_faults(levels: str, run: str, following: Next, closed: int) -> None:
    assert fewest_faults(levels, run, following) == closed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "x"}', "x"),
        ('{"a": "x", "b": 1}', "x"),
        ('{"a": "x"\n"b": 1}', "x"),
        ('{"a": "x" + "y"}', "xy"),
        ('{"a": "x", y"}', 'x", y'),
        ('{"a": "x" y"}', 'x" y'),
        ('{"a": "x"] y"}', 'x"] y'),
        ('{"a": "{"x": 1}"}', '{"x": 1}'),
        ('{"a": ""}', ""),
        ('{"a": ""x""}', "x"),
        ('{"a": """x "y" z"""}', 'x "y" z'),
        ('{"a": ""x" y"}', '"x" y'),
        ('{"a": ""x"}', "x"),
        ('{"a": "x""}', "x"),
    ],
)
def test_which_quotes_are_characters(text: str, value: str) -> None:
    assert parse([text]).document["a"] == value
