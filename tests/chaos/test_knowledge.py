"""Passes whose process is killed at every place that matters, stands still, or has a rival."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.knowledge.pages import change, page

from .conftest import MakeCluster
from .harness import Cluster, Process, Viewer, reply
from .patience import PATIENCE, scaled, within
from .services import Postgres, Sqlite
from .test_notices import begun, by_socket, post

# Where a process is killed, by the steps of lingstream/knowledge/sync.py.
PLACES = {
    "1: before anything is listed": "slices:note:before:1",
    "1: behind what is listed": "slices:note:after:1",
    "1: the listing is over": "slices:save_pass:after:1",
    "2: before a document is fetched": "looking:read_columns:before:2",
    "3: when one is cut": "looking:prepare:before:4",
    "4: a batch is paid, and not kept": "embedding:_keep:before:2",
    "4: all is embedded, nothing stored": "looking:store:before:1",
    "5: in the transaction, words are written": "stores.words:write:after:1",
    "5: in the transaction, before its end": "indexer:update_rows:after:1",
    "5: they are stored, and nothing says so": "looking:store:after:1",
    "6: what lacks is counted": "slices:note_missing:after:1",
    "6: a part is deleted": "deletion:delete_documents:after:1",
    "6: in the transaction that deletes": "deletion:locked:after:1",
    "the end is not written down": "slices:end_pass:before:1",
}

DOCUMENTS = "SELECT count(*) AS n FROM lingstream_knowledge_document WHERE status = 'indexed'"

FILES = 900

CLOUDS = """# Clouds

A cloud is made of tiny drops of water, each lighter than a grain of dust, so it stays up.

# Weight

All the drops of one small white cloud weigh about as much as a hundred elephants do.
"""
HEAVY = "How heavy is a cloud?"
CITED = {
    "citations": [
        {"source": 1, "quote": "as much as a hundred elephants"},
        {"source": 1, "quote": "tiny drops of water"},
        {"source": 7, "quote": "nobody has said this"},
    ],
    "answer": "As much as a hundred elephants [1].",
    "related_question": [],
}


class Site:
    """A database, a folder, and processes that look at it."""

    def __init__(self, database: Any, tmp_path: Path) -> None:
        self.folder = tmp_path / "docs"
        self.folder.mkdir()
        self.embedded = tmp_path / "embedded"
        self.embedded.touch()
        self._database = database
        self._open: list[Process] = []

    async def start(self, word: str, fault: str = "", signal: str = "SIGKILL") -> Process:
        env = {
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "CHAOS_DATABASE": json.dumps(self._database.database),
            "CHAOS_LINGSTREAM": json.dumps({"KNOWLEDGE_ROOTS": [str(self.folder)]}),
            "CHAOS_REDIS": "",
            "ROOT": str(self.folder),
            "EMBEDDED": str(self.embedded),
            "FAULT": fault,
            "SIGNAL": signal,
            "PLACES": json.dumps(PLACES),
        }
        process = await Process.start(f"{word} {fault}", "-m", "tests.knowledge.child", word, env=env)
        self._open.append(process)
        return process

    async def run(self, word: str, fault: str = "") -> int:
        """Run a process to its end; return its status."""
        process = await self.start(word, fault)
        status = await process.ended()
        if not fault:
            assert status == 0, process.output
        return status

    async def close(self) -> None:
        await asyncio.gather(*(process.close() for process in self._open))


@pytest.fixture(params=["sqlite", "postgresql"])
async def knowledge(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A site with 24 files that are indexed."""
    if request.param == "sqlite":
        database: Any = Sqlite(tmp_path / "db.sqlite3")
    else:
        database = request.getfixturevalue("empty_postgres")
    site = Site(database, tmp_path)
    chance = random.Random(5)
    for name in ("always", *range(23)):
        (site.folder / f"{name}.md").write_text(page(chance))
    try:
        await site.run("prepare")
        await site.run("sync")
        yield site
    finally:
        await site.close()


@pytest.fixture
def empty_postgres(postgres_server: Postgres) -> Any:
    """A database of its own on the server that tests share."""
    postgres_server.rows("DROP DATABASE IF EXISTS knowledge WITH (FORCE)")
    postgres_server.rows("CREATE DATABASE knowledge")

    class Database:
        database = {**postgres_server.database, "NAME": "knowledge"}

    return Database


async def test_a_killed_pass_goes_on_to_a_fresh_index(knowledge: Site) -> None:
    """At every place, while somebody reads; and no text is paid twice beyond one batch."""
    story = await knowledge.start("story")
    for place in PLACES:
        await story.says(f"well: {place}")
    assert await story.ended() == 0, story.output


async def test_of_two_that_want_a_source_one_works_at_a_time(knowledge: Site) -> None:
    change(knowledge.folder, random.Random(1))
    before = len(knowledge.embedded.read_text().split())
    both = await asyncio.gather(knowledge.start("follow"), knowledge.start("follow"))
    assert await asyncio.gather(*(process.ended() for process in both)) == [0, 0], [p.output for p in both]
    paid = knowledge.embedded.read_text().split()[before:]
    assert len(paid) == len(set(paid))
    await knowledge.run("compare")


async def test_one_that_stood_still_writes_nothing_more(knowledge: Site) -> None:
    change(knowledge.folder, random.Random(2))
    still = await knowledge.start("sync", "looking:drafts:before:1", "SIGSTOP")
    await still.says("syncs")
    await _stopped(still)
    change(knowledge.folder, random.Random(3))
    await knowledge.run("compare")
    still.resume()
    assert await still.ended() == 1
    assert "overtaken" in still.output
    await knowledge.run("compare")


@pytest.mark.parametrize("end", ["kill", "terminate"])
async def test_a_worker_that_goes_leaves_its_pass_to_another(
    cluster: MakeCluster, tmp_path: Path, end: str
) -> None:
    made, workers = await _at_work(cluster, tmp_path)
    [run] = made.database.rows("SELECT id FROM lingstream_run WHERE workflow = 'knowledge-sync'")
    first, others = made.owner(str(run["id"]), workers)
    getattr(first, end)()
    await _is_whole(made)
    row = await made.stored(str(run["id"]), lambda row: row["status"] == "finished")
    # One that is told to stop may come to the end of a pass first, as it drains.
    assert row["epoch"] in ((2,) if end == "kill" else (1, 2))
    assert row["document"]["phase"] == "finished"
    assert others


@pytest.mark.parametrize("gone", ["database", "redis"])
async def test_a_pass_outlives_a_server_that_is_gone_for_seconds(
    cluster: MakeCluster, tmp_path: Path, gone: str
) -> None:
    made, _ = await _at_work(cluster, tmp_path)
    server = getattr(made, gone)
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(5)  # for so long it is gone
    await asyncio.to_thread(server.start)
    await _is_whole(made)
    [source] = made.database.rows("SELECT state, problem FROM lingstream_knowledge_source")
    assert source == {"state": "ok", "problem": ""}


async def test_a_worker_that_is_killed_while_it_cites(cluster: MakeCluster, tmp_path: Path) -> None:
    (tmp_path / "clouds.md").write_text(CLOUDS)
    world = await cluster(KNOWLEDGE_ROOTS=[str(tmp_path)])
    _, (web,), workers = await asyncio.gather(_plan(world, tmp_path), world.web(), world.workers(2))

    async def kill(run: str) -> Process:
        world.owner(run, workers)[0].kill()
        return web

    await _goes_on_citing(world, web, kill)


async def test_a_site_in_one_process_that_is_killed_while_it_cites(embedded: Cluster, tmp_path: Path) -> None:
    (tmp_path / "clouds.md").write_text(CLOUDS)
    embedded.settings["KNOWLEDGE_ROOTS"] = [str(tmp_path)]
    _, (web,) = await asyncio.gather(_plan(embedded, tmp_path), embedded.web())

    async def kill(run: str) -> Process:
        web.kill()
        [after] = await embedded.web()
        await embedded.stored(run, lambda row: row["epoch"] == 2)
        return after

    await _goes_on_citing(embedded, web, kill)


async def test_the_tabs_of_every_process_hear_that_a_source_has_changed(
    cluster: MakeCluster, tmp_path: Path
) -> None:
    """The pass is another process's, which has no event loop that goes on."""
    (tmp_path / "clouds.md").write_text(CLOUDS)
    world = await cluster("inline", KNOWLEDGE_ROOTS=[str(tmp_path)])
    _, (one, two) = await asyncio.gather(_plan(world, tmp_path), world.web(count=2))
    world.says(ANSWER=json.dumps(CITED))
    await _until(lambda: world.database.rows(DOCUMENTS)[0]["n"] == 1)
    talk = await begun(one, "docs-chat")
    async with AsyncExitStack() as stack:
        run = (await post(one, f"{talk}/messages/", {"text": HEAVY}))["run"]
        tabs = [await by_socket(web, talk, stack) for web in (one, two)]
        await world.stored(run, lambda row: row["status"] == "finished")
        open_runs = "SELECT count(*) AS n FROM lingstream_run WHERE status IN ('queued', 'running')"
        await _until(lambda: world.database.rows(open_runs)[0]["n"] == 0)
        before = await post(two, f"{talk}/", None, "GET")
        assert [turn["stale"] for turn in before["turns"]] == [[]]
        (tmp_path / "clouds.md").write_text(CLOUDS.replace("hundred", "thousand"))
        env = {**world.env, "ROOT": str(tmp_path), "EMBEDDED": os.devnull}
        told = await Process.start("sync", "-m", "tests.knowledge.child", "sync", env=env)
        assert await told.ended() == 0, told.output
        for tab in tabs:
            await tab.hears(kind="change", conversation=talk, seq=before["seq"] + 1, run=None)
        for web in (one, two):
            found = await post(web, f"{talk}/", None, "GET")
            assert found["seq"] == before["seq"] + 1
            assert [turn["stale"] for turn in found["turns"]] == [["citations/0", "citations/1"]]


async def _goes_on_citing(world: Cluster, web: Process, kill: Callable[[str], Awaitable[Process]]) -> None:
    """Have a question answered; and again in words that refer to it, killed behind the first citation.

    Both turns ask for the same, so what nobody disturbed is what the other one has to become.

    :param kill: ends who executes a run; returns the web process to go on at.
    """
    gate, text = asyncio.Event(), json.dumps(CITED)
    cut = text.index("}") + 1
    model = world.says(ANSWER=text, CONDENSE=HEAVY)
    await _until(lambda: world.database.rows(DOCUMENTS)[0]["n"] == 1)
    async with httpx.AsyncClient(base_url=web.base, timeout=scaled(PATIENCE)) as http:
        asked = {"input": {"question": HEAVY}, "conversation": "new"}
        first = await http.post("/ling/workflows/docs-chat/runs/", json=asked)
        told = first.json()
        wanted = await (await world.viewer(Viewer(told["run"], told["token"])).connect(web)).done()
        model.answers["ANSWER"] = reply(text[:cut], gate, text[cut:])
        http.headers["authorization"] = f"Ling-Visitor {first.headers['ling-visitor']}"
        path = f"/ling/conversations/{told['conversation']}/messages/"
        run = (await http.post(path, json={"text": "And its weight?"})).json()
    viewer = await world.viewer(Viewer(run["run"], run["token"])).connect(web)
    await viewer.sees('"verified": true')
    cited = "SELECT uri, verified FROM lingstream_knowledge_citation WHERE run_id = ? ORDER BY uri"
    await _until(lambda: len(world.database.rows(cited, [run["run"]])) == 1)
    await _until(lambda: world.bots(run["run"]).get("condense#1") == "finished")
    world.database.rows("UPDATE lingstream_knowledge_collection SET access = 'own'")  # it is not sought again
    after = await kill(run["run"])
    await viewer.connect(after)
    gate.set()
    await world.agree(wanted, viewer, await world.viewer(viewer).connect(after))
    assert [each["verified"] for each in wanted["citations"]] == [True, True, False]
    assert model.calls == {f"ANSWER: {HEAVY}": 1 + 2, "CONDENSE: And its weight?": 1}
    assert [(row["uri"], bool(row["verified"])) for row in world.database.rows(cited, [run["run"]])] == [
        (f"citations/{number}", verified) for number, verified in enumerate((True, True, False))
    ]


async def _plan(world: Cluster, folder: Path) -> None:
    """Have the collection ``docs`` of a folder, which is indexed when somebody is there to do it."""
    env = {**world.env, "ROOT": str(folder), "EMBEDDED": os.devnull}
    planned = await Process.start("plan", "-m", "tests.knowledge.child", "plan", env=env)
    assert await planned.ended() == 0, planned.output


async def _at_work(cluster: MakeCluster, folder: Path) -> tuple[Cluster, list[Process]]:
    """A cluster in the middle of a pass over so many files that it does not end while a worker drains."""
    made = await cluster(KNOWLEDGE_ROOTS=[str(folder)])
    chance = random.Random(4)
    for number in range(FILES):
        (folder / f"{number}.md").write_text(page(chance))
    await _plan(made, folder)
    workers = await made.workers(2)
    await _until(lambda: made.database.rows(DOCUMENTS)[0]["n"] >= 20)
    return made, workers


async def _is_whole(made: Cluster) -> None:
    """Wait for the end of the pass; it was one, and each document was indexed once."""
    status = "SELECT status FROM lingstream_knowledge_sync"
    await _until(lambda: made.database.rows(status)[0]["status"] != "running")
    [sync] = made.database.rows("SELECT * FROM lingstream_knowledge_sync")
    assert (sync["number"], sync["status"], sync["seen"], sync["complete"]) == (1, "finished", FILES, True)
    assert made.database.rows(DOCUMENTS)[0]["n"] == FILES
    twice = "SELECT count(*) AS n FROM lingstream_knowledge_document WHERE version <> 1"
    assert made.database.rows(twice)[0]["n"] == 0


async def _until(holds: Callable[[], bool]) -> None:
    """Wait for what only the database knows."""
    async with within():
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.1)


async def _stopped(process: Process) -> None:
    async with within():
        while Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
            await asyncio.sleep(0.05)
