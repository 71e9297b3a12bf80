"""The log of one execution of a run: closed while finished bots replay, open from the first live call on.

Every epoch opens with a snapshot of the document without the output of unfinished bots. After a crash that
is what the finished bots replay; so their replay is collected here first, in no time and without I/O, and
becomes the snapshot. Opening fences the writers of earlier epochs, and happens before any model is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from lingstream.core.document.ops import Document
from lingstream.core.log.frames import FrameId, Kind
from lingstream.core.log.state import RunState, empty_snapshot

__all__ = ["EpochLog", "Frames"]


_TURNS, _PAUSE = 100, 0.005  # after so many turns, seconds between two looks


class Frames(Protocol):
    """What is needed of a run's log; see :class:`RunLog`."""

    @property
    def state(self) -> RunState:
        """The fold of all frames."""
        ...

    async def open(self, epoch: int, snapshot: dict[str, Any]) -> None:
        """Open ``epoch`` with its snapshot."""
        ...

    def write(self, epoch: int, kind: Kind, body: Any) -> FrameId:
        """Append a frame."""
        ...

    async def flush(self) -> None:
        """Return when everything written can be read."""
        ...


class EpochLog:
    """Writes into a run's log as one epoch.

    :param log: the run's log.
    :param epoch: which execution this is, from 1.
    :param opened: called when the log is open, with what it holds from then on.
    """

    def __init__(self, log: Frames, epoch: int, opened: Callable[[Document], None]) -> None:
        self._log = log
        self._epoch = epoch
        self._opened = opened
        self._state = RunState(empty_snapshot())
        self._held: list[tuple[Kind, Any]] = []
        self._opening = asyncio.Lock()
        self._is_open = False
        self._snapshot_taken = False

    @property
    def document(self) -> Document:
        """The run's document as it is now."""
        return self._log.state.document if self._is_open else self._state.document

    def write(self, kind: Kind, body: Any) -> None:
        """Append a frame, or fold it into the snapshot to come.

        :raises Fenced: another writer has opened a later epoch.
        :raises JsonUriError: an op does not fit.
        """
        if self._is_open:
            self._log.write(self._epoch, kind, body)
            return
        self._state.apply(kind, body)
        if self._snapshot_taken or kind == "error":
            self._held.append((kind, body))  # a snapshot does not say what went wrong

    async def flush(self) -> None:
        """Return when everything written can be read by viewers; see :meth:`RunLog.flush`."""
        if self._is_open:
            await self._log.flush()

    async def open(self, replaying: Callable[[], bool]) -> None:
        """Open the epoch once ``replaying`` says that nothing is left to replay; later calls do nothing.

        :raises Fenced: the log is in this epoch or a later one already.
        """
        if self._is_open:
            return
        async with self._opening:
            if self._is_open:
                return
            turns = 0
            while replaying():  # mostly a replay needs no more than some turns of the loop
                await asyncio.sleep(0 if turns < _TURNS else _PAUSE)
                turns += 1
            snapshot = self._state.snapshot()
            self._snapshot_taken = True
            await self._log.open(self._epoch, snapshot)
            self._is_open = True
            self._state = self._log.state  # what was collected has become a part of it
            self._opened(self.document)
            for kind, body in self._held:
                self._log.write(self._epoch, kind, body)
            self._held.clear()
