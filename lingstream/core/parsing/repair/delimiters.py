"""Which quotes, commas and closing brackets are delimiters, and which are characters of a value.

**Where a string ends.** A quote ends a string if what follows could not follow inside a text: the end of
the container, or a comma and then the next key with its colon (in an array: the next item). Any other quote
is a character of the string.

**What a bracket closes.** A bracket that does not fit is read with the run of brackets that it begins, in the
way that takes the fewest faults. Open containers are a string of what closes them, the innermost first
(:attr:`Emitter.levels`).
"""

from __future__ import annotations

import enum
from functools import cache

from lingstream.core.parsing.tokenizer import CLOSERS, COLONS, COMMAS, QUOTES, Reading, closing_quotes

from .remarks import Remarks
from .state import State
from .values import OPENERS

__all__ = ["Delimiters", "Next", "Verdict", "faults", "fewest_faults", "leave_open"]

_LONGEST_RUN = 6  # of quotes
_MOST_BRACKETS = 16  # of a run that are looked at
# What a fault in a run of brackets counts.
_WRONG_KIND = 1.0
_SUPERFLUOUS = 1.0
_MISSING = 1.0
_REOPENED_ROOT = 1.0
_UNFIT = 3.0


class Verdict(enum.Enum):
    """What a quote inside a string is."""

    INNER = "a character of the string"
    END = "its end"
    REMARK = "its end, and what follows is a remark"
    CONCAT = "its end, and after a + the string goes on"
    KEY = "the end of a key: the array before it was never closed, or a brace was never opened"


class Next(enum.Enum):
    """What follows a run of closing brackets."""

    END = "the end of the text"
    KEY = "a comma and a key"
    ITEM = "a comma and what is no key"
    OTHER = "anything else"


class Delimiters(Remarks):
    """Decides what a quote, a comma or a closing bracket is, by what follows it."""

    # -- quotes -------------------------------------------------------------------

    def verdict(
        self, at: int, quote: str, *, inside: bool, unclosed: str = "", typographic: bool = False
    ) -> Reading[Verdict]:
        """Decide what the quote before ``at`` is.

        :param inside: an unescaped quote was opened inside the string and not closed yet.
        :param unclosed: what the string itself lacks so far: see :attr:`Inside.unclosed`.
        :param typographic: a quote of typography was opened inside it and not closed yet.
        """
        gap = at
        at = yield from self.skip(at)
        char = yield from self.source.peek(at)
        in_object = isinstance(self.emitter.container, dict)
        if not char:
            return Verdict.END
        if char == "\\":
            return (yield from self._before_written_space(at, inside=inside, unclosed=unclosed))
        if char in CLOSERS:
            ends = yield from self._bracket_ends(at, inside=inside, unclosed=unclosed)
            return Verdict.END if ends else Verdict.INNER
        if char in COMMAS or (yield from self.ellipsis(at)) > at:
            ends = yield from self.after_comma(at, inside=inside, unclosed=unclosed, strictly=typographic)
            return Verdict.END if ends else Verdict.INNER
        if char == "+" and not inside:
            after = yield from self.source.peek((yield from self.skip(at + 1)))
            if not after or after in QUOTES:
                return Verdict.CONCAT if after else Verdict.END
        if (yield from self.source.starts("```", at)):
            return Verdict.INNER if "`" in unclosed else Verdict.END
        if char in closing_quotes(quote) and gap == at:
            return (yield from self._quote_run(at, quote, inside=inside))
        if char == "{" and not inside and (yield from self._next_object_opens(at)):
            return Verdict.END
        if in_object:
            found = (gap < at or char in QUOTES) and (
                yield from self.key_follows(at, inside=inside, comma=False)
            )
            return Verdict.END if found else (yield from self._remark_or_inner(gap, inside=inside))
        if char in ":：":
            if isinstance(self.emitter.parent, dict) or (yield from self._opens_record(at)):
                return Verdict.KEY
            return Verdict.INNER if inside else Verdict.END
        starts = gap < at and not inside and (yield from self.value_starts(at))
        if starts and not (yield from self.citation(at)):
            return Verdict.END
        return (yield from self._remark_or_inner(gap, inside=inside))

    def _before_written_space(self, at: int, *, inside: bool, unclosed: str) -> Reading[Verdict]:
        """What the quote is, where a text would go on at ``at`` with an escape.

        The string has ended, if the escape is white space and a comma with a key, or a bracket, is behind it.
        """
        end = yield from self.skip(at, written=True)
        char = yield from self.source.peek(end)
        if end == at or not char or inside:
            return Verdict.INNER
        self.written = True
        if char in CLOSERS:
            ends = yield from self._bracket_ends(end, inside=inside, unclosed=unclosed)
        else:
            ends = char == "," and (yield from self.key_and_value(end + 1))
        self.written = False
        return Verdict.END if ends else Verdict.INNER

    def key_and_value(self, at: int) -> Reading[bool]:
        """Whether a quoted key stands at ``at``, with its colon and the beginning of a value."""
        at = yield from self.skip(at, written=True)
        if (yield from self.quoted_key(at)) is None:
            return False
        at = yield from self.behind(at)
        return (yield from self.value_starts((yield from self.skip(at + 1, written=True))))

    def _opens_record(self, at: int) -> Reading[bool]:
        """Whether the key before ``at``, in an array, stands behind a record or before a brace."""
        emitter = self.emitter
        if not emitter.is_open or emitter.index:
            return emitter.is_open and type(emitter.container[emitter.index - 1]) is dict
        end, fits, _ = yield from self.pairs(at, State.COLON)
        return fits and (yield from self.source.peek(end)) == "}"

    def _remark_or_inner(self, at: int, *, inside: bool) -> Reading[Verdict]:
        is_remark = not inside and (yield from self.remark(at)) > at
        return Verdict.REMARK if is_remark else Verdict.INNER

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

    def lost_quote_before(self, at: int, between: str) -> Reading[bool]:
        """Whether the quote at ``at`` opens the next key or item, so that the string lacked its own.

        :param between: brackets, a comma and white space: what is between the two.
        """
        levels = leave_open(self.emitter.levels, between)
        if levels[:1] != "}":
            is_listed = bool(levels) and not set("，;") & set(between)
            return is_listed and (yield from self.item_follows(at)) and not (yield from self._ends_twice(at))
        end = yield from self.behind(at)
        char = yield from self.source.peek(end)
        if not char or char not in ":：" or (yield from self.source.peek(at + 1)) in ("", " "):
            return False
        after = yield from self.skip(end + 1)
        if not (yield from self.source.peek(after)) or (yield from self.value_starts(after)):
            return True
        return (yield from self._bare_value_follows(after))

    def next_opens(self) -> Reading[bool]:
        """Whether the quote at the position opens the next key or item."""
        if isinstance(self.emitter.container, dict):
            return (yield from self.quoted_key(0)) is not None
        return (yield from self.item_follows(0))

    def _ends_twice(self, at: int) -> Reading[bool]:
        """Whether more quotes close what is quoted at ``at`` than open it: then it stands in a text."""
        text = self.source.part(at, (yield from self.quoted(at)))
        return len(text) - len(text.rstrip('"')) > len(text) - len(text.lstrip('"'))

    def opening_quotes(self, quote: str) -> Reading[tuple[int, int]]:
        """How many more quotes open a string where a second one stands, and how many will close it.

        Tells an empty string, doubled or tripled quotes and an inner quote right at the start apart.
        """
        closers = tuple(closing_quotes(quote))
        if (yield from self.source.peek(1)) in closers:
            is_empty = (yield from self.verdict(2, quote, inside=False)) is Verdict.END
            return (0, 1) if is_empty else (2, 3)
        if (yield from self.verdict(1, quote, inside=False)) is not Verdict.INNER:
            return 0, 1
        end = 1
        while (char := (yield from self.source.peek(end))) and char not in closers:
            end += 2 if char == "\\" else 1
        if not char:
            return 0, 1
        is_double = (yield from self.source.peek(end + 1)) in closers
        if is_double and (yield from self.verdict(end + 2, quote, inside=False)) is Verdict.END:
            return 1, 2
        return int((yield from self._one_too_many(end + 1, quote))), 1

    def _one_too_many(self, end: int, quote: str) -> Reading[bool]:
        """Whether the string ends at ``end``, so that only its opening quote is there twice."""
        if not isinstance(self.emitter.container, list):
            return (yield from self.verdict(end, quote, inside=True)) is Verdict.END
        at = yield from self.skip(end)
        char = yield from self.source.peek(at)
        if char != ",":
            return char == "]"
        at = yield from self.skip(at + 1)
        if (yield from self.source.peek(at)) == quote:
            return (yield from self.item_follows(at))
        return (yield from self.value_starts(at))

    def another_opens(self, quote: str) -> Reading[bool]:
        """Whether the quote at the position opens something, and does not double the last one."""
        after, closers = 1, closing_quotes(quote)
        while (char := (yield from self.source.peek(after))) and char in closers:
            after += 1
        return (yield from self.verdict(after, quote, inside=False)) is not Verdict.END

    # -- commas -------------------------------------------------------------------

    def after_comma(
        self, at: int, *, inside: bool, unclosed: str = "", bare: bool = False, strictly: bool = False
    ) -> Reading[bool]:
        """Whether the comma at ``at`` separates values, and is no character of a text.

        :param bare: the value before it has no quotes, so the one after it may have none either.
        :param strictly: in an array an item has to follow that is well formed.
        """
        at, commas = yield from self.behind_commas(at)
        char = yield from self.source.peek(at)
        if not char:
            return True
        if char in CLOSERS:
            if bare:
                return self.closes(char)
            return (yield from self._bracket_ends(at, inside=inside, unclosed=unclosed))
        if isinstance(self.emitter.container, dict):
            if char == "\\" and commas and not (bare or inside):
                return (yield from self.key_and_value(at))
            return (yield from self.key_follows(at, inside=inside, comma=True, bare=bare))
        return not inside and (bool(commas and not strictly) or (yield from self.value_starts(at)))

    def behind_commas(self, at: int) -> Reading[tuple[int, list[int]]]:
        """Return the position behind the commas and ellipses at ``at``, and those of the commas."""
        commas: list[int] = []
        while True:
            at = yield from self.skip(at)
            char = yield from self.source.peek(at)
            if char and char in COMMAS:
                commas.append(at)
                at += 1
                continue
            end = yield from self.ellipsis(at)
            if end == at:
                return at, commas
            at = end

    def text_follows(self, at: int, quote: str) -> Reading[bool]:
        """Whether text goes on or ends at ``at``, behind a bracket, and not the document that it is in."""
        at = yield from self.skip(at)
        char = yield from self.source.peek(at)
        if not char or char in closing_quotes(quote):
            return not char or (yield from self.verdict(at + 1, quote, inside=False)) is Verdict.END
        if char not in COMMAS:
            return char not in CLOSERS
        char = yield from self.source.peek((yield from self.skip(at + 1)))
        return bool(char) and char not in QUOTES and char not in "{["

    # -- closing brackets ---------------------------------------------------------

    def levels_closed(self) -> Reading[int]:
        """How many levels the bracket at the position closes, where it is not the innermost one's own."""
        run, following = yield from self.closing_run(0)
        return fewest_faults(self.emitter.levels, run, following)

    def closing_run(self, at: int, *, bare: bool = True) -> Reading[tuple[str, Next]]:
        """Return the run of closing brackets at ``at`` (there may be none) and what follows it.

        :param bare: a key without quotes is one, too.
        """
        run, _, at = yield from self.closers(at, _MOST_BRACKETS)
        char = yield from self.source.peek(at)
        if not char or (yield from self.source.starts("```", at)):
            return run, Next.END
        comma = char in COMMAS
        if comma:
            at = yield from self.skip(at + 1)
            char = yield from self.source.peek(at)
        elif char not in QUOTES:
            return run, Next.OTHER
        if (char and char in "{[") or not (bare or char in QUOTES):
            return run, Next.ITEM
        found = yield from self.key_follows(at, inside=False, comma=comma)
        return run, Next.KEY if found else Next.ITEM

    def _bracket_ends(self, at: int, *, inside: bool, unclosed: str) -> Reading[bool]:
        """Whether the closing bracket at ``at`` is none of the string's own.

        It is not if it closes a container that is open, and nothing in the string asks for it. Else what
        follows the whole run of brackets has to fit into the container that they leave open.
        """
        char = yield from self.source.peek(at)
        is_wanted = inside or char in unclosed
        if is_wanted != self.closes(char):
            return not is_wanted
        run, end, at = yield from self.closers(at, self.emitter.limits.depth + 1)
        if len(run) > self.emitter.limits.depth:
            return True  # as where the text ends: each bracket of a run asks, so it is not read to its end
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

    def _next_object_opens(self, at: int) -> Reading[bool]:
        """Whether the brace at ``at`` begins an item of an array, though the comma before it lacks."""
        if "]" not in self.emitter.levels[:2]:
            return False
        at = yield from self.skip(at + 1)
        if (yield from self.source.peek(at)) not in tuple(QUOTES):
            return False
        at = yield from self.behind(at)
        return (yield from self.source.peek(at)) in tuple(COLONS)


def leave_open(levels: str, text: str) -> str:
    """Return what the brackets in ``text`` leave open of ``levels``."""
    for char in text:
        closed = levels.find(char) + 1  # 0 if it closes nothing
        levels = OPENERS.get(char, "") + levels[closed:]
    return levels


def fewest_faults(levels: str, run: str, following: Next) -> int:
    """Return how many levels the first bracket of ``run`` closes, in the reading with the fewest faults."""
    return min(_readings(levels, run, following), key=lambda way: way[0])[1]


def faults(levels: str, run: str, following: Next) -> float:
    """Return what the faults count in the reading of ``run`` that has the fewest."""
    return min(_readings(levels, run, following))[0] if run else _misfit(levels, following)


def _readings(levels: str, run: str, following: Next) -> list[tuple[float, int]]:
    """What each way to read ``run`` counts, and how many levels its first bracket closes then.

    Faults are brackets that are missing, too many or of the wrong kind, and a following key or item that does
    not fit into what is left open.

    :param run: closing brackets, with nothing but white space between them.
    """

    @cache
    def cost(at: int, depth: int) -> float:
        if at == len(run):
            return _misfit(levels[depth:], following)
        return min(price for price, _ in ways(at, depth))

    def ways(at: int, depth: int) -> list[tuple[float, int]]:
        """The price of each way to read ``run[at:]``, and how many levels its first bracket closes then."""
        missing = levels.find(run[at], depth) - depth
        found = (
            [(_MISSING * missing + cost(at + 1, depth + missing + 1), missing + 1)] if missing >= 0 else []
        )
        if missing and depth < len(levels):
            found.append((_WRONG_KIND + cost(at + 1, depth + 1), 1))
        found.append((_SUPERFLUOUS + cost(at + 1, depth), 0))
        return found

    return ways(0, 0)


def _misfit(levels: str, following: Next) -> float:
    if following is Next.END:
        return _MISSING * len(levels) / 2
    if not levels:
        return _REOPENED_ROOT if following is Next.KEY else 0 if following is Next.OTHER else _UNFIT
    if following is Next.OTHER:
        return _UNFIT
    return 0 if (levels[0] == "}") == (following is Next.KEY) else _UNFIT
