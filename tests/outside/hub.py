"""A hub of the app's own: its processes share a dict, and a broadcast that says which run has news.

It stands for a database table with notifications, or a message bus: writes take a while, and what one process
wrote is a text to the others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from contextvars import Context
from typing import Any, NamedTuple
from weakref import WeakSet

from lingstream.core.exceptions import Fenced
from lingstream.core.log.buffer import FrameBuffer
from lingstream.core.log.frames import FrameId, Kind
from lingstream.core.log.reader import BufferReader
from lingstream.core.log.state import RunState
from lingstream.core.notices import MemoryNotices, Notice
from lingstream.core.wire.frames import frame_from_wire, frame_to_wire
from lingstream.core.wire.json import dumps, loads

__all__ = ["Board", "BoardHub"]


class Row(NamedTuple):
    """A frame as it is stored."""

    id: FrameId
    text: bytes


class Board:
    """What the hubs share."""

    def __init__(self) -> None:
        self.runs: dict[str, list[Row]] = {}
        self.watching: set[tuple[str, BoardHub]] = set()
        self.listening: set[asyncio.Queue[str]] = set()
        self.notices: WeakSet[BoardNotices] = WeakSet()

    def place(self, run: str) -> FrameId:
        """Return the id of a run's newest frame."""
        rows = self.runs.get(run)
        return rows[-1].id if rows else FrameId(0, 0)

    async def store(self, run: str, behind: FrameId, rows: list[Row], *, instead: bool) -> bool:
        """Add rows behind a place, or instead of all there are; return whether the writer may.

        One step, as ``UPDATE … WHERE`` is: who opens a later epoch always may, anybody else only where the
        last frame is the writer's own.
        """
        await asyncio.sleep(0)
        last = self.place(run)
        if last != behind and last.epoch >= rows[0].id.epoch:
            return False
        if instead or last.epoch < rows[0].id.epoch:
            self.runs[run] = rows
        else:
            self.runs[run] += rows
        self.tell(run)
        return True

    def tell(self, run: str) -> None:
        """Tell all processes that there is news of ``run``."""
        for queue in self.listening:
            queue.put_nowait(run)


class BoardNotices(MemoryNotices):
    """See :class:`lingstream.core.notices.Notices`."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board
        board.notices.add(self)

    def publish(self, topics: Sequence[str], notice: Notice) -> None:
        for each in list(self._board.notices):
            each.deliver(topics, notice)


class BoardLog:
    """See :class:`lingstream.core.log.ports.RunLog`."""

    def __init__(self, hub: BoardHub, run: str, max_frames: int) -> None:
        self.run = run
        self.buffer = FrameBuffer(max_frames=max_frames)
        self.epoch = 0  # the one that this process writes, 0 for none
        self.stored = FrameId(0, 0)  # how far the board has it
        self.released = self.fenced = False
        self._hub = hub
        self._settled = asyncio.Event()

    @property
    def state(self) -> RunState:
        return self.buffer.state

    @property
    def last_id(self) -> FrameId:
        return self.buffer.last_id

    @property
    def ended(self) -> bool:
        return self.buffer.ended

    async def open(self, epoch: int, snapshot: dict[str, Any]) -> None:
        self.buffer.open(epoch, snapshot)
        self.epoch, self.stored = epoch, FrameId(epoch, 0)
        self.released = self.fenced = False
        self._hub.outgoing.put_nowait(self)
        await self.flush()

    def write(self, epoch: int, kind: Kind, body: Any) -> FrameId:
        if epoch != self.epoch:
            raise Fenced(f"epoch {epoch} is not this process's to write")
        try:
            return self.buffer.append(epoch, kind, body)
        finally:
            self._hub.outgoing.put_nowait(self)

    async def flush(self) -> None:
        epoch, last = self.epoch, self.last_id
        while epoch and self.epoch == epoch and self.stored < last:
            self._settled.clear()
            await self._settled.wait()
        if self.fenced:
            raise Fenced("another process has opened a later epoch")

    def reader(self, after: str | None = None) -> BufferReader:
        return BufferReader(self.buffer, after, owner=self)

    def abandon(self) -> None:
        self.buffer.abandon()

    async def send(self, board: Board) -> None:
        """Store what the board does not have, then let readers have it."""
        buffer = self.buffer
        if not self.epoch or self.stored == buffer.last_id:
            return
        first = buffer.position(self.stored)
        instead = first < buffer.start or len(board.runs.get(self.run, ())) > 2 * buffer.max_frames
        frames = buffer.snapshot_frames() if instead else buffer.frames(first)
        buffer.capture()
        rows = [Row(frame.id, dumps(frame_to_wire(self.run, frame))) for frame in frames]
        if await board.store(self.run, self.stored, rows, instead=instead):
            self.stored = rows[-1].id
            buffer.publish(self.stored)
            self.let_go()
        else:
            self.epoch, self.fenced = 0, True
            buffer.forget()
            self.take(board)
        self._settled.set()

    def take(self, board: Board) -> None:
        """Take what other processes have stored."""
        if self.epoch:
            return
        rows = board.runs.get(self.run)
        if rows is None and self.last_id.epoch:
            self.abandon()
        for row in rows or ():
            if row.id > self.last_id:
                self.buffer.receive(frame_from_wire(loads(row.text)))
        self.buffer.publish()

    def let_go(self) -> None:
        """Write no more, if this process is done with the run and the board has all of it."""
        if self.released and self.stored == self.last_id:
            self.epoch = 0


class BoardHub:
    """See :class:`lingstream.core.log.ports.Hub`.

    :param ttl: seconds for which an ended run is kept.
    """

    shared = True

    def __init__(self, board: Board, *, max_frames: int = 5_000, ttl: float = 300.0) -> None:
        self.outgoing: asyncio.Queue[BoardLog] = asyncio.Queue()
        self._incoming: asyncio.Queue[str] = asyncio.Queue()
        self.notices = BoardNotices(board)
        self._board = board
        self._max_frames = max_frames
        self._ttl = ttl
        self._logs: dict[str, BoardLog] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    def create(self, run: str) -> BoardLog:
        self._start()
        self._stay(run)
        log = self._log(run)
        log.released = False
        return log

    async def find(self, run: str, *, running: bool = False) -> BoardLog | None:
        if self._closed:
            return None
        self._start()
        known = run in self._logs or run in self._board.runs
        return self._log(run) if known or running else None

    def release(self, run: str) -> None:
        if log := self._logs.get(run):
            self._stay(run)
            log.released = True
            log.let_go()
            loop = asyncio.get_running_loop()
            self._timers[run] = loop.call_later(self._ttl, self._expire, run, context=Context())

    def drop(self, run: str) -> None:
        self._board.runs.pop(run, None)
        if log := self._logs.pop(run, None):
            log.epoch = 0
            log.abandon()
        self._board.tell(run)

    def set_watched(self, run: str, watched: bool) -> None:
        watching = self._board.watching
        (watching.add if watched else watching.discard)((run, self))

    async def is_watched(self, run: str) -> bool:
        return any(known == run for known, _ in self._board.watching)

    async def aclose(self) -> None:
        self._closed = True
        self.notices.end()
        for log in self._logs.values():
            with contextlib.suppress(Fenced):
                await log.flush()
            log.abandon()
        for timer in self._timers.values():
            timer.cancel()
        self._board.listening.discard(self._incoming)
        tasks, self._tasks, self._logs = self._tasks, [], {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self) -> None:
        """Begin with the first log: a hub is made before there is an event loop."""
        if not self._tasks:
            self._board.listening.add(self._incoming)
            work = (self._send(), self._hear())
            self._tasks = [asyncio.create_task(each, context=Context()) for each in work]

    async def _send(self) -> None:
        while True:
            await (await self.outgoing.get()).send(self._board)

    async def _hear(self) -> None:
        while True:
            run = await self._incoming.get()
            if log := self._logs.get(run):
                log.take(self._board)
                if log.buffer.abandoned:
                    del self._logs[run]

    def _log(self, run: str) -> BoardLog:
        if run not in self._logs:
            self._logs[run] = BoardLog(self, run, self._max_frames)
            self._logs[run].take(self._board)
        return self._logs[run]

    def _stay(self, run: str) -> None:
        if timer := self._timers.pop(run, None):
            timer.cancel()

    def _expire(self, run: str) -> None:
        if (log := self._logs.get(run)) and log.ended:
            self.drop(run)
