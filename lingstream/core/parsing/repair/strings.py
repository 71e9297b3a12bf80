"""Strings whose quotes, escapes or ends are not what JSON says.

**Where a string ends.** A quote ends a string if what follows could not follow inside a text: the end of
the container, or a comma and then the next key with its colon (in an array: the next item). Any other quote
is a character of the string. What stands between the quote and the proof is withheld meanwhile.
"""

from __future__ import annotations

import re

from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.tokenizer import SPACE, Reading, Source, closing_quotes

from .delimiters import Delimiters, Verdict
from .escapes import EscapeRepair

__all__ = ["StringRepair"]

_PLAIN = re.compile(r"[^\"'`“”‘’＂\\\x00-\x1f\ud800-\udfff]+")
_TAIL = re.compile(r"(?:\s*[\]}])*\s*[,\n，;]\s*[\[{]?\s*\Z")
_BARE_KEY = re.compile(r"\s*[,\n]\s*[\w$-]+\s*:\s*\Z")  # what lies between it and the next one in that case
_TAIL_LENGTH = 200
_CUT_TAIL = re.compile(r"[ \t]*\r?\n\s*([\]}]\s*)+\Z")
_OPENS = re.compile(
    r"(?:\A|[\s(\[{<=>（「《：:，,。、/\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af-])\Z"
)  # scripts without spaces
_BRACKETS = {"}": "{", "]": "[", ")": "("}


class StringRepair:
    """Reads one string value at a time; the position is at its opening quote."""

    def __init__(self, emitter: Emitter, source: Source, ahead: Delimiters) -> None:
        self.emitter = emitter
        self.source = source
        self.ahead = ahead
        self.escapes = EscapeRepair(emitter, source)

    # -- values -----------------------------------------------------------------

    def value(self) -> Reading[None]:
        """Read a whole string value, from its opening quote."""
        source, emitter = self.source, self.emitter
        quote = yield from source.peek()
        if quote != '"':
            self._note("quotes", "a double quote", quote)
        emitter.begin_string(emitter.child())
        source.pos += 1
        self._start(quote)
        yield from self._opening()
        yield from self.rest()

    def resume(self) -> Reading[None]:
        """Go on with a plain string that the fast path has begun, from any position inside it."""
        self._start('"')
        if not self.emitter.parts:
            yield from self._opening()
        yield from self.rest()

    def _start(self, quote: str) -> None:
        self.quote = quote
        self.closers = closing_quotes(quote)
        self.width = 1  # quotes that close the string: 2 or 3 if they are doubled or tripled
        self.inner = 0  # unescaped quotes inside so far
        self.found_key: str | None = None  # the string was no item of its array but the next key
        self.escapes.begin()
        self._balance = dict.fromkeys(_BRACKETS, 0)  # brackets opened in it, less those closed
        self._counted = 0  # how many of its parts that is about

    def _opening(self) -> Reading[None]:
        """Tell an empty string, doubled quotes and an inner quote right at the start apart."""
        source = self.source
        if self.emitter.strict or (yield from source.peek()) not in tuple(self.closers):
            return
        if (yield from source.peek(1)) in tuple(self.closers):
            if (yield from self.ahead.verdict(2, self.quote, inside=False)) is Verdict.END:
                return
            self._note("quotes", "one quote", self.quote * 3)
            self.width = 3
            source.pos += 2
            return
        if (yield from self.ahead.verdict(1, self.quote, inside=False)) is not Verdict.INNER:
            return
        end = 1
        while (char := (yield from source.peek(end))) and char not in self.closers:
            end += 2 if char == "\\" else 1
        if (yield from source.peek(end + 1)) in tuple(self.closers) and (
            yield from self.ahead.verdict(end + 2, self.quote, inside=False)
        ) is Verdict.END:
            self._note("quotes", "one quote", self.quote * 2)
            self.width = 2
            source.pos += 1
        elif (yield from source.peek(end)) and (yield from self._one_too_many(end + 1)):
            self._note("quotes", "one quote", self.quote * 2)
            source.pos += 1

    def _one_too_many(self, end: int) -> Reading[bool]:
        """Whether the string ends at ``end``, so that only its opening quote is there twice."""
        if not isinstance(self.emitter.container, list):
            return (yield from self.ahead.verdict(end, self.quote, inside=True)) is Verdict.END
        at = yield from self.ahead.skip(end)
        char = yield from self.source.peek(at)
        if char != ",":
            return char == "]"
        at = yield from self.ahead.skip(at + 1)
        if (yield from self.source.peek(at)) == self.quote:
            return (yield from self.ahead.item_follows(at))
        return (yield from self.ahead.value_starts(at))

    def rest(self) -> Reading[None]:
        """Read up to the end of the open string and settle it."""
        source, emitter = self.source, self.emitter
        while emitter.is_open:
            plain = _PLAIN.match(source.text, source.pos)
            if plain:
                emitter.append(plain[0])
                source.pos = plain.end()
            char = yield from source.peek()
            if not char:
                self._cut()
            elif char == "\\":
                yield from self.escapes.escape()
            elif char in self.closers:
                yield from self._quote(char)
            else:
                yield from self._character(char)

    def _quote(self, char: str) -> Reading[None]:
        source, emitter = self.source, self.emitter
        if emitter.strict:
            verdict = Verdict.END
        elif self.width > 1:
            yield from self._wide_quote(char)
            return
        else:
            unclosed = self._unclosed()
            verdict = yield from self.ahead.verdict(
                1, self.quote, inside=self.inner % 2 == 1, unclosed=unclosed
            )
        if verdict is Verdict.INNER or (verdict is Verdict.KEY and self.inner):
            if not self.inner and (yield from self._lost_quote()):
                return
            yield from self._inner(char)
        elif verdict is Verdict.CONCAT:
            yield from self._concatenate()
        elif verdict is Verdict.KEY:
            self._note("bracket", "']'", ":")
            self.found_key = emitter.retract()
            source.pos += 1
        else:
            source.pos += 1
            while not emitter.strict and (more := (yield from source.peek())) and more in self.closers:
                if (yield from self._next_string()):
                    break
                self._note("quotes", "one quote", more)
                source.pos += 1
            emitter.settle()

    def _next_string(self) -> Reading[bool]:
        """Whether the quote at the position opens something instead of doubling the last one."""
        after = 1
        while (char := (yield from self.source.peek(after))) and char in self.closers:
            after += 1
        return (yield from self.ahead.verdict(after, self.quote, inside=False)) is not Verdict.END

    def _wide_quote(self, char: str) -> Reading[None]:
        """A quote inside a string with doubled or tripled quotes."""
        run = 1
        while (more := (yield from self.source.peek(run))) and more in self.closers:
            run += 1
        if run < self.width:
            yield from self._inner(char)
        elif run > self.width:
            self.emitter.append(self.source.part(0, run - self.width))
            self.source.pos += run - self.width
        else:
            self.source.pos += run
            self.emitter.settle()

    def _inner(self, char: str) -> Reading[None]:
        opens = _OPENS.search(self._tail())
        after = yield from self.source.peek(1)
        if self.inner % 2 == 1 or (opens and after and after not in SPACE):
            self.inner += 1
        else:
            self.inner += 2
        if self.width == 1:
            self._note("inner-quote", "an escaped quote", char)
        self.emitter.append(char)
        self.source.pos += 1

    def _lost_quote(self) -> Reading[bool]:
        """If this quote opens what comes next, end the string before the comma or the line end."""
        text = self._tail()
        tail = _BARE_KEY.search(text) if self.ahead.bare_keys else None
        if tail is None:
            tail = _TAIL.search(text)
            if tail is None or not (yield from self.ahead.lost_quote_before(0, tail[0])):
                return False
        whole = "".join(self.emitter.parts)
        kept = whole[: len(whole) - len(tail[0])]
        self._note("quotes", "a closing quote", '"')
        self.emitter.correct(kept)
        self.emitter.settle()
        self.source.rewind(tail[0])
        return True

    def _concatenate(self) -> Reading[None]:
        self._note("concatenation", "one string", "+")
        self.source.pos += yield from self.ahead.skip(1)
        self.source.pos += yield from self.ahead.skip(1)
        quote = yield from self.source.peek()
        self.source.pos += 1
        self._start(quote)

    def _character(self, char: str) -> Reading[None]:
        """A quote of another kind, a control character or half of a surrogate pair."""
        if "\ud800" <= char <= "\udfff":
            yield from self.escapes.surrogate(char, 1)
            return
        if char < " ":
            self._note("control-character", "an escaped control character", char)
        self.emitter.append(char)
        self.source.pos += 1

    def _cut(self) -> None:
        """The text ends inside the string."""
        self._note("cut", "a closing quote", "")
        tail = None if self.emitter.cut else _CUT_TAIL.search(self._tail())
        if tail and not self.inner:
            whole = "".join(self.emitter.parts)
            self.emitter.correct(whole[: len(whole) - len(tail[0])])
        self.emitter.settle(cut=self.emitter.cut)

    def _unclosed(self) -> str:
        """The closing brackets that the string so far lacks."""
        parts = self.emitter.parts
        text = "".join(parts[self._counted :])
        for closer, opener in _BRACKETS.items():
            self._balance[closer] += text.count(opener) - text.count(closer)
        self._counted = len(parts)
        return "".join(closer for closer, balance in self._balance.items() if balance > 0)

    def _tail(self) -> str:
        """The last characters of the open string."""
        text, length = [], 0
        for part in reversed(self.emitter.parts):
            text.append(part)
            length += len(part)
            if length > _TAIL_LENGTH:
                break
        return "".join(reversed(text))[-_TAIL_LENGTH:]

    def _note(self, kind: str, expected: str, got: str) -> None:
        self.emitter.note(kind, expected, got, self.source.offset)
