"""What one rendering of a template may cost: units of work, characters, loop turns, and CPU time.

A unit is about what Python needs for one step of a loop (0.1 µs). Whatever walks through a value pays by its
length before it walks, so that no single operation is longer than what is left; the CPU clock of the thread
is looked at in between, and time in which the thread did not run is nobody's fault.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Any

from lingstream.core.exceptions import TemplateError
from lingstream.core.phrases import Phrase

__all__ = [
    "MAX_CHARACTERS",
    "MAX_SECONDS",
    "MAX_STEPS",
    "MAX_VALUE",
    "MAX_WORK",
    "Budget",
    "TooLong",
    "sized",
]

MAX_VALUE = 4_000_000  # one value built by a template: its characters, and _ITEM for each item
MAX_CHARACTERS = 16_000_000  # all that one rendering writes, kept or not
MAX_STEPS = 100_000  # loop turns and macro calls
MAX_SECONDS = 2.0  # of CPU
MAX_WORK = 40_000_000

_ITEM = 16
_CHARACTERS = 32  # that are as much work as one item
_LOOK = 1_000  # units between two looks at the clock
_BRIEF_WORK = 30_000
_BRIEF_SECONDS = 0.005


class TooLong(Exception):
    """A rendering that was to be brief is not; nothing has come of it."""


class Budget:
    """What one rendering may still spend.

    :param brief: raise :class:`TooLong` after about 5 ms instead of going on to the limits.
    """

    __slots__ = ("brief", "characters", "deadline", "steps", "unseen", "work")

    def __init__(self, brief: bool = False) -> None:
        self.brief = brief
        self.steps = MAX_STEPS
        self.characters = MAX_CHARACTERS
        self.work = _BRIEF_WORK if brief else MAX_WORK
        self.unseen = 0
        self.deadline = time.thread_time() + (_BRIEF_SECONDS if brief else MAX_SECONDS)

    def step(self) -> None:
        """Pay for a turn of a loop, or the call of a macro."""
        self.steps -= 1
        if self.steps < 0:
            message = Phrase("expected at most %(most)s loop turns and macro calls, got more", most=MAX_STEPS)
            raise TemplateError(message)
        self.pay(5)

    def spend(self, characters: int) -> None:
        """Pay for characters that are written."""
        self.characters -= characters
        if self.characters < 0:
            message = Phrase(
                "expected to write at most %(most)s characters in all, got more", most=MAX_CHARACTERS
            )
            raise TemplateError(message)
        self.pay(1 + characters // _CHARACTERS)

    def pay(self, units: int) -> None:
        """Pay for work that is about to be done."""
        self.work -= units
        self.unseen += units
        if self.work < 0:
            if self.brief:
                raise TooLong
            raise TemplateError(Phrase("expected a rendering that walks through less data"))
        if self.unseen >= _LOOK:
            self.unseen = 0
            if time.thread_time() > self.deadline:
                if self.brief:
                    raise TooLong
                message = Phrase(
                    "expected a rendering of at most %(most)s s of CPU, it took longer",
                    most=f"{MAX_SECONDS:g}",
                )
                raise TemplateError(message)

    def walk(self, value: Any, times: int = 1) -> Any:
        """Pay for going through ``value``, all that is inside it included; return it.

        What comes one by one is paid for as it comes.

        :param times: how often, for what compares or sorts.
        """
        if isinstance(value, str):
            self.pay(times * (1 + len(value) // _CHARACTERS))
        elif isinstance(value, Iterator):
            return self._each(value, times)
        elif isinstance(value, (list, tuple, dict)):
            self.pay(times * _units(value))
        elif isinstance(value, Collection):
            self.pay(times * len(value))
        return value

    def glance(self, value: Any) -> Any:
        """Pay for going through the items of ``value`` and not into them; return it."""
        if isinstance(value, Iterator):
            return self._each(value, 1)
        if isinstance(value, str):
            self.pay(len(value))
        elif isinstance(value, Collection):
            self.pay(3 * len(value))
        return value

    def _each(self, items: Iterator[Any], times: int) -> Iterator[Any]:
        for item in items:
            self.walk(item, times)
            self.pay(3 * times)
            yield item


def sized(value: Any, budget: Budget) -> Any:
    """Return ``value`` if it is of bearable size written out.

    ``[x, x]`` forty times over is small in memory and 2^40 items when written, compared or searched.
    """
    return budget.walk(value) if isinstance(value, (list, tuple, dict)) else value


def _units(value: Any) -> int:
    """How many units it takes to go through a container; bounded by the size that a value may have."""
    left, units, stack = MAX_VALUE, 0, [value]
    while stack:
        item = stack.pop()
        units += 1
        if isinstance(item, str):
            left -= len(item)
            units += len(item) // _CHARACTERS
        elif isinstance(item, dict):
            left -= _ITEM * len(item)
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            left -= _ITEM * len(item)
            stack.extend(item)
        if left < 0:
            message = Phrase(
                "expected a value of at most %(most)s characters and items, got more", most=MAX_VALUE
            )
            raise TemplateError(message)
    return units
