"""Fences of Markdown, which models put around a page and around the code in it."""

from __future__ import annotations

from typing import NamedTuple

from lingstream.core.parsing.tokenizer import Reading, Source

__all__ = ["LONGEST_HALF", "Fence", "read_fence"]

#: What stands at a fence around a page. Code that is shown is in other languages.
_MARKUP = frozenset({"", "htm", "html", "markup", "xhtml", "xml"})
_LONGEST_LINE = 100
_DEEPEST = 4  # white space before a fence
LONGEST_HALF = _DEEPEST + 3


class Fence(NamedTuple):
    """A line with a fence.

    :param mark: its signs, three at least.
    :param words: what stands behind them.
    :param length: characters of all that, with the white space before it.
    :param end: the character behind it: a newline, a ``<``, or ``""`` at the end of the text.
    """

    mark: str
    words: str
    length: int
    end: str

    @property
    def language(self) -> str:
        """The first word, if it stands right behind the signs."""
        return "" if not self.words.strip() or self.words[0].isspace() else self.words.split()[0]

    @property
    def is_around_markup(self) -> bool:
        """Whether a page that begins with it is what is inside, whatever that is."""
        return self.end != "\n" or self.language.lower() in _MARKUP

    def may_end(self, mark: str) -> bool:
        """Whether it may end what ``mark`` began."""
        return self.mark.startswith(mark) and not self.language


def read_fence(source: Source) -> Reading[Fence | None]:
    """Return the fence that stands here, which is not used up; ``None`` for signs of a text."""
    start = 0
    while start < _DEEPEST and (yield from source.peek(start)) in (" ", "\t"):
        start += 1
    at, sign = start, (yield from source.peek(start))
    if sign not in ("`", "~"):
        return None
    while (char := (yield from source.peek(at))) == sign and at < _LONGEST_LINE:
        at += 1
    if at < start + 3:
        return None
    words = at
    while char and char not in "\n<`~" and at < _LONGEST_LINE:
        at += 1
        char = yield from source.peek(at)
    if char not in ("", "\n", "<"):
        return None
    return Fence(source.part(start, words), source.part(words, at), at, char)
