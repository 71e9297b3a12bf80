"""Values in quotes: quotes that JSON does not know, doubled, inner and lost ones, and escapes.

What a quote is, :mod:`.delimiters` says. What stands between it and the proof is withheld meanwhile.
"""

from __future__ import annotations

import re
from string import hexdigits

from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.tokenizer import SPACE, Reading, Source, closing_quotes, decode

from .delimiters import Delimiters, Verdict

__all__ = ["StringRepair"]

_PLAIN = re.compile(r"[^\"'`“”‘’＂\\\x00-\x1f\ud800-\udfff]+")
# What stands between the place of a lost closing quote and the next quote, or a bare key and then a quote.
_TAIL = re.compile(r"(?:\s*[\]}])*\s*[,\n，;]\s*[\[{]?\s*\Z")
_BARE_KEY = re.compile(r"\s*[,\n]\s*[\w$-]+\s*:\s*\Z")
_TAIL_LENGTH = 200
# Brackets on lines of their own, where the text ends inside a string.
_CUT_TAIL = re.compile(r"[ \t]*\r?\n\s*([\]}]\s*)+\Z")
# What an opening quote stands behind; any character of a script without spaces.
_OPENS = re.compile(r"(?:\A|[\s(\[{<=>（「《：:，,。、/\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af-])\Z")
_WINDOWS = re.compile(r"[A-Za-z]:\Z")
_BRACKETS = {"}": "{", "]": "[", ")": "("}


class StringRepair:
    """Reads one string value at a time; the position is at its opening quote."""

    def __init__(self, emitter: Emitter, source: Source, ahead: Delimiters) -> None:
        self.emitter = emitter
        self.source = source
        self.ahead = ahead
        self.escapes = EscapeRepair(emitter, source)

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
        yield from self._rest()

    def resume(self) -> Reading[None]:
        """Go on with a plain string that the fast path has begun, from any position inside it."""
        self._start('"')
        if not self.emitter.parts:
            yield from self._opening()
        yield from self._rest()

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
        """Use up the quotes that open the string beside the first one."""
        if self.emitter.strict or (yield from self.source.peek()) not in tuple(self.closers):
            return
        more, self.width = yield from self.ahead.opening_quotes(self.quote)
        if more:
            self._note("quotes", "one quote", self.quote * (1 + more))
            self.source.pos += more

    def _rest(self) -> Reading[None]:
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
                if (yield from self.ahead.another_opens(self.quote)):
                    break
                self._note("quotes", "one quote", more)
                source.pos += 1
            emitter.settle()

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
        self._note("quotes", "a closing quote", '"')
        self.emitter.correct("".join(self.emitter.parts)[: -len(tail[0])])
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
            self.emitter.correct("".join(self.emitter.parts)[: -len(tail[0])])
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


class EscapeRepair:
    """Reads one escape of the open string at a time; the position is at its backslash."""

    def __init__(self, emitter: Emitter, source: Source) -> None:
        self.emitter = emitter
        self.source = source
        self.begin()

    def begin(self) -> None:
        """A string begins."""
        self.raw = False  # a Windows path: backslashes are characters

    def escape(self) -> Reading[None]:
        """Read one escape, and append what it stands for."""
        source, emitter = self.source, self.emitter
        kind = yield from source.peek(1)
        if not kind:
            self._note("cut", "an escape", "")
            source.pos += 1
            return
        if (self.raw and kind not in ("\\", '"')) or "\ud800" <= kind <= "\udfff":
            emitter.append("\\")
            source.pos += 1
            return
        length = {"u": 6, "x": 4}.get(kind, 2)
        escape = "\\" + kind
        while len(escape) < length and (char := (yield from source.peek(len(escape)))) and char in hexdigits:
            escape += char
        if len(escape) < length:
            yield from self._bad_escape(escape)
            return
        text, repair = decode(escape)
        if "\ud800" <= text <= "\udfff":
            yield from self.surrogate(text, 6)
            return
        if repair:
            self._bad(escape)
        if text:
            emitter.append(text)
        source.pos += length

    def _bad_escape(self, escape: str) -> Reading[None]:
        """``\\u`` or ``\\x`` without its digits: kept as it stands, or dropped where the text was cut."""
        after = yield from self.source.peek(len(escape))
        if not after:
            self._note("cut", "an escape", "")
        else:
            self._bad(escape)
            self.emitter.append(escape)
        self.source.pos += len(escape)

    def _bad(self, escape: str) -> None:
        self._note("escape", "an escape of JSON", escape)
        if _WINDOWS.search("".join(self.emitter.parts[-3:])[-4:]):
            self.raw = True

    def surrogate(self, half: str, length: int) -> Reading[None]:
        """Join a surrogate with its other half, escaped or not; alone it becomes U+FFFD."""
        source = self.source
        low, low_length = "", 0
        if half < "\udc00":
            low = yield from source.peek(length)
            low_length = 1
            if low == "\\":
                low, low_length = yield from self._low_escape(length)
        if "\udc00" <= low <= "\udfff":
            pair = (half + low).encode("utf-16", "surrogatepass").decode("utf-16")
            self.emitter.append(pair)
            source.pos += length + low_length
            return
        if half < "\udc00" and not low:
            self._note("cut", "the other half of a surrogate pair", "")
            source.pos = len(source.text)
            return
        self._note("surrogate", "a surrogate pair", half)
        self.emitter.append("\ufffd")
        source.pos += length

    def _low_escape(self, at: int) -> Reading[tuple[str, int]]:
        """Return the character of a ``\\uXXXX`` at ``at`` and its length; ``""`` if the text was cut."""
        escape = ""
        while len(escape) < 6:
            char = yield from self.source.peek(at + len(escape))
            if not char:
                return "", 0
            escape += char
            if escape[:2] != "\\u"[: len(escape)] or (len(escape) > 2 and char not in hexdigits):
                return "\\", 0
        return chr(int(escape[2:], 16)), 6

    def _note(self, kind: str, expected: str, got: str) -> None:
        self.emitter.note(kind, expected, got, self.source.offset)
