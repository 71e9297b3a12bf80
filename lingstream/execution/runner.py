"""The runner: executes runs as tasks of this process, apart from every request.

A run is a detached task with a strong reference, in a context of its own: a task that inherited the context
of a Django request would keep that request's thread and database handle for as long as the model talks.

The same class serves ``inline`` execution in the web process and ``manage.py ling_worker``: they differ in
who may take a queued run, and in nothing else. Ownership is the database's (:mod:`.ownership`); what is asked
of it goes through threads of the runner's own (:mod:`.heart`, :mod:`.journal`, :mod:`.lane`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterator
from contextvars import Context
from functools import lru_cache
from typing import Any
from uuid import uuid4

from django.utils import timezone, translation

from lingstream.access.identity import Identity
from lingstream.conf import app_settings
from lingstream.core.ending import bounded, end_tasks
from lingstream.core.engine import run as engine
from lingstream.core.exceptions import ConfigurationError, Fenced, InternalError, LingError
from lingstream.core.log.ports import RunLog
from lingstream.core.log.state import empty_snapshot
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Message, Usage
from lingstream.hubs import get_hub
from lingstream.models import Run
from lingstream.providers import preload

from . import ownership
from .aftermath import conversation_run_ended
from .away import AWAY
from .broker import close as close_broker
from .broker import notify, notify_from_thread
from .heart import Beat, Heart
from .journal import Checkpoints, DatabaseJournal, Writer
from .lane import Lane
from .memory import history_of
from .observers import get_observers
from .plans import inner_plan_of
from .retention import Pruning
from .services import RunServices, SiteServices, Who, begin_addresses
from .start import Start, create_run, known_run, queue_run
from .storage import in_database, load_identity, plan_of, provider_kinds_in_use
from .timer import Timer, due

__all__ = ["Runner", "get_runner", "latest_trace", "living_runner", "tell"]

logger = logging.getLogger("lingstream")

due("pruning", Pruning())

_BATCH = 8  # runs that are claimed at once
_LAG = 0.25  # seconds that the event loop may be late before the process takes no more runs
_RECALL = 120.0  # seconds that a memory may take; the database may be away for half of them
_WAIT = 0.5  # seconds that its work for the database may wait before it takes no more
_ALL_THE_SAME = 3.0  # seconds after which it takes one more even so: if all are late, nobody else may
_SIGN_OFF = 5.0  # seconds for the database to hear that the process goes away
_PAUSE, _PAUSES = 0.02, 30  # seconds of a pause between two claims, and how many there are at most
_LATE, _CALM = 0.01, 3  # a pause that ends within so many seconds is calm, and so many in a row are enough
_PER_RUN = 0.001  # seconds of pause between two claims for each run that is executed here already


def get_runner() -> Runner:
    """Return this process's runner."""
    return _runner()


@lru_cache(maxsize=1)
def _runner() -> Runner:
    return Runner()


def living_runner() -> Runner | None:
    """Return the runner that lives in this process, a web process's or a worker's; asked in any thread."""
    return _living if _living is not None and _living.lives else None


def latest_trace(run: Run) -> list[dict[str, Any]]:
    """Return what the steps of a run have done, as of now if it is executed here, else as it is stored."""
    runner = None if run.ended else living_runner()
    trace = runner.trace(str(run.pk)) if runner else None
    return list(run.trace) if trace is None else trace


def tell(run: Run) -> None:
    """Say, from any thread, that ``run`` waits: to this process's runner, or by the broker.

    Nobody has to hear it: those that execute runs look on a timer.
    """
    runner = living_runner()
    if not (runner and runner.tell(run)) and app_settings().execution != "inline":
        notify_from_thread(str(run.pk))


_living: Runner | None = None


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
        self._epochs: dict[str, int] = {}
        self._reserved = 0  # runs that are about to start
        self._claiming = asyncio.Lock()
        self._unknown: set[tuple[str, int]] = set()
        self._settling: asyncio.Task[None] | None = None
        self._services = SiteServices()
        self._lane = Lane()
        self._writer = Writer()
        self._checkpoints = Checkpoints(self._writer, app_settings().checkpoint)
        self._heart: Heart | None = None
        self._life: list[asyncio.Task[None]] = []  # pulse, picker and timer
        self._registered: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()  # somebody says that runs wait
        self._told: set[asyncio.Task[None]] = set()
        self._lag = 0.0
        self._all_the_same = 0.0  # when it takes a run although it is behind
        self._draining = False

    # -- for transports ----------------------------------------------------------------------------

    async def start(self, start: Start, identity: Identity) -> tuple[Run, bool]:
        """Start a run, or find the one that was started with the same key.

        :returns: the run, and whether it is new.
        :raises UsageError: what is asked does not fit.
        :raises AccessError: who asks may not.
        :raises LingError: ``busy``: this process executes as many runs as it may, or is going away;
            ``no-runner``: others execute runs, and none of them lives.
        """
        mine = self.executes
        if mine and self.room <= 0:
            async with self._claiming:
                pass  # it keeps room for more than it may find
        if self._draining or (mine and self.room <= 0):
            if known := await in_database(known_run, start, identity):
                return known, False
            raise LingError(Phrase("too many runs at the moment"), code="busy", retryable=True)
        owned = {"status": Run.Status.RUNNING, "epoch": 1, "attempts": 1, "runner_id": self.id}
        at_once = mine and not start.conversation
        language = translation.get_language() or ""
        with self._reserve(1 if at_once else 0):
            await self.ensure_registered()
            columns = {**owned, "started_at": timezone.now()} if at_once else {}
            create = create_run if mine else queue_run
            row, new = await in_database(create, start, identity, language=language, **columns)
            if new and at_once:
                self._launch(row)
        if new and not at_once:
            await self._announce(row)
        return row, new

    def tell(self, row: Run) -> bool:
        """Say, from any thread, that a run waits; return false if nobody lives here to hear it."""
        known = self._registered
        if known is None or not self.lives:
            return False
        try:
            known.get_loop().call_soon_threadsafe(self._hear, row, context=Context())
        except RuntimeError:  # the loop was closed just now
            return False
        return True

    async def cancel(self, row: Run) -> None:
        """Stop a run: at once if it is executed here, else by a note that its owner reads within a second."""
        if run := self._runs.get(str(row.pk)):
            run.cancel()
        elif not row.ended and await self._lane.call(ownership.request_cancel, row):
            await self._end_orphans()

    # -- for servers and commands ------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more runs this process takes."""
        most = app_settings().max_runs if self._most is None else self._most
        return most - len(self._tasks) - self._reserved

    @property
    def behind(self) -> bool:
        """Whether this process cannot keep up with what it has, and leaves what comes to others."""
        return self._lag > _LAG or self._lane.oldest > _WAIT or self._writer.oldest > _WAIT

    @property
    def lives(self) -> bool:
        """Whether an event loop turns for it, and it is not going away; asked in any thread."""
        known = self._registered
        return known is not None and known.get_loop().is_running() and not self._draining

    @property
    def executes(self) -> bool:
        """Whether it is processes of its kind that execute the site's runs."""
        return app_settings().execution == self.kind

    @property
    def draining(self) -> bool:
        """Whether this process is going away."""
        return self._draining

    def running(self) -> list[str]:
        """Ids of the runs that this process executes."""
        return list(self._tasks)

    def trace(self, run_id: str) -> list[dict[str, Any]] | None:
        """Return what the steps of a run that is executed here have done so far; asked in any thread."""
        run = self._runs.get(run_id)
        return None if run is None else list(run.trace)

    async def wait(self, run_id: str) -> None:
        """Wait for the end of a run that this process executes."""
        if task := self._tasks.get(run_id):
            await asyncio.wait([task])

    async def ensure_registered(self) -> None:
        """Make sure that this process has its row, its heart beats and it looks for runs to take."""
        global _living
        loop = asyncio.get_running_loop()
        _living = self
        known = self._registered
        failed = known is not None and known.done() and (known.cancelled() or known.exception())
        moved = known is not None and known.get_loop() is not loop
        if known is None or failed or moved:
            self._registered = known = loop.create_task(self._register(moved=moved), context=Context())
        # One for all that start the first runs; a request that goes away ends its own wait only.
        await asyncio.shield(known)

    def look(self) -> None:
        """Look for runs that wait for an owner, now and not when it is time."""
        self._wanted.set()

    async def drain(self) -> None:
        """Take no more runs, give running ones a grace, leave the rest to others, and close everything.

        A second call waits no longer than the first.
        """
        self._draining = True
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=app_settings().drain)
        for name in list(self._tasks):
            self._leave(name)
        await self._close()

    async def aclose(self) -> None:
        """Cancel what runs, and close everything."""
        for run in self._runs.values():
            run.cancel()
        await self._close()

    # -- executing ---------------------------------------------------------------------------------

    def _hear(self, row: Run) -> None:
        task = asyncio.get_running_loop().create_task(self._heed(row), name=f"told of run {row.pk}")
        self._told.add(task)
        task.add_done_callback(self._told.discard)

    async def _heed(self, row: Run) -> None:
        try:
            await self.ensure_registered()
            await self._announce(row)
        except Exception as error:
            logger.warning("run %s waits until a timer finds it: %s", row.pk, error)

    async def _announce(self, row: Run) -> None:
        """A run has been queued: see to it, or let a worker know."""
        name = str(row.pk)
        if row.conversation_id:
            await self._end_orphans()  # what it interrupted may have had no owner
        if not self.executes:
            await notify(name)
            return
        if name not in self._tasks:
            get_hub().create(name)  # so that viewers can wait for it
            get_hub().release(name)  # it may be another process that executes it
        self.look()

    @contextlib.contextmanager
    def _reserve(self, runs: int) -> Iterator[None]:
        """Count runs that are about to start."""
        self._reserved += runs
        try:
            yield
        finally:
            self._reserved -= runs

    def _launch(self, row: Run) -> None:
        name = str(row.pk)
        log = get_hub().create(name)  # before the answer goes out: who asks for the events finds them
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._execute(row, log), name=f"run {name}", context=Context())
        self._tasks[name], self._epochs[name] = task, row.epoch
        task.add_done_callback(lambda task: self._task_ended(name, task))

    def _task_ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name], self._epochs[name]

    def _leave(self, name: str) -> None:
        """Stop a run without a ``done``, for a later epoch to go on; one that is ending may end."""
        run = self._runs.get(name)
        if run is None or not run.ending:
            self._tasks[name].cancel()

    async def _execute(self, row: Run, log: RunLog) -> None:
        name = str(row.pk)
        begin_addresses()
        if row.language:
            translation.activate(row.language)
        persist = self._lane.persist
        try:
            history = await self._recall(row) if row.conversation_id else []
            recorded = await persist(DatabaseJournal.load, row) if row.epoch > 1 else None
            journal = DatabaseJournal(row, self._writer, recorded)

            async def end(result: engine.RunResult) -> None:
                await journal.end(result, str(log.last_id.following))

            who = Who(lambda: persist(load_identity, row))
            run = self._runs[name] = engine.Run(
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
            if row.cancel_requested_at:
                run.cancel()  # somebody asked while its last owner was dying
            with self._checkpoints.of(row, log, lambda: run.trace):
                await run.execute()
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
                await self._fail(row, log, error)
        finally:
            self._runs.pop(name, None)
            get_hub().release(name)
        if row.conversation_id:
            self.look()  # the next run of the conversation may have waited for this one
            if not self._draining:
                await self._look_after(row)

    async def _look_after(self, row: Run) -> None:
        """See to what follows the end of a run of a conversation."""
        try:
            for queued in await self._lane.call(conversation_run_ended, row.pk):
                await self._announce(queued)
        except Exception:
            logger.warning("what follows the end of run %s waits for the next one", row.pk, exc_info=True)

    async def _recall(self, row: Run) -> list[Message]:
        """Return what the run's bots remember, in a bounded time: the run's own begins only afterwards."""
        try:
            return await bounded(self._lane.persist(history_of, row), _RECALL)
        except TimeoutError as error:
            message = Phrase(
                "expected LINGSTREAM['MEMORY'] to take up to %(seconds)s s", seconds=f"{_RECALL:g}"
            )
            raise ConfigurationError(message) from error

    async def _fail(self, row: Run, log: RunLog, why: Exception) -> None:
        """End a run that its own execution could not end: nobody may be left waiting for it."""
        error = why if isinstance(why, ConfigurationError) else InternalError(Phrase("the run"))
        try:
            if log.last_id.epoch < row.epoch:
                await log.open(row.epoch, {**empty_snapshot(), "document": row.document})
            log.write(row.epoch, "error", error.to_wire())
            result = engine.RunResult("failed", log.state.document.value, Usage(), (error.to_wire(),))
            await DatabaseJournal(row, self._writer).end(result, str(log.last_id.following))
            log.write(row.epoch, "done", engine.done_body("failed", result.usage.to_wire(), result.document))
            await log.flush()
        except Exception:
            logger.exception("run %s could not be ended", row.pk)

    async def _end_orphans(self) -> None:
        """Write the end of runs whose processes died after storing it, or that never had a process."""
        settings = app_settings()
        for row in await self._lane.call(ownership.orphans, settings.dead_after, within=settings.log_ttl):
            log = await get_hub().find(str(row.pk), running=row.runner_id is None)
            silent = log is not None and not log.ended
            if await self._lane.call(ownership.adopt, row, self.id, epoch=silent) and silent:
                row.epoch += 1  # as it has been stored; the row itself may have been deleted since
                await self._write_end(row)

    async def _write_end(self, row: Run) -> None:
        """Write an epoch that says no more than how the run ended, as the database has it."""
        name = str(row.pk)
        log = get_hub().create(name)
        try:
            why = {"error": row.failure} if row.failure else {}
            await log.open(row.epoch, {**empty_snapshot(), "document": row.document, **why})
            if row.status == Run.Status.LOST:
                log.write(row.epoch, "error", row.errors[0])
            log.write(row.epoch, "done", engine.done_body(row.status, row.usage, row.document))
            await log.flush()
        except LingError as error:
            logger.warning("run %s: its log does not say that it is %s: %s", name, row.status, error)
        finally:
            get_hub().release(name)

    # -- being alive -------------------------------------------------------------------------------

    async def _register(self, *, moved: bool = False) -> None:
        """Store this process's row; from then on its heart beats, and it looks for runs.

        :param moved: it lived on another event loop before.
        """
        settings = app_settings()
        if moved:
            await self._leave_loop()
        await self._lane.call(ownership.register, self.id, self.kind)
        if self.executes:
            with contextlib.suppress(LingError):
                kinds = await self._lane.call(provider_kinds_in_use)
                await asyncio.to_thread(preload, kinds, settings.provider_kinds)
        await self._stop_life()
        self._heart = heart = Heart(
            self.id, self.kind, settings, running=lambda: dict(self._epochs), heard=self._heard
        )
        life = {"pulse": self._pulse(heart, settings.tick / 2)}
        if self.executes:
            life["picker"] = self._pick(heart)
            life["timer"] = Timer(self._lane.call, settings.heartbeat_every).run()
        loop = asyncio.get_running_loop()
        self._life = [
            loop.create_task(work, name=f"lingstream {name}", context=Context())
            for name, work in life.items()
        ]

    async def _leave_loop(self) -> None:
        """Give up what is bound to a loop that is over: each async test of a site has one of its own."""
        self._life, self._settling = [], None
        for known in (self._tasks, self._runs, self._epochs, self._told):
            known.clear()  # they ended with it
        await self._stop_life()  # the heart
        await self._writer.aclose()
        await self._lane.aclose()
        await self._services.end_threads()
        self._claiming, self._wanted = asyncio.Lock(), asyncio.Event()
        self._services = SiteServices()

    async def _stop_life(self) -> None:
        life, self._life = self._life, []
        await end_tasks(*life)
        if heart := self._heart:
            self._heart = None
            await heart.aclose()

    async def _close(self) -> None:
        """Wait for the tasks to end, then give up this process's row and its connections."""
        if tasks := list(self._tasks.values()):
            _, going = await asyncio.wait(tasks, timeout=app_settings().drain)
            await end_tasks(*going)  # a workflow's own code may be deaf
        await self._writer.aclose()  # before anybody may take what is still to be written
        await end_tasks(*self._told)
        known, self._registered = self._registered, None
        if known is not None:
            await end_tasks(known)  # a database that hangs may hold it
            await self._stop_life()
            with contextlib.suppress(Exception):
                await bounded(self._lane.call(ownership.sign_off, self.id), _SIGN_OFF)
        await self._lane.aclose()
        await self._services.aclose()
        await close_broker()

    async def _pulse(self, heart: Heart, pause: float) -> None:
        """Tell the heart that the loop turns, and see how late it is: awaits nothing but ``sleep``."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(pause)
            late = loop.time() - before - pause
            self._lag = max(late, (self._lag + late) / 2)
            heart.pulse()

    def _heard(self, beat: Beat) -> None:
        """Do as the database says; see :class:`Beat`."""
        for name in beat.cancels:
            if run := self._runs.get(name):
                run.cancel()
        if beat.unknown is None:
            return
        taken = [(name, epoch) for name, epoch in beat.taken if self._epochs.get(name) == epoch]
        for name, epoch in taken:
            logger.warning("run %s goes on elsewhere: epoch %d has another owner by now", name, epoch)
            self._leave(name)
        # What it says runs here and does not, twice in a row: an answer of the database was lost, or whoever
        # waited for it. Once is nothing: it may have just begun, or just ended. A process that stops gives up
        # all of its runs at once, when what they wrote is stored, and without counting an attempt.
        twice = set() if self._draining else beat.unknown & self._unknown
        stray = [name for name, _ in twice if name not in self._tasks]
        self._unknown = beat.unknown
        if taken or stray:
            loop = asyncio.get_running_loop()
            self._settling = loop.create_task(self._settle(taken, stray), context=Context())

    async def _settle(self, taken: list[tuple[str, int]], stray: list[str]) -> None:
        with contextlib.suppress(*AWAY):
            await self._lane.call(ownership.forgive, self.id, taken)
            await self._lane.call(ownership.release, self.id, stray)

    async def _pick(self, heart: Heart) -> None:
        """Take runs that wait, for ever: the one task of the process that does, so no room is filled twice.

        With jitter, so that processes which started together do not ask together.
        """
        settings = app_settings()
        loop = asyncio.get_running_loop()
        due = 0.0
        away = False
        while True:
            self._wanted.clear()
            try:
                rest = await self._claim(heart)
                if loop.time() >= due:
                    due = loop.time() + settings.heartbeat_every * random.uniform(0.8, 1.2)  # noqa: S311
                    await self._end_others(heart)
                away = False
            except Exception as error:
                if not away:  # once, and not at every tick
                    logger.warning("nothing is taken, until the database answers: %s", error, exc_info=True)
                rest = away = True
            if rest:  # what waits has to wait for room, however often somebody says that it is there
                await asyncio.sleep(settings.tick * random.uniform(0.8, 1.2))  # noqa: S311
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wanted.wait()

    async def _claim(self, heart: Heart) -> bool:
        """Claim runs as far as there is room; return whether some may be left.

        A few at a time, and the slower the more there are here already: so load evens out between processes
        that look at the same moment.
        """
        settings = app_settings()
        now = asyncio.get_running_loop().time
        while not self._draining:
            most = min(_BATCH, self.room)
            if most > 0 and self.behind:
                most = 1 if now() >= self._all_the_same else 0
            if most <= 0:
                return True
            self._all_the_same = now() + _ALL_THE_SAME
            self._wanted.clear()
            async with self._claiming:
                with self._reserve(most):
                    rows = await self._lane.call(
                        ownership.claim,
                        self.id,
                        settings.dead_after,
                        attempts=settings.max_attempts,
                        most=most,
                        takeover=heart.steady,
                    )
                    for row in rows:
                        told = str(row.pk), row.epoch
                        get_observers().tell("claimed", *told)
                        self._launch(row)
            if len(rows) < most and not self._wanted.is_set():
                return False
            await self._pace()
        return False

    async def _pace(self) -> None:
        """Let what was claimed begin, until the event loop is on time again.

        A run costs most when it begins, and the pulse hears of that only at its next turn. Who takes hundreds
        at once has them all in step from then on, and whoever waits for one of them waits for all.
        """
        now = asyncio.get_running_loop().time
        await asyncio.sleep(_PER_RUN * len(self._tasks))
        calm = 0
        for _pause in range(_PAUSES):
            due = now() + _PAUSE
            await asyncio.sleep(_PAUSE)
            calm = calm + 1 if now() - due < _LATE else 0
            if calm == _CALM:
                return

    async def _end_others(self, heart: Heart) -> None:
        """End the runs that nobody else will end."""
        settings = app_settings()
        for row in await self._lane.call(
            ownership.lose,
            self.id,
            settings.dead_after,
            attempts=settings.max_attempts,
            takeover=heart.steady,
        ):
            await self._write_end(row)
        await self._end_orphans()
