"""Keys, quoted and bare: their quotes, their escapes, and what lacks a colon.

A key is withheld until its colon, so a fault costs nothing that was shown.
"""

from __future__ import annotations

import re

from lingstream.core.exceptions import ParseLimitError
from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.tokenizer import (
    COLONS,
    QUOTES,
    SPACE,
    Reading,
    Source,
    closing_quotes,
    join_surrogates,
    unescape,
)
from lingstream.core.phrases import Phrase

from .lookahead import Lookahead

__all__ = ["KeyRepair"]

_NAME_AND_VALUE = re.compile(r"([\w$-]+)\s+(?:true|false|null|-?[0-9].*)", re.DOTALL)
_LOST_VALUE = re.compile(r"\s*|\s.*,\s*", re.DOTALL)
_HALF_KEY = re.compile(r"\s*(?:([\w$ -]{1,64}[”“″’])\s*:|([\w$ -]{1,64}):\s*\S.*[\]}]\s*\Z)", re.DOTALL)
_TYPOGRAPHIC_END = re.compile(r"([^„“”‘]*)[”“″’]\s*\Z")


class KeyRepair:
    """Reads one key at a time; the position is at its first character, and behind it then."""

    def __init__(self, emitter: Emitter, source: Source, ahead: Lookahead) -> None:
        self.emitter = emitter
        self.source = source
        self.ahead = ahead

    def key(self, char: str) -> Reading[str | None]:
        """Read the key that begins with ``char``; ``None`` if the text ends inside it, or if it is none."""
        return self._quoted(char) if char in QUOTES else self._bare()

    def checked(self, key: str) -> str:
        """Return a key as it is written into the document.

        :raises ParseLimitError: if it is too long.
        """
        if len(key) > self.emitter.limits.key:
            raise self._too_long()
        return join_surrogates(key)[0]

    def _quoted(self, quote: str) -> Reading[str | None]:
        source = self.source
        if quote != '"':
            self._note("quotes", "a double quote", quote)
        closers = closing_quotes(quote)
        at = yield from self._key_start(quote, closers)
        start, colon = at, -1
        while True:
            end = yield from self._key_quote(at, start, closers)
            if end < 0:
                return self._cut_key(start)
            if colon < 0:
                colon = source.find(":", at, end)
            at = end
            while not self.emitter.strict and (yield from source.peek(at + 1)) in tuple(closers):
                at += 1
            if self.emitter.strict or (yield from self._key_ends(at + 1, start, colon, end)):
                break
            if colon >= 0:
                return self._lost_key_quote(start, source.part(start, colon))
            self._note("inner-quote", "an escaped quote", '"')
            at += 1
        if at > end:
            self._note("quotes", "one quote", '"')
        key = self._decode(source.part(start, end))
        source.pos += at + 1
        return key

    def _bare(self) -> Reading[str | None]:
        """Read a key that has no quotes, or one only."""
        source = self.source
        at = 0
        while (char := (yield from source.peek(at))) and char not in ":：=,{}[]\n":
            if char in QUOTES and at and not (yield from self.ahead.apostrophe(at)):
                break
            if char == "/" and at and (yield from self.ahead.comment(at)) > at:
                break
            at += 1
            if at > self.emitter.limits.key:
                raise self._too_long()
        text = source.part(0, at).strip(SPACE)
        if char and char in QUOTES and source.part(at - 1, at) not in tuple(SPACE):
            self._note("quotes", "an opening quote", text)
            source.pos += at + 1
            return text
        following = yield from source.peek((yield from self.ahead.skip(at)))
        if following and (following in COLONS or char in QUOTES or char in "{["):
            self._note("unquoted", "a key in double quotes", text)
            self.ahead.bare_keys = True
            source.pos += at
            return text
        return self._without_colon(text, at)

    def _without_colon(self, text: str, length: int) -> str | None:
        """``name 1``, a key that lacks its colon too, or something to be dropped."""
        bare = _NAME_AND_VALUE.fullmatch(text)
        if bare is None:
            self._note("junk" if text else "cut", "a key in double quotes", text)
            self.source.pos += max(length, 1)
            return None
        self._note("unquoted", "a key in double quotes", bare[1])
        self.source.pos += self.source.part(0, length).index(bare[1]) + len(bare[1])
        return bare[1]

    def _key_quote(self, at: int, start: int, closers: str) -> Reading[int]:
        """Return the position of the next quote from ``at``, or -1 if the text ends before."""
        while (char := (yield from self.source.peek(at))) and char not in closers:
            at += 2 if char == "\\" else 1
            if at - start > self.emitter.limits.key:
                raise self._too_long()
        return at if char else -1

    def _key_start(self, quote: str, closers: str) -> Reading[int]:
        at = 1
        while not self.emitter.strict and (char := (yield from self.source.peek(at))) and char in closers:
            after = yield from self.ahead.skip(at + 1)
            following = yield from self.source.peek(after)
            if not following or following in COLONS + ",}])" or at == 3:
                break
            self._note("quotes", "one quote", quote)
            at += 1
        return at

    def _key_ends(self, at: int, start: int, colon: int, end: int) -> Reading[bool]:
        """Whether the quote before ``at`` ends the key, whose first colon is at ``colon`` (or -1)."""
        after = yield from self.ahead.skip(at, written=True)
        char = yield from self.source.peek(after)
        if not char or char in COLONS:
            return True
        if colon >= start and _TYPOGRAPHIC_END.match(self.source.part(start, colon)):
            return False
        if char in ",}":
            return True
        if colon >= start and _LOST_VALUE.fullmatch(self.source.part(colon + 1, end)):
            return False
        if (yield from self.ahead.value_starts(after)):
            return True
        return after > at and (yield from self.ahead.words_follow(after))

    def _lost_key_quote(self, start: int, text: str) -> str:
        self._note("quotes", "a closing quote", ":")
        typographic = _TYPOGRAPHIC_END.match(text)
        key = self._decode(typographic[1] if typographic else text)
        self.source.pos += start + len(text)
        return key.rstrip()

    def _cut_key(self, start: int) -> str | None:
        source = self.source
        text = source.text[source.pos + start :]
        lost = _HALF_KEY.match(text)
        if lost and not self.emitter.strict and not self.emitter.cut:
            return self._lost_key_quote(start, lost[1] or lost[2])
        self._note("cut", "a closing quote", "")
        source.pos = len(source.text)
        return None

    def _too_long(self) -> ParseLimitError:
        emitter = self.emitter
        return emitter.limit(
            Phrase("characters in a key"), emitter.limits.key, emitter.uri, self.source.offset
        )

    def _note(self, kind: str, expected: str, got: str) -> None:
        self.emitter.note(kind, expected, got, self.source.offset, self.emitter.uri)

    def _decode(self, raw: str) -> str:
        text, kind = unescape(raw)
        if kind:
            self._note(kind, "an escape of JSON", raw)
        if any(char < " " for char in text) and any(char < " " for char in raw):
            self._note("control-character", "an escaped control character", raw)
        return text
