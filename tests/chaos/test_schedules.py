"""Schedules that several processes see the time of, one of which dies of it."""

from __future__ import annotations

import asyncio
from typing import Any

from .conftest import MakeCluster
from .harness import Cluster, Process
from .patience import within
from .test_workers import ANSWER

SCHEDULES = 12
LONG_AGO = "'2026-01-01 00:00:00'"
STORE = f"""
INSERT INTO lingstream_schedule
    (name, enabled, workflow, input, every, cron, jitter, scope, last_error, created_at, slot_at, next_at)
VALUES
    ('%d', true, 'text', '{{"question": "hi"}}', 31536000, '', 0, '', '', {LONG_AGO}, {LONG_AGO}, {LONG_AGO})
"""


async def until(world: Cluster, count: int, status: str) -> list[dict[str, Any]]:
    sql = "SELECT key, attempts FROM lingstream_run WHERE status = ?"
    async with within():
        while len(found := await asyncio.to_thread(world.database.rows, sql, [status])) < count:
            await asyncio.sleep(0.05)
    return found


async def one_each(world: Cluster, webs: list[Process]) -> None:
    """Each slot starts one run, though a process dies while it executes them."""
    gate = asyncio.Event()
    world.says(ANSWER=[ANSWER[:9], gate, ANSWER[9:]])
    for number in range(SCHEDULES):
        await asyncio.to_thread(world.database.rows, STORE % number)
    await until(world, SCHEDULES, "running")
    webs[0].kill()
    gate.set()
    found = await until(world, SCHEDULES, "finished")
    assert len({row["key"] for row in found}) == len(found) == SCHEDULES
    rows = world.database.rows("SELECT last_run, last_error, next_at FROM lingstream_schedule")
    assert len({row["last_run"] for row in rows}) == SCHEDULES
    assert all(not row["last_error"] and str(row["next_at"]) > LONG_AGO.strip("'") for row in rows)


async def test_on_postgresql(cluster: MakeCluster) -> None:
    world = await cluster("inline")
    await one_each(world, await world.web(count=2))


async def test_on_sqlite(embedded: Cluster) -> None:
    await one_each(embedded, await embedded.web(count=2))
