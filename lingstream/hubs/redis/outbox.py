"""What Redis does not have yet of a log that this process writes.

:class:`Outbox` decides what has to be sent and what a reply means, without ``await``; the hub's one task
sends. Every command says where the writer believes the stream ends, every reply says where it does end.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from lingstream.core.log.buffer import FrameBuffer
from lingstream.core.log.frames import Frame, FrameId

from .streams import APPEND, Append, Keys, encode

__all__ = ["Outbox", "Outcome"]

_BATCH = 500  # frames in one command
_SNAPSHOT = 65_536  # bytes of entries after which a snapshot is stored beside them, at least

Outcome: TypeAlias = Literal["confirmed", "lost", "fenced"]


class Outbox:
    """How far Redis is behind a log, and the commands that bring it up to date.

    The log's own frames are the queue: where some are trimmed that Redis does not have yet, a snapshot takes
    their place there.

    :param ttl: seconds for which Redis keeps the run's keys without a sign of life.
    """

    def __init__(self, buffer: FrameBuffer, run: str, keys: Keys, *, ttl: float) -> None:
        self.writer = uuid4().hex
        """Tells two processes apart that open the same epoch."""
        self.epoch = 0
        """The epoch that this process may write, 0 for none."""
        self.confirmed = 0
        """Seq up to which Redis has this epoch."""
        self.fenced = False
        """Whether another writer has opened a later epoch."""
        self._buffer = buffer
        self._run = run
        self._keys = keys
        self._ttl = ttl
        self._opened = False  # whether Redis has the epoch's beginning
        self._lost = False  # whether Redis has lost what was confirmed
        self._trims = False  # whether Redis has less than the whole epoch
        self._bare = False  # and not the snapshot that makes up for it
        self._touch = False
        self._renew_at = 0.0
        self._tail = self._tail_frames = self._snapshot_size = 0

    @property
    def unwritten(self) -> bool:
        """Whether Redis lacks something of what this process has written."""
        behind = self._lost or self._bare or self.confirmed < self._buffer.last_id.seq
        return bool(self.epoch) and behind

    @property
    def writing(self) -> bool:
        """Whether this process has, or will have, something to send."""
        return bool(self.epoch) and (self.unwritten or not self._buffer.ended)

    def begin(self, epoch: int) -> None:
        """Send ``epoch``, of which Redis has nothing."""
        self.epoch, self.confirmed, self.fenced = epoch, 0, False
        self._opened = self._lost = False

    def retire(self) -> bool:
        """Send no more; return whether all that was written is in Redis (else ask again)."""
        if not self.unwritten:
            self.epoch = 0
        return not self.epoch

    def touch(self) -> None:
        """Let the next command check that Redis still has the log, and renew its time to live."""
        self._touch = True

    def command(self) -> list[Any] | None:
        """Return the command that brings Redis up to date, or ``None``; :meth:`settle` takes its reply."""
        if not self.writing:
            return None
        buffer, confirmed = self._buffer, FrameId(self._buffer.last_id.epoch, self.confirmed)
        first = buffer.position(confirmed)
        if self._lost or not self._opened or first < buffer.start:
            return self._restate()
        frames = buffer.frames(first, first + _BATCH)
        if not frames and not self._touch and not self._bare:
            return None
        entries = self._entries(frames)
        self._tail += sum(map(len, entries))
        self._tail_frames += len(frames)
        arguments = Append(str(confirmed), ttl=self._renewal())
        if first + len(frames) == buffer.end:
            buffer.capture()
            if self._snapshot_due():
                arguments = self._with_snapshot(arguments)
        return APPEND.call(self._keys, *arguments, *entries)

    def settle(self, at: FrameId, writer: str, stored: bool) -> Outcome | None:
        """Take a reply, and return what it says of the epoch that is being written.

        :param at: where the stream ends.
        :param writer: who opened an epoch with the entry there.
        :param stored: whether there is a snapshot beside it.
        """
        self._touch = False
        self._bare = self._trims and not stored
        if not self.epoch:
            return None
        if at.epoch < self.epoch or (at.epoch == self.epoch and self._opened and at.seq < self.confirmed):
            self._lost = True
            return "lost"
        known = self._opened or writer == self.writer
        if at.epoch == self.epoch and at.seq <= self._buffer.last_id.seq and known:
            self.confirmed, self._opened, self._lost = at.seq, True, False
            return "confirmed"
        self.epoch, self.fenced = 0, True
        return "fenced"

    # -- helpers -----------------------------------------------------------------------------------

    def _entries(self, frames: list[Frame]) -> list[Any]:
        return [item for frame in frames for item in (str(frame.id), encode(self._run, frame))]

    def _restate(self) -> list[Any]:
        """The command that puts a snapshot where Redis has nothing, or not enough to go on from.

        It goes under the id of the last frame in it, as for a reader who is too far behind: so it takes no id
        of its own, and none is missed.
        """
        buffer, epoch = self._buffer, self._buffer.last_id.epoch
        buffer.capture()
        self._trims = False
        entries = self._entries(buffer.snapshot_frames())
        self._stored(len(entries[1]))
        below, writer = (epoch + 1, "") if self._opened else (epoch, self.writer)
        arguments = Append("", below, writer, self._renewal(), entries[0], "-")
        return APPEND.call(self._keys, *arguments, *entries)

    def _snapshot_due(self) -> bool:
        """Whether more followed the last snapshot than it weighs: so they cost no more than entries do."""
        heavy = self._tail > max(_SNAPSHOT, self._snapshot_size)
        long = self._tail_frames > self._buffer.max_frames
        return (heavy or long or self._bare) and not self._buffer.ended

    def _with_snapshot(self, arguments: Append) -> Append:
        """Let the stored snapshot be renewed, and entries be trimmed that are in it."""
        buffer, last = self._buffer, self._buffer.last_id
        body = encode(self._run, Frame(last, "snapshot", buffer.state.snapshot()))
        self._stored(len(body))
        oldest = FrameId(last.epoch, max(last.seq - buffer.max_frames, 1))
        self._trims = oldest.seq > 1
        return Append(
            arguments.expected,
            ttl=self._renewal(),
            oldest=str(oldest),
            snapshot_id=str(last),
            snapshot=body,
        )

    def _stored(self, size: int) -> None:
        """A snapshot of ``size`` bytes goes along: its key needs a time to live, what follows is counted."""
        self._tail, self._tail_frames, self._snapshot_size = 0, 0, size
        self._renew_at = 0.0

    def _renewal(self) -> int:
        """The time to live for this command in ms, or 0 while the last renewal is good for long enough."""
        now = asyncio.get_running_loop().time()
        if now < self._renew_at and not self._buffer.ended:
            return 0
        self._renew_at = now + self._ttl / 3
        return int(self._ttl * 1000)
