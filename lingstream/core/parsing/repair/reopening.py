"""Whether a container that was closed goes on, or one begins whose bracket is missing.

A model closes an array after each record, a record too early, begins one without its brace, or gives a key a
second list. Which of them it is, the closing brackets behind the next values say: the reading with the fewest
faults is taken, and the keys decide where two have as many.
"""

from __future__ import annotations

import enum
from typing import Any

from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.tokenizer import CLOSERS, COLONS, COMMAS, QUOTES, Reading, Source

from .delimiters import Delimiters, Next, faults
from .remarks import MARKS
from .state import State

__all__ = ["LONGEST_FIRST_KEY", "More", "Record", "Reopening"]


#: How long a quoted key is that is looked for behind a record. A longer one costs a ``fix``.
LONGEST_FIRST_KEY = 66
_LONGEST_SENTENCE = 300  # how far records and quotes are read that may be a sentence's
_LONGEST_VALUE = 120  # characters behind which a record ends whose first value begins as none


class Record(enum.Enum):
    """What a key in an array belongs to."""

    NONE = "it is no key"
    NEW = "a record without its opening brace"
    LAST = "the record before it, which was closed too early"
    OUTER = "the object around the array, which was never closed"


class More(enum.Enum):
    """What goes on a list that was closed."""

    NOTHING = "nothing does"
    ITEMS = "more of its items"
    LIST = "a second list for its key"


class Reopening:
    """Answers for the container that is open, at the source's position."""

    def __init__(self, emitter: Emitter, source: Source, ahead: Delimiters) -> None:
        self.emitter = emitter
        self.source = source
        self.ahead = ahead

    def list_follows(self, char: str) -> Reading[More]:
        """What of the array that was the last value of the object stands where a key belongs."""
        last = self._last_list()
        if last is None:
            return More.NOTHING
        if last and _is_like(char, last[-1]) and (yield from self._items_follow(char, last)):
            return More.ITEMS
        return More.LIST if char == "[" else More.NOTHING

    def _items_follow(self, char: str, last: list[Any]) -> Reading[bool]:
        """Whether more items of ``last`` follow, which was closed too early; ``char`` begins the first."""
        if char == "{":
            key = yield from self.ahead.quoted_key((yield from self.ahead.skip(1)))
            is_in_list = isinstance(self.emitter.parent, list)
            if is_in_list and (key not in last[-1] or key in self.emitter.container):
                return False
            if key in last[-1] and not is_in_list:
                return True
        end, fits, _ = yield from self.ahead.items(0)
        return fits and (yield from self.source.peek(end)) == "]"

    def _last_list(self) -> list[Any] | None:
        """The array that the object's last value is: a key that comes twice is last, and keeps its place."""
        last = last_of(self.emitter.container)
        return last if type(last) is list and last is self.emitter.closed else None

    def root_goes_on(self) -> Reading[bool]:
        """Whether more of it follows the document, which was closed too early: keys, records or items."""
        is_object = isinstance(self.emitter.container, dict)
        return (yield from (self._object_goes_on() if is_object else self._array_goes_on()))

    def _object_goes_on(self) -> Reading[bool]:
        """Whether a comma and a key follow, perhaps behind more brackets, and are none of a sentence's."""
        if (yield from self.ahead.closing_run(0, bare=False))[1] is not Next.KEY:
            return False
        _, _, at = yield from self.ahead.closers(0)
        is_behind_comma = (yield from self.source.peek(at)) in tuple(COMMAS)
        if is_behind_comma:
            at = yield from self.ahead.skip(at + 1)
        value = yield from self.ahead.skip((yield from self.ahead.behind(at)) + 1)
        first = yield from self.source.peek(value)
        if first and first in QUOTES:
            end = yield from self._behind_short(value)
            words = yield from self.ahead.behind_space(end)
            if words == end or "\n" in self.source.part(end, words):
                return True  # a quote in a text, a next line, or it is too long to be held back
        elif (yield from self.ahead.value_starts(value)):
            words, fits, level = yield from self.ahead.pairs(at, most=_LONGEST_SENTENCE)
            if fits or level > 1:
                return True
        elif is_behind_comma:
            return True
        else:
            words = value
        if not (yield from self.source.peek(words)).isalpha():
            return True
        end = yield from self._line_or_brace(words)
        line = self.source.part(value, end)
        following = yield from self.source.peek((yield from self.ahead.skip(end)))
        return following in tuple("}" + QUOTES) or line.rstrip().endswith(",") or line.count('"') > 2

    def _behind_short(self, at: int) -> Reading[int]:
        """Return the position behind the short text without escapes that is quoted at ``at``, or ``at``."""
        quote = yield from self.source.peek(at)
        for end in range(at + 1, at + _LONGEST_VALUE):
            char = yield from self.source.peek(end)
            if not char or char == "\\":
                break
            if char == quote:
                return end + 1
        return at

    def _array_goes_on(self) -> Reading[bool]:
        """Whether a record like its last one, or items and another bracket, follow."""
        root = self.emitter.container
        if (yield from self.source.peek()) != "," or not root:
            return False
        at = yield from self.ahead.skip(1)
        char = yield from self.source.peek(at)
        if type(root[-1]) is dict and char and (char == "{" or char in QUOTES):
            start = (yield from self.ahead.skip(at + 1)) if char == "{" else at
            is_known = (yield from self.ahead.quoted_key(start)) in root[-1]
            if is_known or char != "{":
                return is_known and (yield from self._is_no_prose(start, braced=char == "{"))
        if not _is_like(char, root[-1]):
            return False
        end, fits, _ = yield from self.ahead.items(at)
        return fits and (yield from self.source.peek(end)) in ("]", "]" if char == "[" else "")

    def _is_no_prose(self, start: int, *, braced: bool) -> Reading[bool]:
        """Whether the keys and values at ``start`` belong to a document and not to a sentence.

        A record ends with a bracket, and no word stands behind it. Where more is wrong with it, its first
        value has to begin as one does, and without a brace before it as no word of a sentence; or a brace has
        to end it soon.
        """
        end, fits, _ = yield from self.ahead.pairs(start)
        if not fits:
            at = yield from self.ahead.behind_space((yield from self.ahead.behind(start)) + 1)
            value = yield from self.source.peek(at)
            if (yield from self.ahead.value_starts(at)):
                return braced or value in QUOTES + "{["
            end = yield from self._line_or_brace(at)
            if not braced or (yield from self.source.peek(end)) != "}":
                return False
        at = yield from self.ahead.skip(end + 1)
        if (char := (yield from self.source.peek(at))) and char in COMMAS:
            at = yield from self.ahead.skip(at + 1)
        following = yield from self.source.peek(at)
        if following and following in QUOTES + "{[":
            return not (yield from self._sentence_follows(at))
        return not following or following in CLOSERS

    def _line_or_brace(self, at: int) -> Reading[int]:
        """Return the position of the next brace that closes, the end of the line or of a longest value."""
        for end in range(at, at + _LONGEST_VALUE):
            char = yield from self.source.peek(end)
            if not char or char in "}\n":
                return end
        return at + _LONGEST_VALUE

    def _sentence_follows(self, at: int) -> Reading[bool]:
        """Whether words go on behind the records and quotes at ``at``: ``{"a": 2}, {"a": 3} would do``.

        They do so in the same line, in which no bracket closes the array then.
        """
        end, fits, level = yield from self.ahead.items(at, _LONGEST_SENTENCE)
        is_comment = (yield from self.ahead.skip(end)) > end
        char = yield from self.source.peek(end)
        if char and char in COMMAS:
            end = yield from self.ahead.skip(end + 1)
            char = yield from self.source.peek(end)
        if fits or level > 1 or is_comment or "\n" in self.source.part(0, end):
            return False
        if char in QUOTES + CLOSERS + MARKS + "{(（…" or (yield from self.source.starts("...", end)):
            return False
        if char in COLONS:
            return not (yield from self.ahead.value_starts((yield from self.ahead.skip(end + 1))))
        return not (yield from self._is_closed(end))

    def _is_closed(self, at: int) -> Reading[bool]:
        """Whether a bracket that closes an array stands behind ``at`` in its line, and none that opens it."""
        depth = 0
        for end in range(at, at + _LONGEST_SENTENCE):
            char = yield from self.source.peek(end)
            if not char or char == "\n":
                return False
            depth += (char == "[") - (char == "]")
            if depth < 0:
                return True
        return False

    def record(self) -> Reading[Record]:
        """What the key at the position belongs to, in an array behind an object."""
        emitter = self.emitter
        last, outer = last_of(emitter.container), emitter.parent
        key = (yield from self.ahead.quoted_key(0)) if type(last) is dict else None
        if key is None or len(key) + 2 > LONGEST_FIRST_KEY or "\\" in key:
            return Record.NONE
        if isinstance(outer, dict):
            within, without = yield from self._prices(0, State.NEXT, emitter.levels[1:])
            if without < within or (without == within and (key not in last or key in outer)):
                return Record.OUTER
        return Record.NEW if key in last else Record.LAST

    def first_record(self) -> Reading[bool]:
        """Whether the key before the position begins a record, and the array around it is not over."""
        if not isinstance(self.emitter.parent, dict):
            return True
        within, without = yield from self._prices(0, State.COLON, self.emitter.levels[1:])
        return within < without

    def record_goes_on(self, levels: int) -> Reading[bool]:
        """Whether the bracket at the position is one too many, and the record before it goes on behind it.

        :param levels: how many levels the bracket closes in the best of the other readings.
        """
        emitter, ahead = self.emitter, self.ahead
        last = last_of(emitter.container)
        if type(emitter.container) is not list or type(last) is not dict:
            return False
        run, _, at = yield from ahead.closers(0)
        if len(run) > 1 or (yield from self.source.peek(at)) != ",":
            return False
        at = yield from ahead.skip(at + 1)
        key = yield from self.ahead.quoted_key(at)
        if key is None or key in last:
            return False
        left = emitter.levels[levels:]
        within, without = yield from self._prices(at, State.NEXT, left or "}")
        is_lost = not left and emitter.levels[-1:] == "]"  # an array at the root has no keys
        more = without + faults(emitter.levels, run, Next.KEY) - within - 1
        return is_lost or more > 0 or (more == 0 and (yield from self._record_behind(at)))

    def is_superfluous(self) -> Reading[bool]:
        """Whether the bracket at the position is one too many, as a record of this array follows."""
        if type(self.emitter.container) is not list or not isinstance(self.emitter.parent, dict):
            return False
        run, _, at = yield from self.ahead.closers(0)
        return len(run) == 1 and (yield from self._record_follows(at))

    def _record_behind(self, at: int) -> Reading[bool]:
        """Whether a record of this array follows the one that goes on at ``at``."""
        end, fits, _ = yield from self.ahead.pairs(at)
        if not fits:
            return False
        _, _, at = yield from self.ahead.closers(end)
        return (yield from self._record_follows(at))

    def _record_follows(self, at: int) -> Reading[bool]:
        """Whether a comma and a record are at ``at``, like the last one and not like that around it."""
        if (yield from self.source.peek(at)) != ",":
            return False
        at = yield from self.ahead.skip(at + 1)
        if (yield from self.source.peek(at)) != "{":
            return False
        key = yield from self.ahead.quoted_key((yield from self.ahead.skip(at + 1)))
        last, outer = last_of(self.emitter.container), self.emitter.parent
        return type(last) is dict and key in last and key not in (outer or ())

    def _prices(self, at: int, state: State, without: str) -> Reading[tuple[float, float]]:
        """The faults of the brackets behind the pairs at ``at``, within a record of the array and without."""
        end, fits, _ = yield from self.ahead.pairs(at, state)
        if not fits or not (yield from self.source.peek(end)):
            return 0, 0
        run, following = yield from self.ahead.closing_run(end)
        return (
            faults("}" + self.emitter.levels, run, following),
            faults(without, run, following),
        )


def last_of(container: Any) -> Any:
    """The last value of an array or object, ``None`` if it has none."""
    if not container:
        return None
    return container[-1] if type(container) is list else container[next(reversed(container))]


def _is_like(char: str, value: Any) -> bool:
    """Whether ``char`` begins a value of the same type as ``value``: an object, an array or a scalar."""
    if isinstance(value, dict):
        return char == "{"
    if isinstance(value, list):
        return char == "["
    return char in tuple(QUOTES + "-tfnTFN") or char.isdigit()
