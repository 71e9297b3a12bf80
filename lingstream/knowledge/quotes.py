"""Where a passage says what a model quotes: exactly but for how it is written, or nearly.

1. What is compared has one space for each run of white space, one form of each quote mark and dash, and
   none of Markdown's marks: models and editors write these as they like.
2. The time is bounded, by how much is looked at and by an algorithm that takes one step for each character.
3. Places are told in code points of the passage as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

__all__ = ["LONGEST_QUOTE", "Place", "find_quote", "plain"]

LONGEST_QUOTE = 1_000  # characters; who repeats more than that quotes nothing
_LONGEST_PASSAGE = 1_000_000  # as long as fifty of the longest that a collection has are together
_LONGEST_NEAR = 20_000  # characters in which it is looked for nearly
_ERRORS = 10  # one character in so many may be another one, be missing or be too much

_SINGLE, _DOUBLE, _DASHES = "‘’‚‛′`´＇", "“”„‟″«»「」『』〝〞＂", "‐‑‒–—―−－"
_FOLDED = str.maketrans(
    {
        **dict.fromkeys(_SINGLE, "'"),
        **dict.fromkeys(_DOUBLE, '"'),
        **dict.fromkeys(_DASHES, "-"),
        "…": "...",
    }
)
#: What is skipped: marks of Markdown with a link's address, and what nobody sees.
_SKIPPED = re.compile(r"\]\([^()\s]{0,2000}\)|[*_`\[\]\\\u00ad\u200b-\u200f\u2060\ufeff]|(?m:^[#>|]+)")
_ENDS = " .\"'"


class Place(NamedTuple):
    """A piece of a passage, from ``start`` up to before ``end``."""

    start: int
    end: int


def find_quote(quote: str, passage: str) -> Place | None:
    """Return where ``passage`` says ``quote``, or at least nine tenths of its characters in their order.

    What is longer than :data:`LONGEST_QUOTE`, or has no letter and no digit, is not looked for. A quote that
    is not there may take a tenth of a second: call it in a thread.
    """
    if len(quote) > 2 * LONGEST_QUOTE:
        return None
    wanted = _compared(quote).strip(_ENDS)
    if len(wanted) > LONGEST_QUOTE or not any(map(str.isalnum, wanted)):
        return None
    passage = passage[:_LONGEST_PASSAGE]
    text = _compared(passage)
    start = text.find(wanted)
    end = start + len(wanted)
    if start < 0:
        if (near := _near(wanted, text)) is None:
            return None
        start, end = near
    places = [*islice(_places(passage), start, end)]
    return Place(places[0], places[-1] + 1)


def plain(text: str) -> str:
    """Return Markdown as a page shows it, in one line."""
    return " ".join(_SKIPPED.sub("", text).split())


def _compared(text: str) -> str:
    """The characters of a text that are compared."""
    return " ".join(_SKIPPED.sub("", text).translate(_FOLDED).casefold().split())


def _places(text: str) -> Iterator[int]:
    """Yield the place in ``text`` of each character of :func:`_compared`."""
    skipped = {place for found in _SKIPPED.finditer(text) for place in range(*found.span())}
    is_space = True
    for place, char in enumerate(text):
        if place in skipped:
            continue
        if not char.isspace():
            for _ in char.translate(_FOLDED).casefold():
                yield place
        elif not is_space:
            yield place
        is_space = char.isspace()


def _near(wanted: str, text: str) -> tuple[int, int] | None:
    """The piece of ``text`` that differs least from ``wanted``, if that is little enough."""
    most = len(wanted) // _ERRORS
    size = len(wanted) // (most + 1)
    # So many errors leave one of so many pieces as it is: most quotes that are not there are told by that.
    pieces = (wanted[start : start + size] for start in range(0, (most + 1) * size, size))
    there = [place for place in map(text.find, pieces) if place >= 0]
    if not there:
        return None
    first = max(0, min(there) - len(wanted) - most)
    errors, end = _least(wanted, text[first : first + _LONGEST_NEAR])
    if errors > most:
        return None
    end += first
    before = text[max(0, end - len(wanted) - most) : end]
    _, length = _least(wanted[::-1], before[::-1])
    return end - length, end


def _least(wanted: str, text: str) -> tuple[int, int]:
    """Return how many edits lead from ``wanted`` to the nearest piece of ``text``, and where that ends.

    Myers' algorithm: a column of the table of distances is two long integers, a bit for each row.
    """
    masks: dict[str, int] = {}
    for place, char in enumerate(wanted):
        masks[char] = masks.get(char, 0) | 1 << place
    rows, last = (1 << len(wanted)) - 1, 1 << len(wanted) - 1
    more, less, errors = rows, 0, len(wanted)
    least, at = errors, 0
    for end, char in enumerate(text, 1):
        equal = masks.get(char, 0)
        diagonal = ((((equal & more) + more) ^ more) | equal | less) & rows
        up, down = (less | ~(diagonal | more)) & rows, more & diagonal
        if up & last:
            errors += 1
        elif down & last:
            errors -= 1
            if errors < least:
                least, at = errors, end
        up <<= 1
        more, less = (down << 1 | ~(diagonal | up)) & rows, up & diagonal
    return least, at
