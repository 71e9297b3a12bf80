"""Escapes that JSON does not know, halves of surrogate pairs, and documents that were escaped as a whole."""

from __future__ import annotations

import html
import re

from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.tokenizer import Reading, Source, decode

__all__ = ["EscapeRepair", "Unescape", "UnescapeHtml"]

_WINDOWS = re.compile(r"[A-Za-z]:\Z")


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
        while len(escape) < length and (char := (yield from source.peek(len(escape)))) and is_hex(char):
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
            if escape[:2] != "\\u"[: len(escape)] or not all(map(is_hex, escape[2:])):
                return "\\", 0
        return chr(int(escape[2:], 16)), 6

    def _note(self, kind: str, expected: str, got: str) -> None:
        self.emitter.note(kind, expected, got, self.source.offset)


def is_hex(char: str) -> bool:
    """Whether ``char`` is a hexadecimal digit."""
    return char in "0123456789abcdefABCDEF"


class Unescape:
    r"""Undoes one level of JSON escapes, chunk by chunk."""

    _CERTAIN = re.compile(r"(?:[^\\]+|\\(?:u[0-9a-fA-F]{4}|u(?![0-9a-fA-F]{0,3}\Z)|[^u]))*")
    _TOKEN = re.compile(r"\\(?:u[0-9a-fA-F]{4}|[^u])", re.DOTALL)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what of the text is certain by now."""
        text = self._held + text
        certain = self._CERTAIN.match(text)
        end = certain.end() if certain else 0
        self._held = text[end:]
        return self._TOKEN.sub(lambda match: decode(match[0])[0], text[:end])

    def close(self) -> str:
        """Return the rest."""
        held, self._held = self._held, ""
        return held


class UnescapeHtml(Unescape):
    """Undoes HTML's character references, chunk by chunk."""

    _HALF = re.compile(r"&#?\w{0,9}\Z")

    def feed(self, text: str) -> str:
        """Return what of the text is certain by now."""
        text = self._held + text
        half = self._HALF.search(text, max(0, len(text) - 12))
        end = half.start() if half else len(text)
        self._held = text[end:]
        return html.unescape(text[:end])
