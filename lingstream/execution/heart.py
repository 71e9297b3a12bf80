"""The heart of a process: says that it lives, on a thread with a connection and nothing else on it.

1. It beats only while the event loop does: a process whose loop has stood still for ``DEAD_AFTER`` seconds is
   not alive, whatever its threads say.
2. Nothing that waits for the database stands between two beats but the three questions of a beat.
3. Who judges others must have been steady itself: see :attr:`Heart.steady`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from django.db import connections

from lingstream.conf import LingstreamSettings

from . import ownership
from .lane import DatabaseThread, end_threads, keep_connections

__all__ = ["Beat", "Heart"]

logger = logging.getLogger("lingstream")


class Beat(NamedTuple):
    """What the database said.

    :param cancels: runs of this process that somebody wants stopped.
    :param unknown: runs, with their epochs, that the database says this process executes, and it did not
        before it asked. ``None`` at a look that was no full beat.
    :param taken: runs, with their epochs, that this process executes and that are not its own any more.
    """

    cancels: list[str]
    unknown: set[tuple[str, int]] | None
    taken: list[tuple[str, int]]


class Heart:
    """Beats from its making to :meth:`aclose`.

    :param runner_id: of the process's row.
    :param kind: of the process.
    :param running: returns the runs that this process executes, with their epochs; called in the thread.
    :param heard: gets what each beat brought, in the event loop that the heart was made in.
    """

    def __init__(
        self,
        runner_id: UUID,
        kind: str,
        settings: LingstreamSettings,
        *,
        running: Callable[[], dict[str, int]],
        heard: Callable[[Beat], None],
    ) -> None:
        self._runner_id = runner_id
        self._kind = kind
        self._settings = settings
        self._running = running
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._over = threading.Event()
        self._away = False
        now = time.monotonic()
        self._pulse = self._last = self._steady_since = now
        self._thread = DatabaseThread("lingstream heart", self._beat)

    def pulse(self) -> None:
        """The event loop says that it turns; called by a task that awaits nothing but ``sleep``."""
        self._pulse = time.monotonic()

    @property
    def steady(self) -> bool:
        """Whether this process may judge that others are dead.

        Only who has beaten without a gap for ``DEAD_AFTER`` itself may: else the first process that comes
        back after the database was away, or the machine stood still, would take everything from all others.
        """
        now = time.monotonic()
        return now - self._steady_since >= self._settings.dead_after and now - self._last <= self._gap

    async def aclose(self) -> None:
        """Stop beating."""
        self._over.set()
        await end_threads(self._thread)

    @property
    def _gap(self) -> float:
        """Seconds between two beats past which a process is not steady."""
        return self._settings.dead_after / 2

    def _beat(self) -> None:
        due = 0.0
        while True:
            try:
                running = self._running()
                cancels = ownership.cancel_requests(self._runner_id) if running else []
                unknown, taken = None, []
                now = time.monotonic()
                if now >= due and now - self._pulse < self._settings.dead_after:
                    due = now + self._settings.heartbeat_every
                    self._say()
                    owned = ownership.owned(self._runner_id)
                    unknown = set(owned.items()) - set(running.items())
                    taken = ownership.taken(self._runner_id, running.items() - owned.items())
                keep_connections()
                self._away = False
            except Exception as error:
                if not self._away:  # once, and not at every tick
                    logger.warning("no heartbeat, until the database answers: %s", error, exc_info=True)
                self._away = True
                connections.close_all()
            else:
                if cancels or unknown is not None:
                    try:
                        self._loop.call_soon_threadsafe(self._heard, Beat(cancels, unknown, taken))
                    except RuntimeError:  # the loop is closed, and nobody has said so
                        return
            # With jitter, so that processes which started together do not ask together.
            if self._over.wait(self._settings.tick * random.uniform(0.8, 1.2)):  # noqa: S311  # a pace
                return

    def _say(self) -> None:
        if not ownership.heartbeat(self._runner_id):
            ownership.register(self._runner_id, self._kind)
        now = time.monotonic()
        if now - self._last > self._gap:
            self._steady_since = now
        self._last = now
