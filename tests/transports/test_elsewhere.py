"""Viewers of a run that another process executes: they see its stored state until it ends."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from lingstream.access.identity import Identity
from lingstream.access.tokens import make_token
from lingstream.core.document.canonical import crc32
from lingstream.core.document.ops import Append, Set
from lingstream.core.log.frames import FrameId
from lingstream.core.log.state import empty_snapshot
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start
from lingstream.hubs import get_hub
from lingstream.models import Run, Runner
from lingstream.transports import looks, viewer
from tests import site as sites
from tests.chaos.patience import within
from tests.execution.test_away import away
from tests.site import Site
from tests.watching import TRANSPORTS, Watcher, watch

transports = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.fixture(autouse=True)
def hasty(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "TICK": 0.02}
    monkeypatch.setattr(viewer, "_LOOK_AFTER", 0.1)


@pytest.fixture
def idle(settings: Any) -> None:
    """This process executes nothing."""
    settings.LINGSTREAM = {**settings.LINGSTREAM, "EXECUTION": "worker"}


async def elsewhere(site: Site, **fields: Any) -> Run:
    """A run that another, living process executes."""
    await site.workflow(answer="A")
    runner = await Runner.objects.acreate()
    values = {
        "status": "running",
        "runner": runner,
        "epoch": 1,
        "document": {"answer": "one"},
        "log_id": "1-7",
    }
    return await Run.objects.acreate(
        workflow="test", input=sites.QUESTION, key="k" * 20, **{**values, **fields}
    )


async def store(run: Run, text: str, log_id: str, **fields: Any) -> None:
    """Another process stores a checkpoint, or the end."""
    await Run.objects.filter(pk=run.pk).aupdate(document={"answer": text}, log_id=log_id, **fields)


async def end(run: Run, text: str, log_id: str, status: str = "finished") -> None:
    await store(run, text, log_id, status=status, finished_at=timezone.now())


def check_ids(watcher: Watcher) -> None:
    """Ids grow, in every transport."""
    for one, next_one in itertools.pairwise(watcher.places):
        assert one < next_one, watcher.frames


@pytest.mark.parametrize(
    ("status", "log_id", "told"),
    [
        ("running", "", ("running", "half", "1-2")),
        ("running", "1-1", ("running", "half", "1-2")),
        ("running", "1-7", ("running", "whole", "1-7")),
        ("running", "2-1", ("running", "whole", "2-1")),
        ("finished", "1-9", ("finished", "whole", "1-9")),
        ("canceled", "1-1", ("canceled", "whole", "1-1")),
    ],
)
async def test_a_log_that_fell_behind_does_not_speak_for_the_run(
    site: Site, status: str, log_id: str, told: tuple[str, str, str]
) -> None:
    """It was followed here until the hub went away; what has written it goes on, and stores."""
    run = await elsewhere(site, status=status, log_id=log_id, document={"answer": "whole"})
    log = get_hub().create(str(run.pk))
    await log.open(1, empty_snapshot())
    log.write(1, "ops", [Set("", {"answer": "half"})])
    url, token = f"/ling/runs/{run.pk}/", {"authorization": f"Ling {make_token(run.pk)}"}
    state = (await site.http.get(url, headers=token)).json()
    assert (state["status"], state["document"]["answer"], state["id"]) == told
    if run.ended:
        seen = await site.http.get(f"{url}events/", headers={**token, "last-event-id": log_id})
        assert seen.status_code == 204


@transports
async def test_it_sees_every_stored_state_and_the_end(site: Site, transport: str) -> None:
    run = await elsewhere(site)
    async with watch(site, run, transport) as watcher:
        assert (await watcher.until("error")).body["code"] == "elsewhere"
        assert watcher.document == {"answer": "one"}
        await store(run, "one two", "1-20")
        await watcher.sees("two")
        await end(run, "one two three", "1-30")
        done = await watcher.until("done")
    assert (done.id, done.body["status"]) == (FrameId(1, 30), "finished")
    assert done.body["crc32"] == crc32(watcher.document) == crc32({"answer": "one two three"})
    assert [frame.kind for frame in watcher.frames].count("error") == 1, "it was told more than once"
    check_ids(watcher)


@pytest.mark.parametrize("transport", ["socket", "sse", "feed"])
@pytest.mark.parametrize("after", ["1-7", "1-50", "2-9"])
async def test_nothing_older_is_sent_than_what_the_viewer_has(site: Site, transport: str, after: str) -> None:
    run = await elsewhere(site, epoch=2)
    async with watch(site, run, transport, after) as watcher:
        first = await watcher.next()
        assert (first.kind, str(first.id)) == ("error", f"{after}+1")
        await store(run, "still older", "1-6")
        await store(run, "newer", "2-10")
        assert str((await watcher.next()).id) == "2-10"
        await end(run, "the end", "2-11")
        await watcher.until("done")
    assert watcher.document == {"answer": "newer"}
    check_ids(watcher)


@transports
@pytest.mark.parametrize("after", ["9-1", "nonsense", "1-3+1"])
async def test_a_place_that_cannot_be_gets_the_stored_state(site: Site, transport: str, after: str) -> None:
    run = await elsewhere(site)
    async with watch(site, run, transport, after) as watcher:
        await watcher.until("error")
        assert watcher.document == {"answer": "one"}


@transports
async def test_the_log_goes_on_where_the_stored_state_ends(site: Site, transport: str) -> None:
    """The run comes to this process: what its log had before the stored state is not sent again."""
    run = await elsewhere(site)
    async with watch(site, run, transport) as watcher:
        await watcher.until("error")
        log = get_hub().create(str(run.pk))
        await log.open(1, empty_snapshot())
        log.write(1, "ops", [Set("", {}), Append("answer", "on")])
        for text in ("e", "", "", ""):
            log.write(1, "ops", [Append("answer", text)])
        await asyncio.sleep(0.1)
        assert len(watcher.frames) == 2
        for text in (" two", " three"):  # 1-7, which the viewer has, and 1-8
            log.write(1, "ops", [Append("answer", text)])
        await watcher.sees("three")
        assert watcher.document == {"answer": "one three"}
        log.write(1, "done", {"status": "finished", "usage": {}, "crc32": 0})
        await watcher.until("done")
    check_ids(watcher)


@transports
async def test_another_execution_in_this_process_begins_with_its_snapshot(site: Site, transport: str) -> None:
    sites.answers = '{"answer": "by us"}'
    run = await elsewhere(site)
    async with watch(site, run, transport) as watcher:
        await watcher.until("error")
        started = await _finished()
        await Run.objects.filter(pk=run.pk).aupdate(plan=started.plan)
        await Runner.objects.filter(pk=run.runner_id).aupdate(stopped_at=timezone.now())
        get_runner().look()
        done = await watcher.until("done")
    assert (done.id.epoch, watcher.document) == (2, {"answer": "by us"})
    check_ids(watcher)


async def _finished() -> Run:
    row, _ = await get_runner().start(Start("test", sites.QUESTION), Identity.of(None, None))
    await get_runner().wait(str(row.pk))
    return row


@transports
@pytest.mark.parametrize("claimed", [False, True])
async def test_a_queued_run_that_another_process_takes(
    idle: None, site: Site, transport: str, claimed: bool
) -> None:
    """Its empty log here held its viewers in silence for ever."""
    run = await elsewhere(site, status="queued", runner=None, epoch=0, log_id="", document=None)
    get_hub().create(str(run.pk))
    get_hub().release(str(run.pk))
    other = await Runner.objects.acreate()
    async with watch(site, run, transport) as watcher:
        if claimed:
            await Run.objects.filter(pk=run.pk).aupdate(status="running", runner=other, epoch=1)
            await watcher.until("error")
            await store(run, "one", "1-9")
            await watcher.sees("one")
        await end(run, "one two", "1-20")
        await watcher.until("done")
    assert watcher.document == {"answer": "one two"}
    check_ids(watcher)


@transports
@pytest.mark.parametrize("where", ["elsewhere", "here", "queued"])
async def test_a_deleted_run_ends_its_viewers(site: Site, settings: Any, transport: str, where: str) -> None:
    gate = asyncio.Event()
    if where == "queued":
        settings.LINGSTREAM = {**settings.LINGSTREAM, "EXECUTION": "worker"}
    sites.answers = [['{"answer": "half', gate, ' whole"}']]
    if where == "here":
        await site.workflow(answer="A")
        started = (await site.start("test", key="k" * 20)).json()
        run = await Run.objects.aget(pk=started["run"])
    elif where == "queued":
        run = await elsewhere(site, status="queued", runner=None, epoch=0, log_id="", document=None)
    else:
        run = await elsewhere(site)
    async with watch(site, run, transport) as watcher:
        if where != "queued":
            await watcher.next()
        await run.adelete()
        error = await watcher.until("error")
        while error.body["code"] != "deleted":
            error = await watcher.until("error")
        done = await watcher.until("done")
    gate.set()
    assert error.body["retryable"] is False
    assert done.body["status"] == "canceled"
    check_ids(watcher)


@transports
async def test_the_end_is_told_though_no_process_lived_to_write_it(site: Site, transport: str) -> None:
    """Its log is here, and silent; the database says that it has ended."""
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "half', gate, ' whole"}']]
    started = (await site.start("test", key="k" * 20)).json()
    run = await Run.objects.aget(pk=started["run"])
    async with watch(site, run, transport) as watcher:
        await watcher.sees("half")
        await end(run, "half and the rest", "1-99")
        done = await watcher.until("done")
    gate.set()
    assert (str(done.id), watcher.document) == ("1-99", {"answer": "half and the rest"})


@transports
async def test_a_database_that_is_away_is_waited_for(site: Site, transport: str) -> None:
    run = await elsewhere(site)
    async with watch(site, run, transport) as watcher:
        await watcher.until("error")
        with away(Exception("gone")):
            await asyncio.sleep(0.2)
        await end(run, "one two", "1-20")
        await watcher.until("done")


async def test_viewers_of_many_runs_cost_few_statements(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    load = looks._load

    def counted(names: list[str], known: Any) -> Any:
        asked.append(len(names))
        return load(names, known)

    monkeypatch.setattr(looks, "_load", counted)
    first = await elsewhere(site)
    runs = [first]
    for number in range(4):
        row = await Run.objects.aget(pk=first.pk)
        row.pk, row.key = uuid4(), f"{first.key}{number}"
        await row.asave(force_insert=True)
        runs.append(row)
    async with site.socket() as socket:
        for run in runs:
            await socket.send(type="subscribe", run=str(run.pk), token=make_token(run.pk))
        for _ in range(len(runs)):
            await socket.until("error")
        asked.clear()
        begun = time.monotonic()
        await asyncio.sleep(0.3)
        assert asked and max(asked) == len(runs)
        assert len(asked) <= (time.monotonic() - begun) / 0.02 + 1
        for run in runs:
            await end(run, "over", "1-30")
        ended = {json.dumps((await socket.until("done"))["run"]) for _ in runs}
    assert len(ended) == len(runs)


@transports
async def test_who_comes_when_a_run_has_ended_elsewhere_gets_the_end(site: Site, transport: str) -> None:
    run = await elsewhere(site)
    await end(run, "over", "1-30")
    run = await Run.objects.aget(pk=run.pk)
    async with watch(site, run, transport) as watcher:
        await watcher.until("done")
    assert [str(frame.id) for frame in watcher.frames] == ["1-29", "1-30"]


@transports
async def test_a_silent_run_of_a_process_that_goes_away_still_ends_for_its_viewers(
    site: Site, transport: str
) -> None:
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "half', gate, ' whole"}']]
    started = (await site.start("test", key="k" * 20)).json()
    run = await Run.objects.aget(pk=started["run"])
    async with watch(site, run, transport) as watcher:
        await watcher.sees("half")
        draining = asyncio.create_task(get_runner().drain())
        await asyncio.sleep(0.4)  # looks and heartbeats come and go
        gate.set()
        assert (await watcher.until("done")).body["status"] == "finished"
        await draining


async def test_heartbeats_come_between_looks_that_are_answered_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await elsewhere(site)

    def look(_: str) -> asyncio.Future[Run | None]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Run | None] = loop.create_future()
        loop.call_soon(answer.set_result, run)
        return answer

    monkeypatch.setattr(viewer, "look", look)
    async with aclosing(viewer.Viewer(run, heartbeat=0.1)) as seen, within(5):
        assert [frame.kind for frame in await anext(seen)] == ["snapshot", "error"]
        assert [await anext(seen), await anext(seen)] == [[], []]


@pytest.mark.parametrize("after", [None, "1-3", "1-7", "1-7+1"])
async def test_who_polls_sees_stored_states_too_and_waits_in_between(site: Site, after: str | None) -> None:
    run = await elsewhere(site)
    async with watch(site, run, "poll", after) as watcher:
        if after != "1-7+1":
            assert (await watcher.until("error")).body["code"] == "elsewhere"
        waiting = asyncio.ensure_future(watcher.next())
        await asyncio.wait({waiting}, timeout=0.5)  # several looks
        assert not waiting.done(), "a turn that has nothing new came back"
        await store(run, "one two", "1-20")
        assert (await waiting).kind == "snapshot"
        await end(run, "one two three", "1-30")
        await watcher.until("done")
    assert watcher.document == {"answer": "one two three"}
