"""The log in memory and its hub: the contract, and what they promise beyond it."""

from __future__ import annotations

import asyncio

import pytest

from lingstream.core.document.ops import Append, Set
from lingstream.core.exceptions import UsageError
from lingstream.core.log import memory
from lingstream.core.log.frames import FrameId
from lingstream.core.log.memory import MemoryHub, MemoryLog
from lingstream.core.log.state import empty_snapshot
from lingstream.testing.hub_contract import HubContract
from lingstream.testing.log_contract import DONE, Viewer


class TestMemoryHub(HubContract):
    async def make_hub(self, max_frames: int | None = None) -> MemoryHub:
        return MemoryHub() if max_frames is None else MemoryHub(max_frames=max_frames)


def test_nothing_can_be_said_of_a_log_without_epoch() -> None:
    with pytest.raises(UsageError, match="expected an open epoch"):
        _ = MemoryLog().state


async def test_memory_is_bounded_by_max_frames() -> None:
    log = MemoryLog(max_frames=10)
    await log.open(1, empty_snapshot())
    log.write(1, "ops", [Set("", {})])
    for _ in range(1_000):
        log.write(1, "ops", [Append("a", "x")])
        assert len(log.buffer) <= 20
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


# -- the hub -------------------------------------------------------------------------------------


async def settle() -> None:
    """Let the timers that are due do their work."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_log_is_found_once_it_was_created() -> None:
    hub = MemoryHub()
    assert await hub.find("run") is None
    log = hub.create("run")
    assert await hub.find("run") is log
    assert hub.create("run") is log
    assert await hub.find("other") is None


async def ended(hub: MemoryHub, run: str = "run", events: int = 0) -> MemoryLog:
    """A log with an end, released by its writer."""
    log = hub.create(run)
    await log.open(1, empty_snapshot())
    for _ in range(events):
        log.write(1, "event", {"event": "status"})
    log.write(1, "done", {"status": "finished"})
    hub.release(run)
    await settle()
    return log


async def test_an_ended_run_is_kept_for_a_while() -> None:
    hub = MemoryHub(ttl=300)
    log = await ended(hub)
    assert await hub.find("run") is log
    await hub.aclose()


async def test_an_ended_run_is_forgotten_then() -> None:
    hub = MemoryHub(ttl=0)
    await ended(hub)
    assert await hub.find("run") is None


@pytest.mark.parametrize("events", [0, 1_000])
async def test_ended_runs_do_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch, events: int) -> None:
    monkeypatch.setattr(memory, "_KEPT_LOGS", 50)
    monkeypatch.setattr(memory, "_KEPT_FRAMES", 20_000)
    hub = MemoryHub(ttl=300)
    for number in range(200):
        await ended(hub, str(number), events)
    kept = list(hub._logs)
    assert kept == [str(number) for number in range(200 - len(kept), 200)], "the oldest go first"
    assert len(kept) == (19 if events else 50)
    assert hub._ended_frames == sum(len(log.buffer) for log in hub._logs.values())
    await hub.aclose()
    assert (hub._logs, hub._ended, hub._ended_frames) == ({}, {}, 0)


async def test_a_log_waits_for_its_writer_as_long_as_somebody_reads_it() -> None:
    """Whether its writer failed before the beginning, or there has been none yet."""
    hub = MemoryHub(ttl=0)
    for waiting in ("created", "found"):
        if waiting == "created":
            log = hub.create(waiting)
            hub.release(waiting)
        else:
            found = await hub.find(waiting, running=True)
            assert found is not None
            log = found
        reader = log.reader()
        assert await hub.find(waiting) is None
        assert await hub.find(waiting, running=True) is log
        assert hub.create(waiting) is log
        await log.open(1, empty_snapshot())
        assert [frame.kind for frame in await reader.read()] == ["snapshot"]


async def test_logs_that_nobody_reads_or_writes_are_gone() -> None:
    """A run that another process executes: 1,000 of 1,000 such logs were kept."""
    hub = MemoryHub(ttl=300)
    for number in range(100):
        hub.create(str(number))
        hub.release(str(number))
        await hub.find(f"found {number}", running=True)
    assert (len(hub._logs), len(hub._awaited), len(hub._ended)) == (0, 0, 0)


async def test_a_run_that_goes_on_is_not_forgotten() -> None:
    """However often it was released: a timer of an earlier release must not hit the new epoch."""
    hub = MemoryHub(ttl=0)
    log = await ended(hub)
    log = hub.create("run")
    hub.release("run")
    hub.release("run")
    assert hub.create("run") is log
    await settle()
    assert await hub.find("run") is log


async def test_a_run_whose_writer_gave_up_goes_on_for_who_reads_it() -> None:
    hub = MemoryHub(ttl=0)
    log = hub.create("run")
    await log.open(1, empty_snapshot())
    reader = log.reader()
    assert await reader.read()
    hub.release("run")
    await settle()
    assert hub.create("run") is log
    await log.open(2, empty_snapshot())
    assert [frame.id.epoch for frame in await reader.read()] == [2]


async def test_readers_of_a_forgotten_log_read_on() -> None:
    hub = MemoryHub(ttl=300)
    log = await ended(hub)
    reader = log.reader()
    hub.drop("run")
    assert [frame.kind for frame in await reader.read()] == ["snapshot", "done"]


async def test_closing_stops_the_timers() -> None:
    hub = MemoryHub(ttl=0)
    hub.create("run")
    hub.release("run")
    await hub.aclose()
    await settle()
    assert await hub.find("run") is None


async def test_logs_keep_as_many_frames_as_the_hub_says() -> None:
    log = MemoryHub(max_frames=3).create("run")
    await log.open(1, empty_snapshot())
    for _ in range(50):
        log.write(1, "event", {"event": "status"})
    assert len(log.buffer) <= 6
