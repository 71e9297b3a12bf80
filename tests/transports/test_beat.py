"""When viewers are told something, by clocks that the tests turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from uuid import uuid4

import pytest

from lingstream.access.pace import Pace
from lingstream.core.document.ops import Append, Set
from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.log.ports import RunLog
from lingstream.core.log.state import empty_snapshot
from lingstream.execution.runner import get_runner
from lingstream.hubs import get_hub
from lingstream.models import Run
from lingstream.transports.beat import Beat
from lingstream.transports.viewer import Viewer
from tests.clocks import BUSY, INTERVAL, Clocks, busy


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def pace(clocks: Clocks) -> Pace:
    return Pace(INTERVAL, BUSY, clock=clocks.clock, cpu=clocks.cpu)


class TestBeat:
    @pytest.fixture
    def beat(self, pace: Pace, clocks: Clocks) -> Beat:
        return Beat(pace, clocks.later)

    def test_it_is_late_by_what_passes_between_the_call_and_the_reading(
        self, beat: Beat, pace: Pace, clocks: Clocks
    ) -> None:
        for _ in range(200):
            beat.news(lambda: None)
            clocks.now += 0.050
            beat.told()
            clocks.pass_by(BUSY)
        assert pace.telling == pytest.approx(0.8 * BUSY, abs=0.001)
        for _ in range(200):
            clocks.pass_by(1.0)  # the viewer was not there to be called: its client is slow, not this process
            beat.told()
        assert pace.telling == INTERVAL

    def test_a_busy_process_tells_the_first_after_a_silence_at_once(
        self, beat: Beat, pace: Pace, clocks: Clocks
    ) -> None:
        busy(pace, clocks)
        beat.told()
        told: list[float] = []
        beat.news(lambda: told.append(clocks.now))
        assert not told
        clocks.pass_by(pace.telling)
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

    @pytest.mark.parametrize(("viewers", "interval"), [(1, 0.010), (20, 0.010), (50, 0.025), (500, BUSY)])
    def test_the_more_they_are_the_further_apart_is_what_they_are_told(
        self, beat: Beat, clocks: Clocks, viewers: int, interval: float
    ) -> None:
        told: list[int] = []
        wakes = [partial(told.append, number) for number in range(viewers)]
        for wake in wakes:  # after a silence: at once
            beat.news(wake)
        for _ in range(3):
            assert told == [*range(viewers)]
            told.clear()
            for _ in wakes:
                beat.told()
            for wake in wakes:
                beat.news(wake)
            clocks.pass_by(interval - 0.001)
            assert not told
            clocks.pass_by(0.001)

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
        pace = Pace(BUSY, BUSY, clock=clocks.clock, cpu=clocks.cpu)
        monkeypatch.setattr("lingstream.transports.beat.pace", lambda: pace)
        monkeypatch.setattr("lingstream.transports.beat._later", clocks.later)
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
