"""Silences that several processes see the end of, one of which dies of it, and the tabs that are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from .conftest import MakeCluster
from .harness import Cluster, Process
from .patience import PATIENCE, scaled, within
from .test_notices import ME, Tab, begun, by_feed, by_socket
from .test_workers import ANSWER

TALKS = 12


async def nudges(world: Cluster, status: str) -> list[dict[str, Any]]:
    sql = "SELECT id, conversation_id, hidden FROM lingstream_run WHERE cause = 'silence' AND status = ?"
    return await asyncio.to_thread(world.database.rows, sql, [status])


async def until(world: Cluster, count: int, status: str) -> list[dict[str, Any]]:
    async with within():
        while len(found := await nudges(world, status)) < count:
            await asyncio.sleep(0.05)
    return found


async def ask(web: Process, names: Sequence[str]) -> dict[str, str]:
    """Say something in each conversation; return the runs."""

    async def one(name: str) -> str:
        answer = await http.post(f"/ling/conversations/{name}/messages/", json={"text": "hi"})
        return str(answer.json()["run"])

    async with httpx.AsyncClient(base_url=web.base, headers=ME, timeout=scaled(PATIENCE)) as http:
        return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))


async def sees(tab: Tab, web: Process, name: str, asked: str, nudge: str) -> None:
    """A tab hears of one nudge, begun and ended, and is shown it when it asks for the conversation."""

    def heard(*kinds: str) -> set[str]:
        return {each["run"] for each in tab.heard if each["conversation"] == name and each["kind"] in kinds}

    while nudge not in heard("ended"):
        await tab.hears(kind="ended")
    assert heard("turn", "ended") - {asked} == {nudge}
    async with httpx.AsyncClient(base_url=web.base, headers=ME, timeout=scaled(PATIENCE)) as http:
        turns = (await http.get(f"/ling/conversations/{name}/")).json()["turns"]
    assert [(turn["run"], turn["cause"], turn["status"]) for turn in turns] == [
        (asked, "user", "finished"),
        (nudge, "silence", "finished"),
    ]


async def one_each(world: Cluster, webs: list[Process], executing: list[Process], *, tabs: bool) -> None:
    """Each conversation hears one nudge, though a process dies while it writes them.

    :param tabs: the person has two, at two processes if so many outlive it: one for the first conversation,
        on a socket, and one for all.
    """
    gate = asyncio.Event()
    world.says(ANSWER=lambda user: ANSWER if user == "hi" else [ANSWER[:9], gate, ANSWER[9:]])
    names = [await begun(webs[0], "silent") for _ in range(TALKS)]
    left = [web for web in webs if web is not executing[0]]
    async with AsyncExitStack() as stack:
        if tabs:
            first = await by_socket(left[0], names[0], stack)
            second = await by_feed(left[-1], "", stack)
        asked = await ask(webs[0], names)
        await until(world, TALKS, "running")
        executing[0].kill()
        gate.set()
        found = {str(row["conversation_id"]): row for row in await until(world, TALKS, "finished")}
        assert len(found) == TALKS == len(await nudges(world, "finished"))
        assert not any(row["hidden"] for row in found.values())
        rows = world.database.rows("SELECT nudges, nudge_at FROM lingstream_conversation")
        assert {(row["nudges"], row["nudge_at"]) for row in rows} == {(1, None)}
        if tabs:
            nudge_of = {name: str(row["id"]) for name, row in found.items()}
            await sees(first, left[0], names[0], asked[names[0]], nudge_of[names[0]])
            for name in names:
                await sees(second, left[-1], name, asked[name], nudge_of[name])


@pytest.mark.parametrize("execution", ["inline", "worker"])
async def test_on_postgresql(cluster: MakeCluster, execution: str) -> None:
    world = await cluster(execution)
    webs = await world.web(count=2)
    executing = await world.workers(2) if execution == "worker" else webs
    await one_each(world, webs, executing, tabs=True)


async def test_on_sqlite(embedded: Cluster) -> None:
    webs = await embedded.web(count=2)
    await one_each(
        embedded, webs, webs, tabs=False
    )  # without a hub of its own a tab hears of its own process
