"""The runner: executes runs as tasks of this process, apart from every request.

A run is a detached task with a strong reference, in a context of its own: a task that inherited the context
of a Django request would keep that request's thread and database handle for as long as the model talks.

The same class serves ``inline`` execution in the web process and ``manage.py ling_worker``: they differ in who
may take a queued run, and in nothing else. Ownership is the database's (:mod:`.claims`).
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

from django.utils import timezone, translation

from . import claims
from .conf import app_settings
from .core import workflow as engine
from .core.exceptions import Fenced, LingError
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
        elif new:
            get_hub().create(str(row.pk))  # so that viewers can wait for it
            if mine:
                await self.pick_up()
            else:
                await wake(str(row.pk))
        return row, new

    async def cancel(self, row: Run) -> None:
        """Stop a run: at once if it is executed here, else by a note that its owner reads within a second."""
        if run := self._runs.get(str(row.pk)):
            run.cancel()
        elif not row.ended:
            if await in_database(claims.request_cancel, row):
                get_hub().drop(str(row.pk))  # it had no owner, so nobody would write its end

    # -- for servers and commands ------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more runs this process takes."""
        most = app_settings().max_runs if self._most is None else self._most
        return most - len(self._tasks)

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
        if self._heart and not self._heart.done() and self._heart.get_loop() is loop:
            return
        self._heart = loop.create_task(self._beat(), name="lingstream heart", context=Context())
        await in_database(claims.register, self.id, self.kind)
        with contextlib.suppress(LingError):
            kinds = await in_database(provider_kinds_in_use)
            await asyncio.to_thread(preload, kinds, app_settings().provider_kinds)

    async def pick_up(self) -> None:
        """Take runs that wait for an owner, as far as there is room, and end those that are lost."""
        settings = app_settings()
        if self._draining or self.room <= 0 or not self._executes():
            return
        limits = {"attempts": settings.max_attempts}
        for row in await in_database(claims.claim, self.id, settings.dead_after, most=self.room, **limits):
            self._launch(row)
        for row in await in_database(claims.lose, self.id, settings.dead_after, **limits):
            await self._bury(row, get_hub().create(str(row.pk)), "lost")
            get_hub().release(str(row.pk))

    async def drain(self) -> None:
        """Take no more runs, give running ones a grace, leave the rest to others, and close everything."""
        self._draining = True
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=app_settings().drain)
        for task in self._tasks.values():
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
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def _execute(self, row: Run, log: RunLog) -> None:
        name = str(row.pk)
        if row.language:
            translation.activate(row.language)
        try:
            history = await in_database(load_history, row) if row.conversation_id else []
            journal = await in_database(DatabaseJournal.load, row) if row.epoch > 1 else DatabaseJournal(row)

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
            async with _checkpoints(row, log):
                await run.execute()
        except Fenced as error:
            logger.info("run %s goes on elsewhere: %s", name, error)
        except Exception:
            logger.exception("run %s failed", name)
            await self._bury(row, log, "failed")
        finally:
            self._runs.pop(name, None)
            get_hub().release(name)
        if row.conversation_id:
            await self.pick_up()  # the next run of the conversation may have waited for this one

    async def _bury(self, row: Run, log: RunLog, status: str) -> None:
        """End a run that its own execution could not end: nobody may be left waiting for it."""
        error = LingError("the run failed by a fault of the server; its log tells more", code="internal")
        body = row.errors[0] if status == "lost" else error.to_wire()
        with contextlib.suppress(Exception):
            if log.last_id.epoch < row.epoch:
                await log.open(row.epoch, {**empty_snapshot(), "document": row.document})
            log.write(row.epoch, "error", body)
            result = engine.RunResult(status, log.state.document.value, Usage(), body)
            if status == "failed":
                await persist(store_result, row, result, str(log.last_id.following))
            log.write(row.epoch, "done", engine.done_body(result))
            await log.flush()

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
                    await self.pick_up()
            except Exception:
                logger.warning("no heartbeat: the database is away", exc_info=True)


@contextlib.asynccontextmanager
async def _checkpoints(row: Run, log: RunLog) -> AsyncIterator[None]:
    """Store the growing document every few seconds, for who asks in another process or after a crash."""

    async def store() -> None:
        while True:
            await asyncio.sleep(app_settings().checkpoint)
            document, place = copy_json(log.state.document.value), str(log.last_id)  # a thread must not see it grow
            try:
                await in_database(store_checkpoint, row, document, place)
            except Exception:
                logger.warning("run %s: no checkpoint, the database is away", row.pk, exc_info=True)

    task = asyncio.create_task(store())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
