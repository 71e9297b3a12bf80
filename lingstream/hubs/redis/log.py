"""The log of a run in Redis: what this process writes of it, and how it keeps Redis up to date.

:class:`RedisLog` decides what has to be sent and what a reply means, without ``await``; the hub's one task
sends. Every command says where the writer believes the stream ends, every reply says where it does end.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol
from uuid import uuid4

from lingstream.core.exceptions import Fenced, LingError
from lingstream.core.log.frames import Frame, FrameId, Kind
from lingstream.core.log.memory import MemoryLog

from .mirror import Mirror, MirrorHost
from .streams import APPEND, Append, Keys, encode

__all__ = ["LogHost", "RedisLog"]

_BATCH = 500  # frames in one command
_SNAPSHOT = 65_536  # bytes of entries after which a snapshot is stored beside them, at least


class LogHost(MirrorHost, Protocol):
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

    async def catch_up(self, log: RedisLog) -> bool:
        """Fetch what Redis has; return whether there is anything."""
        ...


class RedisLog(Mirror):
    """See :class:`lingstream.core.log.ports.RunLog`.

    Memory: up to ``2 * max_frames`` frames, which are also the buffer while Redis is away; where frames are
    trimmed that Redis does not have yet, a snapshot takes their place there.

    :param ttl: seconds for which Redis keeps the run's keys without a sign of life.
    """

    _host: LogHost

    def __init__(self, host: LogHost, run: str, keys: Keys, *, max_frames: int, ttl: float) -> None:
        super().__init__(host, run, max_frames=max_frames)
        self.keys = keys
        self._ttl = ttl
        self._writer = uuid4().hex
        self._writes = 0  # the epoch that this process may write, 0 for none
        self._fenced = False
        self._confirmed = 0  # seq up to which Redis has this epoch
        self._opened = False  # whether Redis has the epoch's beginning
        self._lost = False  # whether Redis has lost what was confirmed
        self._trims = False  # whether Redis has less than the whole epoch
        self._bare = False  # and not the snapshot that makes up for it
        self._touch = False
        self._renew_at = 0.0
        self._tail = self._tail_frames = self._snapshot_size = 0
        self._flushing: set[asyncio.Future[None]] = set()

    @property
    def writing(self) -> bool:
        """Whether this process has, or will have, something to send."""
        return bool(self._writes) and (self.unwritten or not self.ended)

    @property
    def unwritten(self) -> bool:
        """Whether Redis lacks something of what this process has written."""
        return bool(self._writes) and (self._lost or self._bare or self._confirmed < self._seq)

    async def open(self, epoch: int, snapshot: dict[str, Any]) -> None:
        """See :meth:`RunLog.open`. Where Redis is sick, the epoch opens for this process's viewers only."""
        if epoch <= self._epoch:
            raise Fenced(f"expected an epoch past {self._epoch}, got {epoch}")
        self._host.opening(self)
        self._writes, self._fenced, self.mine = epoch, False, True
        self._confirmed, self._opened, self._lost = 0, False, False
        self.resumable, self.abandoned = not self._host.sick, False
        await super().open(epoch, snapshot)
        try:
            await self.flush()
        except Fenced:
            with contextlib.suppress(LingError):
                await self._host.catch_up(self)
            raise

    def write(self, epoch: int, kind: Kind, body: Any) -> FrameId:
        """See :meth:`RunLog.write`."""
        if epoch != self._writes:
            raise Fenced(f"epoch {epoch} is not, or no longer, this process's to write")
        return super().write(epoch, kind, body)

    async def flush(self) -> None:
        """See :meth:`RunLog.flush`. Where Redis is sick, it returns within the hub's time-out."""
        epoch, seq = self._writes, self._seq
        while self._writes == epoch and self.unwritten and self._confirmed < seq and self.resumable:
            self._host.hurry()
            future = asyncio.get_running_loop().create_future()
            self._flushing.add(future)
            try:
                await future
            finally:
                self._flushing.discard(future)
        if self._fenced:
            raise Fenced("another writer has opened a later epoch")

    def touch(self) -> None:
        """Let the next command check that Redis still has the log, and renew its time to live."""
        self._touch = True
        self._host.pending(self)

    def retire(self) -> bool:
        """Write no more; return whether all that was written is in Redis (else ask again)."""
        if not self.unwritten:
            self._writes, self.mine = 0, False
        return not self._writes

    def receive(self, frame: Frame) -> bool:
        """See :meth:`Mirror.receive`."""
        return bool(self._writes) or super().receive(frame)

    # -- what is sent, and what replies mean -------------------------------------------------------

    def command(self) -> list[Any] | None:
        """Return the command that brings Redis up to date, or ``None``; :meth:`settle` takes its reply."""
        if not self.writing:
            return None
        first = len(self._frames) - (self._seq - self._confirmed)
        if self._lost or not self._opened or first < 0:
            return self._restate()
        frames = self._frames[first : first + _BATCH]
        if not frames and not self._touch and not self._bare:
            return None
        entries = self._entries(frames)
        self._tail += sum(map(len, entries))
        self._tail_frames += len(frames)
        arguments = Append(f"{self._epoch}-{self._confirmed}", ttl=self._renewal())
        if first + len(frames) == len(self._frames):
            self._capture()
            if self._snapshot_due():
                arguments = self._with_snapshot(arguments)
        return APPEND.call(self.keys, *arguments, *entries)

    def settle(self, at: FrameId, writer: str, stored: bool) -> None:
        """Take a reply.

        :param at: where the stream ends.
        :param writer: who opened an epoch with the entry there.
        :param stored: whether there is a snapshot beside it.
        """
        self._touch = False
        self._bare = self._trims and not stored
        if not self._writes:
            return
        if at.epoch < self._writes or (
            at.epoch == self._writes and self._opened and at.seq < self._confirmed
        ):
            self._lost = True
        elif at.epoch == self._writes and at.seq <= self._seq and (self._opened or writer == self._writer):
            self._confirm(at.seq)
        else:
            self._fence()

    def degrade(self) -> None:
        """Redis is sick: go on for this process's viewers alone."""
        if self._writes:
            self._shown = self._end
        self.set_resumable(False)
        self._flushed()

    def _confirm(self, seq: int) -> None:
        self._confirmed, self._opened, self._lost = seq, True, False
        self._shown = max(self._shown, self._end - (self._seq - seq))
        self.resumable = True
        MemoryLog._wake(self)
        self._flushed()

    def _fence(self) -> None:
        """What Redis has refused is forgotten; its readers go on with the other writer's snapshot."""
        self._writes, self._fenced, self.mine = 0, True, False
        self._forget()
        self._flushed()
        self._host.follow(self)

    def _wake(self) -> None:
        if self._writes:
            self._host.pending(self)
        if not (self._writes and self.resumable):
            super()._wake()

    def _flushed(self) -> None:
        for future in self._flushing:
            if not future.done():
                future.set_result(None)

    def _entries(self, frames: list[Frame]) -> list[Any]:
        return [item for frame in frames for item in (str(frame.id), encode(self.run, frame))]

    def _restate(self) -> list[Any]:
        """The command that puts a snapshot where Redis has nothing, or not enough to go on from.

        It goes under the id of the last frame in it, as for a reader who is too far behind: so it takes no id
        of its own, and none is missed.
        """
        self._capture()
        self._trims = False
        entries = self._entries(self._snapshot_frames())
        self._tail, self._tail_frames, self._snapshot_size = 0, 0, len(entries[1])
        self._renew_at = 0.0
        below, writer = (self._epoch + 1, "") if self._opened else (self._epoch, self._writer)
        return APPEND.call(self.keys, *Append("", below, writer, self._renewal(), entries[0], "-"), *entries)

    def _snapshot_due(self) -> bool:
        """Whether more followed the last snapshot than it weighs: so they cost no more than entries do."""
        heavy = self._tail > max(_SNAPSHOT, self._snapshot_size) or self._tail_frames > self._max_frames
        return (heavy or self._bare) and not self.ended

    def _with_snapshot(self, arguments: Append) -> Append:
        """Let the stored snapshot be renewed, and entries be trimmed that are in it."""
        body = encode(self.run, Frame(self.last_id, "snapshot", self.state.snapshot()))
        self._tail, self._tail_frames, self._snapshot_size = 0, 0, len(body)
        self._renew_at = 0.0
        oldest = FrameId(self._epoch, max(self._seq - self._max_frames, 1))
        self._trims = oldest.seq > 1
        return Append(
            arguments.expected,
            ttl=self._renewal(),
            oldest=str(oldest),
            snapshot_id=str(self.last_id),
            snapshot=body,
        )

    def _renewal(self) -> int:
        """The time to live for this command in ms, or 0 while the last renewal is good for long enough."""
        now = asyncio.get_running_loop().time()
        if now < self._renew_at and not self.ended:
            return 0
        self._renew_at = now + self._ttl / 3
        return int(self._ttl * 1000)
