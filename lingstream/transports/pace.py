"""How often viewers are told something: no more often than ``FRAME_INTERVAL``.

A batch costs a viewer's turn, a write to its socket and a system call, whatever is in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from weakref import WeakValueDictionary

from lingstream.conf import app_settings

__all__ = ["Beat", "beat_of"]

Clock = Callable[[], float]
Later = Callable[[float, Callable[[], None]], asyncio.TimerHandle]


class Beat:
    """When the viewers of one run in this process are told more: all who keep up at once.

    So one timer serves them all, and none is set where frames come further apart than that. After a silence
    the first frame goes at once.

    :param interval: the shortest time between two batches, in seconds.
    :param clock: what time it is, in seconds.
    :param later: sets a timer, like a loop's ``call_later``.
    """

    def __init__(self, interval: float, *, clock: Clock = time.monotonic, later: Later | None = None) -> None:
        self._later = later or _later
        self._interval = interval
        self._clock = clock
        self._due = clock()  # when the next batch may go
        self._waiting: dict[Callable[[], None], None] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def due(self) -> bool:
        """Whether a batch may go now."""
        return self._clock() >= self._due

    def news(self, wake: Callable[[], None]) -> None:
        """There is something to tell: call ``wake`` once when it is due, at once if it is."""
        now = self._clock()
        if now >= self._due:
            wake()
            return
        if self._timer is None:
            self._timer = self._later(self._due - now, self._strike)
        self._waiting[wake] = None

    def leave(self, wake: Callable[[], None]) -> None:
        """Do not call ``wake`` any more."""
        self._waiting.pop(wake, None)
        if self._timer and not self._waiting:
            self._timer.cancel()
            self._timer = None

    def told(self) -> None:
        """A viewer gets a batch now."""
        now = self._clock()
        if now >= self._due:
            self._due = now + self._interval

    def _strike(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, {}
        for wake in waiting:
            wake()


def beat_of(run: str) -> Beat:
    """Return what the viewers of ``run`` in this process have in common, while there are any."""
    beat = _beats.get(run)
    if beat is None:
        beat = _beats[run] = Beat(app_settings().frame_interval)
    return beat


def _later(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    # In a context of its own: a viewer's may be a request's.
    return asyncio.get_running_loop().call_later(seconds, call, context=Context())


_beats: WeakValueDictionary[str, Beat] = WeakValueDictionary()
