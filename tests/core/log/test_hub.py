"""The hub in memory: finds, keeps for a while, forgets."""

from __future__ import annotations

import asyncio

import pytest

from lingstream.core.log import hub as hub_module
from lingstream.core.log.hub import MemoryHub
from lingstream.core.log.memory import MemoryLog
from lingstream.core.log.state import empty_snapshot


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
    monkeypatch.setattr(hub_module, "_KEPT_LOGS", 50)
    monkeypatch.setattr(hub_module, "_KEPT_FRAMES", 20_000)
    hub = MemoryHub(ttl=300)
    for number in range(200):
        await ended(hub, str(number), events)
    kept = list(hub._logs)
    assert kept == [str(number) for number in range(200 - len(kept), 200)], "the oldest go first"
    assert len(kept) == (19 if events else 50)
    assert hub._ended_frames == sum(log.kept for log in hub._logs.values())
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
    assert len(log._frames) <= 6
