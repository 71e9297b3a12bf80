"""Values without quotes."""

from __future__ import annotations

from typing import Any

import pytest

from lingstream.core.parsing.repair.scalars import classify


@pytest.mark.parametrize(
    ("text", "cut", "value", "kind"),
    [
        ("12", False, 12, ""),
        ("-1.5e2", False, -150.0, ""),
        ("true", False, True, ""),
        ("1e999", False, None, "overflow"),
        ("None", False, None, "literal"),
        ("-Infinity", False, None, "literal"),
        ("0xFF", False, 255, "number"),
        ("-0b101", False, -5, "number"),
        (".5", False, 0.5, "number"),
        ("007", False, 7, "number"),
        ("1_000", False, 1000, "number"),
        ("1,000,000", False, 1_000_000, "number"),
        ("12L", False, 12, "number"),
        ("12.", True, 12, "cut"),
        ("12", True, 12, ""),
        ("1.5e-", True, 1.5, "cut"),
        ("tr", True, True, "cut"),
        ("Fal", True, False, "cut"),
        ("tr", False, "tr", "unquoted"),
        (".", False, ".", "unquoted"),
        ("", True, "", "unquoted"),
        ("10px", False, "10px", "unquoted"),
        ("New York", False, "New York", "unquoted"),
    ],
)
def test_what_a_word_stands_for(text: str, cut: bool, value: Any, kind: str) -> None:
    found = classify(text, cut=cut)
    assert found == (value, kind)
    assert type(found[0]) is type(value)
