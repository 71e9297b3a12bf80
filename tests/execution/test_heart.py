"""The heart: on time whatever the rest of the process does, and silent once the loop stands still."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from lingstream.conf import LingstreamSettings
from lingstream.execution.heart import Beat, Heart
from lingstream.execution.lane import Lane
from lingstream.models import Run, Runner
from tests.chaos.patience import scaled

pytestmark = pytest.mark.django_db(transaction=True)

HASTY = {"tick": 0.02, "heartbeat_every": 0.05, "dead_after": 0.6}


class Process:
    """A heart, what it hears, and the pulse of its loop."""

    def __init__(self) -> None:
        self.id = uuid4()
        self.begun = time.monotonic()
        self.beats: list[Beat] = []
        self.running: dict[str, int] = {}
        self._news = asyncio.Event()
        self.heart = Heart(
            self.id,
            "worker",
            LingstreamSettings(**HASTY),
            running=lambda: dict(self.running),
            heard=self._heard,
        )
        self.pulsing = asyncio.create_task(self._pulse())

    async def until(self, condition: Callable[[Beat], bool]) -> Beat:
        async with asyncio.timeout(scaled(10)):
            while not (self.beats and condition(self.beats[-1])):
                self._news.clear()
                await self._news.wait()
        return self.beats[-1]

    async def beat(self) -> Beat:
        """Wait for the next full beat."""
        self.beats.clear()
        return await self.until(lambda beat: beat.unknown is not None)

    async def aclose(self) -> None:
        self.pulsing.cancel()
        await self.heart.aclose()

    def _heard(self, beat: Beat) -> None:
        self.beats.append(beat)
        self._news.set()

    async def _pulse(self) -> None:
        while True:
            self.heart.pulse()
            await asyncio.sleep(0.01)


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    made = Process()
    yield made
    await made.aclose()


async def test_it_stores_its_row_and_says_what_the_database_says(process: Process) -> None:
    await process.beat()
    row = await Runner.objects.aget(pk=process.id)
    mine = await run(runner=row)
    other = await run(runner=await Runner.objects.acreate(), epoch=2)
    process.running = {str(other.pk): 1}
    beat = await process.until(lambda beat: bool(beat.unknown and beat.taken))
    assert beat == Beat([], {(str(mine.pk), 1)}, [(str(other.pk), 1)])
    process.running = {str(mine.pk): 1}
    await Run.objects.filter(pk=mine.pk).aupdate(cancel_requested_at=mine.created_at)
    beat = await process.until(lambda beat: bool(beat.cancels))
    assert beat.cancels == [str(mine.pk)]
    await Runner.objects.all().adelete()
    await process.beat()
    await process.beat()
    assert await Runner.objects.filter(pk=process.id).aexists(), "a row that was deleted is stored anew"


async def test_it_is_on_time_while_everything_else_waits_for_the_database(process: Process) -> None:
    lane = Lane(1)
    await process.beat()
    waiting = [asyncio.create_task(lane.call(time.sleep, 0.05)) for _ in range(20)]
    gaps = []
    while len(gaps) < 5:
        before = time.monotonic()
        await process.beat()
        gaps.append(time.monotonic() - before)
    assert any(not task.done() for task in waiting) or max(gaps) < 0.5
    await asyncio.gather(*waiting)
    await lane.aclose()


async def test_a_process_whose_loop_stands_still_is_not_alive(process: Process) -> None:
    silent: list[float] = []

    def look() -> None:
        time.sleep(2 * HASTY["dead_after"])
        row = Runner.objects.get(pk=process.id)
        silent.append(time.time() - row.heartbeat_at.timestamp())
        connection.close()

    await process.beat()
    looking = threading.Thread(target=look)
    looking.start()
    looking.join()  # the loop stands still, the threads do not
    assert silent[0] > HASTY["dead_after"] / 2
    await process.beat()
    assert not process.heart.steady, "who stood still may not judge"


async def test_only_who_has_been_steady_for_long_enough_may_judge(process: Process) -> None:
    assert not process.heart.steady
    async with asyncio.timeout(scaled(10)):
        while not process.heart.steady:
            await process.beat()
    assert time.monotonic() - process.begun >= HASTY["dead_after"]


async def run(**fields: Any) -> Run:
    defaults = {"workflow": "x", "status": "running", "epoch": 1, "attempts": 1}
    return await Run.objects.acreate(**{**defaults, **fields})
