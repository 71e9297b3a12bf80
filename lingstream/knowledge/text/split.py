"""Texts cut into passages, which are what is searched, shown and cited.

1. ``text[piece.start:piece.end]`` is a passage. It is never empty, and has no white space around it.
2. Passages come in order; together they have all of the text that is not white space.
3. None is larger than asked for. A character of a script that says more in each counts more.
4. No cut goes through a letter with its marks, an emoji with its parts, a flag, or half a character.
5. It takes linear time, whatever the text is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice, takewhile
from typing import Any, NamedTuple, cast
from unicodedata import category

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

from .markdown import Section, sections

__all__ = ["MOST_PIECES", "SMALLEST", "Piece", "extent", "split"]

MOST_PIECES = 5_000
SMALLEST = 100
#: Characters of one letter, emoji or flag that are kept together.
LONGEST_CLUSTER = 32
#: A section below this share of the size is put together with those beside it.
SMALL = 3
#: Passages that semantic-text-splitter cuts at a time: where nothing can be cut its time is quadratic (a
#: megabyte of one letter takes 30 s).
BLOCK = 8
#: Flags before one that are counted, to see which two make one.
MOST_FLAGS = 20_000

# Where a text is cut, the best first. Each is sought from the end of the room that there is.
_BREAKS = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"\n\s*"),
    re.compile("(?<=[.!?…])[\"'»”’)\\]]*\\s+|[。！？；…]+[」』”’）]*"),
    re.compile(r"(?<=[,;:])\s+|[，、：]"),
    re.compile(r"\s+"),
)
_SOLID = re.compile(r"\S")
_JOINER = "\u200d"
_MODIFIERS = re.compile("[\u1160-\u11ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\u200c\u200d]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")


class Piece(NamedTuple):
    """A passage.

    :param start: offset in the text, in code points, and so is ``end``.
    :param heading: the headings above all of it, from the top.
    """

    start: int
    end: int
    heading: tuple[str, ...]


def split(text: str, size: int = 1200, overlap: int = 0) -> list[Piece]:
    """Return the passages of a Markdown text; a plain one is one without headings.

    Sections are kept apart, and small ones beside each other put together. Longer ones are cut between
    paragraphs, sentences or words, by semantic-text-splitter where it is installed.

    :param size: the most that a passage has, as :func:`extent` counts.
    :param overlap: how much of the end of a passage the next one of the same section repeats, at most.
    :returns: at most :data:`MOST_PIECES`; what would follow is left out, which the last one's end shows.
    :raises UsageError: a size below :data:`SMALLEST`, or an overlap of more than half of it.
    """
    if size < SMALLEST or not 0 <= overlap <= size // 2:
        message = Phrase(
            "expected a size of at least %(least)s and an overlap of up to half of it, got %(got)s "
            "and %(overlap)s",
            least=SMALLEST,
            got=size,
            overlap=overlap,
        )
        raise UsageError(message)
    found = (
        piece
        for section in _merged(text, sections(text), size)
        for piece in _pieces(text, section, size, overlap)
    )
    return list(islice(found, MOST_PIECES))


def extent(text: str) -> int:
    """Return how much ``text`` says, in characters of a Latin script: its bytes in UTF-8.

    They are as good a guess at tokens as any other: 1,200 letters of English say as much as 600 of Russian or
    400 characters of Chinese.
    """
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _merged(text: str, found: Iterator[Section], size: int) -> Iterator[Section]:
    """Put small sections together with those beside them, below the headings that they share."""
    last, filled = None, 0
    for section in found:
        extra = extent(text[section.start : section.end])
        if last and min(filled, extra) * SMALL < size and filled + extra <= size:
            last = Section(last.start, section.end, _shared(last.heading, section.heading))
            filled += extra
            continue
        if last:
            yield last
        last, filled = section, extra
    if last:
        yield last


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(mine for mine, _ in same)


def _pieces(text: str, section: Section, size: int, overlap: int) -> Iterator[Piece]:
    before = -1
    for start, end in _ranges(text, section.start, section.end, size - overlap):
        # From behind the begin of the last one, which may be shorter than the overlap.
        begin = _overlapping(text, before + 1, start, overlap) if overlap and before >= 0 else start
        yield Piece(begin, end, section.heading)
        before = begin


def _ranges(text: str, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges that a section is cut into, without white space around them."""
    splitter = _splitter()
    if splitter is None or _fits(text, start, end, size) == end:
        yield from _built_in(text, start, end, size)
        return
    while start < end:
        block = _fits(text, start, end, BLOCK * size)
        if block < end:
            block = _cut(text, start, block)
        yield from _semantic(splitter, text, start, block, size)
        start = block


def _built_in(text: str, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    while end > start and text[end - 1].isspace():
        end -= 1
    while solid := _SOLID.search(text, start, end):
        start = solid.start()
        stop = _fits(text, start, end, size)
        if stop < end:
            stop = _cut(text, start, stop)
        yield start, stop - len(text[start:stop]) + len(text[start:stop].rstrip())
        start = stop


def _fits(text: str, start: int, end: int, size: int) -> int:
    """Return the end of what begins at ``start`` and is no larger than ``size``."""
    end = min(end, start + size)
    while (got := extent(text[start:end])) > size:
        end = start + max(1, (end - start) * size // got)
    return end


def _cut(text: str, start: int, end: int) -> int:
    """Return where to cut, at ``end`` or before it: at the last break of the best kind in the later half."""
    middle = (start + end) // 2
    for kind in _BREAKS:
        places = [match.end() for match in kind.finditer(text, middle, end)]
        for place in reversed(places):
            if not _belongs_together(text, start, place):
                return place
    for place in range(end, max(start, end - LONGEST_CLUSTER), -1):
        if not _belongs_together(text, start, place):
            return place
    return end


def _breaks(kind: re.Pattern[str], text: str, start: int, end: int) -> Iterator[int]:
    places = (match.end() for match in kind.finditer(text, start, end))
    return (place for place in places if not _belongs_together(text, start, place))


def _belongs_together(text: str, start: int, place: int) -> bool:
    """Whether the characters before and after ``place`` are one letter, emoji or flag."""
    if not start < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    if after.isascii():
        return before == "\r" and after == "\n"
    if _MODIFIERS.match(after) or before == _JOINER or category(after)[0] == "M":
        return True
    if _FLAG.match(after):
        letters = place
        while letters > max(start, place - MOST_FLAGS) and _FLAG.match(text[letters - 1]):
            letters -= 1
        return (place - letters) % 2 == 1
    return "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff"


def _overlapping(text: str, first: int, start: int, overlap: int) -> int:
    """Return where a passage begins that repeats up to ``overlap`` of what is before ``start``."""
    begin = max(first, start - overlap)
    while extent(text[begin:start]) > overlap:
        begin += (start - begin + 7) // 8
    for kind in _BREAKS[2:]:
        for place in _breaks(kind, text, begin, start):
            return cast(re.Match[str], _SOLID.search(text, place)).start()
    while begin < start and (_belongs_together(text, 0, begin) or text[begin].isspace()):
        begin += 1
    return begin


# -- with the package -------------------------------------------------------------------------------------


@cache
def _splitter() -> Any:
    try:
        from semantic_text_splitter import MarkdownSplitter
    except ImportError:
        return None
    return MarkdownSplitter


def _semantic(splitter: Any, text: str, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    part = text[start:end]
    capacity = max(1, size * len(part) // extent(part))
    try:
        chunks = splitter(capacity).chunk_indices(part)
    except UnicodeEncodeError:  # half a character, which has no UTF-8
        chunks = [(0, part)]
    for offset, chunk in chunks:
        begin, stop = start + offset, start + offset + len(chunk)
        if extent(chunk) <= size and not (chunk[:1].isspace() or chunk[-1:].isspace()):
            yield begin, stop
        else:  # where the scripts of a block differ, a passage of the denser one may still be too large
            yield from _built_in(text, begin, stop, size)
