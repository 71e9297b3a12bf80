"""What running runs write: batched on one thread, and only as long as the run is theirs."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lingstream.core.document.ops import Set
from lingstream.core.engine.journal import CallResult, Occurrences
from lingstream.core.engine.run import RunResult
from lingstream.core.exceptions import Fenced
from lingstream.core.log.memory import MemoryLog
from lingstream.core.log.state import empty_snapshot
from lingstream.core.provider import Usage
from lingstream.execution.journal import Checkpoints, DatabaseJournal, Write, Writer, result_of, store
from lingstream.models import BotRun, Conversation, Run
from lingstream.models.clock import Now
from tests.chaos.patience import scaled

pytestmark = pytest.mark.django_db(transaction=True)

RESULT = result_of(RunResult("finished", {"answer": "No."}, Usage(1, 2)), "1-9")


@pytest.fixture
async def writer() -> AsyncIterator[Writer]:
    made = Writer()
    yield made
    await made.aclose()


def running(**fields: Any) -> Run:
    return Run.objects.create(**{"workflow": "x", "status": "running", "epoch": 1, "attempts": 1, **fields})


def bot(run: Run, name: str = "answer#1", **fields: Any) -> BotRun:
    key = BotRun.make_replay_key(name, "", "digest", 1)
    return BotRun(run_id=run.pk, replay_key=key, step=name, instance=name, status="finished", **fields)


class Gated:
    """Stores when the gate is open, and keeps how many writes came at once."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.batches: list[int] = []

    def __call__(self, writes: Sequence[Write]) -> list[bool]:
        self.batches.append(len(writes))
        self.gate.wait(scaled(10))
        return store(writes)


def test_one_transaction_stores_what_many_runs_write() -> None:
    runs = [running() for _ in range(8)]
    writes = [Write(run, 1, bot=bot(run, f"bot#{n}", output="no")) for run in runs for n in range(4)]
    writes += [Write(run, 1, columns=RESULT) for run in runs[:4]]
    writes += [Write(run, 1, columns={"document": {"a": 1}, "log_id": "1-3"}) for run in runs[4:]]
    with CaptureQueriesContext(connection) as asked:
        assert store(writes) == [True] * len(writes)
    statements = [query["sql"] for query in asked if not query["sql"].startswith(("BEGIN", "COMMIT"))]
    assert len(statements) == 4, statements
    assert BotRun.objects.count() == 32
    for run in runs:
        run.refresh_from_db()
    assert {(run.status, run.log_id, run.document["answer"]) for run in runs[:4]} == {
        ("finished", "1-9", "No.")
    }
    assert {(run.status, run.log_id, run.finished_at) for run in runs[4:]} == {("running", "1-3", None)}


def test_a_checkpoint_costs_the_event_loop_little_of_its_time() -> None:
    """While this thread is busy in Python, each thing that the loop does waits up to 5 ms for its turn."""
    calls = 0

    def look(frame: object, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call"

    def calls_for(runs: Sequence[Run]) -> int:
        nonlocal calls
        columns = {"document": {"answer": "No."}, "trace": [], "log_id": "1-3", "checkpoint_at": Now()}
        calls = 0
        sys.setprofile(look)
        try:
            assert all(store([Write(run, 1, columns=columns) for run in runs]))
        finally:
            sys.setprofile(None)
        return calls

    runs = [running() for _ in range(32)]
    calls_for(runs[:1])  # what is made once
    each = (calls_for(runs) - calls_for(runs[:2])) / 30
    assert each < 100, each  # of bulk_update it was 1,501
    assert {run.document["answer"] for run in Run.objects.all()} == {"No."}


def test_a_row_whose_run_is_anothers_is_refused_alone() -> None:
    mine, taken, ended = running(), running(epoch=2), running(status="canceled")
    assert store([Write(run, 1, bot=bot(run)) for run in (mine, taken, ended)]) == [True, False, False]
    assert [row.run_id for row in BotRun.objects.all()] == [mine.pk]
    assert store([Write(UnknownRun, 1, bot=bot(UnknownRun))]) == [False]


UnknownRun = Run(pk=UUID(int=1), workflow="deleted")


def test_the_same_call_twice_is_one_row_and_the_last_one_counts() -> None:
    run = running()
    assert store([Write(run, 1, bot=bot(run, output=text)) for text in ("a", "b")]) == [True, True]
    assert BotRun.objects.get().output == "b"
    store([Write(run, 1, bot=bot(run, output="c"))])
    assert BotRun.objects.get().output == "c"


def test_a_key_that_a_failed_try_was_given_may_be_anothers_by_now() -> None:
    """A server that crashed at the commit had given a key, and gives it again to the next row."""
    run = running()
    mine, other = bot(run, "mine#1"), bot(run, "other#1")
    with pytest.raises(OperationalError), transaction.atomic():
        store([Write(run, 1, bot=mine)])
        raise OperationalError("the server closed the connection at the commit")
    store([Write(run, 1, bot=other)])
    assert mine.pk == other.pk or connection.vendor != "sqlite"  # where no number is given twice
    assert store([Write(run, 1, bot=mine)]) == [True]
    assert {row.instance for row in BotRun.objects.all()} == {"mine#1", "other#1"}


def test_a_result_counts_over_a_checkpoint_of_the_same_batch_whatever_their_order() -> None:
    run = running()
    checkpoint = Write(run, 1, columns={"document": {}, "log_id": "1-2", "checkpoint_at": timezone.now()})
    assert store([Write(run, 1, columns=RESULT), checkpoint]) == [True, True]
    run.refresh_from_db()
    assert (run.status, run.log_id, run.document) == ("finished", "1-9", {"answer": "No."})
    assert store([checkpoint]) == [False], "it has ended"


def test_a_result_whose_reply_was_lost_is_stored_once_more() -> None:
    run = running()
    assert store([Write(run, 1, columns=RESULT)]) == [True]
    assert store([Write(run, 1, columns=RESULT)]) == [True]
    other = result_of(RunResult("failed", None, Usage()), "1-9")
    assert store([Write(run, 1, columns=other)]) == [False]


def test_the_end_of_a_run_moves_its_conversation_up() -> None:
    conversation = Conversation.objects.create()
    before = conversation.updated_at
    run = running(conversation=conversation)
    store([Write(run, 1, columns=RESULT)])
    conversation.refresh_from_db()
    assert conversation.updated_at > before
    assert conversation.seq == 1


async def test_what_comes_while_a_write_is_under_way_goes_with_the_next() -> None:
    runs = [await sync_to_async(running)() for _ in range(5)]
    gated = Gated()
    writer = Writer(gated)
    writes = [asyncio.create_task(writer.write(Write(runs[0], 1, bot=bot(runs[0]))))]
    while not gated.batches:
        await asyncio.sleep(0.01)
    writes += [asyncio.create_task(writer.write(Write(run, 1, bot=bot(run)))) for run in runs[1:]]
    await asyncio.sleep(0)
    gated.gate.set()
    await asyncio.gather(*writes)
    assert (gated.batches, writer.oldest) == ([1, 4], 0)
    await writer.aclose()


async def test_a_row_that_cannot_be_stored_fails_alone() -> None:
    run = await sync_to_async(running)()
    good, bad = bot(run), bot(run, "other#1", occurrence=-1)  # PositiveIntegerField: a CHECK refuses it
    gated = Gated()
    writer = Writer(gated)
    writes = [asyncio.create_task(writer.write(Write(run, 1, bot=bot(run, "first#1"))))]
    while not gated.batches:
        await asyncio.sleep(0.01)
    writes += [asyncio.create_task(writer.write(Write(run, 1, bot=row))) for row in (good, bad)]
    await asyncio.sleep(0)
    gated.gate.set()
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    await writer.aclose()
    assert outcomes[:2] == [None, None]
    assert "check constraint" in str(outcomes[2]).lower()
    assert await BotRun.objects.acount() == 2
    assert gated.batches == [1, 2, 1, 1]


async def test_a_write_is_made_though_who_asked_was_cancelled(writer: Writer) -> None:
    run = await sync_to_async(running)()
    task = asyncio.create_task(writer.write(Write(run, 1, bot=bot(run))))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await writer.aclose()
    assert await BotRun.objects.aexists()


async def test_a_database_that_is_away_for_a_moment_loses_nothing() -> None:
    run = await sync_to_async(running)()
    tries: list[int] = []

    def flaky(writes: Sequence[Write]) -> list[bool]:
        tries.append(len(writes))
        if len(tries) < 3:
            raise OperationalError("the server closed the connection")
        return store(writes)

    writer = Writer(flaky)
    await DatabaseJournal(run, writer).end(RunResult("finished", {}, Usage()), "1-4")
    assert (await Run.objects.aget(pk=run.pk)).status == "finished"
    with pytest.raises(Fenced):
        await DatabaseJournal(run, writer).end(RunResult("failed", {}, Usage()), "1-5")
    await writer.aclose()


async def test_checkpoints_store_what_has_grown_until_the_run_ends(writer: Writer) -> None:
    run = await sync_to_async(running)()
    log = MemoryLog()
    await log.open(1, {**empty_snapshot(), "document": {}})
    checkpoints = Checkpoints(writer, 0.05)
    with checkpoints.of(run, log, lambda: ({"id": "answer#1"},)):
        log.write(1, "ops", [Set("answer", "half")])
        async with asyncio.timeout(scaled(10)):
            while (await Run.objects.aget(pk=run.pk)).document != {"answer": "half"}:
                await asyncio.sleep(0.01)
    stored = await Run.objects.aget(pk=run.pk)
    assert (stored.log_id, stored.status) == (str(log.last_id), "running")
    assert stored.trace == [{"id": "answer#1"}]
    assert stored.checkpoint_at


async def test_what_cannot_be_stored_fails_no_run(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(writes: Sequence[Write]) -> list[bool]:
        raise IntegrityError("the database has it otherwise")

    run = await sync_to_async(running)()
    writer = Writer(refuse)
    call = Occurrences().once("rate", ["EUR"])
    await DatabaseJournal(run, writer).finish(call, CallResult("finished", result=1))
    await writer.aclose()
    assert f"bot run rate#1 of run {run.pk} is not stored" in caplog.text
