"""What the open string has opened itself (brackets, quotes, fences), and what may be its end.

Counted as the string grows, each part once.
"""

from __future__ import annotations

import re
from collections import deque

from lingstream.core.parsing.emitter import Emitter

__all__ = ["SIGNS", "Inside", "has_separator", "may_be_end", "sign_at_end"]

#: What may have closed a string in place of its quote, which may also be escaped or lost before a new line.
SIGNS = "\"”“″＂’'`\r\n"

_BRACKETS = {"}": "{", "]": "[", ")": "("}
_MARKS = re.compile("[„“”]")
_SINGLES = re.compile("[‘’'`]")
_BACKTICKS = re.compile("`+")
_FENCE = 3  # backticks
_STRAY = "”“″"  # what closes a straight quote by mistake
_LONGEST_ENDING = 200  # how far from its end the sign may stand that closed a string

# One of them, also as it is written, and what stands behind a string: citations, brackets, a comma, a fence.
_END = re.compile(
    r"(?:[”“″＂’'`\r\n]|\\?\")(?:\s*(?:\[[\d, ^-]{0,20}(?:\]|\Z)|【[^】]{0,40}(?:】|\Z)))*"
    r"[\s\]},，;]*(?:[\[{]|`{1,3})?\s*"
)
_LONGEST_END = 80


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
        self._last = -1  # where the last unescaped quote stands, if it may have been the string's own
        self._straight = 0  # straight quotes, escaped or not
        self._typographic = ""  # the quote of typography that is open
        #: Where straight quotes stand that were not escaped: as many as can be asked about.
        self._unescaped: deque[int] = deque(maxlen=_LONGEST_ENDING)
        self._stray = -1  # where the last one stands that closes nothing
        self._single = self._backtick = False  # whether a single quote, or a backtick, is open
        self._fenced = False  # whether a fence of Markdown is open
        self._run = 0  # backticks at the end
        self._before = ""  # the last two characters, of which the second has not been looked at as one
        #: Where single quotes and backticks stand, and whether they close one: as many as can be asked about.
        self._singles: deque[tuple[int, bool]] = deque(maxlen=_LONGEST_ENDING)

    def go_on(self) -> None:
        """The string goes on in quotes of its own, behind a ``+``: one that was open is not any more."""
        self._count()
        self.quotes = 0
        self._unescaped.clear()

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
        """The closing brackets that the string lacks, and a backtick for the end of a fence."""
        self._count()
        brackets = "".join(closer for closer, balance in self._balance.items() if balance > 0)
        return brackets + "`" * self._fenced

    @property
    def behind_last(self) -> int:
        """How many characters stand behind the last unescaped quote, if that opened and closed none."""
        self._count()
        return self._length - self._last - 1 if self._last >= 0 else 0

    def quote(self, *, opens: bool, closes: bool) -> None:
        """An unescaped quote is one of the string's characters.

        :param opens: whether it can open something, by what is around it.
        :param closes: whether it can close something, by what is around it.
        """
        self.straight()
        may_end = closes and not (opens or self.is_quoting or self._typographic)
        self._last = self._length if may_end else -1
        if self._typographic:
            self._typographic = ""
            self.quotes += 2
        else:
            self.quotes += 1 if opens or self.is_quoting else 2

    def straight(self) -> None:
        """The next of the string's characters is a quote that was not escaped."""
        self._count()
        self._unescaped.append(self._length)

    def ending(self, text: str, behind: int) -> str:
        """The quote that was meant to close the string, if it stands ``behind`` characters before its end.

        :param text: at least the last ``behind`` + 1 characters of the string.
        :return: a quote of typography that closes nothing in it; ``"`` if it was escaped, and no escaped
            quote before needs it, so that its backslash belongs to the text; ``""`` if neither.
        """
        self._count()
        last = text[len(text) - behind - 1 :][:1]
        place = self._length - behind - 1
        if last == '"' and not self.is_quoting and self._straight % 2 and place not in self._unescaped:
            return last
        is_stray = place == self._stray or last == "″" or (last == "“" and self._typographic == last)
        return last if is_stray and last in _STRAY else ""

    def sign(self, text: str, behind: int) -> str:
        """The single quote, or quote of another kind, ``behind`` characters before the end of the string.

        :param text: at least the last ``behind`` + 1 characters of the string. What follows has to prove that
            it ends there.
        :return: ``""`` also if the quote closes one that the string opened.
        """
        self._count()
        last = text[len(text) - behind - 1 :][:1]
        if not last or last not in "’'`＂":
            return ""
        place = self._length - behind - 1
        closes = next((closes for at, closes in self._singles if at == place), False)
        return "" if closes else last

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
        self._count_singles(text)
        self._count_fences(text)
        self._parts = len(parts)
        self._length += len(text)

    def _count_singles(self, text: str) -> None:
        """Tell single quotes from apostrophes, for which the characters on both sides are needed.

        So the last character waits for the next one.
        """
        text, start = self._before + text, self._length - len(self._before)
        for found in _SINGLES.finditer(text, len(self._before[1:]), len(text) - 1):
            place, mark = found.start(), found[0]
            before, after = text[place - 1 : place] if place else "", text[place + 1]
            if mark == "`":
                self._singles.append((start + place, self._backtick))
                self._backtick = not self._backtick
            elif mark == "‘" or (mark == "'" and not (self._single or before.isalnum())):
                self._singles.append((start + place, False))
                self._single = True
            elif not after.isalnum():
                self._singles.append((start + place, self._single))
                self._single = False
        self._before = text[-2:]

    def _count_fences(self, text: str) -> None:
        """Count each run of backticks once, where it becomes long enough, also in two parts."""
        run, self._run = self._run, 0
        for found in _BACKTICKS.finditer(text):
            before = 0 if found.start() else run
            length = before + len(found[0])
            self._fenced ^= before < _FENCE <= length
            self._run = length if found.end() == len(text) else 0

    def _mark(self, mark: str, place: int) -> None:
        if mark == "„" or (mark == "“" and not self._typographic):
            self._typographic = mark
        elif self._typographic:
            self._typographic = ""
        else:
            self._stray = place


def may_be_end(text: str) -> bool:
    """Whether ``text`` is a sign that may have closed a string, and nothing behind it is its text.

    It is for the next characters to say.
    """
    return len(text) < _LONGEST_END and bool(_END.fullmatch(text))


def sign_at_end(text: str, *, quoted: bool = False) -> int:
    """Where in ``text``, as it is written, the sign stands that may have closed it, or else its length.

    :param quoted: a quote stands behind the text, which ends it unless that opens the next key.
    """
    start = max(len(text) - _LONGEST_END, 0)
    at = max(text.rfind("”", start), text.rfind('\\"', start))
    if at < 0 or not may_be_end(text[at:]) or (quoted and not has_separator(text[at:])):
        return len(text)
    return at


def has_separator(text: str) -> bool:
    """Whether a comma, or what stands for one, is in ``text``: a quote behind it opens a key only then."""
    return any(char in text for char in ",，;\n")
