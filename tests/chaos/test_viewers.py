"""Viewers of real servers: long documents, many streams, any process of several."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from lingstream.access.tokens import make_share
from lingstream.core.document.ops import from_wire
from lingstream.core.log.frames import Frame, parse_place
from lingstream.core.wire.frames import frame_from_wire
from tests.site import document_of, read_sse

from .conftest import MakeCluster
from .harness import PATIENCE, Cluster, Process, Viewer, reply, within

VIEWERS = 300
RELOADS = int(os.environ.get("LINGSTREAM_RELOADS", "40"))  # 200 in ``make soak``


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_a_document_longer_than_a_message_may_be_reaches_a_socket(
    embedded: Cluster, server: str
) -> None:
    """daphne drops the connection over a message of more than 1 MiB: for ever, as each snapshot is one."""
    document: dict[str, Any] = {"answer": "云 is water. " * 110_000, "list": ["x" * 100] * 3_000}
    embedded.says(ANSWER=reply(json.dumps(document, ensure_ascii=False), chunk=20_000))
    (web,) = await embedded.web(server)
    first = await embedded.watch(web, "text")
    await embedded.agree(document, first)
    late = await embedded.viewer(first).connect(web)
    await embedded.agree(document, late)
    assert len(late.frames) > 3 and late.frames[0].id.part


def status(process: Process, name: str) -> int:
    """A number of ``/proc/<pid>/status``."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:"))


def sessions(world: Cluster) -> int:
    """Connections to the database, of all processes."""
    clients = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
    return int(
        world.database.rows(f"SELECT count(*) AS held FROM pg_stat_activity WHERE {clients}")[0]["held"]
    )


async def follow(web: Process, run: Viewer, stack: AsyncExitStack, count: int) -> list[Any]:
    """SSE viewers who have seen the beginning."""
    limits = httpx.Limits(max_connections=count)
    http = await stack.enter_async_context(
        httpx.AsyncClient(base_url=web.base, limits=limits, timeout=PATIENCE)
    )
    url, parameters = f"/ling/runs/{run.run}/events/", {"token": make_share(run.run)}
    streams = []
    for _ in range(count):
        response = await stack.enter_async_context(http.stream("GET", url, params=parameters))
        assert response.status_code == 200
        streams.append(read_sse(response))
        await anext(streams[-1])
    return streams


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_many_streams_hold_no_threads_no_connections_and_little_memory(
    cluster: MakeCluster, server: str
) -> None:
    """Each held a thread, and with CONN_MAX_AGE a connection that outlived it: 300 viewers, 307 threads."""
    world = await cluster("inline", database={"CONN_MAX_AGE": 600})
    gates = iter([asyncio.Event() for _ in range(3)])
    opened: list[asyncio.Event] = []

    def answer(_: str) -> Any:
        opened.append(next(gates))
        return reply('{"answer": "No. You', opened[-1], ' would fall through."}')

    world.says(ANSWER=answer)
    (web,) = await world.web(server)

    async def watched(run: Viewer, count: int) -> tuple[int, int, int]:
        async with AsyncExitStack() as stack, within(120):
            streams = await follow(web, run, stack, count)
            await asyncio.sleep(1)
            during = status(web, "Threads"), sessions(world), status(web, "VmRSS")
            opened[-1].set()
            for stream in streams:
                assert [event async for event in stream][-1]["event"] == "done"
        await asyncio.sleep(1)
        return during

    for count in (20, 80):  # threads of pools and memory that is taken once
        await watched(await world.watch(web, "text"), count)
    run = await world.watch(web, "text")
    await run.sees("No. You")
    threads, connections, memory = status(web, "Threads"), sessions(world), status(web, "VmRSS")
    during = await watched(run, VIEWERS)
    after = status(web, "Threads"), sessions(world), status(web, "VmRSS")
    print(f"{server}: before {threads, connections, memory}, during {during}, after {after}")
    assert max(during[0], after[0]) <= threads + 1  # of a pool that grows to its size only now
    assert max(during[1], after[1]) <= connections  # of threads that have ended, some go late
    assert (during[2] - memory) / VIEWERS <= 100, "KB a viewer"
    assert after[2] <= memory * 1.05


class Page:
    """A page that is reloaded at any moment, at any of several processes, over either transport."""

    def __init__(self, run: Viewer, webs: list[Process], dice: random.Random) -> None:
        self.run = run
        self.frames: list[Frame] = []
        self._webs = webs
        self._dice = dice

    async def look(self, seconds: float) -> bool:
        """Connect anew and look on for a while; return whether the run has ended."""
        if self._dice.random() < 0.5:
            self.frames.clear()  # a reload; else the connection was lost
        web = self._dice.choice(self._webs)
        after = str(self.frames[-1].id) if self.frames else None
        frames = self._dice.choice([self._over_socket, self._over_sse])(web, after)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), contextlib.aclosing(frames):
                async for frame in frames:
                    if frame.kind != "snapshot" and not (
                        frame.kind == "event" and frame.body["event"] == "resumable"
                    ):
                        assert not self.frames or self.frames[-1].id < frame.id, (self.frames[-1], frame)
                    self.frames.append(frame)
                    if frame.kind == "done":
                        break
        # Closing the connection takes time too: the end may be there though the time is over.
        return bool(self.frames) and self.frames[-1].kind == "done"

    async def _over_socket(self, web: Process, after: str | None) -> AsyncIterator[Frame]:
        viewer = Viewer(self.run.run, self.run.token)
        try:
            await viewer.connect(web, after)
            while True:
                yield await viewer.next()
        finally:
            await viewer.leave()

    async def _over_sse(self, web: Process, after: str | None) -> AsyncIterator[Frame]:
        parameters = {"token": make_share(self.run.run), **({"after": after} if after else {})}
        url = f"/ling/runs/{self.run.run}/events/"
        async with (
            httpx.AsyncClient(base_url=web.base, timeout=PATIENCE) as http,
            http.stream("GET", url, params=parameters) as response,
        ):
            assert response.status_code == 200, response.status_code
            async for event in read_sse(response):
                data = json.loads(event["data"])
                if event["event"] == "message":
                    place = parse_place(event["id"])
                    assert place
                    yield Frame(place, "ops", [from_wire(data)])
                else:
                    yield frame_from_wire(data)


async def reload_at_random(world: Cluster, webs: list[Process]) -> None:
    """Every page reaches the end of its run, and sees what is stored."""
    answers = [json.dumps({"answer": f"{number}: " + "words " * 60}) for number in range(10)]
    turn = itertools.cycle(answers)
    world.says(ANSWER=lambda _: reply(next(turn), chunk=3, rate=30))
    dice = random.Random(8)

    async def live(number: int) -> None:
        mine = random.Random(number)
        page = Page(await world.start(mine.choice(webs), "text"), webs, mine)
        ended = False
        for _ in range(RELOADS // 10):
            ended = await page.look(mine.uniform(0, 6 * 10 / RELOADS))
            if ended:
                page.frames.clear()
        async with within(90):
            while not await page.look(60):
                pass
        row = world.row(page.run.run)
        assert page.frames[-1].body["status"] == row["status"]
        assert document_of(page.frames) == row["document"]

    await asyncio.gather(*(live(dice.randrange(10**9)) for _ in range(10)))


SERVERS = pytest.mark.parametrize("servers", [("uvicorn", "uvicorn"), ("uvicorn", "daphne")], ids="-".join)


async def both(world: Cluster, servers: tuple[str, str]) -> list[Process]:
    return [web for webs in await asyncio.gather(*map(world.web, servers)) for web in webs]


@SERVERS
async def test_reloads_at_random_with_logs_in_memory(embedded: Cluster, servers: tuple[str, str]) -> None:
    """The other process has no log of the run: its pages got one snapshot, and then nothing for ever."""
    await reload_at_random(embedded, await both(embedded, servers))


@SERVERS
async def test_reloads_at_random_with_logs_in_redis(cluster: MakeCluster, servers: tuple[str, str]) -> None:
    world = await cluster("inline")
    await reload_at_random(world, await both(world, servers))


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_a_socket_that_subscribes_and_never_reads_costs_little(embedded: Cluster, server: str) -> None:
    """Each subscription had credits of its own: 300 on one socket took 270 MB."""
    document = {"answer": "x" * 900_000}
    embedded.says(ANSWER=reply(json.dumps(document), chunk=20_000))
    (web,) = await embedded.web(server)
    runs = [await embedded.watch(web, "text") for _ in range(2)]
    for run in runs:
        await embedded.agree(document, run)
    url = web.base.replace("http", "ws") + "/ws/ling/"
    async with websockets.connect(
        url, max_size=None, origin=websockets.Origin(web.base), max_queue=1
    ) as greedy:
        memory = status(web, "VmRSS")
        for number in range(300):
            run = runs[number % 2]
            message = {"type": "subscribe", "run": run.run, "token": run.token, "ack": True}
            await greedy.send(json.dumps(message))
        other = await embedded.viewer(runs[0]).connect(web)  # served after the messages before it
        await embedded.agree(document, other)
        await asyncio.sleep(1)
        grown = (status(web, "VmRSS") - memory) / 1024
        greedy.transport.abort()
    assert grown < 40, f"{grown:.0f} MB"


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_a_database_that_is_away_is_told_of_and_viewers_go_on(
    cluster: MakeCluster, server: str
) -> None:
    world = await cluster("inline", DEAD_AFTER=30)
    gate = asyncio.Event()
    world.says(ANSWER=reply('{"answer": "No. You', gate, ' would fall through."}'))
    (web,) = await world.web(server)
    viewer = await world.watch(web, "text")
    await viewer.sees("No. You")
    world.database.stop()
    try:
        calls = [
            ("POST", "/ling/workflows/text/runs/", {"Accept": "application/json"}),
            ("POST", "/ling/workflows/text/runs/", {"Accept": "text/event-stream"}),
            ("POST", "/ling/workflows/text/runs/", {"Accept": "application/jsonl"}),
            ("GET", f"/ling/runs/{viewer.run}/", {}),
            ("GET", f"/ling/runs/{viewer.run}/events/", {}),
            ("POST", f"/ling/runs/{viewer.run}/cancel/", {}),
        ]
        async with httpx.AsyncClient(base_url=web.base, timeout=PATIENCE) as http:
            for method, url, headers in calls:
                response = await http.request(
                    method,
                    url,
                    headers={"Authorization": f"Ling {viewer.token}", **headers},
                    json={"input": {"question": "hi"}},
                )
                assert (response.status_code, response.headers["retry-after"]) == (503, "1"), url
                assert response.json()["error"]["code"] == "database"
        await viewer.send(type="cancel", ref=1)
        answer = await viewer.answer(1)
        assert (answer["error"]["code"], answer["error"]["retryable"]) == ("database", True)
        gate.set()
        await viewer.sees("fall through")
    finally:
        world.database.start()
    await world.agree({"answer": "No. You would fall through."}, viewer)
