"""What stands between a value and its comma and belongs to neither: a citation, a tag, a call, a remark.

``"x"[3],`` ``"x"【4:0†source】,`` ``"x"<br>,`` ``"x".trim(),`` ``"x" (approx.),`` ``"x"<|im_end|>}``
"""

from __future__ import annotations

import re
from typing import Any

from lingstream.core.parsing.tokenizer import CLOSERS, COMMAS, QUOTES, Reading

from .values import Values

__all__ = ["MARKS", "Remarks"]

#: What a remark begins with that is no text.
MARKS = "[【<［〔"

_PAIRS = {"[": "]", "(": ")", "<": ">", "【": "】", "（": "）", "［": "］", "〔": "〕"}
_CITES = "【［〔"
_TAG = re.compile(r"[\w/|!]")  # what follows the bracket of a tag
_LONGEST_REMARK = 120
_MOST_ITEMS = 10  # of an array, in which lists are looked for


class Remarks(Values):
    """Tells a remark from text by what follows it: a comma with the next key or item, or the end."""

    def remark(self, at: int) -> Reading[int]:
        """Return the position behind the remark at ``at``, behind a value, or ``at`` if there is none."""
        start = yield from self.skip(at)
        first = yield from self.source.peek(start)
        if not first or first in "{\\&`" or ((first.isalpha() or first.isdecimal()) and start == at):
            return at
        end = yield from self._remark_end(start)
        if end < 0 or end == start:
            return at
        cites = first in _CITES or (first == "[" and (yield from self.citation(start)))
        return end if (yield from self._fits_behind(end, first in _PAIRS, cites)) else at

    def mark_behind(self, last: Any) -> Reading[bool]:
        """Whether a remark with such a mark stands at the position, behind ``last``: see :meth:`mark`.

        Behind a record ``[1]`` is one where another record or the end follows, and else an item.
        """
        items = self.emitter.container
        if type(last) is list and (yield from self.source.peek()) == "[":
            return False
        if not (yield from self.mark(0, is_record=type(last) is dict)):
            return False
        if type(items) is not list or (yield from self.source.peek()) != "[":
            return True
        end = yield from self.remark(0)
        if self.source.find("[", 1, end) > 0 or any(type(item) is list for item in items[-_MOST_ITEMS:]):
            return False
        at = yield from self.skip(end)
        if (char := (yield from self.source.peek(at))) and char in COMMAS:
            char = yield from self.source.peek((yield from self.skip(at + 1)))
        return not char or char in CLOSERS + "{"

    def mark(self, at: int, *, is_record: bool = False) -> Reading[bool]:
        """Whether a remark stands at ``at`` that a mark begins which is no text.

        :param is_record: an object is before it; behind another item of an array ``[1]`` is the next one.
        """
        char = yield from self.source.peek(at)
        if not char or char not in MARKS:
            return False
        if not (is_record or char in _CITES or isinstance(self.emitter.container, dict)):
            return False
        if char == "[" and not (yield from self.citation(at)):
            return False
        return (yield from self.remark(at)) > at

    def citation(self, at: int) -> Reading[bool]:
        """Whether ``[1]`` or ``[2, 3]`` stands at ``at``: behind a text hardly an array."""
        start = at
        while (
            (char := (yield from self.source.peek(at + 1))) and char in "0123456789,-–^ " and at < start + 40
        ):
            at += 1
        return char == "]" and at > start and (yield from self.source.peek(start)) == "["

    def _remark_end(self, start: int) -> Reading[int]:
        """Return the position of what ends a remark, or -1 if a quote or too much text comes before."""
        open: list[str] = []
        for at in range(start, start + _LONGEST_REMARK):
            char = yield from self.source.peek(at)
            if not char or char in "\n{":
                return at if char != "{" and not open else -1
            if open and char == open[-1]:
                open.pop()
            elif char in _PAIRS and (char != "<" or _TAG.match((yield from self.source.peek(at + 1)))):
                open.append(_PAIRS[char])
            elif char in QUOTES and not self._may_quote(open, char):
                return -1
            elif not open and (char in COMMAS or char in CLOSERS):
                return at
        return -1

    def _may_quote(self, open: list[str], char: str) -> bool:
        """Whether the quote is one of a tag or a call, or an apostrophe."""
        return open[-1:] in ([">"], [")"]) or char in "'’"

    def _fits_behind(self, at: int, is_mark: bool, cites: bool) -> Reading[bool]:
        """Whether what follows shows that it is a remark; what cites stands in no text before a comma."""
        at = yield from self.skip(at)
        char = yield from self.source.peek(at)
        if not char:
            return is_mark
        if char in CLOSERS:
            return self.closes(char)
        if char in COMMAS:
            at = yield from self.skip(at + 1)
            char = yield from self.source.peek(at)
            if cites and char and char in CLOSERS:
                return self.closes(char)
        if not isinstance(self.emitter.container, dict):
            return (yield from self.value_starts(at))
        if (yield from self.source.peek(at)) in tuple(QUOTES):
            return (yield from self._quoted_key_follows(at, inside=True, comma=True))
        if not (self.bare_keys or cites):
            return False
        return (yield from self._bare_key_follows(at, comma=True, bare=self.bare_keys))
