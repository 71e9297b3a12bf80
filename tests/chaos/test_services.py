"""PostgreSQL and Redis go away in mid-run, and come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from .conftest import MakeCluster
from .harness import Cluster, Process, reply
from .patience import within
from .services import Postgres
from .test_workers import ANSWER

SPLIT = ('{"answer": "No. You', ' would fall through."}')

HOLD = """
CREATE FUNCTION hold() RETURNS trigger AS $$ BEGIN
  IF NEW.status = 'finished' THEN PERFORM pg_advisory_xact_lock(42); END IF; RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER hold BEFORE UPDATE ON lingstream_run FOR EACH ROW EXECUTE FUNCTION hold();
"""


@contextmanager
def final_writes_held(database: Postgres) -> Iterator[psycopg.Connection]:
    """Let no run be stored as finished; the lock is this connection's."""
    database.rows(HOLD)
    try:
        with psycopg.connect(host="127.0.0.1", port=database.port, user="postgres", autocommit=True) as lock:
            lock.execute("SELECT pg_advisory_lock(42)")
            yield lock
    finally:
        database.rows("DROP TRIGGER hold ON lingstream_run; DROP FUNCTION hold()")


async def writer(world: Cluster) -> int:
    """Wait for the connection that is about to store a result."""
    sql = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"
    async with within():
        while not (waiting := world.database.rows(sql)):
            await asyncio.sleep(0.02)
    return int(waiting[0]["pid"])


@pytest.mark.parametrize("stored", [True, False])
async def test_a_worker_dies_during_the_final_write(cluster: MakeCluster, stored: bool) -> None:
    world = await cluster()
    model = world.says(ANSWER=ANSWER)
    (web,), workers = await asyncio.gather(world.web(), world.workers(2))
    with final_writes_held(world.database) as lock:
        viewer = await world.watch(web, "text")
        pid = await writer(world)
        owner, _ = world.owner(viewer.run, workers)
        owner.kill()
        await owner.ended()
        if not stored:
            lock.execute("SELECT pg_terminate_backend(%s)", [pid])
        lock.execute("SELECT pg_advisory_unlock(42)")
        await world.agree(json.loads(ANSWER), viewer, await world.viewer(viewer).connect(web))
    assert model.calls == {"ANSWER: hi": 1}
    assert [frame.kind for frame in viewer.frames].count("done") == 1
    row = world.row(viewer.run)
    assert row["epoch"] == 2 and row["log_id"] == str(viewer.frames[-1].id)


async def test_a_claim_a_cancel_and_an_end_at_the_same_time_are_one_of_them(cluster: MakeCluster) -> None:
    world = await cluster()
    for _ in range(3):
        contest = await Process.start("races", "-m", "tests.chaos.races", env=world.env)
        world.processes.append(contest)
        assert await contest.ended() == 0, contest.output
        world.database.clear()


async def test_postgresql_restarts_while_a_model_talks(cluster: MakeCluster) -> None:
    world = await cluster()
    gate = asyncio.Event()
    model = world.says(ANSWER=reply(SPLIT[0], gate, SPLIT[1]))
    (web,), (worker,) = await asyncio.gather(world.web(), world.workers())
    viewer = await world.watch(web, "text")
    await viewer.sees("No. You")
    world.database.stop()
    try:
        await worker.says("no heartbeat")
        gate.set()
        await worker.says("the database is away, trying again")
    finally:
        world.database.start()
    await world.agree(json.loads(ANSWER), viewer)
    assert model.calls == {"ANSWER: hi": 1}
    assert world.bots(viewer.run) == {"answer#1": "finished"}


async def test_redis_restarts_with_its_data_while_a_model_talks(cluster: MakeCluster) -> None:
    world = await cluster()
    gates = [asyncio.Event(), asyncio.Event()]
    model = world.says(ANSWER=reply('{"answer": "No.', gates[0], " You", gates[1], ' would fall through."}'))
    (web,), (worker,) = await asyncio.gather(world.web(), world.workers())
    viewer = await world.watch(web, "text")
    await viewer.sees("No.")
    world.redis.stop()
    try:
        gates[0].set()
        await worker.says("Redis does not answer")
    finally:
        world.redis.start()
    await viewer.sees("No. You")
    gates[1].set()
    await world.agree(json.loads(ANSWER), viewer, await world.viewer(viewer).connect(web))
    assert model.calls == {"ANSWER: hi": 1}


@pytest.mark.parametrize("wipe", [False, True])
async def test_a_run_ends_while_redis_is_away(cluster: MakeCluster, wipe: bool) -> None:
    world = await cluster()
    gate = asyncio.Event()
    model = world.says(ANSWER=reply(SPLIT[0], gate, SPLIT[1]))
    (web,), _ = await asyncio.gather(world.web(), world.workers())
    viewer = await world.watch(web, "text")
    await viewer.sees("No. You")
    world.redis.stop(wipe=wipe)
    try:
        gate.set()
        await world.stored(viewer.run, lambda row: row["status"] == "finished")
    finally:
        world.redis.start()
    await world.agree(json.loads(ANSWER), viewer, await world.viewer(viewer).connect(web))
    assert model.calls == {"ANSWER: hi": 1}
    world.says(ANSWER=ANSWER)
    again = await world.watch(web, "text")
    await world.agree(json.loads(ANSWER), again)
