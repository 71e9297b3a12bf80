"""How deep JSON from outside may nest: much that handles it calls itself for each level."""

from __future__ import annotations

from typing import Any

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["MAX_DEPTH", "check_depth", "is_flat"]

MAX_DEPTH = 100


def check_depth(data: Any, most: int = MAX_DEPTH) -> None:
    """Check that no more than ``most`` lists and objects are inside each other, in time linear in the data.

    :raises UsageError: ``too-deep``.
    """
    level, depth = [data] if isinstance(data, (dict, list, tuple)) else [], 0
    while level:
        depth += 1
        if depth > most:
            message = Phrase("expected at most %(most)s levels of nesting, got more", most=most)
            raise UsageError(message, code="too-deep")
        level = [
            item
            for container in level
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, (dict, list, tuple))
        ]


def is_flat(text: str | bytes, most: int = MAX_DEPTH) -> bool:
    """Whether JSON text cannot nest deeper than ``most``, by a look at how many brackets it has."""
    if isinstance(text, bytes):
        return text.count(b"[") + text.count(b"{") <= most
    return text.count("[") + text.count("{") <= most
