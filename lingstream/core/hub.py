"""The hub finds or creates the log of a run."""

from __future__ import annotations

import asyncio
from typing import Protocol

from .log import MemoryLog, RunLog

__all__ = ["Hub", "MemoryHub"]


class Hub(Protocol):
    """The port: where run logs live."""

    def create(self, run: str) -> RunLog:
        """Return the log of ``run`` for its writer, a new one if there is none."""
        ...

    async def find(self, run: str, *, running: bool = False) -> RunLog | None:
        """Return the log of ``run`` for readers, or ``None`` where this hub cannot reach it.

        :param running: the database says that the run has not ended: a hub that processes share then returns
            a log that waits for its writer, where there is none yet.
        """
        ...

    def release(self, run: str) -> None:
        """The run has ended: keep its log for a while, then forget it; the database answers from then on."""
        ...

    def drop(self, run: str) -> None:
        """Forget the log of ``run`` in this process at once; its readers ask the database."""
        ...

    def watch(self, run: str, present: bool) -> None:
        """Say whether this process has a viewer of ``run`` that its owner should know of."""
        ...

    async def watched(self, run: str) -> bool:
        """Whether any process has said so."""
        ...

    async def aclose(self) -> None:
        """Drop all logs, release connections and timers."""
        ...


class MemoryHub:
    """Logs of the runs of this process.

    :param max_frames: frames that each log keeps.
    :param ttl: seconds for which an ended run's log is kept.
    """

    def __init__(self, *, max_frames: int = 5_000, ttl: float = 300.0) -> None:
        self._logs: dict[str, MemoryLog] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._watched: set[str] = set()
        self._max_frames = max_frames
        self._ttl = ttl

    def create(self, run: str) -> MemoryLog:
        """See :meth:`Hub.create`."""
        self._stop_timer(run)
        return self._logs.setdefault(run, MemoryLog(max_frames=self._max_frames))

    async def find(self, run: str, *, running: bool = False) -> MemoryLog | None:
        """See :meth:`Hub.find`."""
        return self._logs.get(run)

    def release(self, run: str) -> None:
        """See :meth:`Hub.release`."""
        self._stop_timer(run)
        if (log := self._logs.get(run)) and not log.last_id.seq:
            return  # it waits for its beginning, and viewers with it
        self._timers[run] = asyncio.get_running_loop().call_later(self._ttl, self.drop, run)

    def drop(self, run: str) -> None:
        """See :meth:`Hub.drop`."""
        self._stop_timer(run)
        if log := self._logs.pop(run, None):
            log.abandon()

    def watch(self, run: str, present: bool) -> None:
        """See :meth:`Hub.watch`."""
        (self._watched.add if present else self._watched.discard)(run)

    async def watched(self, run: str) -> bool:
        """See :meth:`Hub.watched`."""
        return run in self._watched

    async def aclose(self) -> None:
        """See :meth:`Hub.aclose`."""
        for run in list(self._logs):
            self.drop(run)

    def _stop_timer(self, run: str) -> None:
        if timer := self._timers.pop(run, None):
            timer.cancel()
