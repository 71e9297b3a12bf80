"""Flow control: how much a viewer that does not read may cost.

A viewer holds a cursor, not a queue, so what it has not been sent costs nothing. What it has been sent and
has not read sits in the server's buffers, and that is bounded here: by credits for who acknowledges; by the
server's own ``send`` where that waits (uvicorn); by a budget of bytes where it does not (daphne), after which
the viewer is ended and comes back by id.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

from .core.frames import FrameId, parse_id

__all__ = ["CREDIT", "Budget", "Credits", "send_waits"]

CREDIT = 262_144
"""Bytes that a viewer may leave unacknowledged."""


class Credits:
    """What one viewer of one run has been sent and has not acknowledged.

    :param most: bytes past which the viewer is sent nothing more; one batch of frames may go past it.
    """

    def __init__(self, most: int = CREDIT) -> None:
        self._most = most
        self._unread = 0
        self._sent: deque[tuple[FrameId, int]] = deque()
        self._news = asyncio.Event()

    def sent(self, place: FrameId, size: int) -> None:
        """A frame of ``size`` bytes has gone out."""
        self._sent.append((place, size))
        self._unread += size

    def ack(self, text: str) -> None:
        """The viewer has read everything up to the frame with this id; others are passed over."""
        place = parse_id(text)
        while place and self._sent and self._sent[0][0] <= place:
            self._unread -= self._sent.popleft()[1]
        self._news.set()

    async def room(self) -> None:
        """Return when the viewer may be sent more."""
        while self._unread >= self._most:
            self._news.clear()
            await self._news.wait()


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
