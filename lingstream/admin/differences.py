"""What two texts do not share, by line and in changed lines by word; bounded, whatever they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import NamedTuple

from .display import printable

__all__ = ["Hunks", "Line", "Piece", "differences", "hunks"]

# Past them what differs is one block: the matcher takes the square of it. That it leaves out what is there
# too often (`autojunk`) keeps it from taking the third power.
_MOST_LINES = 1_500
_MOST_WORDS = 400
_AROUND = 3  # lines that are shown before and after a change

_WORD = re.compile(r"\w+|\s+|.", re.DOTALL)


class Piece(NamedTuple):
    """A part of a line.

    :param changed: the other side does not have it.
    """

    text: str
    changed: bool = False


class Line(NamedTuple):
    """A line of both texts beside each other.

    :param kind: ``same``, ``added``, ``removed`` or ``changed``.
    :param old: its number in the first text, from 1; ``None`` where it is not there.
    """

    kind: str
    old: int | None
    new: int | None
    before: tuple[Piece, ...] = ()
    after: tuple[Piece, ...] = ()


def differences(before: str, after: str) -> list[Line]:
    """Return all lines of two texts."""
    old, new = before.splitlines(), after.splitlines()
    found = list[Line]()
    for kind, i, j, k, m in _blocks(old, new, _MOST_LINES):
        if kind == "equal":
            found += (
                Line("same", i + at + 1, k + at + 1, (piece := _whole(line),), (piece,))
                for at, line in enumerate(old[i:j])
            )
        else:
            found += _pairs(old, new, range(i, j), range(k, m))
    return found


class Hunks(NamedTuple):
    """What differs, as it is shown.

    :param parts: the changes with the lines around them, apart from each other; none where nothing differs.
    :param more: further lines that would be shown.
    """

    parts: list[list[Line]]
    more: int = 0

    def __bool__(self) -> bool:
        return bool(self.parts)


def hunks(lines: Sequence[Line], most: int = 2_000) -> Hunks:
    """Return what to show of the lines of two texts, ``most`` of them."""
    near = {
        at
        for place, line in enumerate(lines)
        if line.kind != "same"
        for at in range(place - _AROUND, place + _AROUND + 1)
    }
    shown = [at for at in range(len(lines)) if at in near]
    found: list[list[Line]] = []
    for at in shown[:most]:
        if at - 1 not in near or not found:
            found.append([])
        found[-1].append(lines[at])
    return Hunks(found, max(len(shown) - most, 0))


def _pairs(old: Sequence[str], new: Sequence[str], gone: range, come: range) -> Iterator[Line]:
    for i, k in zip_longest(gone, come):
        if k is None:
            yield Line("removed", i + 1, None, (_whole(old[i]),))
        elif i is None:
            yield Line("added", None, k + 1, (), (_whole(new[k]),))
        else:
            yield Line("changed", i + 1, k + 1, *_words(old[i], new[k]))


def _words(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    a, b = _WORD.findall(old), _WORD.findall(new)
    before, after = list[Piece](), list[Piece]()
    for kind, i, j, k, m in _blocks(a, b, _MOST_WORDS):
        changed = kind != "equal"
        before += [Piece(printable("".join(a[i:j])), changed)] if i < j else []
        after += [Piece(printable("".join(b[k:m])), changed)] if k < m else []
    return tuple(before), tuple(after)


def _blocks(a: Sequence[str], b: Sequence[str], most: int) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield what is equal and what is not, as ``SequenceMatcher.get_opcodes`` does."""
    shorter = min(len(a), len(b))
    start = next((at for at in range(shorter) if a[at] != b[at]), shorter)
    end = next((at for at in range(shorter - start) if a[-1 - at] != b[-1 - at]), shorter - start)
    if start:
        yield "equal", 0, start, 0, start
    i, j = len(a) - end, len(b) - end
    if max(i, j) - start > most:
        yield "replace", start, i, start, j
    else:
        for kind, *places in SequenceMatcher(None, a[start:i], b[start:j]).get_opcodes():
            yield kind, *(start + place for place in places)  # type: ignore[misc]
    if end:
        yield "equal", i, len(a), j, len(b)


def _whole(line: str) -> Piece:
    return Piece(printable(line))
