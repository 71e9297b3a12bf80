"""Which bracket begins the document, and which one stands in prose."""

from __future__ import annotations

import html

from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.tokenizer import COLONS, QUOTES, SPACE, Reading, Source

from .lookahead import Lookahead
from .scalars import classify

__all__ = ["Opening"]

_LONGEST_KEY = 100
_LONGEST_ENTITY = 8
_ESCAPED = (*QUOTES, "\u00a0", "{", "[")  # what a document that was escaped as HTML can begin with


class Opening:
    """Judges the bracket at the position by what is before and behind it."""

    def __init__(self, emitter: Emitter, source: Source, ahead: Lookahead) -> None:
        self.emitter = emitter
        self.source = source
        self.ahead = ahead
        self.empty = ""  # the first [] or {} that was taken for prose
        self.begin()

    def begin(self) -> None:
        """The document may begin from here on: a fence has opened."""
        self.prose = False  # whether there was prose before it
        self.word_before = False  # whether a letter is right before it: x["k"]

    def opens(self, char: str) -> Reading[bool]:
        """Whether the bracket ``char`` at the position begins the document."""
        if self.emitter.strict:
            return char != "("
        if char == "{":
            return (yield from self._object(1))
        if char == "[":
            return not self.word_before and (yield from self._array(1))
        return not self.prose and (yield from self._tuple())

    def _object(self, at: int) -> Reading[bool]:
        at = yield from self.ahead.skip(at)
        char = yield from self.source.peek(at)
        if not char or char in QUOTES or char == ",":
            return True
        if char == "\\" or char == "&":
            return bool((yield from self.escape_kind(at)))
        if char == "}":
            return (yield from self._stands_alone(at + 1, "{}"))
        if char == "{":
            return (yield from self.source.peek((yield from self.ahead.skip(at + 1)))) in tuple(QUOTES)
        end = yield from self.ahead.ellipsis(at)
        if end > at:
            end = yield from self.ahead.skip(end)
            char = yield from self.source.peek(end)
            return char == "," or (char == "}" and (yield from self._stands_alone(end + 1)))
        start = at
        while (char := (yield from self.source.peek(at))) and char not in "{}[]\n,:：=":
            if char in QUOTES or at - start > _LONGEST_KEY:
                break
            at += 1
        if not char:
            return not self.prose
        if char in QUOTES and at > start:
            if (yield from self.ahead.string_prefix(start)):
                return True
            if not self.prose and self.source.part(at - 1, at) in tuple(SPACE):
                return True
            return (yield from self.source.peek((yield from self.ahead.skip(at + 1)))) in tuple(COLONS)
        return at > start and char in COLONS

    def _array(self, at: int) -> Reading[bool]:
        at = yield from self.ahead.skip(at)
        char = yield from self.source.peek(at)
        while char == "[":
            at = yield from self.ahead.skip(at + 1)
            char = yield from self.source.peek(at)
        if not char or char in QUOTES:
            return True
        if char == "{":
            return (yield from self._object(at + 1))
        if char == "\\" or char == "&":
            return bool((yield from self.escape_kind(at)))
        if char == "]":
            return (yield from self._stands_alone(at + 1, "[]"))
        if char == "(" or char in ",.…":
            return not self.prose
        return (yield from self._bare_items(at))

    def _bare_items(self, at: int) -> Reading[bool]:
        """``[1, 2]`` is a document, ``[1]`` in prose a footnote, ``[as requested, …]`` prose."""
        start = at
        while (char := (yield from self.source.peek(at))) and char not in ",]\n[{\"';" and at - start < 100:
            at += 1
        scalar = not isinstance(classify(self.source.part(start, at).strip(SPACE))[0], str)
        if char != "]":
            return scalar or not self.prose
        after = yield from self.source.peek((yield from self.ahead.skip(at + 1)))
        is_tag = not scalar and bool(after) and after in "{["  # [INFO] {…}
        return not is_tag and (yield from self._stands_alone(at + 1))

    def _tuple(self) -> Reading[bool]:
        at = yield from self.ahead.skip(1)
        char = yield from self.source.peek(at)
        if char and char in QUOTES:
            at = yield from self.ahead.behind(at)
        else:
            while (char := (yield from self.source.peek(at))) and char in "-+.0123456789eE" and at < 64:
                at += 1
        return (yield from self.source.peek(at)) == ","

    def _stands_alone(self, at: int, empty: str = "") -> Reading[bool]:
        """Whether nothing but the end of the text or of a fence follows; mostly true where no prose is.

        :param empty: the document that it is, if no other one comes.
        """
        self.empty = self.empty or empty
        at = yield from self.ahead.skip(at)
        char = yield from self.source.peek(at)
        if self.prose:
            while char and char in ");":  # a call around the document
                at = yield from self.ahead.skip(at + 1)
                char = yield from self.source.peek(at)
            return not char or (yield from self.source.starts("```", at))
        return not char or char in "`,;){[}]"

    def escape_kind(self, at: int) -> Reading[str]:
        """Return ``\\`` or ``&`` if an escape of what JSON is made of stands at ``at``."""
        char = yield from self.source.peek(at)
        if char == "\\":
            return char if (yield from self.source.peek(at + 1)) in ('"', "n", "t", "r", "'") else ""
        name = ""
        while char and char != ";" and len(name) < _LONGEST_ENTITY:
            name += char
            char = yield from self.source.peek(at + len(name))
        return "&" if html.unescape(name + char) in _ESCAPED else ""
