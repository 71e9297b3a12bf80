"""Viewers of real servers: long documents, many streams, any process of several."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.site import read_sse

from .conftest import MakeCluster
from .harness import PATIENCE, Cluster, Process, Viewer, reply, within

VIEWERS = 300


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
    url, parameters = f"/ling/runs/{run.run}/events/", {"token": run.token}
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

    for count in (20, 20):  # threads of pools and memory that is taken once
        await watched(await world.watch(web, "text"), count)
    run = await world.watch(web, "text")
    await run.sees("No. You")
    threads, connections, memory = status(web, "Threads"), sessions(world), status(web, "VmRSS")
    during = await watched(run, VIEWERS)
    after = status(web, "Threads"), sessions(world), status(web, "VmRSS")
    print(f"{server}: before {threads, connections, memory}, during {during}, after {after}")
    assert during[0] == after[0] == threads
    assert max(during[1], after[1]) <= connections  # of threads that have ended, some go late
    assert (during[2] - memory) / VIEWERS <= 100, "KB a viewer"
    assert after[2] <= memory * 1.05
