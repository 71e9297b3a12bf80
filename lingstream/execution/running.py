"""The runs that a process executes, each as a task of its own and apart from every request.

A run is a detached task with a strong reference, in a context of its own: a task that inherited the context
of a Django request would keep that request's thread and database handle for as long as the model talks.

1. There are never more than ``most``: what is about to be one is counted (:meth:`Running.reserve`) before the
   database hears of it, and until it has its task.
2. Whatever stops a run here, its viewers get a ``done``, or it stays in the database as one for another epoch
   to go on with.
3. The database may give this process a run again of which it still executes an earlier epoch: what is asked
   of a run is asked of its latest execution, and the one before it ends alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextvars import Context
from typing import Any

from django.utils import translation

from lingstream.conf import app_settings
from lingstream.core.ending import bounded, end_tasks
from lingstream.core.engine import run as engine
from lingstream.core.exceptions import ConfigurationError, Fenced
from lingstream.core.log.ports import RunLog
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Message
from lingstream.hubs import get_hub
from lingstream.models import Run

from .away import AWAY
from .endings import Endings
from .journal import Checkpoints, DatabaseJournal, Writer
from .lane import Lane
from .memory import history_of
from .observers import get_observers
from .plans import inner_plan_of
from .services import RunServices, SiteServices, Who, begin_addresses
from .storage import load_identity, plan_of

__all__ = ["Running"]

logger = logging.getLogger("lingstream")

_RECALL = 120.0  # seconds that a memory may take; the database may be away for half of them


class _Execution:
    """One epoch of a run, executed here.

    :ivar run: what the engine executes, from its making until it has ended.
    """

    task: asyncio.Task[None]

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.run: engine.Run | None = None
        self.left = False


class Running:
    """The runs that this process executes.

    :param most: how many at the same time; the setting ``MAX_RUNS`` unless given.
    :param lane: where the database is asked.
    :param writer: where what a run says is stored.
    :param endings: ends a run whose execution fails.
    :param after: awaited when a run of a conversation has ended here.
    """

    def __init__(
        self,
        most: int | None,
        lane: Lane,
        writer: Writer,
        endings: Endings,
        after: Callable[[Run], Awaitable[None]],
    ) -> None:
        self._most = most
        self._lane = lane
        self._writer = writer
        self._endings = endings
        self._after = after
        self._checkpoints = Checkpoints(writer, app_settings().checkpoint)
        self._services = SiteServices()
        self._executions: dict[str, _Execution] = {}  # the latest of each run
        self._tasks: set[asyncio.Task[None]] = set()  # of all
        self._starting: dict[object, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._executions

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._executions))

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def room(self) -> int:
        """How many more there may be."""
        most = app_settings().max_runs if self._most is None else self._most
        return most - len(self._tasks) - sum(self._starting.values())

    @property
    def starting(self) -> frozenset[object]:
        """The reservations that have not ended, by marks of their own."""
        return frozenset(self._starting)

    def epochs(self) -> dict[str, int]:
        """The runs by their ids, and the epoch of each; asked in any thread."""
        return {name: execution.epoch for name, execution in self._executions.copy().items()}

    def trace(self, name: str) -> list[dict[str, Any]] | None:
        """What the steps of a run have done so far, ``None`` if it is none of these; asked in any thread."""
        run = self._run(name)
        return None if run is None else list(run.trace)

    @contextlib.contextmanager
    def reserve(self, runs: int) -> Iterator[None]:
        """Count runs that are about to start."""
        mark = object()
        self._starting[mark] = runs
        try:
            yield
        finally:
            del self._starting[mark]

    def launch(self, row: Run) -> None:
        """Begin to execute a run, which is this process's in the database."""
        name = str(row.pk)
        if name in self._executions:
            self.leave(name)  # the epoch of this one fences what it says
        log = get_hub().create(name)  # before the answer goes out: who asks for the events finds them
        loop = asyncio.get_running_loop()
        execution = self._executions[name] = _Execution(row.epoch)
        work = self._execute(row, log, execution)
        execution.task = task = loop.create_task(work, name=f"run {name}", context=Context())
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._forget(name, execution))

    def cancel(self, name: str) -> bool:
        """Have a run end as ``cancelled``; return false if it is none of these."""
        run = self._run(name)
        if run is not None:
            run.cancel()
        return run is not None

    def leave(self, name: str) -> bool:
        """Stop a run without a ``done``, for a later epoch to go on; one that is ending may end.

        :returns: whether it is the first time.
        """
        execution = self._executions[name]
        first, execution.left = not execution.left, True
        if execution.run is None or not execution.run.ending:
            execution.task.cancel()
        return first

    async def wait(self, name: str) -> None:
        """Wait until a run has ended here."""
        if execution := self._executions.get(name):
            await asyncio.wait([execution.task])

    async def drain(self, seconds: float) -> None:
        """Wait for the ends of all, and leave those that go on after so many seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for name in self:
            self.leave(name)

    async def end_tasks(self, seconds: float) -> None:
        """Wait for the ends of all, then end the tasks that go on: a workflow's own code may be deaf."""
        if self._tasks:
            _, going = await asyncio.wait(self._tasks, timeout=seconds)
            await end_tasks(*going)

    async def leave_loop(self) -> None:
        """Give up what is bound to an event loop that is over, as are the tasks."""
        self._executions.clear()
        self._tasks.clear()
        await self._services.end_threads()
        self._services = SiteServices()

    async def aclose(self) -> None:
        """Close the connections of steps to servers and databases."""
        await self._services.aclose()

    def _run(self, name: str) -> engine.Run | None:
        execution = self._executions.get(name)
        return execution.run if execution else None

    def _is_latest(self, name: str, execution: _Execution) -> bool:
        return self._executions.get(name) is execution

    def _forget(self, name: str, execution: _Execution) -> None:
        self._tasks.discard(execution.task)
        if self._is_latest(name, execution):
            del self._executions[name]

    async def _execute(self, row: Run, log: RunLog, execution: _Execution) -> None:
        name = str(row.pk)
        begin_addresses()
        if row.language:
            translation.activate(row.language)
        try:
            if row.cancel_requested_at:  # while its last owner was dying
                await self._endings.cancel(row, log)
            else:
                await self._perform(row, log, execution)
        except Fenced as error:
            logger.info("run %s goes on elsewhere: %s", name, error)
        except AWAY:
            # It stays in the database as it is: a heart beat finds that nobody executes it.
            logger.exception("run %s: the database did not come back", name)
        except Exception as error:
            task = asyncio.current_task()
            if task and task.cancelling():
                logger.exception("run %s goes on elsewhere; it could not be stopped cleanly here", name)
            else:
                logger.exception("run %s failed", name)
                await self._endings.fail(row, log, error)
        finally:
            execution.run = None
            if self._is_latest(name, execution):
                get_hub().release(name)
        if row.conversation_id:
            await self._after(row)

    async def _perform(self, row: Run, log: RunLog, execution: _Execution) -> None:
        name, persist = str(row.pk), self._lane.persist
        history = await self._recall(row) if row.conversation_id else []
        recorded = await persist(DatabaseJournal.load, row) if row.epoch > 1 else None
        journal = DatabaseJournal(row, self._writer, recorded)

        async def end(result: engine.RunResult) -> None:
            await journal.end(result, str(log.last_id.following))

        who = Who(lambda: persist(load_identity, row))
        run = execution.run = engine.Run(
            plan_of(row),
            row.input,
            log=log,
            services=RunServices(self._services, lambda slug: persist(inner_plan_of, row, slug), who),
            journal=journal,
            history=history,
            epoch=row.epoch,
            end=end,
            observers=get_observers(),
            name=name,
            began=row.created_at.isoformat(),
            identity=who,
        )
        run.info = run.info._replace(trial=row.trial)
        with self._checkpoints.of(row, log, lambda: run.trace):
            await run.execute()

    async def _recall(self, row: Run) -> list[Message]:
        """Return what the run's bots remember, in a bounded time: the run's own begins only afterwards."""
        try:
            return await bounded(self._lane.persist(history_of, row), _RECALL)
        except TimeoutError as error:
            message = Phrase(
                "expected LINGSTREAM['MEMORY'] to take up to %(seconds)s s", seconds=f"{_RECALL:g}"
            )
            raise ConfigurationError(message) from error
