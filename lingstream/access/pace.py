"""How often this process reads a model's stream, and tells a viewer: less often where it is busy.

A packet that is read, and a batch that is told, cost a task's turn, a timer and a system call each, whatever
is in them. So what a busy process saves on them it has for tokens; an idle one takes them as they come.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

from django.core.signals import setting_changed

from lingstream.conf import app_settings

__all__ = ["Pace", "pace"]

Clock = Callable[[], float]

_LOOK = 0.25  # seconds between two looks at the clocks
_MEMORY = 1.0  # seconds after which what was before no longer counts
_EASY = 0.5  # share of a core up to which a process has time for every packet
_FULL = 0.75  # and from which on it has none to spare
_READ = 0.0002  # seconds of CPU for a packet that is read by itself, at most
_IDLE = 0.05  # of the way between the two: less is none, since what was before never quite goes away
# Of the time between two reads: a little less, so that a viewer's batch is due when its model has been read.
_TELLING = 0.8


class Pace:
    """The shortest times between two reads of one stream and two batches to one viewer.

    It is busy by the share of a core that it would use if it read each packet by itself, or by how long its
    event loop leaves what is due: on a crowded machine a process gets no share and is late all the same. The
    share that it does use would not do: it falls with what is saved, and the saving would stop itself. So
    what is saved counts as well: each packet that was read with another one, at what a read has cost lately.

    :param least: seconds, of an idle process.
    :param most: seconds, of a busy one; one below ``least`` changes nothing.
    :param clock: what time it is, in seconds.
    :param cpu: seconds of CPU that this process has used, in all its threads.
    """

    def __init__(
        self, least: float, most: float, *, clock: Clock = time.monotonic, cpu: Clock = time.process_time
    ) -> None:
        self.clock = clock
        """What time it is."""
        self.reading = 0.0
        """The shortest time between two reads of one stream, as of the last look."""
        self.telling = least
        """The same between two batches to one viewer."""
        self._least = least
        self.most = max(most, least)
        """The longest of both."""
        self._cpu = cpu
        self._looked_at, self._used = clock(), cpu()
        self._look_at = self._looked_at + _LOOK
        self._busy = self._last = 0.0
        self._late = 0.0
        self._packets, self._reads, self._batches = 0, 0, 0

    def read(self, now: float, late: float, packets: int) -> float:
        """Count a read of ``packets``, due ``late`` seconds before ``now``; return when the next one is."""
        self._packets += packets
        self._reads += 1
        self._late += late
        if now >= self._look_at:
            self._look(now)
        return now + self.reading

    def told(self, now: float, late: float) -> float:
        """Count a batch that was due ``late`` seconds before ``now``; return when the next one is."""
        self._batches += 1
        self._late += late
        if now >= self._look_at:
            self._look(now)
        return now + self.telling

    def _look(self, now: float) -> None:
        used, passed = self._cpu(), max(now - self._looked_at, 1e-9)
        spent, reads = used - self._used, max(self._reads, 1)
        saved = max(self._packets - reads, 0) * min(spent / reads, _READ)
        share = (spent + saved) / passed
        lag = self._late / max(self._reads + self._batches, 1) / self.most if self.most else 0.0
        busy = min(max((share - _EASY) / (_FULL - _EASY), lag, 0.0), 1.0)
        grown = self._busy + (busy - self._busy) * min(passed / _MEMORY, 1.0)
        # What is over, as many starts at once, delays nothing any more; one calm look does not say so.
        self._busy, self._last = min(max(busy, self._last), grown), busy
        between = self._least + (self.most - self._least) * self._busy
        self.reading = between if self._busy > _IDLE and between > self._least else 0.0
        self.telling = max(between * _TELLING, self._least)
        self._looked_at, self._used, self._look_at = now, used, now + _LOOK
        self._late = 0.0
        self._packets, self._reads, self._batches = 0, 0, 0


@lru_cache(maxsize=1)
def pace() -> Pace:
    """Return this process's."""
    settings = app_settings()
    return Pace(settings.frame_interval, settings.frame_interval_busy)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "LINGSTREAM":
        pace.cache_clear()


setting_changed.connect(_forget)
