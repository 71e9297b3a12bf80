"""What the open string has opened itself: brackets, quotes, and quotes of typography.

Counted as the string grows, each part once.
"""

from __future__ import annotations

import re

from lingstream.core.parsing.emitter import Emitter

__all__ = ["Inside"]

_BRACKETS = {"}": "{", "]": "[", ")": "("}
_MARKS = re.compile("[„“”]")
_SINGLE = re.compile(r"‘|(?<!\w)'")
_STRAY = "”“″"  # what closes a straight quote by mistake


class Inside:
    """Counts what the open string has opened and not closed."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self.begin()

    def begin(self) -> None:
        """A string begins."""
        self.quotes = 0  # unescaped quotes so far; odd if one is open
        self._balance = dict.fromkeys(_BRACKETS, 0)  # brackets opened, less those closed
        self._parts = 0  # how many of its parts that is about
        self._length = 0  # and how many characters
        self._straight = 0  # straight quotes, escaped or not
        self._typographic = ""  # the quote of typography that is open
        self._stray = -1  # where the last one stands that closes nothing

    @property
    def is_quoting(self) -> bool:
        """Whether an unescaped quote is open."""
        return self.quotes % 2 == 1

    @property
    def is_typographic(self) -> bool:
        """Whether a quote of typography is open: „ or “."""
        self._count()
        return bool(self._typographic)

    @property
    def unclosed(self) -> str:
        """The closing brackets that the string lacks."""
        self._count()
        return "".join(closer for closer, balance in self._balance.items() if balance > 0)

    def quote(self, *, opens: bool) -> None:
        """An unescaped quote is one of the string's characters.

        :param opens: whether it can open something, by what is around it.
        """
        self._count()
        if self._typographic:
            self._typographic = ""
            self.quotes += 2
        else:
            self.quotes += 1 if opens or self.is_quoting else 2

    def ending(self, text: str, behind: int) -> str:
        """The quote that was meant to close the string, if it stands ``behind`` characters before its end.

        :param text: at least the last ``behind`` + 1 characters of the string.
        :return: a quote of typography that closes nothing in it; ``"`` if it was escaped, and no escaped
            quote before needs it, so that its backslash belongs to the text; ``""`` if neither.
        """
        self._count()
        last = text[len(text) - behind - 1 :][:1]
        if last == '"' and not self.quotes and self._straight % 2:
            return last
        place = self._length - behind - 1
        is_stray = place == self._stray or last == "″" or (last == "“" and self._typographic == last)
        return last if is_stray and last in _STRAY else ""

    def sign(self, text: str) -> str:
        """The single quote, or quote of another kind, at the end of the string, if it closes nothing in it.

        :param text: the last characters of the string. What follows has to prove that it ends there.
        """
        last = text[-1:]
        if last and last in "’'`＂":
            body = text[:-1]
            opened = body.count("`") % 2 if last == "`" else _SINGLE.search(body) if last in "’'" else None
            return "" if opened else last
        return ""

    def _count(self) -> None:
        parts = self._emitter.parts
        if self._parts == len(parts):
            return
        text = "".join(parts[self._parts :])
        for closer, opener in _BRACKETS.items():
            self._balance[closer] += text.count(opener) - text.count(closer)
        self._straight += text.count('"')
        for mark in _MARKS.finditer(text):
            self._mark(mark[0], self._length + mark.start())
        self._parts = len(parts)
        self._length += len(text)

    def _mark(self, mark: str, place: int) -> None:
        if mark == "„" or (mark == "“" and not self._typographic):
            self._typographic = mark
        elif self._typographic:
            self._typographic = ""
        else:
            self._stray = place
