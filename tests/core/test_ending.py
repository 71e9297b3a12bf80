"""Tasks that lose a cancel, or several, are ended or left: nobody waits for them for ever."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator

import pytest

from lingstream.core import ending
from lingstream.core.ending import bounded, consume, end_tasks, fault_before
from tests.chaos.patience import scaled

from .support import ALL, Deaf

SOON = 0.02


class TestEndTasks:
    @pytest.mark.parametrize("cancels", [0, 1, 2])
    async def test_cancels_until_the_task_hears_it(self, cancels: int) -> None:
        deaf = Deaf(cancels)
        task = await deaf.started()
        assert await end_tasks(task, within=SOON) == set()
        assert (task.cancelled(), deaf.heard) == (True, cancels + 1)

    async def test_leaves_one_that_never_does_and_says_where_it_is(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        deaf = Deaf(ALL)
        task, good = await deaf.started(), await Deaf(1).started()
        assert await end_tasks(task, good, within=SOON) == {task}
        assert (good.cancelled(), deaf.heard) == (True, 3)
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "left deaf, which 3 cancels did not end" in record.message
        assert "Deaf.work >" in record.message and "Event.wait" in record.message
        assert task in ending._left
        deaf.released.set()
        assert await task == "an answer"
        await asyncio.sleep(0)
        assert task not in ending._left

    async def test_does_not_disturb_a_clean_up_that_takes_its_time(self) -> None:
        cleaned = asyncio.Event()

        async def careful() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(SOON)
                cleaned.set()

        task = asyncio.create_task(careful())
        await asyncio.sleep(0)
        assert await end_tasks(task, within=10) == set()
        assert cleaned.is_set()

    async def test_drops_what_they_raise(self, caplog: pytest.LogCaptureFixture) -> None:
        async def clumsy() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ConnectionError("the connection was cancelled") from None

        task = asyncio.create_task(clumsy())
        await asyncio.sleep(0)
        over = asyncio.create_task(asyncio.sleep(0))
        await over
        assert await end_tasks(task, over) == set()
        assert task.done() and not caplog.records

    async def test_is_cancelled_without_delay(self) -> None:
        deaf = Deaf(1)
        task = await deaf.started()
        waiter = asyncio.create_task(end_tasks(task, within=60))
        while not deaf.heard:
            await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait({waiter})
        assert waiter.cancelled() and not task.done()
        assert await end_tasks(task) == set()

    async def test_nothing_to_end(self) -> None:
        assert await end_tasks() == set()


class TestBounded:
    async def test_returns_what_the_work_returns(self) -> None:
        assert await bounded(asyncio.sleep(0, "done"), 5) == "done"

    async def test_raises_what_the_work_raises(self) -> None:
        async def fails() -> None:
            raise ConnectionError("refused")

        with pytest.raises(ConnectionError, match="refused"):
            await bounded(fails(), 5)

    @pytest.mark.parametrize("cancels", [0, 1, 2, ALL])
    async def test_goes_on_after_its_time(self, cancels: int) -> None:
        deaf = Deaf(cancels)
        async with asyncio.timeout(scaled(10)):
            with pytest.raises(TimeoutError, match=r"Deaf\.work took longer than 0\.02 s"):
                await bounded(deaf.work(), SOON, within=SOON)
        assert deaf.heard == min(cancels, 2) + 1
        deaf.released.set()

    @pytest.mark.parametrize("cancels", [0, 2, ALL])
    async def test_takes_the_work_with_it_when_cancelled(self, cancels: int) -> None:
        deaf = Deaf(cancels)
        task = asyncio.create_task(bounded(deaf.work(), 60, within=SOON))
        await deaf.waits.wait()
        task.cancel()
        async with asyncio.timeout(scaled(10)):
            await asyncio.wait({task})
        assert task.cancelled() and deaf.heard == min(cancels, 2) + 1
        deaf.released.set()


class TestConsume:
    async def test_takes_all_and_closes(self) -> None:
        closed = []

        async def stream() -> AsyncGenerator[int, None]:
            try:
                for number in range(5):
                    yield number
                    await asyncio.sleep(0)
            finally:
                closed.append(True)

        taken: list[int] = []
        await consume(stream(), taken.append)
        assert (taken, closed) == ([0, 1, 2, 3, 4], [True])

    async def test_raises_what_the_stream_raises(self) -> None:
        async def stream() -> AsyncGenerator[int, None]:
            yield 1
            raise ConnectionError("reset")

        taken: list[int] = []
        with pytest.raises(ConnectionError, match="reset"):
            await consume(stream(), taken.append)
        assert taken == [1]

    @pytest.mark.parametrize("cancels", [0, 1, 2, ALL])
    async def test_is_cancelled_whatever_the_stream_makes_of_it(self, cancels: int) -> None:
        deaf, taken = Deaf(cancels), list[int]()
        task = asyncio.create_task(consume(deaf.items(), taken.append, within=SOON))
        await deaf.waits.wait()
        task.cancel()
        async with asyncio.timeout(scaled(10)):
            await asyncio.wait({task})
        assert task.cancelled() and taken == [0]
        deaf.released.set()
        await asyncio.sleep(SOON)
        assert taken == [0], "nobody listens any more"

    @pytest.mark.parametrize("cancels", [0, 1, 2, ALL])
    async def test_raises_what_the_taker_raises_whether_or_not_the_stream_closes(self, cancels: int) -> None:
        deaf, taken = Deaf(cancels), list[int]()

        def take(item: int) -> None:
            taken.append(item)
            raise ValueError("too many")

        async with asyncio.timeout(scaled(10)):
            with pytest.raises(ValueError, match="too many"):
                await consume(deaf.closes(), take, within=SOON)
        assert (taken, deaf.heard) == ([0], min(cancels, 2) + 1)
        deaf.released.set()

    async def test_lets_a_stream_close_in_peace_when_the_taker_raises(self) -> None:
        closed = asyncio.Event()

        async def stream() -> AsyncGenerator[int, None]:
            try:
                yield 0
            finally:
                await asyncio.sleep(SOON)
                closed.set()

        def take(_: int) -> None:
            raise ValueError("too many")

        with pytest.raises(ValueError, match="too many"):
            await consume(stream(), take, within=10)
        assert closed.is_set()

    @pytest.mark.parametrize("by", ["the taker", "the stream"])
    async def test_tells_what_was_raised_in_the_turn_in_which_the_time_is_over(self, by: str) -> None:
        async def stream() -> AsyncGenerator[int, None]:
            time.sleep(2 * SOON)  # the loop is held up for as long as there is time
            await asyncio.sleep(0)
            if by == "the stream":
                raise ConnectionError(by)
            yield 0

        def take(_: int) -> None:
            raise ValueError(by)

        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(SOON):
                await consume(stream(), take)
        assert str(fault_before(caught.value)) == by

    async def test_tells_of_nothing_that_the_end_of_the_time_has_brought_about(self) -> None:
        async def stream() -> AsyncGenerator[int, None]:
            yield 0
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ConnectionError("closed while it was read") from None

        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(SOON):
                await consume(stream(), [].append)
        assert fault_before(caught.value) is None
