"""Notices to all processes: one capped stream, which each reads with its logs, in the one read it has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any
from uuid import uuid4

from lingstream.core.exceptions import LingError
from lingstream.core.notices import MISSED, LocalListener, MemoryNotices, Notice
from lingstream.core.wire.json import dumps, loads

from .streams import Link, Refused, Unreachable
from .writer import Writer

__all__ = ["StreamNotices"]

logger = logging.getLogger("lingstream")

_KEPT = 4_096  # entries of the stream: for who reads late
_SPREAD = 3.0  # seconds over which processes have their listeners ask anew
_REST = 5.0  # seconds in which a Redis that did not answer is not tried again, where no loop looks after it


class StreamNotices(MemoryNotices):
    """See :class:`lingstream.core.notices.Notices`.

    The listeners of this process are told at once, those of others by Redis: where it is sick, each process
    hears what happens in it. Once it is well again, all are told that they may have missed something.

    :param make_link: makes a connection, for a process that has no event loop (a command, a task).
    :param timeout: seconds that Redis may take there.
    :param start: makes sure that the hub has begun in the event loop that calls.
    """

    def __init__(
        self, prefix: str, make_link: Callable[[], Link], *, timeout: float, start: Callable[[], None]
    ) -> None:
        super().__init__()
        self.key = f"{prefix}:notices"
        self.place: str | None = None
        """Id of the last entry read; ``None`` where none are read, because nobody has listened yet."""
        self._make_link = make_link
        self._timeout = timeout
        self._start = start
        self._origin = uuid4().hex[:12]
        self._writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._follow: Callable[[], None] = lambda: None
        self._alone = threading.Lock()
        self._rest_until = 0.0
        self._lost = False  # whether others were not told of something

    def begin(self, writer: Writer, follow: Callable[[], None]) -> None:
        """The hub has begun in this event loop.

        :param follow: called when the stream is to be read from now on.
        """
        self._writer, self._follow, self.place = writer, follow, None
        self._loop = asyncio.get_running_loop()

    def publish(self, topics: Sequence[str], notice: Notice) -> None:
        """See :meth:`Notices.publish`."""
        self.deliver(topics, notice)
        command = self._command(topics, notice)
        if (loop := self._loop) and loop.is_running():
            with contextlib.suppress(RuntimeError):  # it was closed just now
                loop.call_soon_threadsafe(self._post, command, context=Context())
        else:
            self._send_alone(command)

    async def listen(self) -> LocalListener:
        """See :meth:`Notices.listen`."""
        self._start()
        if self.place is None and self._writer:
            place = await self._last_place(self._writer)
            if self.place is None:
                self.place = place
                self._follow()
        return await super().listen()

    def receive(self, entries: list[Any]) -> None:
        """Take what was read from the stream."""
        for place, fields in entries:
            self.place = place.decode()
            try:
                origin, topics, notice = loads(fields[1])
                if origin != self._origin:
                    self._hear(topics, notice)
            except (LingError, IndexError, TypeError, ValueError):
                logger.warning("the stream %s holds what is no notice: %.200r", self.key, fields)

    def recovered(self) -> None:
        """Redis was away: every listener may have missed something."""
        self._miss_soon()
        if self._lost and self._writer:
            self._lost = False
            self._post(self._command(None, MISSED))

    def _hear(self, topics: Sequence[str] | None, notice: list[Any]) -> None:
        if topics is None:
            self._miss_soon()
        else:
            self.deliver(topics, Notice(*notice))

    def _miss_soon(self) -> None:
        loop = asyncio.get_running_loop()  # not all processes ask anew at the same moment
        loop.call_later(random.uniform(0, _SPREAD), self.missed, context=Context())  # noqa: S311

    def _command(self, topics: Sequence[str] | None, notice: Notice) -> list[Any]:
        entry = dumps([self._origin, topics, [*notice]])
        return ["XADD", self.key, "MAXLEN", "~", _KEPT, "*", "n", entry]

    def _post(self, command: list[Any]) -> None:
        if self._writer and not self._writer.sick:
            self._writer.post(command, self._posted)
        else:
            self._lost = True

    def _posted(self, reply: Any) -> None:
        self._lost = self._lost or isinstance(reply, Unreachable | Refused)

    async def _last_place(self, writer: Writer) -> str:
        try:
            last = await writer.call(["XREVRANGE", self.key, "+", "-", "COUNT", 1])
        except LingError:
            last = None  # who has heard something already passes over what is older
        return last[0][0].decode() if last else "0-0"

    def _send_alone(self, command: list[Any]) -> None:
        """Where no loop turns that could do it: at once, on a connection of its own."""
        if time.monotonic() < self._rest_until:
            self._lost = True
            return
        commands = [self._command(None, MISSED), command] if self._lost else [command]
        sending = threading.Thread(target=self._exchange, args=(commands,), name="lingstream notice")
        with self._alone:
            sending.start()  # a thread, as the caller's may be running another loop
            sending.join(self._timeout + 1)

    def _exchange(self, commands: list[list[Any]]) -> None:
        try:
            *_, reply = asyncio.run(self._once(commands))
        except Unreachable as error:
            reply = error
        self._lost = isinstance(reply, Unreachable | Refused)
        if self._lost:
            self._rest_until = time.monotonic() + _REST
            logger.warning("other processes are not told that a conversation has changed: %s", reply)

    async def _once(self, commands: list[list[Any]]) -> list[Any]:
        link = self._make_link()
        try:
            return await link.exchange(commands, self._timeout)
        finally:
            await link.close()
