"""Whether a container that was closed goes on, or one begins whose bracket is missing.

A model closes an array after each record, a record too early, begins one without its brace, or gives a key a
second list. Which of them it is, the closing brackets behind the next values say: the reading with the fewest
faults is taken, and the keys decide where two have as many.
"""

from __future__ import annotations

import enum
from typing import Any

from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.tokenizer import COLONS, QUOTES, Reading, Source

from .delimiters import Delimiters, Next, faults
from .state import State

__all__ = ["LONGEST_FIRST_KEY", "Record", "Reopening"]


#: How long a quoted key is that is looked for behind a record. A longer one costs a ``fix``.
LONGEST_FIRST_KEY = 66


class Record(enum.Enum):
    """What a key in an array belongs to."""

    NONE = "it is no key"
    NEW = "a record without its opening brace"
    LAST = "the record before it, which was closed too early"
    OUTER = "the object around the array, which was never closed"


class Reopening:
    """Answers for the container that is open, at the source's position."""

    def __init__(self, emitter: Emitter, source: Source, ahead: Delimiters) -> None:
        self.emitter = emitter
        self.source = source
        self.ahead = ahead

    def list_goes_on(self, char: str) -> Reading[bool]:
        """Whether items of the array that was the last value of the object stand where a key belongs."""
        last = last_of(self.emitter.container)
        if type(last) is not list:
            return False
        if char == "[":
            return True
        if not last or not _is_like(char, last[-1]):
            return False
        if char == "{" and isinstance(self.emitter.parent, list):
            key = yield from self._key((yield from self.ahead.skip(1)))
            if key not in last[-1] or key in self.emitter.container:
                return False
        end, fits = yield from self.ahead.items(0)
        return fits and (yield from self.source.peek(end)) == "]"

    def root_goes_on(self) -> Reading[bool]:
        """Whether items follow the array that is the document, and another bracket."""
        root = self.emitter.container
        if (yield from self.source.peek()) != "," or not root:
            return False
        at = yield from self.ahead.skip(1)
        if not _is_like((yield from self.source.peek(at)), root[-1]):
            return False
        end, fits = yield from self.ahead.items(at)
        return fits and (yield from self.source.peek(end)) in ("]", "")

    def record(self) -> Reading[Record]:
        """What the key at the position belongs to, in an array behind an object."""
        emitter = self.emitter
        last, outer = last_of(emitter.container), emitter.parent
        key = (yield from self._key(0)) if type(last) is dict else None
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
        key = yield from self._key(at)
        if key is None or key in last:
            return False
        left = emitter.levels[levels:]
        within, without = yield from self._prices(at, State.NEXT, left or "}")
        is_lost = not left and emitter.levels[-1:] == "]"  # an array at the root has no keys
        return is_lost or within + 1 < without + faults(emitter.levels, run, Next.KEY)

    def _prices(self, at: int, state: State, without: str) -> Reading[tuple[float, float]]:
        """The faults of the brackets behind the pairs at ``at``, within a record of the array and without."""
        end, fits = yield from self.ahead.pairs(at, state)
        if not fits or not (yield from self.source.peek(end)):
            return 0, 0
        run, following = yield from self.ahead.closing_run(end)
        return (
            faults("}" + self.emitter.levels, run, following),
            faults(without, run, following),
        )

    def _key(self, at: int) -> Reading[str | None]:
        """The quoted key with its colon at ``at``."""
        if (yield from self.source.peek(at)) not in tuple(QUOTES):
            return None
        end = yield from self.ahead.quoted(at)
        if (yield from self.source.peek((yield from self.ahead.skip(end)))) not in tuple(COLONS):
            return None
        return self.source.part(at + 1, end - 1)


def last_of(container: Any) -> Any:
    """The last value of an array or object, ``None`` if it has none."""
    if not container:
        return None
    return container[-1] if type(container) is list else container[next(reversed(container))]


def _is_like(char: str, value: Any) -> bool:
    """Whether ``char`` begins a value of the same type as ``value``."""
    if isinstance(value, str):
        return char in tuple(QUOTES)
    if isinstance(value, dict):
        return char == "{"
    return isinstance(value, int | float) and (char.isdigit() or char == "-")
