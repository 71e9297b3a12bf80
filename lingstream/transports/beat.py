"""When the viewers of a run are told something: all who keep up at once, no closer than the pace allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from weakref import WeakValueDictionary

from django.core.signals import setting_changed

from lingstream.access.pace import Pace, pace

__all__ = ["Beat", "beat_of"]

# Seconds between two batches for each who gets them, up to the interval of a busy process: a batch costs a
# write to each one's socket, so the viewers of one run take at most a twentieth of a core.
_EACH = 0.0005

Later = Callable[[float, Callable[[], None]], asyncio.TimerHandle]


class Beat:
    """When the viewers of one run in this process are told more: all who keep up at once.

    So one timer serves them all, and they get the same frames, which are merged and encoded once. After a
    silence the first frame goes at once. The more they are, the further apart are the next ones.

    :param later: sets a timer, like a loop's ``call_later``.
    """

    def __init__(self, pace: Pace, later: Later | None = None) -> None:
        self._pace = pace
        self._later = later or _later
        self._due = pace.clock()  # when the next batch may go
        self._news_at: float | None = None  # when somebody was called who has not read yet
        self._called = 0  # viewers, since the last batch
        self._waiting: dict[Callable[[], None], None] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def due(self) -> bool:
        """Whether a batch may go now."""
        return self._pace.clock() >= self._due

    def news(self, wake: Callable[[], None]) -> None:
        """There is something to tell: call ``wake`` once when it is due, at once if it is."""
        now = self._pace.clock()
        if now >= self._due:
            self._news_at = now
            self._called += 1
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
        now = self._pace.clock()
        if now >= self._due:
            late = 0.0 if self._news_at is None else now - self._news_at
            for_all = now + min(self._called * _EACH, self._pace.most)
            self._due = max(self._pace.told(now, late), for_all)
            self._news_at, self._called = None, 0

    def _strike(self) -> None:
        self._timer = None
        self._due = min(self._due, self._pace.clock())  # uvloop's timers are up to a millisecond early
        self._news_at = self._due
        waiting, self._waiting = self._waiting, {}
        self._called += len(waiting)
        for wake in waiting:
            wake()


def beat_of(run: str) -> Beat:
    """Return what the viewers of ``run`` in this process have in common, while there are any."""
    beat = _beats.get(run)
    if beat is None:
        beat = _beats[run] = Beat(pace())
    return beat


def _later(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    # In a context of its own: a viewer's may be a request's.
    return asyncio.get_running_loop().call_later(seconds, call, context=Context())


_beats: WeakValueDictionary[str, Beat] = WeakValueDictionary()


def _forget(*, setting: str, **_: object) -> None:
    if setting == "LINGSTREAM":
        _beats.clear()


setting_changed.connect(_forget)
