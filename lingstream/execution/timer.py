"""The one timer: what is due by the clock is a row with a time, done by whoever claims it first.

1. A row is claimed by one conditional UPDATE, and what it is due for is stored in the same transaction: of
   all processes that look one does it, and one that dies has done it or left it to the others.
2. A look takes at most ``MOST`` rows, by an index; what is left waits for the next one.
3. A row that fails is logged, and is in no other's way: who takes it moves its time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from .away import AWAY

__all__ = ["MOST", "Due", "Timer", "due", "registered"]

logger = logging.getLogger("lingstream")

#: Rows of one look.
MOST = 100

#: Calls a function that uses the ORM in a thread, as :meth:`Lane.call` does.
Call = Callable[..., Awaitable[Any]]


class Due(Protocol):
    """The port: one kind of what can be due. Both methods are called in a thread that may use the ORM."""

    every: float
    """Seconds between two looks; 0: at each beat of the timer."""

    def find(self, most: int) -> Sequence[Any]:
        """Return up to ``most`` of what is due now by the database's time, the oldest first."""
        ...

    def take(self, found: Any) -> bool:
        """Claim one of them and do it, in one transaction; return whether it was this process's to do."""
        ...


_registered: dict[str, Due] = {}


def due(name: str, kind: Due) -> None:
    """Have the timer of each process that executes runs look for this kind, too."""
    _registered[name] = kind


def registered() -> dict[str, Due]:
    """Return all kinds by name."""
    return dict(_registered)


class Timer:
    """Looks for what is due, for one process.

    :param call: how it asks the database.
    :param beat: seconds between two looks, about: processes that started together do not look together.
    """

    def __init__(self, call: Call, beat: float) -> None:
        self._call = call
        self._beat = beat
        self._next: dict[str, float] = {}
        self._away = False

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(self._beat * random.uniform(0.8, 1.2))  # noqa: S311  # a pace
            try:
                await self.look()
                self._away = False
            except Exception as error:
                if not self._away:  # once, and not at every beat
                    logger.warning("nothing is due, until the database answers: %s", error, exc_info=True)
                self._away = True

    async def look(self) -> None:
        """Do what is due, all kinds in turn."""
        now = asyncio.get_running_loop().time
        for name, kind in registered().items():
            if now() < self._next.get(name, 0.0):
                continue
            more = await self._take(name, kind)
            self._next[name] = now() + (0.0 if more else kind.every)

    async def _take(self, name: str, kind: Due) -> bool:
        """Do one look's worth; return whether some may be left. One call each: others wait for the thread."""
        found = await self._call(kind.find, MOST)
        taken = 0
        for row in found:
            try:
                taken += await self._call(kind.take, row)
            except AWAY:
                raise
            except Exception:
                logger.exception("what was due of %s has failed: %s", name, row)
        return bool(found) and taken == len(found)
