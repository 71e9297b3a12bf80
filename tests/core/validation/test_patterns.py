"""Regular expressions mean the same in every Python that the project supports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "lingstream"


def patterns() -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
            ):
                yield from (text(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def text(pattern: str | bytes) -> str:
    return pattern if isinstance(pattern, str) else pattern.decode("latin-1")


def remembers_nothing(pattern: str) -> bool:
    """Whether a pattern has a possessive quantifier or an atomic group, in a class or escaped not counted."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]", "x", pattern, flags=re.DOTALL)
    return re.search(r"[*+?}]\+|\(\?>", bare) is not None


@pytest.mark.parametrize("pattern", sorted(set(patterns())))
def test_no_possessive_quantifier(pattern: str) -> None:
    # Python 3.11.0 to 3.11.4 match them wrongly (python/cpython#106052), Debian 12 ships 3.11.2.
    assert not remembers_nothing(pattern)


def test_what_is_looked_for_is_found() -> None:
    assert all(map(remembers_nothing, ["a*+", "[ab]++", "(?:a|b)?+", "a{1,2}+", "(?>a)"]))
    assert not any(map(remembers_nothing, [r"a\*+", "[*+]", r"[^+\]*+]+", "a+b*"]))
