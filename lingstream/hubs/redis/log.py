"""The log of a run as this process has it, so that a viewer costs Redis nothing.

What Redis does not have yet may be here already, but no reader gets it: what a viewer has seen, every process
can go on from.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol
from weakref import WeakSet

from lingstream.core.exceptions import Fenced, LingError
from lingstream.core.log.buffer import FrameBuffer
from lingstream.core.log.frames import Frame, FrameId, Kind
from lingstream.core.log.state import RunState

from .outbox import Outbox
from .reader import RedisReader
from .streams import Keys

__all__ = ["LogHost", "RedisLog"]


class LogHost(Protocol):
    """What a log needs from its hub."""

    @property
    def sick(self) -> bool:
        """Whether Redis cannot be written to at the moment."""
        ...

    def pending(self, log: RedisLog) -> None:
        """``log`` has something to send."""
        ...

    def hurry(self) -> None:
        """Somebody waits for what is pending."""
        ...

    def follow(self, log: RedisLog) -> None:
        """Another process writes ``log``."""
        ...

    def opening(self, log: RedisLog) -> None:
        """This process writes ``log`` from now on."""
        ...

    def current(self, log: RedisLog) -> RedisLog:
        """Return the log that this process keeps of the same run; it gets what is written elsewhere."""
        ...

    async def catch_up(self, log: RedisLog) -> bool:
        """Fetch what Redis has; return whether there is anything."""
        ...


class RedisLog:
    """See :class:`lingstream.core.log.ports.RunLog`.

    Memory: up to ``2 * max_frames`` frames, which are also the queue while Redis is away.

    :param run: the run's id.
    :param ttl: seconds for which Redis keeps the run's keys without a sign of life.
    """

    def __init__(self, host: LogHost, run: str, keys: Keys, *, max_frames: int, ttl: float) -> None:
        self.run = run
        self.keys = keys
        self.buffer = FrameBuffer(max_frames=max_frames)
        self.outbox = Outbox(self.buffer, run, keys, ttl=ttl)
        self.readers: WeakSet[RedisReader] = WeakSet()
        self.resumable = True
        """Whether a viewer that loses its connection can go on from its place, in any process."""
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
        self._flushing: set[asyncio.Future[None]] = set()

    # -- the port ----------------------------------------------------------------------------------

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
        """See :meth:`RunLog.open`. Where Redis is sick, the epoch opens for this process's viewers only."""
        self.buffer.open(epoch, snapshot)
        self._host.opening(self)
        self.outbox.begin(epoch)
        self.mine, self.resumable = True, not self._host.sick
        self._written()
        try:
            await self.flush()
        except Fenced:
            with contextlib.suppress(LingError):
                await self._host.catch_up(self)
            raise

    def write(self, epoch: int, kind: Kind, body: Any) -> FrameId:
        """See :meth:`RunLog.write`."""
        if epoch != self.outbox.epoch:
            raise Fenced(f"epoch {epoch} is not, or no longer, this process's to write")
        try:
            return self.buffer.append(epoch, kind, body)
        finally:
            self._written()  # the ops before one that does not fit, too

    async def flush(self) -> None:
        """See :meth:`RunLog.flush`. Where Redis is sick, it returns within the hub's time-out."""
        outbox, epoch, seq = self.outbox, self.outbox.epoch, self.last_id.seq
        while outbox.epoch == epoch and outbox.unwritten and outbox.confirmed < seq and self.resumable:
            self._host.hurry()
            future = asyncio.get_running_loop().create_future()
            self._flushing.add(future)
            try:
                await future
            finally:
                self._flushing.discard(future)
        if outbox.fenced:
            raise Fenced("another writer has opened a later epoch")

    def reader(self, after: str | None = None) -> RedisReader:
        """See :meth:`RunLog.reader`."""
        log = self._host.current(self)
        if log is not self:
            return log.reader(after)
        reader = RedisReader(self, after)
        self.readers.add(reader)
        return reader

    def abandon(self) -> None:
        """See :meth:`RunLog.abandon`."""
        self.buffer.abandon()

    # -- what the hub tells ------------------------------------------------------------------------

    @property
    def abandoned(self) -> bool:
        """Whether nothing more is heard of the run here."""
        return self.buffer.abandoned

    @property
    def writing(self) -> bool:
        """Whether this process has, or will have, something to send."""
        return self.outbox.writing

    def receive(self, frame: Frame) -> bool:
        """Take the next frame of the stream; return whether it fits behind what is here.

        :raises LingError: it is no frame of this run.
        """
        if self.outbox.epoch:
            return True
        fits = self.buffer.receive(frame)
        self.buffer.publish()
        return fits

    def settle(self, at: FrameId, writer: str, stored: bool) -> None:
        """Take the reply to :meth:`Outbox.command`; see :meth:`Outbox.settle`."""
        outcome = self.outbox.settle(at, writer, stored)
        if outcome == "confirmed":
            self.resumable = True
            self.buffer.publish(at)
            self._flushed()
        elif outcome == "fenced":
            # What Redis has refused is forgotten; its readers go on with the other writer's snapshot.
            self.mine = False
            self.buffer.forget()
            self._flushed()
            self._host.follow(self)

    def touch(self) -> None:
        """Check that Redis still has the log, and renew its time to live."""
        self.outbox.touch()
        self._host.pending(self)

    def retire(self) -> bool:
        """Write no more; return whether all that was written is in Redis (else ask again)."""
        retired = self.outbox.retire()
        self.mine = self.mine and not retired
        return retired

    def degrade(self) -> None:
        """Redis is sick: go on for this process's viewers alone."""
        if self.outbox.epoch:
            self.buffer.publish()
        self.set_resumable(False)
        self._flushed()

    def set_resumable(self, value: bool) -> None:
        """Tell the readers whether Redis can be reached."""
        if value != self.resumable:
            self.resumable = value
            self.buffer.notify()

    # -- helpers -----------------------------------------------------------------------------------

    def _written(self) -> None:
        """Redis gets it first; where it is sick, the viewers of this process do."""
        self._host.pending(self)
        if not self.resumable:
            self.buffer.publish()

    def _flushed(self) -> None:
        for future in self._flushing:
            if not future.done():
                future.set_result(None)
