"""One scalar that does not fit its schema, and the value that was meant, if that is clear."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .alternatives import plain_key, same
from .shape import Shape

__all__ = ["coerce"]

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_DIGITS = {"1": True, "0": False}
_NOTHING = frozenset({"null", "none", ""})
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST = 400  # characters of a number; more would be no number that a program wants


def coerce(value: Any, shape: Shape) -> tuple[Any, str]:
    """Return what ``value`` was meant to be, and the kind of repair (``""`` if it stays as it is).

    :param value: a string, a number, a boolean or null.
    """
    if shape.accepts(value):
        return value, ""
    found: list[tuple[Any, str]] = []
    for meant, kind in _readings(value, shape):
        if shape.accepts(meant) and not any(same(meant, other) for other, _ in found):
            found.append((meant, kind))
    return found[0] if len(found) == 1 else (value, "")


def _readings(value: Any, shape: Shape) -> Iterator[tuple[Any, str]]:
    """What ``value`` could mean; the shape decides which of it may be."""
    if value is None:
        return
    text = value if isinstance(value, str) else json.dumps(value)
    plain = plain_key(text)
    for member in shape.members:
        if plain_key(member if isinstance(member, str) else json.dumps(member)) == plain:
            yield member, "enum"
    if not isinstance(value, str):
        yield text, "string"
    else:
        yield from _of_text(text.strip(), shape)
    if isinstance(value, int) and not isinstance(value, bool) and str(value) in _DIGITS:
        yield _DIGITS[str(value)], "boolean"


def _of_text(text: str, shape: Shape) -> Iterator[tuple[Any, str]]:
    word = text.casefold()
    if word in _WORDS:
        yield _WORDS[word], "boolean"
    if word in _NOTHING:
        yield None, "null"
    if (number := _number(text)) is not None:
        yield number, "number"
    if word in _DIGITS and "integer" not in shape.types:
        yield _DIGITS[word], "boolean"


def _number(text: str) -> int | float | None:
    digits = text.removeprefix("+")
    if len(digits) > _LONGEST or not _NUMBER.fullmatch(digits):
        return None
    number: int | float = json.loads(digits)
    is_whole = isinstance(number, float) and number.is_integer() and abs(number) < 2**53
    return int(number) if is_whole else number
