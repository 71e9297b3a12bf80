"""Run logs in the memory of one process, and the hub that keeps them for a while."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Any
from weakref import WeakValueDictionary

from ..notices import MemoryNotices
from .buffer import FrameBuffer
from .frames import FrameId, Kind
from .reader import BufferReader
from .state import RunState

__all__ = ["MemoryHub", "MemoryLog"]

_KEPT_LOGS = 1_000  # ended logs that a process keeps
_KEPT_FRAMES = 100_000  # frames in them, all together


class MemoryLog:
    """The log of a run in this process.

    :param max_frames: how many frames are kept; older ones are trimmed, their readers get a snapshot.
    """

    def __init__(self, *, max_frames: int = 5_000) -> None:
        self.buffer = FrameBuffer(max_frames=max_frames)
        """All that it is made of."""

    @property
    def state(self) -> RunState:
        """See :attr:`RunLog.state`."""
        return self.buffer.state

    @property
    def last_id(self) -> FrameId:
        """See :attr:`RunLog.last_id`."""
        return self.buffer.last_id

    @property
    def ended(self) -> bool:
        """See :attr:`RunLog.ended`."""
        return self.buffer.ended

    async def open(self, epoch: int, snapshot: dict[str, Any]) -> None:
        """See :meth:`RunLog.open`."""
        self.buffer.open(epoch, snapshot)
        self.buffer.publish()

    def write(self, epoch: int, kind: Kind, body: Any) -> FrameId:
        """See :meth:`RunLog.write`."""
        try:
            return self.buffer.append(epoch, kind, body)
        finally:
            self.buffer.publish()  # the ops before one that does not fit, too

    async def flush(self) -> None:
        """See :meth:`RunLog.flush`: in memory everything is there at once."""

    def reader(self, after: str | None = None) -> BufferReader:
        """See :meth:`RunLog.reader`."""
        return BufferReader(self.buffer, after, owner=self)

    def abandon(self) -> None:
        """See :meth:`RunLog.abandon`."""
        self.buffer.abandon()


class MemoryHub:
    """Logs of the runs of this process.

    Memory: ended logs up to 1,000, or 100,000 frames; the oldest go first. A log that waits for its writer
    lives as long as somebody reads it.

    :param max_frames: frames that each log keeps.
    :param ttl: seconds for which an ended run's log is kept.
    """

    shared = False

    def __init__(self, *, max_frames: int = 5_000, ttl: float = 300.0) -> None:
        self.notices = MemoryNotices()
        """See :attr:`Hub.notices`."""
        self._logs: dict[str, MemoryLog] = {}
        self._awaited: WeakValueDictionary[str, MemoryLog] = WeakValueDictionary()
        self._ended: dict[str, tuple[asyncio.TimerHandle, int]] = {}
        self._ended_frames = 0
        self._watched: set[str] = set()
        self._max_frames = max_frames
        self._ttl = ttl

    def create(self, run: str) -> MemoryLog:
        """See :meth:`Hub.create`."""
        self._take_back(run)
        log = self._logs.get(run) or self._awaited.pop(run, None)
        self._logs[run] = log = log or MemoryLog(max_frames=self._max_frames)
        return log

    async def find(self, run: str, *, running: bool = False) -> MemoryLog | None:
        """See :meth:`Hub.find`."""
        log = self._logs.get(run)
        if log is None and running:
            log = self._awaited.setdefault(run, MemoryLog(max_frames=self._max_frames))
        return log

    def release(self, run: str) -> None:
        """See :meth:`Hub.release`."""
        self._take_back(run)
        log = self._logs.get(run)
        if log is None:
            return
        if not log.ended:
            self._awaited[run] = self._logs.pop(run)
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._ttl, self.drop, run, context=Context())
        self._ended[run] = timer, len(log.buffer)
        self._ended_frames += len(log.buffer)
        while len(self._ended) > _KEPT_LOGS or self._ended_frames > _KEPT_FRAMES:
            self.drop(next(iter(self._ended)))

    def drop(self, run: str) -> None:
        """See :meth:`Hub.drop`."""
        self._take_back(run)
        for logs in (self._logs, self._awaited):
            if log := logs.pop(run, None):
                log.abandon()

    def set_watched(self, run: str, watched: bool) -> None:
        """See :meth:`Hub.set_watched`."""
        (self._watched.add if watched else self._watched.discard)(run)

    async def is_watched(self, run: str) -> bool:
        """See :meth:`Hub.is_watched`."""
        return run in self._watched

    async def aclose(self) -> None:
        """See :meth:`Hub.aclose`."""
        self.notices.end()
        for run in [*self._logs, *self._awaited]:
            self.drop(run)

    def _take_back(self, run: str) -> None:
        """It is no longer one of the logs that have ended."""
        if ended := self._ended.pop(run, None):
            timer, frames = ended
            timer.cancel()
            self._ended_frames -= frames
