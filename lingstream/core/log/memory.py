"""A run log in the memory of one process."""

from __future__ import annotations

import asyncio
from typing import Any

from lingstream.core.document.ops import copy_json
from lingstream.core.exceptions import Fenced, JsonUriError, UsageError

from .frames import Frame, FrameId, Kind, merge, parse_id, weight
from .state import RunState
from .tape import Tape

__all__ = ["MemoryLog", "MemoryReader"]

_MERGED = 1_000  # merged frames past which a reader gets a snapshot instead
_SMALL = 16_384  # characters below which nobody asks whether a snapshot would be shorter


class MemoryLog:
    """The log of a run in this process.

    :param max_frames: how many frames are kept; older ones are trimmed, their readers get a snapshot.
    """

    def __init__(self, *, max_frames: int = 5_000) -> None:
        self._frames = Tape()
        self._trimmed = 0
        self._max_frames = max_frames
        self._epoch = 0
        self._seq = 0
        self._state: RunState | None = None
        self._waiting: set[MemoryReader] = set()
        self.ended = False
        self.abandoned = False

    @property
    def state(self) -> RunState:
        """The fold of all frames.

        :raises UsageError: no epoch is open yet.
        """
        if self._state is None:
            raise UsageError("expected an open epoch, but nothing has been written to this log")
        return self._state

    @property
    def last_id(self) -> FrameId:
        """Place of the newest frame; ``0-0`` before the first."""
        return FrameId(self._epoch, self._seq)

    @property
    def kept(self) -> int:
        """How many frames are kept."""
        return len(self._frames)

    async def open(self, epoch: int, snapshot: dict[str, Any]) -> None:
        """See :meth:`RunLog.open`."""
        if epoch <= self._epoch:
            raise Fenced(f"expected an epoch past {self._epoch}, got {epoch}")
        self._epoch, self._seq, self.ended = epoch, 0, False
        self._state = RunState(copy_json(snapshot))  # the frame keeps the snapshot as it is now
        # Readers of an older epoch must not go on from there: their next frame is this snapshot.
        self._trimmed += len(self._frames)
        self._frames.clear()
        self._push("snapshot", snapshot)

    def write(self, epoch: int, kind: Kind, body: Any) -> FrameId:
        """See :meth:`RunLog.write`."""
        if epoch != self._epoch:
            raise Fenced(f"epoch {epoch} lost the log to epoch {self._epoch}")
        if self.ended:
            raise UsageError(f"expected nothing after done, got {kind}")
        try:
            self.state.apply(kind, body)
        except JsonUriError as error:
            if fitting := body[: error.position]:
                self._push(kind, fitting)
            raise
        self.ended = kind == "done"
        return self._push(kind, body)

    async def flush(self) -> None:
        """See :meth:`RunLog.flush`: in memory everything is there at once."""

    def reader(self, after: str | None = None) -> MemoryReader:
        """See :meth:`RunLog.reader`."""
        place = parse_id(after) if after else None
        return MemoryReader(self, self._position(place))

    def abandon(self) -> None:
        """See :meth:`RunLog.abandon`."""
        self.abandoned = True
        self._wake()

    def read_from(self, position: int) -> tuple[list[Frame], int]:
        """Return the frames from ``position`` on, merged, and the position behind them.

        :param position: number of frames ever written before the wanted one; negative asks for a snapshot.
        """
        end = self._trimmed + len(self._frames)
        if position < self._trimmed:
            return self._snapshot_frames(), end
        if end - position == 1:
            return [self._frames.last], end
        frames = merge(self._frames[position - self._trimmed :])
        if len(frames) > _MERGED or ((size := weight(frames)) > _SMALL and size > self.state.weight(size)):
            return self._snapshot_frames(), end
        return frames, end

    def caught_up(self, position: int) -> bool:
        """Whether nothing can be read from ``position`` yet."""
        return not self._seq or position == self._trimmed + len(self._frames)

    async def wait(self, reader: MemoryReader, news: asyncio.Future[None]) -> None:
        """Wait for ``news``, of which ``reader`` is told when a frame has been written."""
        self._waiting.add(reader)
        try:
            await news
        finally:
            self._waiting.discard(reader)

    def _push(self, kind: Kind, body: Any) -> FrameId:
        self._seq += 1
        place = FrameId(self._epoch, self._seq)
        self._frames.append(Frame(place, kind, body))
        if len(self._frames) > 2 * self._max_frames:
            surplus = len(self._frames) - self._max_frames
            self._frames.cut(surplus)
            self._trimmed += surplus
        self._wake()
        return place

    def _wake(self) -> None:
        for reader in self._waiting:
            reader.interrupt()

    def _position(self, place: FrameId | None) -> int:
        if place is None or place.seq > self._seq or place.epoch != (self._epoch or place.epoch):
            return -1
        return self._trimmed + len(self._frames) - (self._seq - place.seq)

    def _snapshot_frames(self) -> list[Frame]:
        """A snapshot under the id of the last frame that it contains; ``done`` still follows by itself."""
        if not self.ended:
            return [Frame(self.last_id, "snapshot", self.state.snapshot())]
        before = FrameId(self._epoch, self._seq - 1)
        return [Frame(before, "snapshot", self.state.snapshot()), self._frames.last]


class MemoryReader:
    """A cursor in a :class:`MemoryLog`."""

    def __init__(self, log: MemoryLog, position: int) -> None:
        self._log = log
        self._position = position
        self._news: asyncio.Future[None] | None = None
        self._ended = False

    @property
    def ready(self) -> bool:
        """See :attr:`LogReader.ready`."""
        log = self._log
        return self._ended or log.ended or log.abandoned or not log.caught_up(self._position)

    async def wait(self) -> None:
        """See :meth:`LogReader.wait`."""
        if not self.ready:
            self._news = asyncio.get_running_loop().create_future()
            await self._log.wait(self, self._news)

    def interrupt(self) -> None:
        """See :meth:`LogReader.interrupt`."""
        if self._news and not self._news.done():
            self._news.set_result(None)

    async def read(self) -> list[Frame]:
        """See :meth:`LogReader.read`."""
        log = self._log
        while not self.ready:
            await self.wait()
        if self._ended or log.caught_up(self._position):
            return []  # read to the end, or resumed behind it
        frames, self._position = log.read_from(self._position)
        self._ended = frames[-1].kind == "done"
        return frames
