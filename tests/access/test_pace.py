"""How often a process reads and tells, by clocks that the tests turn."""

from __future__ import annotations

import pytest

from lingstream.access.pace import Pace
from tests.clocks import BUSY, INTERVAL, Clocks


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def pace(clocks: Clocks) -> Pace:
    return Pace(INTERVAL, BUSY, clock=clocks.clock, cpu=clocks.cpu)


def work(
    pace: Pace, clocks: Clocks, share: float, seconds: float = 20.0, late: float = 0.0, packets: int = 1
) -> float:
    """Read every 10 ms, while this share of a core is used; return the time between two reads after it."""
    for _ in range(round(seconds / 0.010)):
        clocks.now += 0.010
        clocks.used += 0.010 * share
        pace.read(clocks.now, late, packets)
    return pace.reading


@pytest.mark.parametrize(
    ("share", "reading", "telling"),
    [
        (0.0, 0.0, 0.010),
        (0.50, 0.0, 0.010),
        (0.55, 0.018, 0.0144),
        (0.625, 0.030, 0.024),
        (0.75, 0.050, 0.040),
        (2.0, 0.050, 0.040),
    ],
)
def test_it_goes_by_the_share_of_a_core(
    pace: Pace, clocks: Clocks, share: float, reading: float, telling: float
) -> None:
    assert (pace.reading, pace.telling) == (0.0, INTERVAL)
    assert work(pace, clocks, share) == pytest.approx(reading, abs=0.0005)
    assert pace.telling == pytest.approx(telling, abs=0.0005)


def test_it_grows_slowly_and_is_over_at_once(pace: Pace, clocks: Clocks) -> None:
    """A process that has started many runs at once is late for as long as that takes, and no longer."""
    assert 0.0 < work(pace, clocks, share=1.0, seconds=0.5) < 0.035
    assert work(pace, clocks, share=1.0) == pytest.approx(0.050, abs=0.0005)
    assert work(pace, clocks, share=0.4, seconds=0.6) == 0.0


def test_one_calm_look_changes_nothing(pace: Pace, clocks: Clocks) -> None:
    work(pace, clocks, share=1.0)
    assert work(pace, clocks, share=0.4, seconds=0.3) > 0.035
    assert work(pace, clocks, share=1.0, seconds=0.3) > 0.035


def test_what_it_saves_does_not_make_it_idle(pace: Pace, clocks: Clocks) -> None:
    read(pace, clocks, every=0.00025, packets=1, share=0.7)
    busy = pace.reading
    assert busy > 0.040
    for packets in (2, 4):  # what it would use, becomes so much, if so many are read together
        read(pace, clocks, every=0.00025 * packets, packets=packets, share=0.7 / packets)
        assert pace.reading == pytest.approx(busy, abs=0.002)


def test_what_else_it_does_is_not_saved_by_reading_less(pace: Pace, clocks: Clocks) -> None:
    """A moment of work would keep it busy for ever: what is saved counts as much as it costs."""
    read(pace, clocks, every=0.005, packets=1, share=1.0)
    assert pace.reading == pytest.approx(BUSY, abs=0.001)
    read(pace, clocks, every=0.05, packets=10, share=0.08)
    assert pace.reading == 0.0


def read(pace: Pace, clocks: Clocks, *, every: float, packets: int, share: float) -> None:
    """Read at times for 20 seconds."""
    for _ in range(round(20 / every)):
        clocks.now += every
        clocks.used += every * share
        pace.read(clocks.now, 0.0, packets)


@pytest.mark.parametrize(("late", "seconds"), [(0.0, 0.0), (0.025, 0.030), (0.050, 0.050), (9.0, 0.050)])
def test_a_loop_that_is_late_is_busy_whatever_it_uses(
    pace: Pace, clocks: Clocks, late: float, seconds: float
) -> None:
    assert work(pace, clocks, 0.1, late=late) == pytest.approx(seconds, abs=0.0005)


def test_a_moment_of_work_is_not_a_busy_process(pace: Pace, clocks: Clocks) -> None:
    assert work(pace, clocks, 1.0, 0.26) == pytest.approx(0.020, abs=0.001)
    assert work(pace, clocks, 1.0, 2.0) > 0.045


def test_after_a_pause_it_begins_with_what_the_pause_was(pace: Pace, clocks: Clocks) -> None:
    work(pace, clocks, 1.0, 5.0)
    clocks.now += 30.0
    assert pace.told(clocks.now, 0.0) == pytest.approx(clocks.now + INTERVAL)
    assert pace.read(clocks.now, 0.0, 1) == clocks.now


def test_the_next_one_is_due_at_that_pace(pace: Pace, clocks: Clocks) -> None:
    assert pace.told(clocks.now, 0.0) == clocks.now + INTERVAL
    assert pace.read(clocks.now, 0.0, 1) == clocks.now
    work(pace, clocks, 1.0)
    assert pace.told(clocks.now, 0.0) == pytest.approx(clocks.now + 0.8 * BUSY, abs=0.0005)
    assert pace.read(clocks.now, 0.0, 1) == pytest.approx(clocks.now + BUSY, abs=0.0005)


@pytest.mark.parametrize(("least", "most"), [(0.2, 0.05), (0.0, 0.0), (0.02, 0.02)])
def test_a_busy_pace_that_is_no_slower_changes_nothing(clocks: Clocks, least: float, most: float) -> None:
    pace = Pace(least, most, clock=clocks.clock, cpu=clocks.cpu)
    assert work(pace, clocks, 1.0, 5.0, 1.0) == 0.0
    assert pace.telling == least
