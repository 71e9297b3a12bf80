"""How often a host is asked: one request at a time, a pause between two, and longer where it asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

__all__ = ["Pace"]


@dataclass(slots=True)
class _Host:
    pause: float
    free_at: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Pace:
    """The turns of the requests to each host, on one event loop.

    :param pause: seconds between the end of a request and the next one to its host.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, host: str, patience: float) -> AsyncIterator[float]:
        """Wait until ``host`` may be asked, and keep all others from asking it meanwhile.

        :param patience: seconds of rest that are waited for.
        :returns: how much more rest it wants, in seconds: unless that is 0, it may not be asked.
        """
        loop = asyncio.get_running_loop()
        found = self._of(host)
        async with found.turn:
            rest = found.free_at - loop.time()
            if rest > patience:
                yield rest
                return
            await asyncio.sleep(max(0.0, rest))
            try:
                yield 0.0
            finally:
                found.free_at = max(found.free_at, loop.time() + found.pause)

    def slow_down(self, host: str, pause: float) -> None:
        """Make the pauses between requests to ``host`` at least ``pause`` seconds."""
        found = self._of(host)
        found.pause = max(found.pause, pause)

    def leave_alone(self, host: str, seconds: float) -> None:
        """Ask ``host`` nothing for so long."""
        self._of(host).free_at = asyncio.get_running_loop().time() + seconds

    def _of(self, host: str) -> _Host:
        return self._hosts.setdefault(host, _Host(self._pause))
