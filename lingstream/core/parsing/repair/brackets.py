"""Closing brackets that do not fit: the cheapest way to read a run of them.

Containers that are open are a string of what closes them, the innermost first (:attr:`Emitter.levels`).
"""

from __future__ import annotations

import enum
from functools import cache

__all__ = ["LONGEST_RUN", "Next", "leave_open", "levels_closed"]

_OPENERS = {"{": "}", "[": "]", "(": ")"}
_WRONG_KIND = 1.0
_SUPERFLUOUS = 1.0
_MISSING = 1.0
_REOPENED_ROOT = 1.0
_UNFIT = 3.0
#: How many of the brackets are looked at.
LONGEST_RUN = 16


class Next(enum.Enum):
    """What follows a run of closing brackets."""

    END = "the end of the text"
    KEY = "a comma and a key"
    ITEM = "a comma and what is no key"
    OTHER = "anything else"


def leave_open(levels: str, text: str) -> str:
    """Return what the brackets in ``text`` leave open of ``levels``."""
    for char in text:
        closed = levels.find(char) + 1  # 0 if it closes nothing
        levels = _OPENERS.get(char, "") + levels[closed:]
    return levels


def levels_closed(levels: str, run: str, following: Next) -> int:
    """Return how many levels the first bracket of ``run`` closes, where it is not the innermost one's.

    Of all ways to read the run, the one with the fewest faults: brackets that are missing, too many or of the
    wrong kind, and a following key or item that does not fit into what is left open.

    :param run: closing brackets, with nothing but white space between them.
    """

    @cache
    def cost(at: int, depth: int) -> float:
        if at == len(run):
            return _misfit(levels[depth:], following)
        return min(price for price, _ in ways(at, depth))

    def ways(at: int, depth: int) -> list[tuple[float, int]]:
        """The price of each way to read ``run[at:]``, and how many levels its first bracket closes then."""
        missing = levels.find(run[at], depth) - depth
        found = (
            [(_MISSING * missing + cost(at + 1, depth + missing + 1), missing + 1)] if missing >= 0 else []
        )
        if missing and depth < len(levels):
            found.append((_WRONG_KIND + cost(at + 1, depth + 1), 1))
        found.append((_SUPERFLUOUS + cost(at + 1, depth), 0))
        return found

    return min(ways(0, 0), key=lambda way: way[0])[1]


def _misfit(levels: str, following: Next) -> float:
    if following is Next.END:
        return _MISSING * len(levels) / 2
    if not levels:
        return _REOPENED_ROOT if following is Next.KEY else 0 if following is Next.OTHER else _UNFIT
    if following is Next.OTHER:
        return _UNFIT
    return 0 if (levels[0] == "}") == (following is Next.KEY) else _UNFIT
