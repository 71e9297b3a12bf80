"""The runner: executes runs as tasks of this process, apart from every request.

A run is a detached task with a strong reference, in a context of its own: a task that inherited the context
of a Django request would keep that request's thread and database handle for as long as the model talks.

The same class serves ``inline`` execution in the web process and ``manage.py ling_worker``: they differ in
who may take a queued run, and in nothing else. Ownership is the database's (:mod:`.claims`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from contextvars import Context
from functools import lru_cache
from uuid import uuid4

from django.db import DatabaseError, InterfaceError, OperationalError
from django.utils import timezone, translation

from . import claims
from .conf import app_settings
from .core import workflow as engine
from .core.exceptions import Fenced, InternalError, LingError
from .core.frames import empty_snapshot
from .core.log import RunLog
from .core.ops import copy_json
from .core.provider import Usage
from .hubs import get_hub
from .models import Run
from .permissions import Identity
from .pool import ProviderPool
from .providers import preload
from .storage import (
    DatabaseJournal,
    Start,
    create_run,
    in_database,
    load_history,
    load_run,
    persist,
    plan_of,
    provider_kinds_in_use,
    store_checkpoint,
    store_result,
)
from .wake import close as close_broker
from .wake import wake

__all__ = ["Runner", "get_runner"]

logger = logging.getLogger("lingstream")


def get_runner() -> Runner:
    """Return this process's runner."""
    return _runner()


@lru_cache(maxsize=1)
def _runner() -> Runner:
    return Runner()


class Runner:
    """Executes runs in this process.

    :param kind: ``inline`` in a web process, ``worker`` in a worker.
    :param most: runs at the same time; the setting ``MAX_RUNS`` unless given.
    """

    def __init__(self, kind: str = "inline", most: int | None = None) -> None:
        self.id = uuid4()
        self.kind = kind
        self._most = most
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, engine.Run] = {}
        self._providers = ProviderPool()
        self._heart: asyncio.Task[None] | None = None
        self._registered: asyncio.Task[None] | None = None
        self._picking = asyncio.Lock()
        self._epochs: dict[str, int] = {}
        self._doubtful: set[tuple[str, int]] = set()
        self._draining = False

    # -- for transports ----------------------------------------------------------------------------

    async def start(self, start: Start, identity: Identity) -> tuple[Run, bool]:
        """Start a run, or find the one that was started with the same key.

        :returns: the run, and whether it is new.
        :raises UsageError: what is asked does not fit.
        :raises AccessError: who asks may not.
        :raises LingError: ``busy``: this process executes as many runs as it may, or is going away.
        """
        mine = self._executes()
        if self._draining or (mine and self.room <= 0):
            raise LingError("too many runs at the moment", code="busy", retryable=True)
        await self.come_alive()
        owned = {"status": Run.Status.RUNNING, "epoch": 1, "attempts": 1, "runner_id": self.id}
        at_once = mine and not start.conversation
        columns = {**owned, "started_at": timezone.now()} if at_once else {}
        language = translation.get_language() or ""
        row, new = await in_database(create_run, start, identity, language=language, **columns)
        if new and at_once:
            self._launch(row)
        elif new and mine:
            get_hub().create(str(row.pk))  # so that viewers can wait for it
            get_hub().release(str(row.pk))  # it may be another process that executes it
            await self.pick_up()
        elif new:
            if start.conversation:
                await self._end_orphans()  # what it interrupted may have had no owner
            await wake(str(row.pk))
        return row, new

    async def cancel(self, row: Run) -> None:
        """Stop a run: at once if it is executed here, else by a note that its owner reads within a second."""
        if run := self._runs.get(str(row.pk)):
            run.cancel()
        elif not row.ended and await in_database(claims.request_cancel, row):
            await self._end_orphans()

    # -- for servers and commands ------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more runs this process takes."""
        most = app_settings().max_runs if self._most is None else self._most
        return most - len(self._tasks)

    @property
    def draining(self) -> bool:
        """Whether this process is going away."""
        return self._draining

    def running(self) -> list[str]:
        """Ids of the runs that this process executes."""
        return list(self._tasks)

    async def wait(self, run_id: str) -> None:
        """Wait for the end of a run that this process executes."""
        if task := self._tasks.get(run_id):
            await asyncio.wait([task])

    async def come_alive(self) -> None:
        """Make sure that this process has its row, its heart beats and it looks for runs to take over."""
        loop = asyncio.get_running_loop()
        if self._heart is None or self._heart.done() or self._heart.get_loop() is not loop:
            self._heart = loop.create_task(self._beat(), name="lingstream heart", context=Context())
            self._registered = None
        known = self._registered
        if known is None or (known.done() and (known.cancelled() or known.exception())):
            self._registered = known = loop.create_task(self._register(), context=Context())
        # One for all that start the first runs; a request that goes away ends its own wait only.
        await asyncio.shield(known)

    async def pick_up(self) -> None:
        """Take runs that wait for an owner, as far as there is room, and end those that nobody else will."""
        settings = app_settings()
        async with self._picking:  # or two would fill the same room
            if self._draining or self.room <= 0 or not self._executes():
                return
            limits = {"attempts": settings.max_attempts}
            for row in await in_database(
                claims.claim, self.id, settings.dead_after, most=self.room, **limits
            ):
                self._launch(row)
            for row in await in_database(claims.lose, self.id, settings.dead_after, **limits):
                await self._write_end(row)
        await self._end_orphans()

    async def drain(self) -> None:
        """Take no more runs, give running ones a grace, leave the rest to others, and close everything.

        A second call waits no longer than the first.
        """
        self._draining = True
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=app_settings().drain)
        for name, task in self._tasks.items():
            run = self._runs.get(name)
            if run is None or not run.ending:
                task.cancel()  # without a ``done``: a later epoch goes on
        await self._close()

    async def aclose(self) -> None:
        """Cancel what runs, and close everything."""
        for run in self._runs.values():
            run.cancel()
        await self._close()

    # -- executing ---------------------------------------------------------------------------------

    def _executes(self) -> bool:
        return app_settings().execution == self.kind

    def _launch(self, row: Run) -> None:
        name = str(row.pk)
        log = get_hub().create(name)  # before the answer goes out: who asks for the events finds them
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._execute(row, log), name=f"run {name}", context=Context())
        self._tasks[name], self._epochs[name] = task, row.epoch
        task.add_done_callback(lambda task: self._landed(name, task))

    def _landed(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name], self._epochs[name]

    async def _execute(self, row: Run, log: RunLog) -> None:
        name = str(row.pk)
        if row.language:
            translation.activate(row.language)
        try:
            history = await persist(load_history, row) if row.conversation_id else []
            journal = await persist(DatabaseJournal.load, row) if row.epoch > 1 else DatabaseJournal(row)

            async def end(result: engine.RunResult) -> None:
                if not await persist(store_result, row, result, str(log.last_id.following)):
                    raise Fenced(f"run {name} belongs to another runner by now")

            run = self._runs[name] = engine.Run(
                plan_of(row),
                row.input,
                log=log,
                providers=self._providers.get,
                journal=journal,
                history=history,
                epoch=row.epoch,
                end=end,
            )
            if row.cancel_requested_at:
                run.cancel()  # somebody asked while its last owner was dying
            async with _checkpoints(row, log):
                await run.execute()
        except Fenced as error:
            logger.info("run %s goes on elsewhere: %s", name, error)
        except (OperationalError, InterfaceError):
            # It stays in the database as it is: a heart beat finds that nobody executes it.
            logger.exception("run %s: the database did not come back", name)
        except Exception:
            logger.exception("run %s failed", name)
            await self._bury(row, log)
        finally:
            self._runs.pop(name, None)
            get_hub().release(name)
        if row.conversation_id:
            with contextlib.suppress(DatabaseError):  # else the timer sees to it
                await self.pick_up()  # the next run of the conversation may have waited for this one

    async def _bury(self, row: Run, log: RunLog) -> None:
        """End a run that its own execution could not end: nobody may be left waiting for it."""
        error = InternalError("the run")
        try:
            if log.last_id.epoch < row.epoch:
                await log.open(row.epoch, {**empty_snapshot(), "document": row.document})
            log.write(row.epoch, "error", error.to_wire())
            result = engine.RunResult("failed", log.state.document.value, Usage(), error.to_wire())
            if await persist(store_result, row, result, str(log.last_id.following)):
                log.write(
                    row.epoch, "done", engine.done_body("failed", result.usage.to_wire(), result.document)
                )
                await log.flush()
        except Exception:
            logger.exception("run %s could not be ended", row.pk)

    async def _end_orphans(self) -> None:
        """Write the end of runs whose processes died after storing it, or that never had a process."""
        settings = app_settings()
        for row in await in_database(claims.orphans, settings.dead_after, within=settings.log_ttl):
            log = await get_hub().find(str(row.pk), running=row.runner_id is None)
            silent = log is not None and not log.ended
            if await in_database(claims.adopt, row, self.id, epoch=silent) and silent:
                await self._write_end(await in_database(load_run, row.pk))

    async def _write_end(self, row: Run) -> None:
        """Write an epoch that says no more than how the run ended, as the database has it."""
        name = str(row.pk)
        log = get_hub().create(name)
        try:
            await log.open(row.epoch, {**empty_snapshot(), "document": row.document})
            if row.status == Run.Status.LOST:
                log.write(row.epoch, "error", row.errors[0])
            log.write(row.epoch, "done", engine.done_body(row.status, row.usage, row.document))
            await log.flush()
        except LingError as error:
            logger.warning("run %s: its log does not say that it is %s: %s", name, row.status, error)
        finally:
            get_hub().release(name)

    async def _register(self) -> None:
        await in_database(claims.register, self.id, self.kind)
        if self._executes():
            with contextlib.suppress(LingError):
                kinds = await in_database(provider_kinds_in_use)
                await asyncio.to_thread(preload, kinds, app_settings().provider_kinds)

    async def _close(self) -> None:
        """Wait for the tasks to end, then give up this process's row and its connections."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))
        if self._heart:
            self._heart.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heart
            self._heart = None
            with contextlib.suppress(Exception):
                await in_database(claims.sign_off, self.id)
        await self._providers.aclose()
        await close_broker()

    async def _beat(self) -> None:
        """Say that this process lives, hear who wants a run stopped, and look for runs to take over.

        With jitter, so that processes which started together do not ask together.
        """
        settings = app_settings()
        due = 0.0
        away = False
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(settings.tick * random.uniform(0.8, 1.2))  # noqa: S311  # a pace, not a secret
            try:
                if self._runs:
                    for name in await in_database(claims.cancel_requests, self.id):
                        if run := self._runs.get(name):
                            run.cancel()
                if loop.time() >= due:
                    due = loop.time() + settings.heartbeat_every
                    if not await in_database(claims.heartbeat, self.id):
                        await in_database(claims.register, self.id, self.kind)
                    await self._compare()
                    await self.pick_up()
                away = False
            except Exception as error:
                if not away:  # once, and not at every tick
                    logger.warning("no heartbeat, until the database answers: %s", error, exc_info=True)
                away = True

    async def _compare(self) -> None:
        """Compare what runs here with what the database says, and give in where they differ twice in a row.

        What the database says runs here and does not: an answer of the database was lost, or whoever waited
        for it. What runs here and is another's: this process was silent for too long.
        """
        here = {(name, epoch) for name, epoch in self._epochs.items()}
        owned = set((await in_database(claims.owned, self.id)).items())
        # Only what is a difference before and after we asked; the rest has just begun or just ended.
        unknown, lost = owned - here, here - owned
        stray = unknown & self._doubtful
        await in_database(claims.release, self.id, [name for name, epoch in stray if name not in self._tasks])
        for name, epoch in lost & self._doubtful:
            run = self._runs.get(name)
            if self._epochs.get(name) == epoch and not (run and run.ending):
                logger.warning("run %s: epoch %d has another owner by now", name, epoch)
                self._tasks[name].cancel()
        self._doubtful = unknown | lost


@contextlib.asynccontextmanager
async def _checkpoints(row: Run, log: RunLog) -> AsyncIterator[None]:
    """Store the growing document every few seconds, for who asks in another process or after a crash."""

    async def store() -> None:
        stored = log.last_id
        while True:
            await asyncio.sleep(app_settings().checkpoint)
            if log.last_id == stored or log.last_id.epoch != row.epoch:
                continue  # nothing new, or not open yet
            stored = log.last_id
            document = copy_json(log.state.document.value)  # a thread must not see it grow
            try:
                await in_database(store_checkpoint, row, document, str(stored))
            except Exception:
                logger.warning("run %s: no checkpoint, the database is away", row.pk, exc_info=True)

    task = asyncio.create_task(store())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
