"""Viewers of a run elsewhere where processes share Redis, and Redis or the run's owner cannot reach it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lingstream.conf import app_settings
from lingstream.core.document.ops import Append, Set
from lingstream.core.log.state import empty_snapshot
from lingstream.hubs.redis import RedisHub
from lingstream.models import Run
from lingstream.transports import viewer
from tests import site as sites
from tests.hubs.conftest import RedisServer, own_redis  # noqa: F401  # a fixture
from tests.site import Site
from tests.watching import TRANSPORTS, watch

from .test_elsewhere import check_ids, elsewhere, end, store


@pytest.fixture(autouse=True)
def on_redis(settings: Any, monkeypatch: pytest.MonkeyPatch, own_redis: RedisServer) -> None:  # noqa: F811
    options = {"url": own_redis.url, "check": 0.05, "timeout": 0.3}
    hub = {"HUB": "lingstream.hubs.redis.RedisHub", "HUB_OPTIONS": options}
    settings.LINGSTREAM = {**settings.LINGSTREAM, **hub, "TICK": 0.02}
    monkeypatch.setattr(viewer, "_LOOK_AFTER", 0.1)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("sick", ["here", "there"])
async def test_it_sees_the_stored_state_and_the_log_when_there_is_one(
    on_redis: None,
    site: Site,
    own_redis: RedisServer,  # noqa: F811
    transport: str,
    sick: str,
) -> None:
    run = await elsewhere(site)
    if sick == "here":
        own_redis.stop()
    async with watch(site, run, transport) as watcher:
        assert (await watcher.until("error")).body["code"] == "elsewhere"
        await store(run, "one two", "1-20")
        await watcher.sees("two")
        if sick == "here":
            own_redis.start()
        other = RedisHub(own_redis.url)
        try:
            log = other.create(str(run.pk))
            await log.open(1, empty_snapshot())
            log.write(1, "ops", [Set("", {}), Append("answer", "one ")])
            for _ in range(17):
                log.write(1, "event", {"event": "thinking"})
            log.write(1, "ops", [Append("answer", "two")])
            await log.flush()
            log.write(1, "ops", [Append("answer", " three")])
            await watcher.sees("three")
            log.write(1, "done", {"status": "finished", "usage": {}, "crc32": 0})
            await watcher.until("done")
        finally:
            await other.aclose()
    assert watcher.document == {"answer": "one two three"}
    check_ids(watcher)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("sick", ["here", "there"])
async def test_it_sees_the_end_that_no_log_tells(
    on_redis: None,
    site: Site,
    own_redis: RedisServer,  # noqa: F811
    transport: str,
    sick: str,
) -> None:
    run = await elsewhere(site)
    if sick == "here":
        own_redis.stop()
    async with watch(site, run, transport) as watcher:
        await watcher.until("error")
        await end(run, "the end", "1-30")
        await watcher.until("done")
    assert watcher.document == {"answer": "the end"}
    check_ids(watcher)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_run_of_ours_that_is_deleted_ends_its_viewers(
    on_redis: None, site: Site, transport: str
) -> None:
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "half', gate, ' whole"}']]
    started = (await site.start("test", key="k" * 20)).json()
    run = await Run.objects.aget(pk=started["run"])
    async with watch(site, run, transport) as watcher:
        await watcher.sees("half")
        await run.adelete()
        assert (await watcher.until("error")).body["code"] == "deleted"
        await watcher.until("done")
    gate.set()
    check_ids(watcher)


async def test_a_model_that_thinks_is_not_taken_for_a_run_elsewhere(on_redis: None, site: Site) -> None:
    """Its log is in Redis and silent; the stored state is no newer."""
    run = await elsewhere(site, log_id="1-1")
    other = RedisHub(app_settings().hub_options["url"])
    try:
        log = other.create(str(run.pk))
        await log.open(1, empty_snapshot())
        async with watch(site, run, "socket") as watcher:
            await watcher.until("snapshot")
            await asyncio.sleep(0.5)
            log.write(1, "done", {"status": "finished", "usage": {}, "crc32": 0})
            await watcher.until("done")
    finally:
        await other.aclose()
    assert [frame.kind for frame in watcher.frames] == ["snapshot", "done"]
