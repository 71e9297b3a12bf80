"""The runner: a process's part in executing the site's runs, from its first heart beat to its sign-off.

The same class serves ``inline`` execution in the web process and ``manage.py ling_worker``: they differ in
who may take a queued run, and in nothing else. Ownership is the database's (:mod:`.ownership`); what is asked
of it goes through threads of the runner's own (:mod:`.heart`, :mod:`.journal`, :mod:`.lane`). Runs are taken
by its :mod:`.picker`, executed as tasks (:mod:`.running`), and ended for those who died (:mod:`.endings`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextvars import Context
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import uuid4

from django.utils import timezone, translation

from lingstream.access.identity import Identity
from lingstream.conf import app_settings
from lingstream.core.ending import bounded, end_tasks
from lingstream.core.exceptions import LingError
from lingstream.core.phrases import Phrase
from lingstream.hubs import get_hub
from lingstream.models import Run
from lingstream.providers import preload

from . import ownership
from .aftermath import conversation_run_ended
from .away import AWAY
from .broker import close as close_broker
from .broker import notify, notify_from_thread
from .endings import Endings
from .heart import Beat, Heart
from .journal import Writer
from .lane import Lane
from .picker import Picker
from .retention import Pruning
from .running import Running
from .start import Start, create_run, known_run, queue_run
from .storage import in_database, provider_kinds_in_use
from .timer import Timer, due

__all__ = ["Runner", "get_runner", "latest_trace", "living_runner", "tell"]

logger = logging.getLogger("lingstream")

due("pruning", Pruning())

_LAG = 0.25  # seconds that the event loop may be late before the process takes no more runs
_WAIT = 0.5  # seconds that its work for the database may wait before it takes no more
_SIGN_OFF = 5.0  # seconds for the database to hear that the process goes away


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


class _Unknown(NamedTuple):
    """When it was heard that a run is executed here which is not, and what was about to start then."""

    since: float
    starting: frozenset[object]


class Runner:
    """Executes runs in this process.

    :param kind: ``inline`` in a web process, ``worker`` in a worker.
    :param most: runs at the same time; the setting ``MAX_RUNS`` unless given.
    """

    def __init__(self, kind: str = "inline", most: int | None = None) -> None:
        self.id = uuid4()
        self.kind = kind
        self._lane = Lane()
        self._writer = Writer()
        self._endings = Endings(self.id, self._lane, self._writer)
        self._running = Running(most, self._lane, self._writer, self._endings, self._look_after)
        self._picker = self._new_picker()
        self._heart: Heart | None = None
        self._life: list[asyncio.Task[None]] = []  # pulse, picker and timer
        self._registered: asyncio.Task[None] | None = None
        self._unknown: dict[tuple[str, int], _Unknown] = {}
        self._settling: asyncio.Task[None] | None = None
        self._told: set[asyncio.Task[None]] = set()
        self._lag = 0.0
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
            async with self._picker.claiming:
                pass  # it keeps room for more than it may find
        if self._draining or (mine and self.room <= 0):
            if known := await in_database(known_run, start, identity):
                return known, False
            raise LingError(Phrase("too many runs at the moment"), code="busy", retryable=True)
        owned = {"status": Run.Status.RUNNING, "epoch": 1, "attempts": 1, "runner_id": self.id}
        at_once = mine and not start.conversation
        language = translation.get_language() or ""
        with self._running.reserve(1 if at_once else 0):
            await self.ensure_registered()
            columns = {**owned, "started_at": timezone.now()} if at_once else {}
            create = create_run if mine else queue_run
            row, new = await in_database(create, start, identity, language=language, **columns)
            if new and at_once:
                self._running.launch(row)
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
        """Stop a run: at once if it is this process's, else by a note that its owner reads within a second.

        What this process executes may be another's by now: stopping it here would stop nobody.

        :param row: read for this.
        """
        if row.ended or (row.runner_id == self.id and self._running.cancel(str(row.pk))):
            return
        if await self._lane.call(ownership.request_cancel, row):
            await self._endings.end_orphans()

    # -- for servers and commands ------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more runs this process takes."""
        return self._running.room

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
        return list(self._running)

    def trace(self, run_id: str) -> list[dict[str, Any]] | None:
        """Return what the steps of a run that is executed here have done so far; asked in any thread."""
        return self._running.trace(run_id)

    async def wait(self, run_id: str) -> None:
        """Wait for the end of a run that this process executes."""
        await self._running.wait(run_id)

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
        self._picker.look()

    async def drain(self) -> None:
        """Take no more runs, give running ones a grace, leave the rest to others, and close everything.

        A second call waits no longer than the first.
        """
        self._draining = True
        await self._running.drain(app_settings().drain)
        await self._close()

    async def aclose(self) -> None:
        """Cancel what runs, and close everything."""
        for name in self._running:
            self._running.cancel(name)
        await self._close()

    # -- runs that wait ----------------------------------------------------------------------------

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
            await self._endings.end_orphans()  # what it interrupted may have had no owner
        if not self.executes:
            await notify(name)
            return
        if name not in self._running:
            get_hub().create(name)  # so that viewers can wait for it
            get_hub().release(name)  # it may be another process that executes it
        self.look()

    async def _look_after(self, row: Run) -> None:
        """See to what follows the end of a run of a conversation."""
        self.look()  # the next run of the conversation may have waited for this one
        if self._draining:
            return
        try:
            for queued in await self._lane.call(conversation_run_ended, row.pk):
                await self._announce(queued)
        except Exception:
            logger.warning("what follows the end of run %s waits for the next one", row.pk, exc_info=True)

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
            self.id, self.kind, settings, running=self._running.epochs, heard=self._heard
        )
        life = {"pulse": self._pulse(heart, settings.tick / 2)}
        if self.executes:
            life["picker"] = self._picker.run(heart)
            life["timer"] = Timer(self._lane.call, settings.heartbeat_every).run()
        loop = asyncio.get_running_loop()
        self._life = [
            loop.create_task(work, name=f"lingstream {name}", context=Context())
            for name, work in life.items()
        ]

    async def _leave_loop(self) -> None:
        """Give up what is bound to a loop that is over: each async test of a site has one of its own."""
        self._life, self._settling = [], None
        self._told.clear()
        await self._running.leave_loop()
        await self._stop_life()  # the heart
        await self._writer.aclose()
        await self._lane.aclose()
        self._picker = self._new_picker()

    def _new_picker(self) -> Picker:
        return Picker(
            self.id,
            self._running,
            self._lane,
            self._endings,
            behind=lambda: self.behind,
            draining=lambda: self._draining,
        )

    async def _stop_life(self) -> None:
        life, self._life = self._life, []
        await end_tasks(*life)
        if heart := self._heart:
            self._heart = None
            await heart.aclose()

    async def _close(self) -> None:
        """Wait for the tasks to end, then give up this process's row and its connections."""
        await self._running.end_tasks(app_settings().drain)
        await self._writer.aclose()  # before anybody may take what is still to be written
        await end_tasks(*self._told)
        known, self._registered = self._registered, None
        if known is not None:
            await end_tasks(known)  # a database that hangs may hold it
            await self._stop_life()
            try:
                await bounded(self._lane.call(ownership.sign_off, self.id), _SIGN_OFF)
            except Exception as error:  # others take its runs when it has been silent for long enough
                logger.warning("the process could not sign off: %r", error)
        await self._lane.aclose()
        await self._running.aclose()
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
            self._running.cancel(name)
        if beat.unknown is None:
            return
        epochs = self._running.epochs()
        taken = []
        for name, epoch in beat.taken:
            if epochs.get(name) == epoch and self._running.leave(name):
                logger.warning("run %s goes on elsewhere: epoch %d has another owner by now", name, epoch)
                taken.append((name, epoch))
        stray = self._stray(beat.unknown)
        if taken or stray:
            loop = asyncio.get_running_loop()
            self._settling = loop.create_task(self._settle(taken, stray), context=Context())

    def _stray(self, unknown: set[tuple[str, int]]) -> list[tuple[str, int]]:
        """Return runs that are executed here, as it says, and are not: an answer of the database was lost, or
        whoever waited for it.

        Heard once is nothing: it may have just ended. Nor is what may be about to start: what this process
        took may be long on its way to its task, and a loop that stood still hears many beats before. But an
        answer that does not come for as long as the dead are silent may never come. A process that stops
        gives up all of its runs at once, when what they wrote is stored, and without counting an attempt.
        """
        now, starting = asyncio.get_running_loop().time(), self._running.starting
        known, new = self._unknown, _Unknown(now, starting)
        self._unknown = {run: known.get(run, new) for run in unknown}
        if self._draining:
            return []
        late = now - app_settings().dead_after
        return [
            run
            for run in unknown & known.keys()
            if run[0] not in self._running
            and (starting.isdisjoint(known[run].starting) or known[run].since <= late)
        ]

    async def _settle(self, taken: list[tuple[str, int]], stray: list[tuple[str, int]]) -> None:
        with contextlib.suppress(*AWAY):
            await self._lane.call(ownership.forgive, self.id, taken)
            await self._lane.call(ownership.release, self.id, stray)
