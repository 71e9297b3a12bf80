"""Flow control: how much a viewer that does not read may cost.

A viewer holds a cursor, not a queue, so what it has not been sent costs nothing. What it has been sent and
has not read sits in the server's buffers, and that is bounded here: by credits for who acknowledges; by the
server's own ``send`` where that waits (uvicorn); by a budget of bytes where it does not (daphne), after which
the viewer is ended and comes back by id. The bound is the connection's, however many runs it follows.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

from lingstream.core.log.frames import FrameId, parse_id

__all__ = ["CREDIT", "Budget", "Credits", "Turn", "send_waits"]

CREDIT = 262_144
"""Bytes that a socket may leave unacknowledged."""


class Credits:
    """What one socket has been sent and has not acknowledged, of all the runs that it follows.

    A socket is read in order, so an acknowledged frame acknowledges everything that was sent before it, of
    other runs too.

    :param most: bytes past which the socket is sent nothing more; one batch of frames may go past it.
    """

    def __init__(self, most: int = CREDIT) -> None:
        self._most = most
        self._unread = 0
        self._sent: deque[tuple[str, FrameId, int]] = deque()
        self._news = asyncio.Event()

    @property
    def spent(self) -> bool:
        """Whether the socket may be sent nothing more."""
        return self._unread >= self._most

    def sent(self, run: str, place: FrameId, size: int) -> None:
        """A frame of ``size`` bytes has gone out."""
        self._sent.append((run, place, size))
        self._unread += size

    def ack(self, run: str, text: str) -> None:
        """The viewer has read everything up to this frame of ``run``; ids of no frame are passed over."""
        place = parse_id(text)
        if place is None:
            return
        read = 0
        for number, (name, sent, _) in enumerate(self._sent, 1):
            if name == run and sent <= place:
                read = number
        for _ in range(read):
            self._unread -= self._sent.popleft()[2]
        if not self.spent:
            self._news.set()

    async def room(self) -> None:
        """Return when the socket may be sent more."""
        while self.spent:
            self._news.clear()
            await self._news.wait()


class Turn:
    """One viewer's turn to read its log and send what it got, while the socket's other viewers wait.

    Taken before the log is read: or a hundred viewers of a socket that is not read would each hold a batch.

    :param sending: the socket's lock.
    :param credits: the socket's, for a viewer that acknowledges.
    """

    def __init__(self, sending: asyncio.Lock, credits: Credits | None) -> None:
        self._sending = sending
        self._credits = credits
        self._mine = False

    async def take(self) -> None:
        """Return when it is this viewer's turn, and there is room."""
        while not self._mine:
            if self._credits:
                await self._credits.room()  # not under the lock: others may need no credits
            await self._sending.acquire()
            self._mine = not (self._credits and self._credits.spent)
            if not self._mine:
                self._sending.release()

    def end(self) -> None:
        """Let the others send."""
        if self._mine:
            self._mine = False
            self._sending.release()


class Budget:
    """Bytes that may be sent to one viewer whose reading nobody sees.

    :param most: in all; ``None`` for no bound.
    """

    def __init__(self, most: int | None) -> None:
        self._left = most

    def spend(self, size: int) -> bool:
        """Count ``size`` bytes; return false once the budget is gone."""
        if self._left is None:
            return True
        self._left -= size
        return self._left > 0


def send_waits() -> bool:
    """Whether this server's ``send`` waits for a slow client: uvicorn's does, daphne's never."""
    reactor = sys.modules.get("twisted.internet.reactor")
    return not getattr(reactor, "running", False)
