"""The frames of a run as this process has them, so that a viewer costs Redis nothing.

What Redis does not have yet may be here already, but no reader gets it: what a viewer has seen, every process
can go on from.
"""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

from lingstream.core.document.ops import copy_json
from lingstream.core.log.frames import Frame, FrameId, merge, parse_id
from lingstream.core.log.memory import MemoryLog, MemoryReader
from lingstream.core.log.state import RunState

__all__ = ["Mirror", "MirrorHost", "MirrorReader"]


class MirrorHost(Protocol):
    """What a mirror needs from its hub."""

    def current(self, log: Mirror) -> Mirror:
        """Return the mirror that this process keeps of the same run; it gets what is written elsewhere."""
        ...


class Mirror(MemoryLog):
    """A log filled from a stream.

    :param run: the run's id.
    """

    def __init__(self, host: MirrorHost, run: str, *, max_frames: int) -> None:
        super().__init__(max_frames=max_frames)
        self.run = run
        self.resumable = True
        """Whether a viewer that loses its connection can go on from its place, in any process."""
        self.readers: WeakSet[MirrorReader] = WeakSet()
        self.mine = False
        """Whether this process writes it, or may be about to."""
        self.released = False
        """Whether this process has no use for it but to be read."""
        self.missing = 0
        """For how many checks its stream has not been there."""
        self.unused_since = 0.0
        """When it was last seen to have readers."""
        self.drop_at: float | None = None
        """When it is to be forgotten."""
        self._host = host
        self._shown = 0  # position behind the last frame that readers may have
        self._joining = False  # whether a reader waits for a snapshot
        self._joined: tuple[list[Frame], int] = ([], -1)  # the one for them, and the position behind it

    @property
    def complete(self) -> bool:
        """Whether readers may have the end."""
        return self.ended and self._shown == self._end

    def receive(self, frame: Frame) -> bool:
        """Take the next frame of the stream; return whether it fits behind what is here.

        :raises LingError: it is no frame of this run.
        """
        if self._epoch and frame.id <= self.last_id:
            return True
        if frame.kind == "snapshot":
            self._restart(frame)
            return True
        if not self._epoch or frame.id != self.last_id.following:
            return False
        self.state.apply(frame.kind, frame.body)
        self.ended = frame.kind == "done"
        self._push(frame.kind, frame.body)
        return True

    def set_resumable(self, value: bool) -> None:
        """Tell the readers whether Redis can be reached."""
        if value != self.resumable:
            self.resumable = value
            super()._wake()

    def reader(self, after: str | None = None) -> MirrorReader:
        """See :meth:`RunLog.reader`."""
        log = self._host.current(self)
        if log is not self:
            return log.reader(after)
        reader = MirrorReader(self, self._position(parse_id(after) if after else None))
        self.readers.add(reader)
        return reader

    def read_from(self, position: int) -> tuple[list[Frame], int]:
        """See :meth:`MemoryLog.read_from`: no further than readers may."""
        if self._shown == self._end:
            return super().read_from(position)
        if position < self._trimmed:
            frames, end = self._joined
            return [frame._replace(body=copy_json(frame.body)) for frame in frames], end
        return merge(self._frames[position - self._trimmed : self._shown - self._trimmed]), self._shown

    def caught_up(self, position: int) -> bool:
        """See :meth:`MemoryLog.caught_up`."""
        if not self._seq:
            return True
        if position >= self._trimmed:
            return position >= self._shown
        if self._shown == self._end or self._trimmed <= self._joined[1] <= self._shown:
            return False
        # The state is ahead of what Redis has: this reader's snapshot is taken when Redis is sent all of it.
        self._joining = True
        return True

    def place(self, position: int) -> FrameId:
        """Return the id of the frame before ``position``."""
        return FrameId(self._epoch, max(self._seq - self._end + max(position, 0), 0))

    @property
    def _end(self) -> int:
        """Position behind the last frame."""
        return self._trimmed + len(self._frames)

    def _wake(self) -> None:
        """There is news, and readers may have it."""
        self._shown = self._end
        super()._wake()

    def _restart(self, frame: Frame) -> None:
        """Go on from a snapshot: readers of what was before get it first."""
        self._forget()
        self._epoch, self._seq = frame.id.epoch, frame.id.seq - 1
        self._state = RunState(copy_json(frame.body))
        self._push(frame.kind, frame.body)

    def _forget(self) -> None:
        self._trimmed = self._shown = self._end
        self._frames.clear()
        self._epoch = self._seq = 0
        self._joined = ([], -1)
        self.ended = False

    def _capture(self) -> None:
        """Redis is being sent all there is: the time for the snapshot that joining readers wait for."""
        if self._joining:
            self._joining = False
            self._joined = (self._snapshot_frames(), self._end)


class MirrorReader(MemoryReader):
    """A cursor in a :class:`Mirror`, which also tells when the log is not, or is again, resumable."""

    _log: Mirror

    def __init__(self, log: Mirror, position: int) -> None:
        super().__init__(log, position)
        self._resumable = True

    @property
    def ready(self) -> bool:
        """See :attr:`LogReader.ready`."""
        log = self._log
        return (
            not log.caught_up(self._position)
            or self._ended
            or log.complete
            or log.abandoned
            or self._resumable != log.resumable
        )

    async def read(self) -> list[Frame]:
        """See :meth:`LogReader.read`."""
        log = self._log
        while not self.ready:
            await self.wait()
        if self._ended:
            return []
        frames: list[Frame] = []
        if not log.caught_up(self._position):
            frames, self._position = log.read_from(self._position)
            self._ended = frames[-1].kind == "done"
        elif log.complete or log.abandoned:
            return []
        if self._resumable != log.resumable and not self._ended:
            self._resumable = log.resumable
            # No entry of the log: it is about the log, and differs from process to process.
            notice = {"event": "resumable", "data": log.resumable}
            frames = [*frames, Frame(log.place(self._position), "event", notice)]
        return frames
