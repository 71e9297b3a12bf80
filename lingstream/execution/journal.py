"""What running runs write: finished calls, checkpoints and results, on one thread of the process.

1. Whatever waits while a write is under way goes with the next one, in one transaction: the more there is to
   store, the less each row costs.
2. A write counts only if the run is still this execution's, as its locked row says. A row whose run is
   somebody else's is :class:`Fenced` alone; the others of its transaction are stored.
3. Rows are locked in the order of their keys, and by this thread alone, so that two processes wait for each
   other at worst, and never in a circle.
4. A write that has been asked for is made, even if who asked has been cancelled meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections, router
from django.utils import timezone

from lingstream.conversations import turns
from lingstream.conversations.nudges import is_hidden, plan_nudges
from lingstream.core.document.ops import copy_json
from lingstream.core.engine.journal import Call, CallResult
from lingstream.core.engine.plan import BotPlan
from lingstream.core.engine.run import RunResult
from lingstream.core.exceptions import Fenced
from lingstream.core.log.ports import RunLog
from lingstream.core.provider import Usage
from lingstream.models import QUIET, BotRun, Run, add_errors, error_code
from lingstream.models.clock import Now
from lingstream.models.locks import locked
from lingstream.models.phrases import stored_error
from lingstream.models.rows import update_rows

from .away import AWAY
from .failures import report
from .lane import Ages, DatabaseThread, end_threads, keep_connections, patiently
from .ownership import atomically
from .prices import cost_of, known_prices

__all__ = ["Checkpoints", "DatabaseJournal", "Write", "Writer", "result_of", "store"]

logger = logging.getLogger("lingstream")

_MOST = 64  # writes in one transaction
_GATHER = 0.04  # seconds from one transaction to the next, for writes to gather
_REST = 2.5  # the least of the same, in times of what the last one took: who waits long shares with more
_ROUND = 32  # checkpoints in one transaction
_KEY = ("run", "replay_key")  # what is unique in a bot run


@dataclass(frozen=True, slots=True)
class Write:
    """One thing to store of a run.

    :param epoch: of the execution that writes.
    :param bot: a finished call.
    :param columns: new values of the run's own row.
    """

    run: Run
    epoch: int
    bot: BotRun | None = None
    columns: Mapping[str, Any] | None = None

    @property
    def ends(self) -> bool:
        """Whether it says how the run ended."""
        return self.columns is not None and "status" in self.columns


def store(writes: Sequence[Write]) -> list[bool]:
    """Store ``writes`` in one transaction; return which of them were their runs' owners'.

    A result that is stored already counts as stored once more: its first reply was lost on the way.
    """
    with atomically():
        # Conversations before runs, in the order in which whoever starts a turn takes the locks.
        talks = turns.hold(_talks(writes).keys())
        runs = Run.objects.filter(pk__in={write.run.pk for write in writes}).order_by("pk")
        found = locked(runs).values_list("pk", "epoch", "status", "log_id")
        rows = {pk: tuple(rest) for pk, *rest in found}
        mine = [_is_owners(write, rows.get(write.run.pk)) for write in writes]
        good = [write for write, ours in zip(writes, mine, strict=True) if ours]
        _store_bots([write.bot for write in good if write.bot])
        _store_columns(write for write in good if not write.ends)
        _store_ends([write for write in good if write.ends])
        ended = _talks(good)
        turns.touch((each for each in talks if each.pk in ended), "ended", ended, updated_at=Now())
        plan_nudges(ended.keys())
    return mine


def _talks(writes: Sequence[Write]) -> dict[UUID, UUID]:
    """The conversations in which a turn ends, and its run."""
    ended = [write.run for write in writes if write.ends and write.run.cause not in QUIET]
    return {run.conversation_id: run.pk for run in ended if run.conversation_id}


def _is_owners(write: Write, row: tuple[Any, ...] | None) -> bool:
    if row is None:
        return False
    epoch, status, log_id = row
    again = write.columns is not None and (status, log_id) == (
        write.columns.get("status"),
        write.columns["log_id"],
    )
    return bool(epoch == write.epoch and (status == Run.Status.RUNNING or again))


def _store_bots(bots: list[BotRun]) -> None:
    # One row of each key: ON CONFLICT cannot meet a row twice.
    rows = list({(bot.run_id, bot.replay_key): bot for bot in bots}.values())
    if not rows:
        return
    for bot in rows:
        # A try whose commit failed has left its key: a server that crashed gives that to another row.
        bot.pk = None
    targets = connections[router.db_for_write(BotRun)].features.supports_update_conflicts_with_target
    BotRun.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=_KEY if targets else None,
        update_fields=[
            field.name for field in BotRun._meta.concrete_fields if field.name not in ("id", *_KEY)
        ],
    )


def _store_columns(writes: Iterable[Write]) -> None:
    # Not bulk_update, which writes a condition for each value: half a millisecond a row, of a thread that the
    # event loop waits for.
    update_rows([(write.run, write.columns) for write in writes if write.columns])


def _store_ends(writes: Sequence[Write]) -> None:
    if not writes:
        return
    traces = [write.columns.get("trace", ()) if write.columns else () for write in writes]
    prices = known_prices() if any(traces) else {}
    priced = [
        replace(write, columns={**(write.columns or {}), "cost": cost_of(trace, prices)})
        for write, trace in zip(writes, traces, strict=True)
    ]
    _store_columns(priced)
    add_errors({write.run.pk: write.columns["errors"] for write in priced if write.columns})


class _Waiting(NamedTuple):
    write: Write
    future: asyncio.Future[None]
    mark: object


class Writer:
    """The thread that writes, and how the event loop hands it what is to be written.

    :param store: stores writes in one transaction and says which were their runs' owners'; :func:`store`.
    """

    def __init__(self, store: Callable[[Sequence[Write]], list[bool]] = store) -> None:
        self._store = store
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: DatabaseThread | None = None
        self._ages = Ages()

    async def write(self, write: Write) -> None:
        """Return when ``write`` is stored.

        :raises Fenced: the run belongs to another runner by now, or has ended.
        :raises DatabaseError: it cannot be stored, or not at the moment.
        """
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = DatabaseThread("lingstream journal", lambda: self._work(loop))
        waiting = _Waiting(write, loop.create_future(), self._ages.begin())
        self._queue.put(waiting)
        await waiting.future

    @property
    def oldest(self) -> float:
        """Seconds for which the oldest write has been waiting."""
        return self._ages.oldest

    async def aclose(self) -> None:
        """Store what waits, and end the thread; a later write begins anew."""
        if thread := self._thread:
            self._thread = None
            self._queue.put(None)
            await end_threads(thread)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        over = False
        while not over:
            batch = [self._queue.get()]
            with suppress(queue.Empty):
                while len(batch) < _MOST:
                    batch.append(self._queue.get_nowait())
            waiting = [item for item in batch if item]
            over = len(waiting) < len(batch)
            begun = time.monotonic()
            outcomes = self._outcomes([item.write for item in waiting])
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(self._deliver, waiting, outcomes)
            if not over:
                took = time.monotonic() - begun
                time.sleep(max(_GATHER, _REST * took) - took)

    def _outcomes(self, writes: list[Write]) -> list[Exception | None]:
        """Store them together, or one by one where one of them cannot be stored."""
        if not writes:
            return []
        try:
            mine = self._store(writes)
        except AWAY as error:
            return [error] * len(writes)
        except Exception as error:
            if len(writes) == 1:
                return [error]
            return [outcome for write in writes for outcome in self._outcomes([write])]
        finally:
            keep_connections()
        return [
            None if ours else Fenced(f"run {write.run.pk} belongs to another runner by now")
            for write, ours in zip(writes, mine, strict=True)
        ]

    def _deliver(self, batch: list[_Waiting], outcomes: list[Exception | None]) -> None:
        for item, outcome in zip(batch, outcomes, strict=True):
            self._ages.end(item.mark)
            if item.future.done():
                continue
            if outcome is None:
                item.future.set_result(None)
            else:
                item.future.set_exception(outcome)


class Checkpoints:
    """Stores the growing documents of a process every few seconds, for who asks elsewhere or after a crash.

    With them goes what the steps have done, for the pages of runs that other processes execute.

    :param every: seconds between two checkpoints of a run.
    """

    def __init__(self, writer: Writer, every: float) -> None:
        self._writer = writer
        self._every = every
        self._runs: dict[UUID, _Growing] = {}
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def of(self, row: Run, log: RunLog, trace: Callable[[], Sequence[Any]] = tuple) -> Iterator[None]:
        """Store the document of ``row`` from time to time.

        :param trace: returns what its steps have done so far.
        """
        loop = asyncio.get_running_loop()
        # Spread out, so that runs which started together are not all stored together.
        due = loop.time() + self._every * random.uniform(0.5, 1.0)  # noqa: S311  # a pace, not a secret
        self._runs[row.pk] = _Growing(row, log, trace, log.last_id, due)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._look(), context=Context())
        try:
            yield
        finally:
            self._runs.pop(row.pk, None)

    async def _look(self) -> None:
        while self._runs:
            await asyncio.sleep(self._every / 5)
            due = [growing for growing in self._runs.values() if growing.due(self._every)][:_ROUND]
            stored = await asyncio.gather(*map(self._store, due), return_exceptions=True)
            failed: dict[str, list[UUID]] = {}  # a database that is away says the same of all
            for growing, error in zip(due, stored, strict=True):
                if isinstance(error, Exception) and not isinstance(error, Fenced):
                    failed.setdefault(str(error), []).append(growing.row.pk)
            for text, runs in failed.items():
                logger.warning("run %s and %d more: no checkpoint: %s", runs[0], len(runs) - 1, text)

    async def _store(self, growing: _Growing) -> None:
        place = growing.log.last_id
        columns = {
            "document": copy_json(growing.log.state.document.value),  # a thread must not see it grow
            "trace": list(growing.trace()),
            "log_id": str(place),
            "checkpoint_at": Now(),
        }
        await self._writer.write(Write(growing.row, growing.row.epoch, columns=columns))
        growing.stored = place


@dataclass(slots=True)
class _Growing:
    row: Run
    log: RunLog
    trace: Callable[[], Sequence[Any]]
    stored: Any
    next: float

    def due(self, every: float) -> bool:
        """Whether there is something new to store, and it is time."""
        now = asyncio.get_running_loop().time()
        last = self.log.last_id
        if now < self.next or last == self.stored or last.epoch != self.row.epoch:
            return False  # the last: its epoch is not open yet
        self.next = now + every
        return True


class DatabaseJournal:
    """The journal of a run in :class:`~lingstream.models.BotRun` rows; see :class:`Journal`.

    :param run: the run.
    :param recorded: results of finished calls by replay key; see :meth:`load`.
    """

    def __init__(self, run: Run, writer: Writer, recorded: dict[str, CallResult] | None = None) -> None:
        self._run = run
        self._writer = writer
        self._recorded = recorded or {}
        self._started: dict[str, datetime] = {}

    @staticmethod
    def load(run: Run) -> dict[str, CallResult]:
        """Return what earlier executions of ``run`` finished."""
        rows = BotRun.objects.filter(run=run, status=BotRun.Status.FINISHED)
        return {row.replay_key: _result_of(row) for row in rows}

    def recorded(self, call: Call) -> CallResult | None:
        """See :meth:`Journal.recorded`."""
        key = BotRun.make_replay_key(*call.key)
        self._started[key] = timezone.now()
        return self._recorded.get(key)

    async def finish(self, call: Call, result: CallResult) -> None:
        """See :meth:`Journal.finish`.

        What cannot be stored is logged and not raised: the answer is on the page already, and the worst that
        follows is that a crash makes this call happen again.

        :raises Fenced: the run belongs to another runner by now, whose journal this is.
        """
        key = BotRun.make_replay_key(*call.key)
        if key in self._recorded:
            return
        write = Write(self._run, self._run.epoch, bot=self._row(key, call, result))
        try:
            await patiently(lambda: self._writer.write(write))
        except Fenced:
            raise
        except Exception:
            logger.exception("bot run %s of run %s is not stored", call.instance, self._run.pk)

    async def end(self, result: RunResult, log_id: str) -> None:
        """Store how the run ended.

        :param log_id: of the frame that says so.
        :raises Fenced: the run belongs to another runner by now.
        :raises DatabaseError: it cannot be stored.
        """
        hidden = is_hidden(self._run, result.status, result.document, declined=result.declined)
        columns = {**result_of(result, log_id), "hidden": hidden}
        write = Write(self._run, self._run.epoch, columns=columns)
        await patiently(lambda: self._writer.write(write))
        if result.status == Run.Status.FAILED:
            report(self._run, result.status, result.errors)

    def _row(self, key: str, call: Call, result: CallResult) -> BotRun:
        now, plan = timezone.now(), call.plan
        return BotRun(
            run_id=self._run.pk,
            replay_key=key,
            kind=call.kind,
            step=plan.name,
            instance=call.instance,
            root=call.root,
            digest=call.digest,
            occurrence=call.occurrence,
            epoch=self._run.epoch,
            status=result.status,
            **(_asked_of_model(call, plan) if isinstance(plan, BotPlan) else {"request": _asked(call)}),
            result=result.result,
            output=result.output,
            reasoning=result.reasoning,
            repairs=list(result.repairs),
            usage=result.usage.to_wire(),
            error=result.error and stored_error(result.error),
            finish=result.finish,
            started_at=self._started.get(key, now),
            first_token=result.first,
            finished_at=now,
        )


def _asked_of_model(call: Call, plan: BotPlan) -> dict[str, Any]:
    return {
        "messages": list(call.input),
        "provider": plan.provider.name,
        "model": call.options["model"],
        "params": dict(call.options["params"]),
        "prompt_version": plan.prompt_version,
    }


def _asked(call: Call) -> dict[str, Any]:
    if call.kind == "once":
        return {"arguments": call.input}
    return {"input": call.input, "options": dict(call.options)}


def result_of(result: RunResult, log_id: str) -> dict[str, Any]:
    """Return the columns of a run that has ended; the time is the database's, see :mod:`.ownership`."""
    first = [entry["first"] for entry in result.trace if entry["first"] is not None]
    return {
        "status": result.status,
        "document": result.document,
        "usage": result.usage.to_wire(),
        "prompt_tokens": result.usage.prompt_tokens,
        "completion_tokens": result.usage.completion_tokens,
        "errors": [stored_error(each) for each in result.errors],
        "error_code": error_code(result.errors),
        "trace": list(result.trace),
        "repaired": sum(entry["repairs"] for entry in result.trace),
        "first_token": min(first, default=None),
        "log_id": log_id,
        "finished_at": Now(),
        "checkpoint_at": Now(),
    }


def _result_of(row: BotRun) -> CallResult:
    return CallResult(
        status=row.status,
        output=row.output,
        reasoning=row.reasoning,
        repairs=row.repairs,
        usage=Usage.from_wire(row.usage),
        finish=row.finish,
        result=row.result,
    )
