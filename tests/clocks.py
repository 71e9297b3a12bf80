"""Clocks that tests turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lingstream.access.pace import Pace

INTERVAL, BUSY = 0.010, 0.050  # seconds between two batches to one viewer


class Clocks:
    """What time it is, how much CPU was used, and timers that go off as the time is set on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.used = 7.0
        self.timers: list[Timer] = []

    def clock(self) -> float:
        return self.now

    def cpu(self) -> float:
        return self.used

    def later(self, seconds: float, call: Callable[[], None]) -> Any:
        self.timers.append(Timer(self.now + seconds, call))
        return self.timers[-1]

    @property
    def set(self) -> int:
        """How many timers are set."""
        return sum(not timer.over for timer in self.timers)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        for timer in self.timers:
            if not timer.over and timer.at <= self.now + 1e-9:
                timer.over = True
                timer.call()


class Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.over = False

    def cancel(self) -> None:
        self.over = True


def busy(pace: Pace, clocks: Clocks, share: float = 1.0) -> None:
    """Tell a batch every 10 ms for 20 seconds, while this share of a core is used."""
    for _ in range(2000):
        clocks.now += 0.010
        clocks.used += 0.010 * share
        pace.told(clocks.now, 0.0)
