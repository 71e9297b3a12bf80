"""The sections of a Markdown text: where its headings are, and which headings stand above each place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["LONGEST_HEADING", "Section", "sections"]

#: Characters of a heading that its path keeps.
LONGEST_HEADING = 200
#: With its markup.
MOST_SOURCE = 1_000

# The lines that matter, found by one expression: a loop over all lines takes ten times as long, and so does
# ``^`` instead of a character that can be sought.
_LINE = re.compile(
    r"""\n\ {0,3}(?:
    (?P<marks>\#{1,6})(?:[ \t]+(?P<title>.*))?
    |(?P<rule>=+|-+)[ \t]*
    |(?P<fence>`{3,}|~{3,})(?P<info>.*)
    )$""",
    re.MULTILINE | re.VERBOSE,
)
_CLOSING = re.compile(r"(?:^|[ \t]+)#+[ \t]*$")
# What is no paragraph of one line, so that dashes below it underline nothing: lists, quotes, tables, code.
_OTHER = re.compile(r"\s*$| {4}|\t| {0,3}(?:[-*+>|=#<]|`{3}|~{3}|\d{1,9}[.)][ \t])")
_ENDED = re.compile(r"\s*$| {0,3}(?:#{1,6}[ \t]|`{3}|~{3}|=+[ \t]*$)")
_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])")
_EMPHASIS = re.compile(r"(\*{1,3}|`{1,3}|~~|(?<!\w)_{1,2}(?=\S)|(?<=\S)_{1,2}(?!\w))")


class Section(NamedTuple):
    """A range of a text that begins with a heading, or with the text.

    :param start: offset, in code points, and so is ``end``, where the next section begins.
    :param heading: the headings above it and its own, from the top.
    """

    start: int
    end: int
    heading: tuple[str, ...]


def sections(text: str) -> Iterator[Section]:
    """Yield the sections of ``text`` in order: together they are the text.

    Headings are ATX (``## So``) and setext (underlined) ones; what looks like one in fenced code, or in the
    front matter between two ``---`` at the very beginning, is none.
    """
    start, path = 0, dict[int, str]()
    for offset, level, title in _headings(text):
        if offset > start:
            yield Section(start, offset, tuple(path.values()))
        start = offset
        path = {known: name for known, name in path.items() if known < level}
        path[level] = title
    if start < len(text):
        yield Section(start, len(text), tuple(path.values()))


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield offset, level and text of each heading."""
    fence = ""
    # With a line end before the first line, the match begins where the line does in ``text``.
    for line in _LINE.finditer(f"\n{text}", _after_front_matter(text)):
        if mark := line["fence"]:
            if not fence and not (mark[0] == "`" and "`" in line["info"]):
                fence = mark
            elif fence and mark.startswith(fence) and not line["info"].strip():
                fence = ""
        elif fence:
            continue
        elif marks := line["marks"]:
            yield line.start(), len(marks), _bare(_CLOSING.sub("", (line["title"] or "")[:MOST_SOURCE]))
        elif found := _paragraph_above(text, line.start()):
            yield found[0], 1 if line["rule"][0] == "=" else 2, _bare(found[1])


def _paragraph_above(text: str, place: int) -> tuple[int, str] | None:
    """Return offset and text of a paragraph of one line whose underline begins at ``place``."""
    start = text.rfind("\n", 0, max(0, place - 1)) + 1
    above = text.rfind("\n", 0, max(0, start - 1)) + 1
    if (
        place == 0
        or _OTHER.match(text, start, place - 1)
        or not (start == 0 or _ENDED.match(text, above, start - 1))
    ):
        return None
    return start, text[start : place - 1]


def _after_front_matter(text: str) -> int:
    if not text.startswith("---\n"):
        return 0
    end = text.find("\n---\n", 3, 10_000)
    return end + 5 if end >= 0 else 0


def _bare(heading: str) -> str:
    """Return a heading without its markup."""
    text = _EMPHASIS.sub("", _LINK.sub(r"\1", heading[:MOST_SOURCE]))
    return " ".join(text.replace("\\", "").split())[:LONGEST_HEADING]
