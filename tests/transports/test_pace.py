"""How often viewers are told something, by clocks that the tests turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest

from lingstream.core.document.ops import Append, Set
from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.log.ports import RunLog
from lingstream.core.log.state import empty_snapshot
from lingstream.execution.runner import get_runner
from lingstream.hubs import get_hub
from lingstream.models import Run
from lingstream.transports.pace import Beat, Pace
from lingstream.transports.viewer import Viewer

INTERVAL, BUSY = 0.010, 0.050


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


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def pace(clocks: Clocks) -> Pace:
    return Pace(INTERVAL, BUSY, clock=clocks.clock, cpu=clocks.cpu, later=clocks.later)


def work(pace: Pace, clocks: Clocks, share: float, seconds: float = 2.0, late: float = 0.0) -> float:
    """Tell a batch every 10 ms, while this share of a core is used; return the pace after it."""
    for _ in range(round(seconds / 0.010)):
        clocks.now += 0.010
        clocks.used += 0.010 * share
        pace.told(clocks.now, late)
    return pace.seconds


class TestPace:
    @pytest.mark.parametrize(
        ("share", "seconds"),
        [(0.0, 0.010), (0.25, 0.010), (0.50, 0.030), (0.75, 0.050), (1.0, 0.050), (2.0, 0.050)],
    )
    def test_it_goes_by_the_share_of_a_core(
        self, pace: Pace, clocks: Clocks, share: float, seconds: float
    ) -> None:
        assert pace.seconds == INTERVAL
        assert work(pace, clocks, share, 20.0) == pytest.approx(seconds, abs=0.0005)

    @pytest.mark.parametrize(
        ("late", "seconds"), [(0.0, 0.010), (0.025, 0.030), (0.050, 0.050), (9.0, 0.050)]
    )
    def test_a_loop_that_is_late_is_busy_whatever_it_uses(
        self, pace: Pace, clocks: Clocks, late: float, seconds: float
    ) -> None:
        assert work(pace, clocks, 0.1, 20.0, late) == pytest.approx(seconds, abs=0.0005)

    def test_a_moment_of_work_is_not_a_busy_process(self, pace: Pace, clocks: Clocks) -> None:
        assert work(pace, clocks, 1.0, 0.26) == pytest.approx(0.020, abs=0.001)
        assert work(pace, clocks, 1.0, 2.0) > 0.045

    def test_after_a_pause_it_begins_with_what_the_pause_was(self, pace: Pace, clocks: Clocks) -> None:
        work(pace, clocks, 1.0, 5.0)
        clocks.now += 30.0
        assert pace.told(clocks.now, 0.0) == pytest.approx(clocks.now + INTERVAL)

    def test_the_next_batch_is_due_at_that_pace(self, pace: Pace, clocks: Clocks) -> None:
        assert pace.told(clocks.now, 0.0) == clocks.now + INTERVAL
        work(pace, clocks, 1.0, 20.0)
        assert pace.told(clocks.now, 0.0) == pytest.approx(clocks.now + BUSY, abs=0.0005)

    @pytest.mark.parametrize(("least", "most"), [(0.2, 0.05), (0.0, 0.0), (0.02, 0.02)])
    def test_a_busy_pace_that_is_no_slower_changes_nothing(
        self, clocks: Clocks, least: float, most: float
    ) -> None:
        pace = Pace(least, most, clock=clocks.clock, cpu=clocks.cpu)
        assert work(pace, clocks, 1.0, 5.0, 1.0) == least


class TestBeat:
    @pytest.fixture
    def beat(self, pace: Pace) -> Beat:
        return Beat(pace)

    def test_it_is_late_by_what_passes_between_the_call_and_the_reading(
        self, beat: Beat, pace: Pace, clocks: Clocks
    ) -> None:
        for _ in range(200):
            beat.news(lambda: None)
            clocks.now += 0.050
            beat.told()
            clocks.pass_by(BUSY)
        assert pace.seconds == pytest.approx(BUSY, abs=0.001)
        for _ in range(200):
            clocks.pass_by(1.0)  # the viewer was not there to be called: its client is slow, not this process
            beat.told()
        assert pace.seconds == INTERVAL

    def test_a_busy_process_tells_the_first_after_a_silence_at_once(
        self, beat: Beat, pace: Pace, clocks: Clocks
    ) -> None:
        work(pace, clocks, 1.0, 20.0)
        beat.told()
        told: list[float] = []
        beat.news(lambda: told.append(clocks.now))
        assert not told
        clocks.pass_by(pace.seconds)
        assert told == [clocks.now]
        beat.told()
        clocks.pass_by(BUSY)
        beat.news(lambda: told.append(clocks.now))
        assert told[-1] == clocks.now and len(told) == 2

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

    def test_a_timer_that_goes_off_early_begins_an_interval_all_the_same(
        self, beat: Beat, clocks: Clocks
    ) -> None:
        """As uvloop's do, whose clock has whole milliseconds."""
        told: list[float] = []
        beat.told()
        clocks.pass_by(0.004)
        beat.news(lambda: told.append(clocks.now))
        clocks.timers[-1].at -= 0.0004
        clocks.pass_by(0.0056)
        assert len(told) == 1
        beat.told()
        clocks.pass_by(0.001)
        beat.news(lambda: told.append(clocks.now))
        assert len(told) == 1
        clocks.pass_by(INTERVAL)
        assert len(told) == 2

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
        beat, struck = Beat(Pace(0.001, 0.001)), asyncio.Event()
        beat.told()
        beat.news(struck.set)
        await struck.wait()


@pytest.mark.usefixtures("fresh_runner")
class TestViewers:
    """Of one run, in one process, which is busy: they are told more every 50 ms."""

    @pytest.fixture
    async def log(self, clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> RunLog:
        pace = Pace(BUSY, BUSY, clock=clocks.clock, cpu=clocks.cpu, later=clocks.later)
        monkeypatch.setattr("lingstream.transports.pace._pace", lambda: pace)
        self.run = Run(pk=uuid4(), status="running", epoch=1, plan={}, runner_id=get_runner().id)
        log = get_hub().create(str(self.run.pk))
        await log.open(1, empty_snapshot())
        log.write(1, "ops", [Set("", {"a": ""})])
        return log

    @pytest.fixture
    async def viewers(self, log: RunLog) -> AsyncIterator[list[Viewer]]:
        """Two that have all there is, a while ago."""
        async with aclosing(Viewer(self.run, "1-2")) as one, aclosing(Viewer(self.run, "1-2")) as two:
            yield [one, two]

    async def test_they_get_the_same_frame_at_once_and_then_every_interval(
        self, log: RunLog, viewers: list[Viewer], clocks: Clocks
    ) -> None:
        for _ in range(2):
            tasks = await asking(*viewers)
            log.write(1, "ops", [Append("a", "x")])
            [one], [two] = await asyncio.gather(*tasks)
            assert one is two and one.body == [Append("a", "x")]
            tasks = await asking(*viewers)
            for _ in range(3):
                log.write(1, "ops", [Append("a", "y")])
                clocks.pass_by(0.010)
            await turns()
            assert not any(task.done() for task in tasks) and clocks.set == 1
            clocks.pass_by(0.020)
            [one], [two] = await asyncio.gather(*tasks)
            assert one is two and one.body == [Append("a", "yyy")]
            clocks.pass_by(1.0)
        assert not clocks.set

    async def test_who_joins_does_not_wait_for_the_others(
        self, log: RunLog, viewers: list[Viewer], clocks: Clocks
    ) -> None:
        tasks = await asking(*viewers)
        log.write(1, "ops", [Append("a", "x")])
        await asyncio.gather(*tasks)
        async with aclosing(Viewer(self.run)) as late:
            assert [frame.kind for frame in await anext(late)] == ["snapshot"]
            tasks = await asking(late, *viewers)
            log.write(1, "ops", [Append("a", "y")])
            await turns()
            assert not any(task.done() for task in tasks)
            clocks.pass_by(BUSY)
            assert await asyncio.gather(*tasks) == [[Frame(FrameId(1, 4), "ops", [Append("a", "y")])]] * 3

    async def test_who_leaves_while_it_waits_takes_its_timer_along(
        self, log: RunLog, viewers: list[Viewer], clocks: Clocks
    ) -> None:
        tasks = await asking(*viewers)
        log.write(1, "ops", [Append("a", "x")])
        await asyncio.gather(*tasks)
        tasks = await asking(*viewers)
        log.write(1, "ops", [Append("a", "y")])
        for task, left in zip(tasks, (1, 0), strict=True):
            task.cancel()
            await asyncio.wait([task])
            assert clocks.set == left
        tasks = await asking(*viewers)
        clocks.pass_by(BUSY)
        assert len({frame.id for [frame] in await asyncio.gather(*tasks)}) == 1

    async def test_a_ring_while_it_waits_for_its_time_changes_nothing(
        self, log: RunLog, viewers: list[Viewer], clocks: Clocks
    ) -> None:
        viewer = viewers[0]
        log.write(1, "ops", [Append("a", "x")])
        await anext(viewer)
        [task] = await asking(viewer)
        viewer._ring()
        await turns()
        log.write(1, "ops", [Append("a", "y")])
        viewer._ring()
        await turns()
        assert not task.done() and clocks.set == 1
        clocks.pass_by(BUSY)
        assert await task == [Frame(FrameId(1, 4), "ops", [Append("a", "y")])]


async def asking(*viewers: Viewer) -> list[asyncio.Task[list[Frame]]]:
    """Tasks that wait for the next batch of each."""
    tasks = [asyncio.ensure_future(anext(viewer)) for viewer in viewers]
    await turns()
    return tasks


async def turns() -> None:
    """Let the others get to where they wait."""
    for _ in range(5):
        await asyncio.sleep(0)
