"""A run whose process died is executed again: what finished is replayed, what did not is redone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from lingstream.access.identity import Identity
from lingstream.access.tokens import make_token
from lingstream.core.engine import registry
from lingstream.core.engine.journal import Call, CallResult
from lingstream.core.engine.plan import BotPlan
from lingstream.core.exceptions import Fenced
from lingstream.execution import ownership, picker
from lingstream.execution import runner as runner_module
from lingstream.execution.heart import Beat
from lingstream.execution.journal import DatabaseJournal, Writer
from lingstream.execution.runner import Runner as Executor
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start, queue_run
from lingstream.execution.storage import in_database, load_run
from lingstream.hubs import get_hub
from lingstream.models import BotRun, Run, Runner, Workflow
from tests import site as sites
from tests.chaos.patience import within
from tests.site import Site, Socket

CLOUD = {**json.loads(sites.ANSWER), **json.loads(sites.DETAILS), **json.loads(sites.TRANSLATION)}


@pytest.fixture(autouse=True)
def hasty(settings: Any) -> None:
    """A process that looks around often."""
    settings.LINGSTREAM = {**settings.LINGSTREAM, "TICK": 0.02, "HEARTBEAT_EVERY": 0.05, "CHECKPOINT": 0.05}


async def until(condition: Any) -> None:
    """Wait for a state of the database."""
    async with within(10):
        while not await condition():
            await asyncio.sleep(0.02)


async def abandoned(
    *, logged: bool = False, steps: Callable[[Any], Awaitable[Any]] | None = None, **fields: Any
) -> Run:
    """Store a run of the cloud facts whose process is dead.

    :param logged: with a log that has not ended, which a shared hub would still hold. It is there before the
        row says that the run has ended: a runner that finds such a row without a log has nothing to write.
    :param steps: does something to the rows of its step runs, before anybody may take it.
    """
    runner = get_runner()
    row, _ = await runner.start(Start("cloud-facts", sites.QUESTION), Identity.of_site())
    await runner.wait(str(row.pk))
    dead = await Runner.objects.acreate(stopped_at=timezone.now())
    values = {"status": "running", "runner": dead, "document": None, "finished_at": None, **fields}
    async with within(10):
        while runner._writer.oldest:  # a last checkpoint, which the row below would take
            await asyncio.sleep(0.01)
    if steps:
        await steps(BotRun.objects.filter(run=row))
    get_hub().drop(str(row.pk))  # before anybody looks for whom it belongs to
    if logged:
        log = get_hub().create(str(row.pk))
        await log.open(1, {"document": {}, "reasoning": {}, "status": "running", "bots": {}})
    await Run.objects.filter(pk=row.pk).aupdate(**values)
    return await Run.objects.aget(pk=row.pk)


async def follow(socket: Socket, run: Run) -> Any:
    await socket.send(type="subscribe", run=str(run.pk), token=make_token(run.pk))
    await socket.until("done", str(run.pk))
    return socket.document(str(run.pk))


async def test_a_run_whose_bots_have_all_finished_ends_without_a_model(site: Site) -> None:
    await site.cloud_facts()
    run = await abandoned()
    await get_runner().ensure_registered()
    await until(lambda: Run.objects.filter(pk=run.pk, status="finished").aexists())
    again = await Run.objects.aget(pk=run.pk)
    assert (again.document, again.epoch, again.attempts) == (CLOUD, 2, 2)
    assert {bot.epoch async for bot in BotRun.objects.filter(run=run)} == {1}, "a model was asked again"
    async with site.socket() as socket:
        assert await follow(socket, run) == CLOUD


async def test_a_run_whose_cancel_its_owner_did_not_live_to_hear_is_not_asked_again(site: Site) -> None:
    await site.cloud_facts()
    run = await abandoned(cancel_requested_at=timezone.now(), steps=lambda rows: rows.adelete())
    await get_runner().ensure_registered()
    await until(lambda: Run.objects.filter(pk=run.pk, status="canceled").aexists())
    assert not await BotRun.objects.filter(run=run).aexists()


async def test_it_keeps_what_came_and_what_that_has_cost(site: Site) -> None:
    await site.cloud_facts()
    came = {**CLOUD, "details": "Clouds are"}
    trace = [{"id": "answer#1", "status": "finished"}, {"id": "details#1", "status": "running"}]
    entry = {"first": None, "repairs": 0}
    asked = {"cancel_requested_at": timezone.now(), "trace": [{**each, **entry} for each in trace]}
    run = await abandoned(document=came, steps=lambda rows: rows.exclude(step="answer").adelete(), **asked)
    answer = await BotRun.objects.aget(run=run)
    await get_runner().ensure_registered()
    await until(lambda: Run.objects.filter(pk=run.pk, status="canceled").aexists())
    again = await Run.objects.aget(pk=run.pk)
    assert (again.document, again.usage["total_tokens"]) == (came, answer.usage["total_tokens"])
    assert [each["status"] for each in again.trace] == ["finished", "canceled"]
    async with site.socket() as socket:
        assert await follow(socket, run) == came


async def test_what_has_not_finished_is_asked_again(site: Site) -> None:
    await site.cloud_facts()
    cut = {"status": "canceled", "output": "{"}
    run = await abandoned(steps=lambda rows: rows.filter(step="details").aupdate(**cut))
    await get_runner().ensure_registered()
    await until(lambda: Run.objects.filter(pk=run.pk, status="finished").aexists())
    assert (await Run.objects.aget(pk=run.pk)).document == CLOUD
    epochs = {bot.step: bot.epoch async for bot in BotRun.objects.filter(run=run)}
    assert epochs == {"answer": 1, "details": 2, "translation": 1}


async def test_a_run_that_the_database_says_runs_here_and_does_not_is_taken_up_again(site: Site) -> None:
    await site.cloud_facts()
    await get_runner().ensure_registered()
    run = await abandoned(runner=await Runner.objects.aget(pk=get_runner().id))
    await until(lambda: Run.objects.filter(pk=run.pk, status="finished").aexists())
    assert (await Run.objects.aget(pk=run.pk)).epoch == 2


LONG = Start("long", sites.QUESTION)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> asyncio.Semaphore:
    """Released at each execution of the workflow ``long``, which has no end of its own."""
    monkeypatch.setattr(registry, "_functions", {})
    begun = asyncio.Semaphore(0)

    @registry.workflow("long", access="anyone")
    async def long(run: Any) -> None:
        begun.release()
        await asyncio.Event().wait()

    return begun


@pytest.mark.parametrize("way", ["started", "claimed"])
async def test_what_is_on_its_way_to_its_task_is_not_given_up(
    site: Site, begun: asyncio.Semaphore, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A loop that stood still hears of many beats before who waits for the database's answer has it."""
    runner, loop = get_runner(), asyncio.get_running_loop()
    await runner.ensure_registered()

    def then_beats(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            answer = function(*args, **kwargs)
            rows = answer if way == "claimed" else answer[:1]
            unknown = {(str(row.pk), row.epoch) for row in rows}
            for _ in range(3 if rows else 0):
                loop.call_soon_threadsafe(runner._heard, Beat([], unknown, []))
            return answer

        return call

    if way == "started":
        monkeypatch.setattr(runner_module, "create_run", then_beats(runner_module.create_run))
        await runner.start(LONG, Identity.of_site())
    else:
        monkeypatch.setattr(ownership, "claim", then_beats(ownership.claim))
        for _ in range(3):
            await in_database(queue_run, LONG, Identity.of_site())
        runner.look()
    async with within(10):
        for _ in range(1 if way == "started" else 3):
            await begun.acquire()
    assert runner._settling is None
    assert {(run.runner_id, run.epoch) async for run in Run.objects.all()} == {(runner.id, 1)}


async def test_what_does_not_come_to_its_task_is_given_up(site: Site, settings: Any) -> None:
    """The connection that would bring the answer may be dead, and nobody the wiser for hours."""
    runner = Executor()
    await in_database(ownership.register, runner.id, "inline")
    row = await Run.objects.acreate(status="running", epoch=1, attempts=1, runner_id=runner.id)
    beat = Beat([], {(str(row.pk), 1)}, [])
    with runner._running.reserve(1):
        runner._heard(beat)
        runner._heard(beat)
        assert runner._settling is None
        settings.LINGSTREAM = {**settings.LINGSTREAM, "DEAD_AFTER": 0.01}
        await asyncio.sleep(0.02)
        runner._heard(beat)
        assert runner._settling
        await runner._settling
    assert (await Run.objects.aget()).runner_id is None
    await runner.aclose()


async def test_what_is_taken_again_while_an_earlier_epoch_goes_on_here_is_executed_once(
    site: Site, begun: asyncio.Semaphore
) -> None:
    runner = get_runner()
    row, _ = await runner.start(LONG, Identity.of_site())
    name = str(row.pk)
    async with within(10):
        await begun.acquire()
        [earlier] = runner._running._tasks
        row.epoch = 2
        await row.asave(update_fields=["epoch"])
        runner._running.launch(row)
        await asyncio.wait([earlier])
        await begun.acquire()
        assert await get_hub().find(name), "the log that is written was released"
        await runner.cancel(row)
        await runner.wait(name)
    ended = await Run.objects.aget()
    assert (ended.status, ended.epoch, runner.running()) == ("canceled", 2, [])


async def test_a_cancel_reaches_the_process_that_has_taken_a_run(
    site: Site, begun: asyncio.Semaphore
) -> None:
    """Also where it is asked of the one that had it, stood still and does not know yet."""
    runner = get_runner()
    row, _ = await runner.start(LONG, Identity.of_site())
    async with within(10):
        await begun.acquire()
    assert runner._heart
    await runner._heart.aclose()  # it tells this process nothing
    heir = await Runner.objects.acreate()
    await Run.objects.aupdate(epoch=2, runner=heir)
    await runner.cancel(await in_database(load_run, row.pk))
    assert await in_database(ownership.cancel_requests, heir.pk) == [str(row.pk)]


async def test_an_attempt_is_taken_back_once(site: Site, begun: asyncio.Semaphore) -> None:
    """However many beats say so before a run has ended that another process has taken."""
    runner = get_runner()
    row, _ = await runner.start(LONG, Identity.of_site())
    async with within(10):
        await begun.acquire()
    other = await Runner.objects.acreate()
    await Run.objects.aupdate(epoch=2, attempts=3, runner=other)
    for _ in range(3):
        runner._heard(Beat([], set(), [(str(row.pk), 1)]))
    await runner.wait(str(row.pk))
    assert runner._settling
    await runner._settling
    assert (await Run.objects.aget()).attempts == 2


async def test_a_process_that_is_late_all_the_time_takes_what_nobody_else_does(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or on a machine that is too slow the runs of a process that died would wait for ever."""
    monkeypatch.setattr(runner_module, "_LAG", -1.0)
    monkeypatch.setattr(picker, "_ALL_THE_SAME", 0.2)
    await site.cloud_facts()
    await get_runner().ensure_registered()
    runs = [await abandoned() for _ in range(3)]
    assert get_runner().behind
    ids = [run.pk for run in runs]
    async with within(10):
        while await Run.objects.filter(pk__in=ids, status="finished").acount() < len(ids):
            await asyncio.sleep(0.02)


async def test_a_run_that_another_process_has_taken_is_given_up(site: Site) -> None:
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "first half,', gate, ' second half"}']]
    async with site.socket() as socket:
        started = await socket.start("test")
        await socket.until("ops")
        other = await Runner.objects.acreate()
        await Run.objects.filter(pk=started["run"]).aupdate(epoch=2, runner=other)
        await get_runner().wait(started["run"])
    row = await Run.objects.aget(pk=started["run"])
    assert (row.status, row.epoch, row.runner_id) == ("running", 2, other.pk)
    assert not await BotRun.objects.aexists()


async def test_the_journal_of_a_run_is_its_owners(site: Site) -> None:
    await site.cloud_facts()
    run = await abandoned()
    writer = Writer()
    stale = DatabaseJournal(run, writer)
    await Run.objects.filter(pk=run.pk).aupdate(epoch=2)
    bot = await BotRun.objects.filter(run=run).afirst()
    assert bot
    with pytest.raises(Fenced):
        await stale.finish(call_of(bot), CallResult("canceled"))
    await writer.aclose()
    assert (await BotRun.objects.aget(pk=bot.pk)).status == "finished"


async def test_viewers_hear_the_end_of_a_run_whose_process_died_after_storing_it(site: Site) -> None:
    await site.cloud_facts()
    ended = {"status": "finished", "document": CLOUD, "finished_at": timezone.now(), "log_id": "1-9"}
    run = await abandoned(logged=True, **ended)
    async with site.socket() as socket:
        viewer = asyncio.create_task(follow(socket, run))
        await get_runner().ensure_registered()
        assert await viewer == CLOUD
    again = await Run.objects.aget(pk=run.pk)
    assert (again.epoch, again.log_id, again.runner_id) == (2, "2-2", get_runner().id)


async def test_they_hear_why_it_failed(site: Site) -> None:
    await site.cloud_facts()
    error = {"code": "no-json", "message": "expected JSON", "retryable": True}
    told = {**error, "message": "the model gave no answer that could be read"}  # a visitor
    failed = [{**error, "bot": "a#1"}]
    run = await abandoned(logged=True, status="failed", errors=failed, finished_at=timezone.now())
    async with site.socket() as socket:
        viewer = asyncio.create_task(follow(socket, run))
        await get_runner().ensure_registered()
        await viewer
    snapshots = [frame for frame in socket.frames[str(run.pk)] if frame.kind == "snapshot"]
    assert snapshots[-1].body["error"] == told


async def test_a_run_is_lost_when_it_has_had_its_attempts(site: Site) -> None:
    await site.cloud_facts()
    run = await abandoned(attempts=3, document={"answer": "No"})
    async with site.socket() as socket:
        await get_runner().ensure_registered()
        await until(lambda: Run.objects.filter(pk=run.pk, status="lost").aexists())
        assert await follow(socket, run) == {"answer": "No"}
    frames = socket.frames[str(run.pk)]
    assert frames[-1].body["status"] == "lost"


async def test_who_starts_runs_at_once_waits_for_one_registration(site: Site) -> None:
    await site.cloud_facts()
    answers = await asyncio.gather(*(site.start("cloud-facts") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    for answer in answers:
        await get_runner().wait(answer.json()["run"])
    assert await Runner.objects.acount() == 1


async def test_a_process_whose_row_was_deleted_registers_again(site: Site) -> None:
    runner = get_runner()
    await runner.ensure_registered()
    await Runner.objects.all().adelete()
    await until(lambda: Runner.objects.filter(pk=runner.id).aexists())


async def test_rows_of_processes_that_are_long_gone_are_deleted(site: Site) -> None:
    gone = await Runner.objects.acreate(heartbeat_at=timezone.now() - timedelta(days=2))
    await in_database(ownership.register, get_runner().id, "inline")
    assert not await Runner.objects.filter(pk=gone.pk).aexists()


async def test_a_drain_whose_clean_up_fails_leaves_the_run_to_others(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "DRAIN": 0}
    monkeypatch.setattr(registry, "_functions", {})
    at_work = asyncio.Event()

    @registry.workflow("clumsy", access="anyone")
    async def clumsy(run: Any) -> None:
        at_work.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("clean-up failed")

    runner = get_runner()
    row, _ = await runner.start(Start("clumsy", sites.QUESTION), Identity.of(None, None))
    await at_work.wait()
    await runner.drain()
    left = await Run.objects.aget(pk=row.pk)
    assert (left.status, left.runner_id, left.attempts, left.errors) == ("running", None, 0, [])
    assert "clean-up failed" in caplog.text
    log = await get_hub().find(str(row.pk))
    assert log is None or not log.ended


async def test_a_drain_that_takes_many_heartbeats_counts_no_attempt(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "DRAIN": 0}
    monkeypatch.setattr(registry, "_functions", {})
    at_work, beats = asyncio.Event(), asyncio.Semaphore(0)

    @registry.workflow("long", access="anyone")
    async def long(run: Any) -> None:
        at_work.set()
        await asyncio.Event().wait()

    runner = get_runner()
    row, _ = await runner.start(Start("long", sites.QUESTION), Identity.of(None, None))
    await at_work.wait()
    heard, close = runner._heard, runner._writer.aclose

    def count(beat: Any) -> None:
        heard(beat)
        if (str(row.pk), row.epoch) in (beat.unknown or ()):
            beats.release()

    async def slowly() -> None:
        monkeypatch.setattr(runner._writer, "aclose", close)  # the site closes it once more
        async with within(10):
            for _ in range(4):
                await beats.acquire()
        still = await Run.objects.aget(pk=row.pk)
        assert still.runner_id == runner.id  # until what it wrote is stored
        await close()

    assert runner._heart is not None
    monkeypatch.setattr(runner._heart, "_heard", count)
    monkeypatch.setattr(runner._writer, "aclose", slowly)
    await runner.drain()
    left = await Run.objects.aget(pk=row.pk)
    assert (left.status, left.runner_id, left.attempts) == ("running", None, 0)


async def test_what_a_run_did_once_is_not_done_again_by_who_takes_it_over(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "DRAIN": 0}
    monkeypatch.setattr(registry, "_functions", {})
    asked: list[str] = []
    gate, at_work = asyncio.Event(), asyncio.Event()

    async def rate(currency: str) -> dict[str, Any]:
        asked.append(currency)
        return {"of": f"{currency}\x00", "rate": 1.5}

    @registry.workflow("priced", access="anyone")
    async def priced(run: Any) -> None:
        run.set("", await run.once("rate", rate, "EUR"))
        at_work.set()
        await gate.wait()

    row, _ = await get_runner().start(Start("priced", sites.QUESTION), Identity.of(None, None))
    await at_work.wait()
    stored = await BotRun.objects.aget()
    assert (stored.kind, stored.step, stored.status) == ("once", "rate", "finished")
    assert (stored.request, stored.result) == ({"arguments": ["EUR"]}, {"of": "EUR\x00", "rate": 1.5})
    await get_runner().drain()
    gate.set()
    heir = Executor()
    await heir.ensure_registered()
    await until(lambda: _has_ended(row))
    await heir.aclose()
    ended = await Run.objects.aget(pk=row.pk)
    assert (ended.status, ended.epoch, ended.document) == ("finished", 2, {"of": "EUR\x00", "rate": 1.5})
    assert asked == ["EUR"]


async def _has_ended(run: Run) -> bool:
    return (await Run.objects.aget(pk=run.pk)).ended


async def test_a_process_that_executes_runs_deletes_those_that_were_kept_long_enough(site: Site) -> None:
    await sync_to_async(Workflow.objects.create)(slug="short", retention_days=1)
    ended = timezone.now() - timedelta(days=2)
    old = await Run.objects.acreate(workflow="short", status="finished", finished_at=ended)
    kept = await Run.objects.acreate(workflow="other", status="finished", finished_at=ended)
    await get_runner().ensure_registered()
    await until(lambda: _is_gone(old))
    assert not await _is_gone(kept)


async def _is_gone(run: Run) -> bool:
    return not await Run.objects.filter(pk=run.pk).aexists()


async def test_a_second_drain_waits_for_nothing(site: Site) -> None:
    runner = get_runner()
    await runner.ensure_registered()
    await runner.drain()
    await runner.drain()
    assert (await Runner.objects.aget(pk=runner.id)).stopped_at


def call_of(bot: BotRun) -> Call:
    """The call that a stored bot run was."""
    return Call(
        bot.instance,
        BotPlan(bot.step),
        bot.root,
        [],
        {"model": bot.model, "params": {}},
        bot.digest,
        bot.occurrence,
    )


async def test_who_asks_while_others_runs_are_looked_for_is_not_busy(site: Site, settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "MAX_RUNS": 1, "HEARTBEAT_EVERY": 0.01}
    await site.cloud_facts()
    runner = get_runner()
    await runner.ensure_registered()
    for _ in range(20):
        runner.look()
        await asyncio.sleep(0)
        row, _ = await runner.start(Start("cloud-facts", sites.QUESTION), Identity.of(None, None))
        await runner.wait(str(row.pk))
    assert await Run.objects.acount() == 20
