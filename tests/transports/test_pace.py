"""How often viewers are told something, by clocks that the tests turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lingstream.transports.pace import Beat

INTERVAL = 0.010


class Clocks:
    """What time it is, how much CPU was used, and timers that go off as the time is set on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def clock(self) -> float:
        return self.now

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


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


class TestBeat:
    @pytest.fixture
    def beat(self, clocks: Clocks) -> Beat:
        return Beat(INTERVAL, clock=clocks.clock, later=clocks.later)

    def test_the_first_goes_at_once_and_the_next_ones_together(self, beat: Beat, clocks: Clocks) -> None:
        told: list[str] = []
        first, second = (lambda: told.append("first")), (lambda: told.append("second"))
        beat.news(first)
        assert told == ["first"]
        beat.told()
        assert not beat.due
        clocks.pass_by(0.004)
        beat.news(second)
        beat.news(first)
        assert told == ["first"] and clocks.set == 1
        clocks.pass_by(0.006)
        assert told == ["first", "second", "first"] and beat.due

    def test_after_a_silence_no_timer_is_set(self, beat: Beat, clocks: Clocks) -> None:
        told: list[int] = []
        for number in range(5):
            beat.news(lambda number=number: told.append(number))  # type: ignore[misc]
            beat.told()
            assert told[-1] == number
            clocks.pass_by(INTERVAL)
        assert not clocks.timers

    def test_who_reads_in_between_does_not_put_off_the_others(self, beat: Beat, clocks: Clocks) -> None:
        beat.told()
        clocks.pass_by(0.006)
        beat.told()
        clocks.pass_by(0.005)
        assert beat.due

    def test_the_timer_goes_with_the_last_who_waits(self, beat: Beat, clocks: Clocks) -> None:
        told: list[str] = []
        first, second = (lambda: told.append("first")), (lambda: told.append("second"))
        beat.told()
        beat.news(first)
        beat.news(second)
        beat.leave(first)
        assert clocks.set == 1
        beat.leave(second)
        assert not clocks.set
        beat.news(second)
        clocks.pass_by(INTERVAL)
        assert told == ["second"]

    async def test_a_timer_of_the_loop_has_a_context_of_its_own(self) -> None:
        beat, struck = Beat(0.001), asyncio.Event()
        beat.told()
        beat.news(struck.set)
        await struck.wait()
