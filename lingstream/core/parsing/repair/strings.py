"""Values in quotes: quotes that JSON does not know, doubled, inner and lost ones, and escapes.

What a quote is, :mod:`.delimiters` says. What stands between it and the proof is withheld meanwhile.
"""

from __future__ import annotations

import re
from string import hexdigits

from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.preamble import Preamble
from lingstream.core.parsing.tokenizer import COMMAS, SPACE, Reading, Source, closing_quotes, decode

from .delimiters import Delimiters, Verdict
from .inside import SIGNS, Inside, has_separator, may_be_end
from .values import OPENERS

__all__ = ["StringRepair"]

_PLAIN = re.compile(r"[^\"'`″“”‘’＂\\\x00-\x1f\ud800-\udfff]+")
# What stands between the place of a lost closing quote and the next quote, behind a citation.
_MARKED_TAIL = re.compile(
    r"(?:\s*(?:\[[\d, ^-]{1,20}\]|【[^】]{1,40}】))+"
    r"(?:\s*[\]}]+)?(?:\s*[,，;]|[^\S\n]*\n)\s*(?:[\[{]\s*)?\Z"
)
# A bare key, and what stands before it.
_BARE_KEY = re.compile(r"(?:\s*,|[^\S\n]*\n)\s*[\w$-]+\s*:\s*\Z")
_TAIL_LENGTH = 200
_LONGEST_JUNK = 120
_FENCE_INFO = re.compile(r"[\w.+-]{0,20}\r?\n")  # the language of a fence
# Brackets on lines of their own, where the text ends inside a string.
_CUT_TAIL = re.compile(r"[ \t]*\r?\n\s*([\]}]\s*)+\Z")
# The same, and what may stand behind the document, where a quote before them may have closed the string.
_CUT_ENDING = re.compile(r"(?<=[\"”“″’])\s*(?:(?:,\s*)?[\]}]\s*)+(?:\Z|(?<=[\n\r])|```)")
# What an opening quote stands behind; any character of a script without spaces.
_OPENS = re.compile(r"(?:\A|[\s(\[{<=>（「《：:，,。、/\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af-])\Z")
_WINDOWS = re.compile(r"[A-Za-z]:\Z")
# Behind what a text goes on with JSON that it quotes.
_QUOTES_JSON = re.compile(r"[\[{][\s\[{]*\Z")


def _tail_of(text: str) -> str:
    """Return what stands at the end of ``text`` between a lost closing quote and the next one, or ``""``.

    Brackets that close, a comma or a new line, and one that opens. By hand, because a regular expression
    tries each of many empty lines as the comma, the fourth power of their number in all.
    """
    rest = text.rstrip()
    before = _before_comma(rest[:-1]) if rest.endswith(("[", "{")) else None
    if before is None:
        before = _before_comma(text)
    if before is None:
        return ""
    before = before.rstrip()
    while before.endswith(("]", "}")):
        before = before[:-1].rstrip().removesuffix(",").rstrip()
    return text[len(before) :]


def _before_comma(text: str) -> str | None:
    """Return what stands before the comma, or the new line in place of one, that ``text`` ends with."""
    rest = text.rstrip()
    if rest.endswith((",", "，", ";")):
        return rest[:-1]
    return rest if "\n" in text[len(rest) :] else None


class StringRepair:
    """Reads one string value at a time; the position is at its opening quote."""

    def __init__(self, emitter: Emitter, source: Source, ahead: Delimiters, preamble: Preamble) -> None:
        self.emitter = emitter
        self.source = source
        self.ahead = ahead
        self.preamble = preamble
        self.inside = Inside(emitter)
        self.escapes = EscapeRepair(emitter, source)

    def value(self) -> Reading[None]:
        """Read a whole string value, from its opening quote."""
        source, emitter = self.source, self.emitter
        quote = yield from source.peek()
        if quote != '"':
            self._note("quotes", "a double quote", quote)
        emitter.begin_string(emitter.child())
        source.pos += 1
        self.inside.begin()
        self._start(quote)
        yield from self._opening()
        yield from self._rest()

    def resume(self) -> Reading[None]:
        """Go on with a plain string that the fast path has begun, from any position inside it."""
        self.inside.begin()
        self._start('"')
        if not self.emitter.parts:
            yield from self._opening()
        yield from self._rest()

    def _start(self, quote: str) -> None:
        self.quote = quote
        self.closers = closing_quotes(quote)
        self.width = 1  # quotes that close the string: 2 or 3 if they are doubled or tripled
        self.found_key: str | None = None  # the string was no item of its array but the next key
        self.key_seen = False  # and an op that was returned has told of it
        self.escapes.begin()
        self._quoted_to = 0  # up to this offset quotes are those of JSON that the text quotes

    def _opening(self) -> Reading[None]:
        """Use up the quotes that open the string beside the first one."""
        if self.emitter.strict or (yield from self.source.peek()) not in tuple(self.closers):
            return
        is_fence = self.quote == "`" and (yield from self.source.starts("``"))
        more, self.width = (2, 3) if is_fence else (yield from self.ahead.opening_quotes(self.quote))
        if more:
            self._note("quotes", "one quote", self.quote * (1 + more))
            self.source.pos += more
        if is_fence and (info := _FENCE_INFO.match(self.source.text, self.source.pos)):
            self.source.pos = info.end()

    def _rest(self) -> Reading[None]:
        """Read up to the end of the open string and settle it."""
        source, emitter = self.source, self.emitter
        while emitter.is_open:
            plain = _PLAIN.match(source.text, source.pos)
            if plain:
                emitter.append(plain[0])
                source.pos = plain.end()
            if emitter.held is not None and not may_be_end(emitter.held_text):
                emitter.release()
            char = yield from source.peek()
            if not char:
                self._cut()
            elif char == "\\":
                if (yield from source.peek(1)) == '"':
                    self._hold('"')
                yield from self.escapes.escape()
            elif char in self.closers:
                if emitter.held is not None and not has_separator(emitter.held_text):
                    emitter.release()
                yield from self._quote(char)
            else:
                yield from self._character(char)

    def _quote(self, char: str) -> Reading[None]:
        source, inside = self.source, self.inside
        if self.emitter.strict:
            yield from self._end()
            return
        if self.width > 1:
            yield from self._wide_quote(char)
            return
        if source.offset < self._quoted_to or (yield from self._quotes_ellipsis()):
            self._inner(char, (yield from source.peek(1)))
            return
        verdict = yield from self.ahead.verdict(
            1,
            self.quote,
            inside=inside.is_quoting,
            unclosed=inside.unclosed,
            typographic=inside.is_typographic,
        )
        if verdict is Verdict.INNER or (verdict is Verdict.KEY and inside.quotes):
            may_end = not inside.is_quoting and (not inside.quotes or (yield from self.ahead.next_opens()))
            if may_end and self._ended_by_sign():
                return
            if not (yield from self._quotes_json()) and (
                yield from self._lost_in_junk() if inside.quotes else self._lost_quote()
            ):
                return
            self._inner(char, (yield from source.peek(1)))
        elif verdict is Verdict.CONCAT:
            yield from self._concatenate()
        elif verdict is Verdict.KEY:
            self._note("bracket", "']'", ":")
            self.found_key, self.key_seen = self.emitter.retract()
            source.pos += 1
        else:
            yield from self._own_quote()
            yield from self._end()
            if verdict is Verdict.REMARK:
                self.emitter.note("junk", "','", source.part(0, 1), source.offset)
                source.pos += yield from self.ahead.remark(0)

    def _end(self) -> Reading[None]:
        """Use up the quote that ends the string, and those that double it."""
        source = self.source
        source.pos += 1
        while not self.emitter.strict and (more := (yield from source.peek())) and more in self.closers:
            if (yield from self.ahead.another_opens(self.quote)):
                break
            self._note("quotes", "one quote", more)
            source.pos += 1
        self.emitter.settle()

    def _own_quote(self) -> Reading[None]:
        """Of two quotes the first is the string's own, where it closes one or is a sign for inches."""
        source = self.source
        wants = self.inside.is_typographic or self._tail()[-1:].isdigit()
        if not wants or (yield from source.peek(1)) != self.quote:
            return
        if (yield from source.peek(2)) != self.quote:
            self._inner(self.quote, "")

    def _quotes_ellipsis(self) -> Reading[bool]:
        """Whether the quote opens ``"..."`` in a text, where dots behind a string would be an ellipsis."""
        if self.inside.is_quoting or (yield from self.source.peek(1)) not in (".", "…"):
            return False
        end = yield from self.ahead.ellipsis(1)
        return (yield from self.source.peek(end)) in tuple(self.closers) and bool(_OPENS.search(self._tail()))

    def _quotes_json(self) -> Reading[bool]:
        """If the quote is the first of JSON that the text quotes, take all of that for text."""
        opened = _QUOTES_JSON.search(self._tail()) if self.quote in "\"'" else None
        if opened is None:
            return False
        levels = "".join(OPENERS[char] for char in reversed(opened[0]) if char in OPENERS)
        end, fits, _ = yield from self.ahead.inside(0, levels)
        if not fits or not (yield from self.ahead.text_follows(end + 1, self.quote)):
            return False
        self._quoted_to = self.source.offset + end
        return True

    def _wide_quote(self, char: str) -> Reading[None]:
        """A quote inside a string with doubled or tripled quotes."""
        run = 1
        while (more := (yield from self.source.peek(run))) and more in self.closers:
            run += 1
        if run < self.width:
            self._inner(char, (yield from self.source.peek(1)))
        elif run > self.width:
            self.emitter.append(self.source.part(0, run - self.width))
            self.source.pos += run - self.width
        else:
            self.source.pos += run
            self.emitter.settle()

    def _inner(self, char: str, after: str) -> None:
        if not (char in "'’" and after.isalnum() and self._tail()[-1:].isalnum()):  # it's
            opens = bool(after) and after not in SPACE and bool(_OPENS.search(self._tail()))
            self.inside.quote(opens=opens, closes=not after.isalnum())
        if self.width == 1:
            self._note("inner-quote", "an escaped quote", char)
        self.emitter.append(char)
        self.source.pos += 1

    def _ended_by_sign(self) -> bool:
        """If another sign closed the string before the comma or the line end, end it there."""
        text = self._tail()
        cited = _MARKED_TAIL.search(text)
        tail = cited[0] if cited else _tail_of(text)
        ending = self.inside.ending(text, len(tail)) if tail else ""
        if ending:
            self._end_before(tail, ending)
            self.source.rewind(tail)
        return bool(ending)

    def _lost_quote(self) -> Reading[bool]:
        """If this quote opens what comes next, end the string before the comma or the line end."""
        text = self._tail()
        found = _BARE_KEY.search(text) if self.ahead.bare_keys else None
        tail = found[0] if found else _tail_of(text)
        if not tail:
            return False
        ending = self.inside.ending(text, len(tail)) if found else ""
        if not found and not (yield from self.ahead.lost_quote_before(0, tail)):
            return False
        self._end_before(tail, ending or self.inside.sign(text, len(tail)))
        self.source.rewind(tail)
        return True

    def _lost_in_junk(self) -> Reading[bool]:
        """If this quote opens the next key, and the last one was followed by no text, end the string there.

        A comma has to stand behind that quote, or before this one: ``"x"`, "b": 1`` or ``"x", etc. "b": 1``.
        """
        length = self.inside.behind_last
        if not 0 < length <= _LONGEST_JUNK or not isinstance(self.emitter.container, dict):
            return False
        junk = self._tail()[-length:]
        words = junk.strip()
        is_apart = not words or words[0] in COMMAS or words[-1] in COMMAS or "\n" in junk[-1:]
        if not is_apart or set("{}") & set(junk) or not (yield from self.ahead.key_and_value(0)):
            return False
        self._note("junk", "','", junk)
        self.emitter.correct("".join(self.emitter.parts)[: -length - 1])
        self.emitter.settle()
        self.source.rewind(",")
        return True

    def _end_before(self, tail: str, ending: str) -> None:
        """End the string ``tail`` before its end, where its closing quote is lost or another sign."""
        self._note("escape" if ending == '"' else "quotes", "a closing quote", ending or '"')
        text = "".join(self.emitter.parts)
        text = text[: len(text) - len(tail) - len(ending)]
        self.emitter.correct(text + "\\" if ending == '"' else text)
        self.emitter.settle()

    def _concatenate(self) -> Reading[None]:
        self._note("concatenation", "one string", "+")
        self.source.pos += yield from self.ahead.skip(1)
        self.source.pos += yield from self.ahead.skip(1)
        quote = yield from self.source.peek()
        self.source.pos += 1
        self.inside.go_on()
        self._start(quote)

    def _character(self, char: str) -> Reading[None]:
        """A quote of another kind, a control character or half of a surrogate pair."""
        if "\ud800" <= char <= "\udfff":
            yield from self.escapes.surrogate(char, 1)
            return
        if char == "\n" and (yield from self.preamble.draft_ends(1)):
            self._note("cut", "a closing quote", char)
            self.emitter.settle()
            return
        if char < " ":
            self._note("control-character", "an escaped control character", char)
        self._hold(char)
        if char == '"':
            self.inside.straight()
        self.emitter.append(char)
        self.source.pos += 1

    def _hold(self, char: str) -> None:
        """If ``char`` may have closed the string, let no op tell of it until what follows decides."""
        emitter = self.emitter
        is_held = emitter.held is not None and may_be_end(emitter.held_text + char)
        if char in SIGNS and not (is_held or self.inside.is_quoting or emitter.strict):
            emitter.hold()

    def _cut(self) -> None:
        """The text ends inside the string."""
        text = "" if self.emitter.cut or self.inside.quotes else self._tail()
        for found in _CUT_ENDING.finditer(text):
            behind = len(text) - found.start()
            single = self.quote == "'" and text[: found.start()].endswith("’")
            if ending := self.inside.ending(text, behind) or (
                self.inside.sign(text, behind) if single else ""
            ):
                self._end_before(text[-behind:], ending)
                return
        self._note("cut", "a closing quote", "")
        if tail := _CUT_TAIL.search(text):
            self.emitter.correct("".join(self.emitter.parts)[: -len(tail[0])])
        self.emitter.settle(cut=self.emitter.cut)

    def _tail(self) -> str:
        """The last characters of the open string."""
        parts, count = self.emitter.parts, 8
        while len(tail := "".join(parts[-count:])) < _TAIL_LENGTH and count < len(parts):
            count *= 4
        return tail[-_TAIL_LENGTH:]

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
