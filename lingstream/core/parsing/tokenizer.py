"""The letters of JSON: character classes, escapes, numbers, and the text that has not been used up.

Nothing here knows where in a document it is; :mod:`.fastpath` and :mod:`.repair` do.
"""

from __future__ import annotations

import html
import math
import re
from collections import deque
from collections.abc import Generator
from typing import TypeAlias, TypeVar

from lingstream.core.document.ops import Closed, Op
from lingstream.core.phrases import Phrase

from .emitter import Emitter

__all__ = [
    "CLOSERS",
    "COLONS",
    "COMMAS",
    "LOOKAHEAD",
    "NUMBER",
    "QUOTES",
    "SPACE",
    "EndOfText",
    "Lines",
    "Reading",
    "Source",
    "Unescape",
    "UnescapeHtml",
    "closing_quotes",
    "decode",
    "join_surrogates",
    "to_number",
    "unescape",
]

T = TypeVar("T")

#: A coroutine that gives ops and is sent text.
Reading: TypeAlias = Generator[list[Op | Closed], str, T]

SPACE = " \t\n\r\f\v\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
SPACE += "\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
COMMAS = ",;，；、"
COLONS = ":：="
CLOSERS = "}])"
QUOTES = "\"'`“”„‘’＂"
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")

#: How far the repairs look ahead. A doubt that is not resolved by then is decided as if the text ended
#: there, so that nothing is withheld for ever and no text is read more than twice.
LOOKAHEAD = 70_000

_SIMPLE = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX4 = re.compile(r"[0-9a-fA-F]{4}")
_HEX2 = re.compile(r"[0-9a-fA-F]{2}")
_UNESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.|\Z)|[\ud800-\udfff]", re.DOTALL)
_PAIR = re.compile(r"[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")


class EndOfText(Exception):
    """Thrown into the coroutine by ``close()``: no text will follow."""


class Source:
    """The text that is still in use, and the only place where the repair path waits for more.

    Positions given to its methods are counted from ``pos``: they stay true when more text arrives.
    """

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self.text = ""
        self.pos = 0
        self.base = 0  # characters of the stream before ``text``
        self.done = False
        self.past: str | None = None  # the uri that was read at the bound of the text, if it is longer
        self.last = ""
        """The character before ``text``."""

    @property
    def before(self) -> str:
        """The character before the current position, as far as this class has read it."""
        return self.text[self.pos - 1] if self.pos else self.last

    @property
    def offset(self) -> int:
        """Characters of the stream before the current position."""
        return self.base + self.pos

    def more(self) -> Reading[bool]:
        """Wait for text; return false when there is no more."""
        if self.done:
            return False
        try:
            text = yield self.emitter.take()
        except EndOfText:
            self.done = True
            return False
        self.put(text)
        return True

    def put(self, text: str) -> None:
        """Append ``text`` and forget what was used up."""
        self.last = self.before
        self.base += self.pos
        self.text = self.text[self.pos :] + text
        self.pos = 0
        self.keep_bound()

    def keep_bound(self) -> None:
        """Where the text is longer than it may be, read it as if it was cut off there; see :meth:`finish`."""
        over = self.base + len(self.text) - self.emitter.limits.chars
        if over <= 0:
            return
        self.past = self.emitter.child()
        self.text = self.text[: max(len(self.text) - over, 0)]
        self.pos = min(self.pos, len(self.text))
        self.done = self.emitter.cut = True
        if self.emitter.strict:
            self.finish()

    def finish(self) -> None:
        """All has been read.

        :raises ParseLimitError: that was not all of the text.
        """
        if self.past is not None:
            bound = self.emitter.limits.chars
            raise self.emitter.limit(Phrase("characters"), bound, self.past, bound)

    def peek(self, ahead: int = 0) -> Reading[str]:
        """Return the character at ``ahead``, or ``""`` at the end of the text (or of the lookahead)."""
        if ahead > LOOKAHEAD:
            return ""
        while self.pos + ahead >= len(self.text):
            if not (yield from self.more()):
                return ""
        return self.text[self.pos + ahead]

    @property
    def left(self) -> int:
        """How many characters from the current position on are here already."""
        return len(self.text) - self.pos

    def find(self, word: str, start: int, end: int) -> int:
        """The position of ``word`` among the characters that are here, or -1."""
        found = self.text.find(word, self.pos + start, self.pos + end)
        return found if found < 0 else found - self.pos

    def part(self, start: int, end: int) -> str:
        """The text between two positions that have been peeked at."""
        return self.text[self.pos + start : self.pos + end]

    def starts(self, word: str, ahead: int = 0) -> Reading[bool]:
        """Whether ``word`` stands at ``ahead``; waits no longer than it could."""
        for index, char in enumerate(word):
            if (yield from self.peek(ahead + index)) != char:
                return False
        return True

    def take(self, pattern: re.Pattern[str], char: str) -> Reading[str]:
        """Use up the text that ``pattern`` matches, or ``char``, the next one, if it matches none.

        Halves of a surrogate pair come together; one alone comes as U+FFFD.
        """
        run = pattern.match(self.text, self.pos)
        text = run[0] if run else char
        if "\ud800" <= char <= "\udbff" and "\udc00" <= (yield from self.peek(1)) <= "\udfff":
            text = self.part(0, 2)
        self.pos += len(text)
        return join_surrogates(text)[0]

    def rewind(self, text: str) -> None:
        """Go back to before ``text``, which is to be read once more."""
        if not self.text.endswith(text, 0, self.pos):
            self.text = text + self.text[self.pos :]
            self.base += self.pos - len(text)
            self.pos = len(text)
            self.last = ""  # it may have been forgotten
        self.pos -= len(text)


class Lines:
    """Tells on which line an offset is, for the errors of strict mode.

    The last chunk is kept, and at least :data:`LOOKAHEAD` characters before it: no fault is found later.
    """

    def __init__(self) -> None:
        self._chunks: deque[str] = deque()
        self._start = 0  # offset of the first of them
        self._line = 1  # its line
        self._length = 0  # of all of them

    def add(self, chunk: str) -> None:
        """Remember a chunk."""
        self._chunks.append(chunk)
        self._length += len(chunk)
        if self._length > 2 * LOOKAHEAD:
            self._trim()

    def _trim(self) -> None:
        last = len(self._chunks[-1])
        while self._length - len(self._chunks[0]) - last > LOOKAHEAD:
            old = self._chunks.popleft()
            self._length -= len(old)
            self._start += len(old)
            self._line += old.count("\n")

    def at(self, offset: int) -> int:
        """The line of a character, from 1."""
        return self._line + "".join(self._chunks).count("\n", 0, offset - self._start)


class Unescape:
    r"""Undoes one level of JSON escapes, chunk by chunk."""

    # At most so many in one match: see fastpath.
    _CERTAIN = re.compile(r"(?:[^\\]+|\\(?:u[0-9a-fA-F]{4}|u(?![0-9a-fA-F]{0,3}\Z)|[^u])){1,100}")
    _TOKEN = re.compile(r"\\(?:u[0-9a-fA-F]{4}|[^u])", re.DOTALL)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what of the text is certain by now."""
        text = self._held + text
        end = 0
        while certain := self._CERTAIN.match(text, end):
            end = certain.end()
        self._held = text[end:]
        return self._TOKEN.sub(lambda match: decode(match[0])[0], text[:end])

    def close(self) -> str:
        """Return the rest."""
        held, self._held = self._held, ""
        return held


class UnescapeHtml(Unescape):
    """Undoes HTML's character references, chunk by chunk."""

    # As HTML's module has them, but that a number has an end, too: what is longer says no character.
    _REFERENCE = re.compile(r"&(?:#[xX][0-9a-fA-F]{0,32}|#[0-9]{0,32}|[^\t\n\f <&#;]{0,32});?")
    _LONGEST = 36

    def feed(self, text: str) -> str:
        """Return what of the text is certain by now."""
        text = self._held + text
        start = text.rfind("&", max(len(text) - self._LONGEST, 0))
        last = self._REFERENCE.match(text, start) if start >= 0 else None
        goes_on = last is not None and last.end() == len(text) and not text.endswith(";")
        end = start if goes_on else len(text)
        self._held = text[end:]
        return self._REFERENCE.sub(lambda found: html.unescape(found[0]), text[:end])


def closing_quotes(quote: str) -> str:
    """The characters that may close a string which ``quote`` opened."""
    if quote in "“”„＂":
        return '“”＂"'
    if quote in "‘’":
        return "‘’'"
    return "`'" if quote == "`" else quote


def to_number(number: re.Match[str]) -> int | float | None:
    """Return what ``json.loads`` makes of a match of :data:`NUMBER`; ``None`` if that is infinite."""
    if number.lastindex is None:
        return int(number[0])
    value = float(number[0])
    return value if math.isfinite(value) else None


def unescape(raw: str) -> tuple[str, str]:
    """Decode the inside of a whole string: the text, and the kind of repair it needed (or ``""``)."""
    if "\\" not in raw and not _PAIR.search(raw):
        return raw, ""
    kinds: list[str] = []

    def one(match: re.Match[str]) -> str:
        text, kind = decode(match[0])
        if kind:
            kinds.append(kind)
        return text

    text = _UNESCAPE.sub(one, raw)
    text, lone = join_surrogates(text)
    if lone:
        kinds.append("surrogate")
    return text, kinds[0] if kinds else ""


def join_surrogates(text: str) -> tuple[str, bool]:
    """Join the halves of surrogate pairs; return also whether one was alone and became U+FFFD."""
    if not _PAIR.search(text):
        return text, False
    lone = False

    def one(match: re.Match[str]) -> str:
        nonlocal lone
        if len(match[0]) == 2:
            return match[0].encode("utf-16", "surrogatepass").decode("utf-16")
        lone = True
        return "\ufffd"

    return _PAIR.sub(one, text), lone


def decode(escape: str) -> tuple[str, str]:
    """Decode one escape; halves of a surrogate pair come back as they are."""
    kind = escape[1:2]
    if kind in _SIMPLE:
        return _SIMPLE[kind], ""
    if kind == "u" and _HEX4.fullmatch(escape, 2):
        return chr(int(escape[2:], 16)), ""
    if kind == "x" and _HEX2.fullmatch(escape, 2):
        return chr(int(escape[2:], 16)), "escape"
    if kind in "'`“”‘’":
        return kind, "escape"
    if kind in "\r\n":
        return "", "escape"
    return escape, "" if escape[0] != "\\" else "escape"
