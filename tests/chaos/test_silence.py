"""Silences that several processes see the end of, one of which dies of it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from .conftest import MakeCluster
from .harness import Cluster, Process
from .patience import PATIENCE, scaled, within
from .test_workers import ANSWER

TALKS = 12


async def talk(http: httpx.AsyncClient) -> str:
    """Begin a conversation and say something in it."""
    url, body = "/ling/workflows/silent/runs/", {"input": {"question": "hi"}, "conversation": "new"}
    return str((await http.post(url, json=body)).json()["conversation"])


async def nudges(world: Cluster, status: str) -> list[dict[str, Any]]:
    sql = (
        "SELECT conversation_id, attempts, hidden FROM lingstream_run WHERE cause = 'silence' AND status = ?"
    )
    return await asyncio.to_thread(world.database.rows, sql, [status])


async def until(world: Cluster, count: int, status: str) -> list[dict[str, Any]]:
    async with within():
        while len(found := await nudges(world, status)) < count:
            await asyncio.sleep(0.05)
    return found


async def one_each(world: Cluster, webs: list[Process]) -> None:
    """Each conversation hears one nudge, though a process dies while it writes them."""
    gate = asyncio.Event()
    world.says(ANSWER=lambda user: ANSWER if user == "hi" else [ANSWER[:9], gate, ANSWER[9:]])
    async with httpx.AsyncClient(base_url=webs[0].base, timeout=scaled(PATIENCE)) as http:
        await asyncio.gather(*(talk(http) for _ in range(TALKS)))
    await until(world, TALKS, "running")
    webs[0].kill()
    gate.set()
    found = await until(world, TALKS, "finished")
    assert len({row["conversation_id"] for row in found}) == len(found) == TALKS
    assert not any(row["hidden"] for row in found)
    rows = world.database.rows("SELECT nudges, nudge_at FROM lingstream_conversation")
    assert {(row["nudges"], row["nudge_at"]) for row in rows} == {(1, None)}


async def test_on_postgresql(cluster: MakeCluster) -> None:
    world = await cluster("inline")
    await one_each(world, await world.web(count=2))


async def test_on_sqlite(embedded: Cluster) -> None:
    await one_each(embedded, await embedded.web(count=2))
