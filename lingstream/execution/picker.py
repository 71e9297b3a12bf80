"""The picker: takes runs that wait for an owner, as far as its process has room and keeps up.

1. One task of a process claims, so no room is filled twice; whoever says that runs wait only sets an event.
2. A claim and its launches are under one lock and a reservation (:attr:`Picker.claiming`): who finds the
   process full waits for the lock, as room is kept for more runs than may be found.
3. A process that is late leaves what comes to others, but not for ever: if all are late, nobody else takes
   it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from uuid import UUID

from lingstream.conf import app_settings

from . import ownership
from .endings import Endings
from .heart import Heart
from .lane import Lane
from .observers import get_observers
from .running import Running

__all__ = ["Picker"]

logger = logging.getLogger("lingstream")

_BATCH = 8  # runs that are claimed at once
_ALL_THE_SAME = 3.0  # seconds after which a process that is late takes one more even so
_PAUSE, _PAUSES = 0.02, 30  # seconds of a pause between two claims, and how many there are at most
_LATE, _CALM = 0.01, 3  # a pause that ends within so many seconds is calm, and so many in a row are enough
_PER_RUN = 0.001  # seconds of pause between two claims for each run that is executed here already


class Picker:
    """Takes runs for one runner.

    :param runner: the runner's id.
    :param running: where they are executed.
    :param lane: where the database is asked.
    :param endings: ends the runs that nobody else will end.
    :param behind: whether the process is late.
    :param draining: whether it is going away, and takes nothing any more.
    """

    def __init__(
        self,
        runner: UUID,
        running: Running,
        lane: Lane,
        endings: Endings,
        *,
        behind: Callable[[], bool],
        draining: Callable[[], bool],
    ) -> None:
        self._runner = runner
        self._running = running
        self._lane = lane
        self._endings = endings
        self._behind, self._draining = behind, draining
        self._all_the_same = 0.0  # when it takes a run although it is late
        self._wanted = asyncio.Event()  # somebody says that runs wait
        self.claiming = asyncio.Lock()

    def look(self) -> None:
        """Look for runs that wait, now and not when it is time."""
        self._wanted.set()

    async def run(self, heart: Heart) -> None:
        """Take runs that wait, for ever, and end those that nobody else will end.

        With jitter, so that processes which started together do not ask together.

        :param heart: it is asked whether this process may judge others.
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
                    await self._endings.end_lost(takeover=heart.steady)
                    await self._endings.end_orphans()
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
        while not self._draining():
            most = min(_BATCH, self._running.room)
            if most > 0 and self._behind():
                most = 1 if now() >= self._all_the_same else 0
            if most <= 0:
                return True
            self._all_the_same = now() + _ALL_THE_SAME
            self._wanted.clear()
            async with self.claiming:
                with self._running.reserve(most):
                    rows = await self._lane.call(
                        ownership.claim,
                        self._runner,
                        settings.dead_after,
                        attempts=settings.max_attempts,
                        most=most,
                        takeover=heart.steady,
                    )
                    for row in rows:
                        get_observers().tell("claimed", str(row.pk), row.epoch)
                        self._running.launch(row)
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
        await asyncio.sleep(_PER_RUN * len(self._running))
        calm = 0
        for _pause in range(_PAUSES):
            due = now() + _PAUSE
            await asyncio.sleep(_PAUSE)
            calm = calm + 1 if now() - due < _LATE else 0
            if calm == _CALM:
                return
