"""The log in memory: the contract, and what it promises beyond it."""

from __future__ import annotations

import asyncio

import pytest

pytest.register_assert_rewrite("lingstream.testing.log_contract")

from lingstream.core.document.ops import Append, Set  # noqa: E402
from lingstream.core.exceptions import UsageError  # noqa: E402
from lingstream.core.log.frames import FrameId  # noqa: E402
from lingstream.core.log.memory import MemoryLog  # noqa: E402
from lingstream.core.log.state import empty_snapshot  # noqa: E402
from lingstream.testing.log_contract import DONE, RunLogContract, Viewer  # noqa: E402


class TestMemoryLog(RunLogContract):
    async def make_log(self, max_frames: int | None = None) -> MemoryLog:
        return MemoryLog() if max_frames is None else MemoryLog(max_frames=max_frames)


def test_nothing_can_be_said_of_a_log_without_epoch() -> None:
    with pytest.raises(UsageError, match="expected an open epoch"):
        _ = MemoryLog().state


async def test_memory_is_bounded_by_max_frames() -> None:
    log = MemoryLog(max_frames=10)
    await log.open(1, empty_snapshot())
    log.write(1, "ops", [Set("", {})])
    for _ in range(1_000):
        log.write(1, "ops", [Append("a", "x")])
        assert len(log._frames) <= 20
    assert log.last_id == FrameId(1, 1_002)


async def test_a_trimmed_place_gets_one_snapshot_and_then_single_frames() -> None:
    log = MemoryLog(max_frames=10)
    await log.open(1, empty_snapshot())
    viewer = Viewer(log.reader("1-1"), empty_snapshot())
    log.write(1, "ops", [Set("", {})])
    for _ in range(50):
        log.write(1, "ops", [Append("a", "x")])
    assert [frame.kind for frame in await viewer.read()] == ["snapshot"]
    log.write(1, "ops", [Append("a", "y")])
    assert [frame.body for frame in await viewer.read()] == [[Append("a", "y")]]


async def test_a_trimmed_place_of_an_ended_log_gets_done_too() -> None:
    log = MemoryLog(max_frames=2)
    await log.open(1, empty_snapshot())
    viewer = Viewer(log.reader("1-1"), empty_snapshot())
    for number in range(20):
        log.write(1, "ops", [Set("", number)])
    log.write(1, *DONE)
    await viewer.read_to_end()
    assert [(frame.kind, frame.id.seq) for frame in viewer.frames] == [("snapshot", 21), ("done", 22)]


async def test_readers_that_left_are_forgotten() -> None:
    log = MemoryLog()
    await log.open(1, empty_snapshot())
    tasks = [asyncio.create_task(log.reader(str(log.last_id)).read()) for _ in range(3)]
    await asyncio.sleep(0)
    assert len(log._waiting) == 3
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert not log._waiting
