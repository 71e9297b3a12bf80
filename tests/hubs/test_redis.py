"""Logs on Redis beyond the contract: several processes, and a Redis that fails in every way it can."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio

from lingstream.core.document.ops import Append, Set
from lingstream.core.exceptions import Fenced
from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.log.state import empty_snapshot
from lingstream.execution import retention
from lingstream.hubs.redis import RedisHub
from lingstream.hubs.redis.hub import StreamsHub
from lingstream.hubs.redis.log import RedisLog
from lingstream.testing.log_contract import DONE, STORY, STORY_DOCUMENT, Viewer, raises, write
from tests.chaos.patience import scaled

from ..chaos.patience import within
from ..core.support import ALL, Deaf
from .conftest import RedisServer

MakeHub = Callable[..., RedisHub]
TOKENS = [f"{number} " for number in range(200)]
TEXT = "".join(TOKENS)


class LiveViewer(Viewer):
    """A viewer that also hears whether its run is resumable."""

    def __init__(self, log: Any, after: str | None = None) -> None:
        super().__init__(log.reader(after))
        self.resumable: list[bool] = []

    def _take(self, frame: Frame) -> None:
        if frame.kind == "event" and frame.body["event"] == "resumable":
            self.resumable.append(frame.body["data"])
        else:
            super()._take(frame)


async def opened(hub: RedisHub, epoch: int = 1) -> RedisLog:
    log = hub.create("run")
    await log.open(epoch, empty_snapshot())
    log.write(epoch, "ops", [Set("", {})])
    await log.flush()
    return log


def say(log: RedisLog, text: str, epoch: int = 1) -> FrameId:
    return log.write(epoch, "ops", [Append("answer", text)])


async def end(log: RedisLog, epoch: int = 1) -> None:
    await write(log, epoch, [DONE])


async def find(hub: RedisHub, **options: bool) -> RedisLog:
    log = await hub.find("run", **options)
    assert log is not None
    return log


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait for what Redis does by itself, and tells nobody."""
    async with within(seconds):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            await asyncio.sleep(0.01)


async def ids(client: Any) -> list[str]:
    return [place.decode() for place, _ in await client.xrange("lingstream:run:run")]


# -- many processes ------------------------------------------------------------------------------


async def test_viewers_elsewhere_who_join_at_random_all_see_the_same(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub, *others = (make_hub(shared_redis) for _ in range(4))
    log = await opened(hub)
    joins = sorted(random.Random(4).choices(range(len(TOKENS)), k=20))
    viewers: list[Viewer] = []
    async with asyncio.TaskGroup() as group:
        for number, token in enumerate(TOKENS):
            say(log, token)
            for _ in range(joins.count(number)):
                viewers.append(Viewer((await find(others[len(viewers) % 3])).reader()))
                group.create_task(viewers[-1].read_to_end())
            await asyncio.sleep(0)
        await end(log)
    assert len(viewers) == 20
    assert {viewer.document["answer"] for viewer in viewers} == {TEXT}


async def test_a_run_can_be_resumed_elsewhere_at_every_id(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub = make_hub(shared_redis)
    log = hub.create("run")
    await log.open(1, empty_snapshot())
    states = [log.state.snapshot()]
    for kind, body in STORY:
        log.write(1, kind, body)
        states.append(log.state.snapshot())
    await log.flush()
    for seq, state in enumerate(states, 1):
        viewer = Viewer((await find(make_hub(shared_redis))).reader(f"1-{seq}"), state)
        if seq < len(states):
            await viewer.read_to_end()
            assert viewer.frames[0].kind != "snapshot"
        assert viewer.state is not None and viewer.state.snapshot() == states[-1]


async def test_more_viewers_cost_redis_nothing(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    async def calls(viewers: int) -> int:
        await client.flushall()
        await client.config_resetstat()
        hub, other = make_hub(shared_redis, check=60), make_hub(shared_redis, check=60)
        log = await opened(hub)
        watching = [Viewer((await find(other)).reader()) for _ in range(viewers)]
        for token in TOKENS[:20]:
            place = say(log, token)
            await log.flush()
            for viewer in watching:
                await viewer.read_to(place)
        stats = await client.info("commandstats")
        await hub.aclose()
        await other.aclose()
        counted = ("cmdstat_evalsha", "cmdstat_xread", "cmdstat_xrange", "cmdstat_hmget")
        return sum(stats.get(name, {"calls": 0})["calls"] for name in counted)

    one, many = await calls(1), await calls(50)
    assert many <= one + 5, f"{one} commands for one viewer, {many} for 50"


async def test_a_run_that_is_followed_later_is_read_at_once(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    """The blocking read is under way when a second run is added: the wake-up key ends it."""
    hub, other = make_hub(shared_redis), make_hub(shared_redis, timeout=30)
    first = await opened(hub)
    viewer = Viewer((await find(other)).reader())
    await viewer.read()
    await until(lambda: other._follower._reading)
    second = hub.create("second")
    await second.open(1, empty_snapshot())
    found = await other.find("second")
    assert found
    late = Viewer(found.reader())
    await late.read()
    await write(second, 1, STORY)
    await late.read_to_end()
    await end(first)
    await viewer.read_to_end()


async def test_viewers_wait_for_a_run_that_no_process_has_begun(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    web, other, worker = (make_hub(shared_redis) for _ in range(3))
    assert await web.find("run") is None
    viewers = [Viewer(web.create("run").reader("1-0")), Viewer((await find(other, running=True)).reader())]
    tasks = [asyncio.create_task(viewer.read_to_end()) for viewer in viewers]
    await asyncio.sleep(0.05)
    log = worker.create("run")
    await log.open(1, empty_snapshot())
    await write(log, 1, STORY)
    await asyncio.gather(*tasks)
    assert [viewer.document for viewer in viewers] == [STORY_DOCUMENT] * 2


async def test_local_viewers_see_a_frame_only_when_redis_has_it(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub = make_hub(shared_redis)
    log = await opened(hub)
    viewer = Viewer(log.reader())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(viewer.read_to_end())
        for token in TOKENS:
            place = say(log, token)
            late = log.reader(str(place))
            assert not late.ready, "nothing is behind a frame that was just written"
            await asyncio.sleep(0)
            if viewer.frames:
                assert str(viewer.frames[-1].id) in await ids(client)
        await end(log)
    assert task.done() and viewer.document["answer"] == TEXT


async def test_who_joins_at_full_speed_gets_a_snapshot_that_redis_has(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    """There is always a frame that Redis does not have yet, and no moment at which there is none."""
    log = await opened(make_hub(shared_redis))
    running = True

    async def talk() -> None:
        while running:
            say(log, "x")
            await asyncio.sleep(0)

    task = asyncio.create_task(talk())
    for _ in range(10):
        viewers = [Viewer(log.reader()) for _ in range(2)]
        for viewer in viewers:
            [frame] = (await viewer.read())[:1]
            assert frame.kind == "snapshot" and frame.id.seq <= log.outbox.confirmed
        assert viewers[0].document is not viewers[1].document
    running = False
    await task


# -- one writer ----------------------------------------------------------------------------------


async def test_the_old_writer_changes_nothing_and_its_viewers_follow_the_new_one(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    old, new = await opened(make_hub(shared_redis)), make_hub(shared_redis).create("run")
    say(old, "old")
    await old.flush()
    viewer = Viewer(old.reader())
    await viewer.read()
    await new.open(2, {**empty_snapshot(), "document": {"answer": "n"}})
    before = await ids(client)
    say(old, "er")
    with raises(Fenced):
        await old.flush()
    with raises(Fenced):
        say(old, "er")
    assert await ids(client) == before == ["2-1"]
    say(new, "ew", epoch=2)
    await end(new, epoch=2)
    await viewer.read_to_end()
    assert viewer.document == {"answer": "new"}
    assert old.last_id == new.last_id


async def test_an_epoch_has_one_owner(shared_redis: RedisServer, client: Any, make_hub: MakeHub) -> None:
    logs = [make_hub(shared_redis).create("run") for _ in range(5)]
    results = await asyncio.gather(*(log.open(1, empty_snapshot()) for log in logs), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Fenced"] * 4 + ["NoneType"]
    assert await ids(client) == ["1-1"]
    winner = logs[results.index(None)]
    await write(winner, 1, STORY)
    for log in logs:
        viewer = Viewer(log.reader())
        await viewer.read_to_end()
        assert viewer.document == STORY_DOCUMENT


async def test_the_higher_epoch_wins_though_redis_has_lost_the_fence(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    old = await opened(make_hub(shared_redis, check=60))
    new = make_hub(shared_redis, check=60).create("run")
    await new.open(2, {**empty_snapshot(), "document": {"answer": "n"}})
    await client.flushall()
    say(old, "old")
    await old.flush()  # it cannot know
    assert await ids(client) == ["1-3"]
    say(new, "ew", epoch=2)
    await new.flush()
    assert await ids(client) == ["2-2"]
    say(old, "er")
    with raises(Fenced):
        await old.flush()
    assert await ids(client) == ["2-2"]


# -- lost connections, lost replies, lost data ---------------------------------------------------


async def test_killed_connections_lose_and_repeat_nothing(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub, other = make_hub(shared_redis), make_hub(shared_redis)
    log = await opened(hub)
    viewers = [LiveViewer(await find(hub)), LiveViewer(await find(other))]
    async with asyncio.TaskGroup() as group:
        for viewer in viewers:
            group.create_task(viewer.read_to_end())
        for number, token in enumerate(TOKENS):
            say(log, token)
            if number % 20 == 10:
                await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.sleep(0.001)
        await end(log)
    assert await ids(client) == [f"1-{seq}" for seq in range(1, len(TOKENS) + 4)]
    for viewer in viewers:
        assert viewer.document["answer"] == TEXT
        assert viewer.resumable == []


class Proxy:
    """Stands before Redis; swallows replies, or everything, when told to."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.swallow = 0
        self.swallowed = asyncio.Event()
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._server.port)
        state = {"appends": False}
        for coroutine in (self._ask(reader, back, state), self._answer(there, writer, state)):
            task = asyncio.create_task(coroutine)
            self._tasks.add(task)

    async def _ask(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, state: Any) -> None:
        with_close = target
        try:
            while data := await source.read(65_536):
                state["appends"] = state["appends"] or b"EVALSHA" in data
                target.write(data)
                await target.drain()
        except ConnectionError:
            pass
        finally:
            with_close.close()

    async def _answer(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, state: Any) -> None:
        try:
            while data := await source.read(65_536):
                if self.swallow and state["appends"]:
                    self.swallow -= 1
                    self.swallowed.set()
                    break
                target.write(data)
                await target.drain()
        except ConnectionError:
            pass
        finally:
            target.close()


@pytest.mark.parametrize("lost", [1, 3])
async def test_a_reply_that_is_lost_makes_no_entry_twice(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub, lost: int
) -> None:
    async with Proxy(shared_redis).serve() as proxy:
        hub, other = make_hub(proxy.url, check=60), make_hub(shared_redis)
        log = await opened(hub)
        viewers = [LiveViewer(log), LiveViewer(await find(other))]
        for token in TOKENS[:30]:
            say(log, token)
            if token == "10 ":
                proxy.swallow = lost
            await log.flush()
        assert proxy.swallowed.is_set() and not proxy.swallow
        await end(log)
        for viewer in viewers:
            await viewer.read_to_end()
            assert viewer.document["answer"] == "".join(TOKENS[:30])
            assert viewer.resumable == []
        assert await ids(client) == [f"1-{seq}" for seq in range(1, 34)]
        await hub.aclose()


async def test_an_epoch_whose_opening_was_not_answered_is_still_ours(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    async with Proxy(shared_redis).serve() as proxy:
        hub = make_hub(proxy.url)
        proxy.swallow = 2  # once for the script's loading
        log = await opened(hub)
        assert proxy.swallowed.is_set()
        await write(log, 1, STORY[2:])
        assert (await ids(client))[:2] == ["1-1", "1-2"]
        await hub.aclose()


async def test_scripts_that_redis_has_forgotten_are_loaded_again(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    log = await opened(make_hub(shared_redis))
    await client.script_flush()
    say(log, "x")
    await log.flush()
    assert await ids(client) == ["1-1", "1-2", "1-3"]


async def test_a_stream_that_was_flushed_is_put_back_and_viewers_go_on(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub, other = make_hub(shared_redis), make_hub(shared_redis)
    log = await opened(hub)
    viewers = [LiveViewer(log), LiveViewer(await find(other))]
    async with asyncio.TaskGroup() as group:
        for viewer in viewers:
            group.create_task(viewer.read_to_end())
        for number, token in enumerate(TOKENS):
            say(log, token)
            if number % 50 == 25:
                await client.flushall()
            await asyncio.sleep(0.001)
        await end(log)
    viewers.append(LiveViewer(await find(make_hub(shared_redis))))
    await viewers[-1].read_to_end()
    for viewer in viewers:
        assert viewer.document["answer"] == TEXT
        assert viewer.frames[-1].id == FrameId(1, len(TOKENS) + 3)


async def test_a_silent_writer_notices_that_its_stream_is_gone(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    log = await opened(make_hub(shared_redis))
    say(log, "thinking")
    await log.flush()
    await client.flushall()
    await until(lambda: client.exists("lingstream:run:run"))
    viewer = Viewer((await find(make_hub(shared_redis))).reader())
    assert [frame.id for frame in await viewer.read()] == [FrameId(1, 3)]
    assert viewer.document == {"answer": "thinking"}


async def test_a_replica_that_missed_the_last_entries_gets_a_snapshot(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    log = await opened(make_hub(shared_redis))
    viewer = LiveViewer(await find(make_hub(shared_redis)))
    for token in TOKENS[:10]:
        place = say(log, token)
    await log.flush()
    await viewer.read_to(place)
    data = await client.dump("lingstream:run:run")
    for token in TOKENS[10:20]:
        place = say(log, token)
    await log.flush()
    await viewer.read_to(place)
    await client.restore("lingstream:run:run", 0, data, replace=True)  # as a failover may
    say(log, TOKENS[20])
    await end(log)
    await viewer.read_to_end()
    assert viewer.document["answer"] == "".join(TOKENS[:21])


async def test_a_key_of_another_type_costs_one_run_and_not_all(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub = make_hub(shared_redis)
    await client.set("lingstream:run:run", "mine")
    log, well = hub.create("run"), hub.create("well")
    viewer = LiveViewer(log)
    await asyncio.gather(log.open(1, empty_snapshot()), well.open(1, empty_snapshot()))
    await until_told(viewer, [False])
    await write(log, 1, STORY)
    await viewer.read_to_end()
    assert viewer.document == STORY_DOCUMENT and viewer.resumable == [False]
    await write(well, 1, STORY)
    assert well.resumable and await client.xlen("lingstream:run:well") == len(STORY) + 1


# -- Redis away ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wipe", [False, True], ids=["with its data", "empty"])
async def test_a_run_goes_on_while_redis_is_away_and_catches_up(
    own_redis: RedisServer, make_hub: MakeHub, wipe: bool
) -> None:
    options = {"timeout": 0.3}
    hub, other = make_hub(own_redis, **options), make_hub(own_redis, **options)
    log = await opened(hub)
    near, far = LiveViewer(log), LiveViewer(await find(other))
    for viewer in (near, far):
        await viewer.read()
    own_redis.stop(wipe=wipe)
    place = say(log, "alone ")
    begun = time.monotonic()
    await log.flush()
    assert time.monotonic() - begun < scaled(1.0)
    await near.read_to(place)
    assert near.document == {"answer": "alone "}
    await until_told(near, [False])
    await until_told(far, [False])
    assert await other.find("another") is None
    own_redis.start()
    say(log, "together")
    await until_told(near, [False, True])
    await end(log)
    for viewer in (near, far):
        await viewer.read_to_end()
        assert viewer.document == {"answer": "alone together"}
    late = Viewer((await find(make_hub(own_redis))).reader())
    await late.read_to_end()
    assert late.document == {"answer": "alone together"}


REFUSALS = {
    "full": (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]),
    "a replica": (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_redis_that_takes_no_writes_is_as_if_it_were_gone(
    own_redis: RedisServer, make_hub: MakeHub, refusal: str
) -> None:
    """It answers to everything else: readers in other processes would wait for news that never come."""
    begin, stop = REFUSALS[refusal]
    options = {"timeout": 0.3}
    hub, other = make_hub(own_redis, **options), make_hub(own_redis, **options)
    log = await opened(hub)
    near, far = LiveViewer(log), LiveViewer(await find(other))
    for viewer in (near, far):
        await viewer.read()
    async with redis.asyncio.Redis.from_url(own_redis.url, protocol=2) as client:
        await client.config_set("maxmemory-policy", "noeviction")
        await client.execute_command(*begin)
        await near.read_to(say(log, "alone "))
        assert near.document == {"answer": "alone "}
        await until_told(near, [False])
        await until_told(far, [False])
        assert await other.find("another", running=True) is None
        new = hub.create("new")
        async with asyncio.timeout(scaled(2)):
            await new.open(1, empty_snapshot())
        began = LiveViewer(new)
        await until_told(began, [False])
        await client.execute_command(*stop)
        say(log, "together")
        for viewer in (near, far):
            await until_told(viewer, [False, True])
        await until_told(began, [False, True])
    for each in (log, new):
        await end(each)
    for viewer in (near, far):
        await viewer.read_to_end()
        assert viewer.document == {"answer": "alone together"}


async def until_told(viewer: LiveViewer, said: list[bool]) -> None:
    while viewer.resumable != said:
        await viewer.read()


async def test_a_run_begins_and_ends_without_redis(own_redis: RedisServer, make_hub: MakeHub) -> None:
    own_redis.stop()
    hub = make_hub(own_redis, timeout=0.2)
    begun = time.monotonic()
    log = hub.create("run")
    viewer = LiveViewer(log)
    await log.open(1, empty_snapshot())
    await write(log, 1, STORY)
    await viewer.read_to_end()
    assert time.monotonic() - begun < scaled(1.0)
    assert viewer.document == STORY_DOCUMENT
    hub.release("run")
    own_redis.start()
    other = make_hub(own_redis)
    await until(lambda: log.outbox.confirmed == log.last_id.seq)
    late = Viewer((await find(other)).reader())
    await late.read_to_end()
    assert late.document == STORY_DOCUMENT
    assert [str(frame.id) for frame in late.frames] == ["1-12", "1-13"]


async def test_a_redis_that_hangs_holds_nobody_up(own_redis: RedisServer, make_hub: MakeHub) -> None:
    hub = make_hub(own_redis, timeout=0.3)
    log = await opened(hub)
    viewer = LiveViewer(log)
    await viewer.read()
    own_redis.freeze(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        place = say(log, "x")
        await log.flush()
        await viewer.read_to(place)
        assert await hub.find("other") is None
        assert await hub.is_watched("run")
        assert time.monotonic() - begun < scaled(1.0)
    finally:
        own_redis.freeze(signal.SIGCONT)
    await until_told(viewer, [False, True])
    say(log, "y")
    await end(log)
    await viewer.read_to_end()
    assert viewer.document == {"answer": "xy"}


async def test_what_waits_for_redis_is_bounded(own_redis: RedisServer, make_hub: MakeHub) -> None:
    hub = make_hub(own_redis, timeout=0.1, max_frames=10)
    log = await opened(hub)
    own_redis.stop()
    for token in TOKENS:
        say(log, token)
    await log.flush()
    assert len(log.buffer) <= 20
    own_redis.start()
    await until(lambda: log.resumable)
    viewer = Viewer((await find(make_hub(own_redis))).reader())
    await viewer.read()
    assert viewer.document == {"answer": TEXT} and viewer.frames[-1].id == log.last_id


async def test_a_fence_is_noticed_after_a_time_alone(own_redis: RedisServer, make_hub: MakeHub) -> None:
    """Two owners while the old one cannot reach Redis: its viewers end up with the new one's document."""
    async with Proxy(own_redis).serve() as proxy:
        hub = make_hub(proxy.url, timeout=0.1)
        log = await opened(hub)
        viewer = LiveViewer(log)
        await viewer.read()
        proxy.swallow = 1_000_000
        say(log, "old")
        await log.flush()
        await until_told(viewer, [False])
        new = make_hub(own_redis).create("run")
        await new.open(2, empty_snapshot())
        await write(new, 2, STORY)
        proxy.swallow = 0
        await viewer.read_to_end()
        assert viewer.document == STORY_DOCUMENT
        with raises(Fenced):
            say(log, "er")
        await hub.aclose()


# -- how long, how much --------------------------------------------------------------------------


async def test_an_ended_run_is_kept_for_its_time_and_then_the_database_answers(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub, other = make_hub(shared_redis, ttl=0.6), make_hub(shared_redis, ttl=0.6)
    log = await opened(hub)
    await asyncio.sleep(0.9)
    assert await client.pttl("lingstream:run:run") > 0, "its writer's sign of life has kept it"
    await end(log)
    hub.release("run")
    assert await find(hub) is log
    viewer = Viewer((await find(other)).reader())
    await viewer.read_to_end()
    await until(lambda: absent(client))
    for each in (hub, other, make_hub(shared_redis)):
        await until(lambda each=each: gone(each))
        assert await each.find("run") is None
    await until(lambda: not hub._logs and not other._logs)


async def test_ended_runs_are_not_kept_here_for_nobody(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    """Redis has them: a busy process would keep the logs of all the runs of the last minutes."""
    hub = make_hub(shared_redis, check=0.05, ttl=300)
    log = await opened(hub)
    reader = (await find(hub)).reader()
    await end(log)
    hub.release("run")
    await asyncio.sleep(0.2)
    assert hub._logs == {"run": log}, "it was forgotten under its reader"
    del reader
    await until(lambda: not hub._logs)
    viewer = Viewer((await find(hub)).reader())
    await viewer.read_to_end()
    assert viewer.ended


async def absent(client: Any) -> bool:
    return not await client.exists("lingstream:run:run", "lingstream:snap:run")


async def gone(hub: RedisHub) -> bool:
    return await hub.find("run") is None


async def test_a_run_whose_writer_is_gone_sends_its_viewers_to_the_database(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub, other = make_hub(shared_redis, ttl=0.5), make_hub(shared_redis, check=0.05)
    await opened(hub)
    viewer = Viewer((await find(other)).reader())
    await viewer.read()
    hub._timer.cancel()  # a process that died gives no sign of life
    assert await viewer.read() == []
    assert not viewer.ended and other._logs == {}


async def test_dropping_a_run_sends_viewers_everywhere_to_the_database(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub, other = make_hub(shared_redis, check=0.05), make_hub(shared_redis, check=0.05)
    log = hub.create("run")
    near, far = log.reader(), (await find(other, running=True)).reader()
    hub.drop("run")
    async with within(5):
        assert await near.read() == await far.read() == []


async def test_a_run_that_is_erased_leaves_nothing_in_redis(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a process that never had its log, and gone when the call returns."""
    log = await opened(make_hub(shared_redis))
    await end(log)
    await log.flush()
    assert not await absent(client)
    eraser = make_hub(shared_redis)
    monkeypatch.setattr(retention, "get_hub", lambda: eraser)
    await retention._drop_log("run")
    assert await absent(client)


async def test_a_run_handed_over_at_shutdown_is_followed(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    old, new = make_hub(shared_redis), make_hub(shared_redis)
    log = await opened(old)
    viewer = Viewer(log.reader())
    await viewer.read()
    say(log, "half")
    old.release("run")  # without ``done``
    claimed = new.create("run")
    await until(lambda: not log.writing)
    await claimed.open(2, empty_snapshot())
    await write(claimed, 2, STORY)
    await viewer.read_to_end()
    assert viewer.document == STORY_DOCUMENT


async def test_the_stream_is_trimmed_and_who_joins_late_sees_all(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub, other = make_hub(shared_redis, max_frames=50), make_hub(shared_redis, max_frames=50)
    log = await opened(hub)
    slow = Viewer((await find(other)).reader())
    await slow.read()
    for number in range(2_000):
        say(log, f"{number} ")
        if number % 10 == 0:
            await log.flush()
            assert await client.xlen("lingstream:run:run") <= 120
    await log.flush()
    late = Viewer((await find(make_hub(shared_redis))).reader())
    await late.read()
    await end(log)
    for viewer in (slow, late):
        await viewer.read_to_end()
        assert viewer.document == log.state.document.value


async def test_a_snapshot_that_was_evicted_is_stored_again(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    log = await opened(make_hub(shared_redis, max_frames=20))
    for number in range(100):
        say(log, f"{number} ")
        if number % 10 == 0:
            await log.flush()
    await log.flush()
    assert await client.delete("lingstream:snap:run")
    await until(lambda: client.exists("lingstream:snap:run"))
    viewer = Viewer((await find(make_hub(shared_redis))).reader())
    await viewer.read()
    assert viewer.document == log.state.document.value


async def test_a_run_that_nobody_watches_is_not_followed_for_ever(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    log = await opened(make_hub(shared_redis))
    other = make_hub(shared_redis, check=0.05, linger=0.2)
    reader = (await find(other)).reader()
    await reader.read()
    found = await find(other)
    await asyncio.sleep(0.4)
    assert other._logs == {"run": found} and other._follower.logs == [found]
    del reader
    await until(lambda: not other._logs and not other._follower.logs)
    say(log, "x")
    await log.flush()
    viewer = Viewer((await find(other)).reader())
    await viewer.read()
    assert viewer.document == {"answer": "x"}


async def test_a_run_is_watched_from_any_process_that_lives(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub, other, third = (make_hub(shared_redis, check=0.1) for _ in range(3))
    assert not await hub.is_watched("run")
    other.set_watched("run", True)
    third.set_watched("run", True)
    await until(lambda: hub.is_watched("run"))
    other.set_watched("run", False)
    await asyncio.sleep(0.5)
    assert await hub.is_watched("run") and await other.is_watched("run")
    third._timer.cancel()  # dies without a word
    await until(lambda: unwatched(hub))


async def unwatched(hub: RedisHub) -> bool:
    return not await hub.is_watched("run")


async def test_what_is_no_frame_ends_the_mirror_and_not_the_process(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub, other = make_hub(shared_redis), make_hub(shared_redis)
    await opened(hub)
    viewer = Viewer((await find(other)).reader())
    await viewer.read()
    await client.xadd("lingstream:run:run", {"f": b"junk"}, id="1-99")
    assert await viewer.read() == []
    well = other.create("well")
    await well.open(1, empty_snapshot())
    await write(well, 1, STORY)


async def test_closing_leaves_nothing_behind(
    shared_redis: RedisServer, client: Any, make_hub: MakeHub
) -> None:
    hub, other = make_hub(shared_redis), make_hub(shared_redis)
    log = await opened(hub)
    reader = (await find(other)).reader()
    await reader.read()
    waiting = asyncio.create_task(reader.read())
    say(log, "last words")
    await hub.aclose()
    assert [frame.body for frame in await waiting] == [[Append("answer", "last words")]]
    await other.aclose()
    await other.aclose()
    assert await reader.read() == []
    assert await other.find("run", running=True) is None
    assert not [task for task in asyncio.all_tasks() if "lingstream redis" in task.get_name()]
    local = hub.create("after")
    await local.open(1, empty_snapshot())
    await write(local, 1, STORY)
    viewer = Viewer(local.reader())
    await viewer.read_to_end()


async def test_closing_waits_for_no_connection_that_is_deaf(caplog: pytest.LogCaptureFixture) -> None:
    deaf, asked = Deaf(ALL), list[Any]()

    class Link:
        async def exchange(self, commands: list[list[Any]], within: float) -> list[Any]:
            asked.append(commands)
            await deaf.work()
            return [None]

        async def close(self) -> None:
            await deaf.work()

    options = {"ttl": 60.0, "max_frames": 100, "check": 60.0, "linger": 60.0, "pause": 0.0}
    hub = StreamsHub(Link, prefix="deaf", timeout=0.05, **options)
    log = hub.create("run")
    hub.follow(hub.create("another"))
    hub.drop("a third")
    await until(lambda: len(asked) == 2)
    async with asyncio.timeout(scaled(30)):
        await hub.aclose()
    assert log.abandoned
    for name in ("writer", "follower"):
        assert f"left lingstream redis {name}, which 3 cancels did not end" in caplog.text
    left = [task for task in asyncio.all_tasks() if "lingstream redis" in task.get_name()]
    deaf.released.set()
    await asyncio.wait(left)
    assert len(asked) == 2, "neither of them goes on"


def test_a_hub_serves_one_loop_after_another(shared_redis: RedisServer) -> None:
    hub = RedisHub(shared_redis.url, prefix="loops")

    async def use(run: str) -> None:
        log = hub.create(run)
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY)
        await hub.aclose()

    asyncio.run(use("first"))
    asyncio.run(use("second"))
