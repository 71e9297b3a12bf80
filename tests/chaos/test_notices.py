"""Two web processes, each of another server, and the tabs of one person: who hears what, and who is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import websockets

from lingstream.access.visitors import make_visitor_token
from tests.site import read_sse

from .conftest import MakeCluster
from .harness import Cluster, Process, reply
from .patience import PATIENCE, scaled, within
from .test_viewers import status

ME = {"authorization": f"Ling-Visitor {make_visitor_token('me')}"}
ANSWER = '{"answer": "Hello."}'
PAGES = 60


class Tab:
    """What one page hears, in whatever way."""

    def __init__(self, notices: AsyncIterator[dict[str, Any]]) -> None:
        self.heard: list[dict[str, Any]] = []
        self._notices = notices

    async def hears(self, **wanted: Any) -> dict[str, Any]:
        """Wait for a notice with these values."""
        async with within():
            while True:
                self.heard.append(await anext(self._notices))
                if wanted.items() <= self.heard[-1].items():
                    return self.heard[-1]


async def by_socket(web: Process, conversation: str, stack: AsyncExitStack) -> Tab:
    url = web.base.replace("http", "ws") + "/ws/ling/"
    connecting = websockets.connect(url, origin=websockets.Origin(web.base))
    socket = await stack.enter_async_context(connecting)

    async def notices() -> AsyncIterator[dict[str, Any]]:
        async for text in socket:
            message = json.loads(text)
            assert "error" not in message, message
            if "notice" in message:
                yield message["notice"]

    visitor = ME["authorization"].split()[1]
    await socket.send(json.dumps({"type": "hello", "visitor": visitor}))
    await socket.send(json.dumps({"type": "attach", "conversation": conversation}))
    tab = Tab(notices())
    await tab.hears(kind="attached")
    return tab


async def by_feed(web: Process, conversation: str, stack: AsyncExitStack) -> Tab:
    http = await stack.enter_async_context(httpx.AsyncClient(base_url=web.base, timeout=scaled(PATIENCE)))
    asked = http.stream("POST", "/ling/events/", json={"all": True}, headers=ME)
    response = await stack.enter_async_context(asked)

    async def notices() -> AsyncIterator[dict[str, Any]]:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))["notice"]

    tab = Tab(notices())
    await tab.hears(kind="attached", conversation=None)
    return tab


async def by_eventstream(web: Process, conversation: str, stack: AsyncExitStack) -> Tab:
    http = await stack.enter_async_context(httpx.AsyncClient(base_url=web.base, timeout=scaled(PATIENCE)))
    response = await stack.enter_async_context(http.stream("GET", "/ling/notices/", headers=ME))
    events = read_sse(response)
    assert (await anext(events))["event"] == "stream-open"

    async def notices() -> AsyncIterator[dict[str, Any]]:
        async for event in events:
            if event["event"] == "notice":
                yield json.loads(event["data"])

    return Tab(notices())


async def begun(web: Process, workflow: str) -> str:
    async with httpx.AsyncClient(base_url=web.base, timeout=scaled(PATIENCE)) as http:
        made = await http.post("/ling/conversations/", json={"workflow": workflow}, headers=ME)
        return str(made.json()["id"])


async def post(web: Process, path: str, body: Any, method: str = "POST") -> Any:
    async with httpx.AsyncClient(base_url=web.base, timeout=scaled(PATIENCE)) as http:
        response = await http.request(method, f"/ling/conversations/{path}", json=body, headers=ME)
        assert response.is_success, response.text
        return response.json()


async def pair(world: Cluster) -> tuple[Process, Process]:
    (one,), (two,) = await asyncio.gather(world.web("uvicorn"), world.web("daphne"))
    return one, two


async def until(world: Cluster, sql: str, wanted: Callable[[list[dict[str, Any]]], bool]) -> None:
    """Wait for what only the database tells."""
    async with within():
        while not wanted(await asyncio.to_thread(world.database.rows, sql)):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("execution", ["inline", "worker"])
async def test_every_tab_at_every_server_hears_of_what_happens_at_any(
    cluster: MakeCluster, execution: str
) -> None:
    world = await cluster(execution)
    world.says(ANSWER=ANSWER)
    one, two = await pair(world)
    if execution == "worker":
        await world.workers()
    name = await begun(one, "text")
    async with AsyncExitStack() as stack:
        ways = (by_socket, by_feed, by_eventstream)
        tabs = [await way(web, name, stack) for web in (one, two) for way in ways]
        for number, web in enumerate((one, two)):
            run = (await post(web, f"{name}/messages/", {"text": "hi"}))["run"]
            for tab in tabs:
                await tab.hears(conversation=name, kind="ended", run=run, seq=2 * number + 2)
        await post(two, f"{name}/", {"title": "Of clouds"}, "PATCH")
        for tab in tabs:
            await tab.hears(conversation=name, kind="change", seq=5)
            seqs = [each["seq"] for each in tab.heard if each["seq"] is not None]
            # Each once; of two processes that tell of one conversation nobody decides which comes first.
            assert len(set(seqs)) == len(seqs) and {1, 2, 4, 5} <= set(seqs), seqs
            assert not [each for each in tab.heard if each.keys() != {"conversation", "seq", "kind", "run"}]


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_pages_that_only_hear_notices_hold_no_threads(cluster: MakeCluster, server: str) -> None:
    world = await cluster("inline")
    (web,) = await world.web(server)
    name = await begun(web, "text")

    async def threads_with(count: int) -> int:
        async with AsyncExitStack() as stack, within(120):
            tabs = [await by_eventstream(web, name, stack) for _ in range(count)]
            tabs += [await by_feed(web, name, stack) for _ in range(count)]
            await post(web, f"{name}/", {"title": str(count)}, "PATCH")
            for tab in tabs:
                await tab.hears(kind="change")
            return status(web, "Threads")

    few = await threads_with(10)
    assert await threads_with(PAGES) <= few + 3  # of pools


async def test_who_is_there_is_there_until_the_last_process_says_so(cluster: MakeCluster) -> None:
    """The first tab of all makes the bot say something, once; so does the end of the last, by kill -9."""
    world = await cluster("inline", DISCONNECT_GRACE=scaled(1.5))
    world.says(ANSWER=reply(ANSWER))
    one, two = await pair(world)
    name = await begun(one, "door")
    began = "SELECT input FROM lingstream_run WHERE cause = 'presence' ORDER BY number"
    there = "SELECT tabs FROM lingstream_presence"

    def kinds(rows: list[dict[str, Any]]) -> list[str]:
        return [json.loads(row["input"])["occasion"]["kind"] for row in rows]

    async with AsyncExitStack() as last, AsyncExitStack() as first:
        here = [await by_socket(one, name, first) for _ in range(2)]
        await by_socket(two, name, last)
        await until(world, there, lambda rows: sorted(row["tabs"] for row in rows) == [1, 2])
        await here[0].hears(kind="ended")  # the others may have come behind it
        assert kinds(world.database.rows(began)) == ["connected"]
        one.kill()
        await until(
            world, "SELECT 1 FROM lingstream_runner WHERE heartbeat_at < now() - interval '4 s'", bool
        )
        assert kinds(world.database.rows(began)) == ["connected"], "one tab is left"
        (three,) = await world.web()
        two.kill()
        await until(world, began, lambda rows: kinds(rows) == ["connected", "disconnected"])
        await until(world, there, lambda rows: not rows)
        back = await by_socket(three, name, last)
        await until(world, began, lambda rows: kinds(rows) == ["connected", "disconnected", "connected"])
        await back.hears(kind="ended")
