"""Where does a string end? What follows a quote, and what the string holds already, decides."""

from __future__ import annotations

import enum

from lingstream.core.parsing.tokenizer import CLOSERS, COLONS, COMMAS, QUOTES, Reading, closing_quotes

from .brackets import leave_open
from .lookahead import Lookahead

__all__ = ["Delimiters", "Verdict"]

_LONGEST_RUN = 6


class Verdict(enum.Enum):
    """What a quote inside a string is."""

    INNER = "a character of the string"
    END = "its end"
    CONCAT = "its end, and after a + the string goes on"
    KEY = "the end of a key: the array before it was never closed"


class Delimiters(Lookahead):
    """Decides what the quotes and commas inside a value are."""

    def verdict(self, at: int, quote: str, *, inside: bool, unclosed: str = "") -> Reading[Verdict]:
        """Decide what the quote before ``at`` is.

        :param inside: an unescaped quote was opened inside the string and not closed yet.
        :param unclosed: closing brackets that the string itself lacks so far.
        """
        gap = at
        at = yield from self.skip(at)
        char = yield from self.source.peek(at)
        in_object = isinstance(self.emitter.container, dict)
        if not char:
            return Verdict.END
        if char in CLOSERS:
            ends = yield from self._bracket_ends(at, inside=inside, unclosed=unclosed)
            return Verdict.END if ends else Verdict.INNER
        if char in COMMAS or (yield from self.ellipsis(at)) > at:
            ends = yield from self.after_comma(at, inside=inside, unclosed=unclosed)
            return Verdict.END if ends else Verdict.INNER
        if char == "+" and not inside:
            after = yield from self.source.peek((yield from self.skip(at + 1)))
            if not after or after in QUOTES:
                return Verdict.CONCAT if after else Verdict.END
        if (yield from self.source.starts("```", at)):
            return Verdict.END
        if char in closing_quotes(quote) and gap == at:
            return (yield from self._quote_run(at, quote, inside=inside))
        if char == "{" and not inside and (yield from self._next_object_opens(at)):
            return Verdict.END
        if in_object:
            found = (gap < at or char in QUOTES) and (
                yield from self.key_follows(at, inside=inside, comma=False)
            )
            return Verdict.END if found else Verdict.INNER
        if char in ":：":
            return Verdict.KEY if self._array_in_object() else Verdict.INNER if inside else Verdict.END
        if gap < at and not inside and (yield from self.value_starts(at)):
            return Verdict.END
        return Verdict.INNER

    def _bracket_ends(self, at: int, *, inside: bool, unclosed: str) -> Reading[bool]:
        """Whether the closing bracket at ``at`` is none of the string's own.

        It is not if it closes a container that is open, and nothing in the string asks for it. Else what
        follows the whole run of brackets has to fit into the container that they leave open.
        """
        char = yield from self.source.peek(at)
        is_wanted = inside or char in unclosed
        if is_wanted != self.closes(char):
            return not is_wanted
        run, end, at = yield from self.closers(at)
        levels = leave_open(self.emitter.levels, run)
        line_end = "\n" in self.source.part(end, at)
        char = yield from self.source.peek(at)
        if not char or (yield from self.source.starts("```", at)):
            return True
        if not levels:
            return line_end or char in ";<"
        if char in COMMAS:
            at = yield from self.skip(at + 1)
            char = yield from self.source.peek(at)
            if not char or char in CLOSERS:
                return True
        elif not line_end:
            return False
        if char == "{" and (yield from self._next_object_opens(at)):
            return True
        if levels[0] != "}":
            return (yield from self.value_starts(at))
        if char in QUOTES:
            return (yield from self._quoted_key_follows(at, inside=inside, comma=True))
        return (yield from self._bare_key_follows(at, comma=True, bare=False))

    def _quote_run(self, at: int, quote: str, *, inside: bool) -> Reading[Verdict]:
        """One closing quote was followed at once by another one at ``at``."""
        after = at
        closers = closing_quotes(quote)
        while (char := (yield from self.source.peek(after))) and char in closers:
            after += 1
            if after - at > _LONGEST_RUN:
                return Verdict.INNER
        rest = yield from self.verdict(after, quote, inside=False)
        if rest is Verdict.END:
            return Verdict.INNER if inside else Verdict.END
        if inside:
            return Verdict.INNER
        if isinstance(self.emitter.container, dict):
            found = yield from self.key_follows(at, inside=False, comma=False)
            return Verdict.END if found else Verdict.INNER
        return Verdict.END if (yield from self.item_follows(at)) else Verdict.INNER

    def _next_object_opens(self, at: int) -> Reading[bool]:
        """Whether the brace at ``at`` begins an item of an array, though the comma before it lacks."""
        if "]" not in self.emitter.levels[:2]:
            return False
        at = yield from self.skip(at + 1)
        if (yield from self.source.peek(at)) not in tuple(QUOTES):
            return False
        at = yield from self.behind(at)
        return (yield from self.source.peek(at)) in tuple(COLONS)

    def after_comma(self, at: int, *, inside: bool, unclosed: str = "", bare: bool = False) -> Reading[bool]:
        """Whether the comma at ``at`` separates values, and is no character of a text.

        :param bare: the value before it has no quotes, so the one after it may have none either.
        """
        while True:
            at = yield from self.skip(at)
            char = yield from self.source.peek(at)
            if char and char in COMMAS:
                at += 1
            elif char in ".…" and char:
                end = yield from self.ellipsis(at)
                if end == at:
                    break
                at = end
            else:
                break
        if not char:
            return True
        if char in CLOSERS:
            if bare:
                return self.closes(char)
            return (yield from self._bracket_ends(at, inside=inside, unclosed=unclosed))
        if isinstance(self.emitter.container, dict):
            return (yield from self.key_follows(at, inside=inside, comma=True, bare=bare))
        return not inside

    def item_follows(self, at: int) -> Reading[bool]:
        """Whether a whole quoted item stands at ``at``."""
        at = yield from self.behind(at)
        char = yield from self.source.peek(at)
        if not char or char == "]":
            return True
        return char == "," and (yield from self.value_starts((yield from self.skip(at + 1))))

    def lost_quote_before(self, at: int, between: str) -> Reading[bool]:
        """Whether the quote at ``at`` opens the next key or item, so that the string lacked its own.

        :param between: brackets, a comma and white space: what is between the two.
        """
        levels = leave_open(self.emitter.levels, between)
        if levels[:1] != "}":
            is_listed = bool(levels) and not set("，;") & set(between)
            return is_listed and (yield from self.item_follows(at))
        end = yield from self.behind(at)
        char = yield from self.source.peek(end)
        if not char or char not in ":：" or (yield from self.source.peek(at + 1)) in ("", " "):
            return False
        after = yield from self.skip(end + 1)
        if not (yield from self.source.peek(after)) or (yield from self.value_starts(after)):
            return True
        return (yield from self._bare_value_follows(after))

    def _array_in_object(self) -> bool:
        stack = self.emitter.stack
        return bool(stack) and isinstance(stack[-1][0], dict)
