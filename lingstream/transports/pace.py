"""How often viewers are told something: at least so far apart, and further where this process is busy.

A batch costs a viewer's turn, a write to its socket and a system call, whatever is in it. So what a busy
process saves on batches it has for tokens; an idle one tells them as they come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from functools import lru_cache
from weakref import WeakValueDictionary

from django.core.signals import setting_changed

from lingstream.conf import app_settings

__all__ = ["Beat", "Pace", "beat_of"]

Clock = Callable[[], float]
Later = Callable[[float, Callable[[], None]], asyncio.TimerHandle]

_LOOK = 0.25  # seconds between two looks at the clocks
_MEMORY = 1.0  # seconds after which what was before no longer counts
_EASY = 0.25  # share of a core up to which a process has time for every batch
_FULL = 0.75  # and from which on it has none to spare


class Pace:
    """The shortest time between two batches to one viewer, by how busy this process was lately.

    It is busy by the share of a core that it uses, or by how long its event loop leaves a batch waiting that
    is due: on a crowded machine a process gets no share and is late all the same. Up to a quarter of a core
    counts as idle, three quarters as full, a loop that is as late as ``most`` too; in between it is a line.

    :param least: seconds, of an idle process.
    :param most: seconds, of a busy one; one below ``least`` changes nothing.
    :param clock: what time it is, in seconds.
    :param cpu: seconds of CPU that this process has used, in all its threads.
    :param later: sets a timer, like a loop's ``call_later``.
    """

    def __init__(
        self,
        least: float,
        most: float,
        *,
        clock: Clock = time.monotonic,
        cpu: Clock = time.process_time,
        later: Later | None = None,
    ) -> None:
        self.clock = clock
        """What time it is."""
        self.later = later or _later
        """Sets a timer."""
        self.seconds = least
        """The shortest time between two batches, as of the last look."""
        self._least, self._span = least, max(most - least, 0.0)
        self._most = max(most, least)
        self._cpu = cpu
        self._looked_at, self._used = clock(), cpu()
        self._look_at = self._looked_at + _LOOK
        self._busy = 0.0
        self._late, self._batches = 0.0, 0

    def told(self, now: float, late: float) -> float:
        """Count a batch that was due ``late`` seconds before ``now``; return when the next one is."""
        self._late += late
        self._batches += 1
        if now >= self._look_at:
            self._look(now)
        return now + self.seconds

    def _look(self, now: float) -> None:
        used, passed = self._cpu(), now - self._looked_at
        share = ((used - self._used) / passed - _EASY) / (_FULL - _EASY)
        lag = self._late / self._batches / self._most if self._most else 0.0
        busy = min(max(share, lag, 0.0), 1.0)
        self._busy += (busy - self._busy) * min(passed / _MEMORY, 1.0)
        self.seconds = self._least + self._span * self._busy
        self._looked_at, self._used, self._look_at = now, used, now + _LOOK
        self._late, self._batches = 0.0, 0


class Beat:
    """When the viewers of one run in this process are told more: all who keep up at once.

    So one timer serves them all, and they get the same frames, which are merged and encoded once. After a
    silence the first frame goes at once.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._due = pace.clock()  # when the next batch may go
        self._news_at: float | None = None  # when somebody was called who has not read yet
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
            wake()
            return
        if self._timer is None:
            self._timer = self._pace.later(self._due - now, self._strike)
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
            self._due, self._news_at = self._pace.told(now, late), None

    def _strike(self) -> None:
        self._timer = None
        self._due = min(self._due, self._pace.clock())  # uvloop's timers are up to a millisecond early
        self._news_at = self._due
        waiting, self._waiting = self._waiting, {}
        for wake in waiting:
            wake()


def beat_of(run: str) -> Beat:
    """Return what the viewers of ``run`` in this process have in common, while there are any."""
    beat = _beats.get(run)
    if beat is None:
        beat = _beats[run] = Beat(_pace())
    return beat


def _later(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    # In a context of its own: a viewer's may be a request's.
    return asyncio.get_running_loop().call_later(seconds, call, context=Context())


_beats: WeakValueDictionary[str, Beat] = WeakValueDictionary()


@lru_cache(maxsize=1)
def _pace() -> Pace:
    settings = app_settings()
    return Pace(settings.frame_interval, settings.frame_interval_busy)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "LINGSTREAM":
        _pace.cache_clear()
        _beats.clear()


setting_changed.connect(_forget)
