"""Whole values that follow: JSON read ahead, where only what comes behind it decides a doubt.

A comma and a key say little where brackets are wrong, or where a text quotes JSON. Then what comes next is
read ahead as JSON, or as Python would write it, up to a bracket that it did not open, and that bracket is the
witness.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lingstream.core.parsing.tokenizer import CLOSERS, LOOKAHEAD, NUMBER, Reading

from .lookahead import Lookahead
from .state import State

__all__ = ["OPENERS", "Ahead", "Values"]

OPENERS = {"{": "}", "[": "]", "(": ")"}
_SPACE = " \t\n\r"
_WORD = re.compile(r"[-+.\w]")
_LITERALS = ("true", "false", "null", "True", "False", "None", "...")
_LONGEST_WORD = 64


class Ahead(NamedTuple):
    """What reading ahead found.

    :param end: where it stopped: at the bracket looked for, at what is no JSON or at the end of the text.
    :param fits: whether all before ``end`` is JSON.
    :param level: how many containers are open there, with the one that it began in.
    """

    end: int
    fits: bool
    level: int = 1


class Values(Lookahead):
    """Reads JSON ahead: in all no more than a few times the text, so that time stays linear."""

    _read = 0  # characters that were read ahead so far

    def pairs(self, at: int, state: State = State.NEXT, most: int = LOOKAHEAD) -> Reading[Ahead]:
        """Read keys and their values from ``at`` to a closing bracket of no matter what kind.

        :param most: how many characters are read at the most; what is open then fits.
        """
        return self._bounded(at, "}", state, any_bracket=True, most=most)

    def items(self, at: int, most: int = LOOKAHEAD) -> Reading[Ahead]:
        """Read values from ``at`` to a closing bracket of no matter what kind; see :meth:`pairs`."""
        return self._bounded(at, "]", State.NEXT, any_bracket=True, most=most)

    def inside(self, at: int, levels: str) -> Reading[Ahead]:
        """Read from ``at``, just inside the innermost of ``levels``, to the bracket that closes the last."""
        return self._bounded(at, levels, State.FIRST, any_bracket=False)

    def _bounded(
        self, at: int, levels: str, state: State, *, any_bracket: bool, most: int = LOOKAHEAD
    ) -> Reading[Ahead]:
        if self._read > 4 * self.source.offset + 2 * LOOKAHEAD:
            return Ahead(at, fits=False, level=len(levels) + 1)
        found = yield from self._json(at, [*reversed(levels)], state, any_bracket, at + most)
        self._read += found.end - at
        return found

    def _json(self, at: int, stack: list[str], state: State, any_bracket: bool, last: int) -> Reading[Ahead]:
        while True:
            at = yield from self.behind_space(at)
            char = yield from self.source.peek(at)
            if not char or at > last:
                return Ahead(at, True, len(stack))
            if state in (State.FIRST, State.COMMA, State.NEXT):
                is_last = len(stack) == 1
                if char == stack[-1] or (is_last and any_bracket and char in CLOSERS):
                    if is_last:
                        return Ahead(at, fits=True)
                    stack.pop()
                    at, state = at + 1, State.COMMA
                    continue
            if state is State.COMMA or state is State.COLON:
                if char != (":" if state is State.COLON else ","):
                    return Ahead(at, False, len(stack))
                at, state = at + 1, State.VALUE if state is State.COLON else State.NEXT
            elif char in "{[" and (state is State.VALUE or stack[-1] == "]"):
                stack.append(OPENERS[char])
                if len(stack) > self.emitter.limits.depth:
                    return Ahead(at, False, len(stack))
                at, state = at + 1, State.FIRST
            else:
                is_key = stack[-1] == "}" and state is not State.VALUE
                end = yield from (self._string(at, last) if char in "\"'" or is_key else self._word(at))
                if end == at:
                    return Ahead(at, False, len(stack))
                at, state = end, State.COLON if is_key else State.COMMA

    def behind_space(self, at: int) -> Reading[int]:
        """Return the position of what follows the white space at ``at``, which may be a comment."""
        while (char := (yield from self.source.peek(at))) and char in _SPACE:
            at += 1
        return at

    def _string(self, at: int, last: int) -> Reading[int]:
        """Return the position behind the string at ``at``, or ``at`` if there is none."""
        quote = yield from self.source.peek(at)
        if quote not in ('"', "'"):
            return at
        end = at + 1
        while end <= last and (char := (yield from self.source.peek(end))) and char != quote:
            end += 2 if char == "\\" else 1
        return min(end + 1, LOOKAHEAD + 1)

    def _word(self, at: int) -> Reading[int]:
        """Return the position behind the number or literal at ``at``, or ``at`` if there is none."""
        word = ""
        while len(word) < _LONGEST_WORD and (char := (yield from self.source.peek(at + len(word)))):
            if not _WORD.match(char):
                break
            word += char
        return at + len(word) if word in _LITERALS or NUMBER.fullmatch(word) else at
