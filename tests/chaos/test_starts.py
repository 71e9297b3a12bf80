"""Runs that a process without a runner starts, as commands and tasks of a queue do: others execute them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from lingstream.access.tokens import make_token

from .conftest import MakeCluster
from .harness import Cluster, Process, Viewer
from .patience import within
from .test_workers import ANSWER

MakeSite = Callable[[], Awaitable[Cluster]]

KEY = "a key of sixteen characters"
# Nobody looks by himself while a test lasts: what happens was told.
SELDOM = {"HEARTBEAT_EVERY": 1_000, "DEAD_AFTER": 4_000}


async def command(world: Cluster, *arguments: str) -> Process:
    process = await Process.start("command", "-m", "tests.chaos.starting", *arguments, env=world.env)
    world.processes.append(process)
    return process


async def started(process: Process) -> str:
    """The id of the run that a command has started."""
    _, run, status = (await process.says("started")).split()
    assert status == "queued"
    return run


async def registered(world: Cluster) -> None:
    """Wait for the first process to say that it lives: it does not say so to whoever started it."""
    async with within():
        while not world.database.rows("SELECT id FROM lingstream_runner"):
            await asyncio.sleep(0.02)


def viewer_of(world: Cluster, run: str) -> Viewer:
    return world.viewer(Viewer(run, make_token(run)))


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest) -> MakeSite:
    """Makes a site whose web process executes its runs."""
    if request.param == "postgresql":
        return partial(request.getfixturevalue("cluster"), "inline")
    embedded = request.getfixturevalue("embedded")

    async def make() -> Cluster:
        return embedded

    return make


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_a_web_process_takes_what_a_command_starts(site: MakeSite, server: str) -> None:
    """Also one that nobody has sent a request yet."""
    world = await site()
    model = world.says(ANSWER=ANSWER)
    (web,) = await world.web(server)
    await registered(world)
    process = await command(world, "text", KEY)
    run = await started(process)
    assert await process.ended() == 0
    await world.agree(json.loads(ANSWER), await viewer_of(world, run).connect(web))
    again = await command(world, "text", KEY)
    assert run in await again.says("started")
    assert model.calls == {"ANSWER: hi": 1}


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_it_takes_it_after_the_commit(site: MakeSite, tmp_path: Path, end: str) -> None:
    world = await site()
    model = world.says(ANSWER=ANSWER)
    (web,) = await world.web()
    await registered(world)
    file = tmp_path / "end"
    process = await command(world, "text", "", str(file))
    run = await started(process)
    assert world.database.rows("SELECT id FROM lingstream_run") == []
    assert model.calls == {}
    file.write_text(end)
    assert await process.ended() == 0
    if end == "commit":
        await world.agree(json.loads(ANSWER), await viewer_of(world, run).connect(web))
    else:
        await world.agree(json.loads(ANSWER), await world.watch(web, "text"))
        assert len(world.database.rows("SELECT id FROM lingstream_run")) == 1
    assert model.calls == {"ANSWER: hi": 1}


async def test_of_two_that_start_with_one_key_the_second_waits_for_the_firsts_commit(
    cluster: MakeCluster, tmp_path: Path
) -> None:
    world = await cluster("inline")
    model = world.says(ANSWER=ANSWER)
    (web,) = await world.web()
    await registered(world)
    file = tmp_path / "end"
    first = await command(world, "text", KEY, str(file))
    run = await started(first)
    second = await command(world, "text", KEY)
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while not world.database.rows(waiting):
        await asyncio.sleep(0.02)
    file.write_text("commit")
    assert run in await second.says("started")
    await world.agree(json.loads(ANSWER), await viewer_of(world, run).connect(web))
    assert model.calls == {"ANSWER: hi": 1}


async def test_a_worker_is_told_by_the_broker(cluster: MakeCluster) -> None:
    world = await cluster(**SELDOM)
    world.says(ANSWER=ANSWER)
    (web,), _ = await asyncio.gather(world.web(), world.workers())
    first = await world.watch(web, "text")  # from here on the worker has looked, and listens
    await world.agree(json.loads(ANSWER), first)
    run = await started(await command(world, "text"))
    await world.agree(json.loads(ANSWER), await viewer_of(world, run).connect(web))


@pytest.mark.parametrize("execution", ["inline", "worker"])
async def test_nobody_lives(cluster: MakeCluster, execution: str) -> None:
    world = await cluster(execution)
    process = await command(world, "text")
    assert await process.says("refused") == "refused no-runner True"
    assert world.database.rows("SELECT id FROM lingstream_run") == []


async def test_a_worker_that_is_being_restarted_is_waited_for(cluster: MakeCluster) -> None:
    world = await cluster(DEAD_AFTER=600)
    world.says(ANSWER=ANSWER)
    (web,), (worker,) = await asyncio.gather(world.web(), world.workers())
    worker.terminate()
    assert await worker.ended() == 0
    by_command, by_page = await started(await command(world, "text")), await world.watch(web, "text")
    await world.workers()
    await world.agree(json.loads(ANSWER), by_page, await viewer_of(world, by_command).connect(web))
