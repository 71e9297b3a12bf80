"""What a document can hold: JSON that every row, and every reader of YAML, can have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from lingstream.core.exceptions import UsageError

__all__ = ["check_values"]


def check_values(data: Any) -> None:
    """Raise :class:`UsageError` (``document``) where data has what a document cannot have."""
    for value in _values(data):
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(_("Expected finite numbers, got %s.") % value, code="document")
        if isinstance(value, str) and ("\0" in value or not _is_encodable(value)):
            raise UsageError(_("Expected text, got a NUL or half a character."), code="document")


def _values(data: Any) -> Iterator[Any]:
    pending = [data]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            pending += value
        else:
            yield value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
