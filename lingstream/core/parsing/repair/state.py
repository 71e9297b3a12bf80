"""Where in a document a reader is."""

from __future__ import annotations

import enum

__all__ = ["State"]


class State(enum.IntEnum):
    """What the document wants next."""

    FIRST = 0  # just inside a container: a key or item, or the end
    NEXT = 1  # behind a comma: a key or item
    COLON = 2
    VALUE = 3  # behind a colon
    COMMA = 4  # behind a value: a comma or the end
    END = 5  # behind the document
