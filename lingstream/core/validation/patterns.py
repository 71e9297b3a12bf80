"""Regular expressions of JSON schemas, matched in time linear in the text.

Python's ``re`` goes back and tries again, for ever where a pattern nests its repetitions, and holds the
interpreter's lock meanwhile. The engine behind ``jsonschema-rs`` does not go back; look-around and
backreferences are what it cannot do.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import jsonschema_rs

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["ENGINE", "MAX_SIZE", "matches", "matches_soon", "size"]

#: Bytes of a compiled pattern: each character of a text may cost time in proportion to them.
MAX_SIZE = 1_000_000
_SOON = 150_000_000  # bytes times characters
_SIZES = (2_000, 10_000, 50_000, 250_000, MAX_SIZE)
_NEEDS_GOING_BACK = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9]|\\k<")

ENGINE = jsonschema_rs.RegexOptions(size_limit=MAX_SIZE)


def matches(pattern: str, text: str) -> bool:
    """Whether ``pattern`` is found in ``text``; one that cannot be used is found nowhere."""
    validator = _compile(pattern, MAX_SIZE)
    try:
        return validator is not None and bool(validator.is_valid(text))
    except UnicodeEncodeError:  # half a character
        return False


def matches_soon(pattern: str, text: str) -> bool:
    """As :func:`matches`, but what would take longer than about 10 ms is not found either."""
    try:
        return size(pattern) * len(text) <= _SOON and matches(pattern, text)
    except UsageError:
        return False


@lru_cache(maxsize=1024)
def size(pattern: str) -> int:
    """Return the size of the compiled pattern in bytes, rounded up to the next of a few sizes.

    :raises UsageError: it cannot be compiled; says why.
    """
    for limit in _SIZES:
        if _compile(pattern, limit) is not None:
            return limit
    shown = pattern if len(pattern) <= 100 else pattern[:100] + "…"
    if _NEEDS_GOING_BACK.search(pattern):
        why = Phrase(
            "look-ahead, look-behind and backreferences are not available, as they have no bound in time"
        )
    elif _is_pattern(pattern):
        why = Phrase("it is too large when compiled: leave long repetitions to minLength and maxLength")
    else:
        why = Phrase("it is no regular expression")
    raise UsageError(
        Phrase(
            "expected a pattern that can be matched in linear time, got %(got)r: %(why)s", got=shown, why=why
        )
    )


def _is_pattern(text: str) -> bool:
    try:
        return _compile(text, 10 * MAX_SIZE) is not None or bool(re.compile(text))
    except (re.error, OverflowError, RecursionError):
        return False


@lru_cache(maxsize=1024)
def _compile(pattern: str, limit: int) -> Any:
    options = ENGINE if limit == MAX_SIZE else jsonschema_rs.RegexOptions(size_limit=limit)
    try:
        return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options, offline=True)
    except ValueError:
        return None
