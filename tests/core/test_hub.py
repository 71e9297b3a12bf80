"""The hub in memory: finds, keeps for a while, forgets."""

from __future__ import annotations

import asyncio

from lingstream.core.frames import empty_snapshot
from lingstream.core.hub import MemoryHub


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


async def test_an_ended_run_is_kept_for_a_while() -> None:
    hub = MemoryHub(ttl=300)
    log = hub.create("run")
    await log.open(1, empty_snapshot())
    hub.release("run")
    await settle()
    assert await hub.find("run") is log
    await hub.aclose()


async def test_an_ended_run_is_forgotten_then() -> None:
    hub = MemoryHub(ttl=0)
    await hub.create("run").open(1, empty_snapshot())
    hub.release("run")
    await settle()
    assert await hub.find("run") is None


async def test_a_log_that_waits_for_its_writer_is_not_forgotten() -> None:
    """Its viewers wait too; who would write has failed before the beginning, and another one will come."""
    hub = MemoryHub(ttl=0)
    log = hub.create("run")
    hub.release("run")
    await settle()
    assert await hub.find("run") is log
    assert not hub._timers


async def test_a_run_that_goes_on_is_not_forgotten() -> None:
    """However often it was released: a timer of an earlier release must not hit the new epoch."""
    hub = MemoryHub(ttl=0)
    log = hub.create("run")
    await log.open(1, empty_snapshot())
    hub.release("run")
    hub.release("run")
    assert hub.create("run") is log
    await settle()
    assert await hub.find("run") is log


async def test_readers_of_a_forgotten_log_read_on() -> None:
    hub = MemoryHub(ttl=0)
    log = hub.create("run")
    await log.open(1, empty_snapshot())
    reader = log.reader()
    hub.release("run")
    await settle()
    assert [frame.kind for frame in await reader.read()] == ["snapshot"]


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
