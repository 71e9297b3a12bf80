"""How long Redis is waited for, by a clock that knows when the event loop stood still."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

__all__ = ["Bound", "Patience"]

_SLICES = 5


class Bound:
    """As ``asyncio.timeout``, but time in which the event loop stood still does not count.

    A loop that stood still for two seconds finds both the reply and the timer that ran out meanwhile, and
    the timer wins: so a busy process took a healthy Redis for sick. Here time is counted in slices, and
    however long the loop stood still, one slice is all that has passed.

    :param seconds: of a loop that turns.
    :raises TimeoutError: they have passed.
    """

    def __init__(self, seconds: float) -> None:
        self._slice = max(seconds, 0) / _SLICES
        self._left = _SLICES
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._timeout.__aenter__()
        self._timer = self._loop.call_later(self._slice, self._tick)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def _tick(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._slice, self._tick)
        else:
            self._timeout.reschedule(self._loop.time())


class Patience:
    """Says when a failing Redis counts as sick, and how long to wait before it is asked again.

    One lost connection is mended at once and nobody hears of it. Only when nothing has worked for ``limit``
    seconds, and not at the first try, is it sick; from then on it is asked at growing distances. (The first
    try alone says nothing: it may have begun before the loop stood still.)
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._failing_since: float | None = None
        self._attempts = 0
        self.sick = False

    @property
    def within(self) -> float:
        """Seconds that the next attempt may take."""
        if self.sick or self._failing_since is None:
            return self._limit
        return max(self._failing_since + self._limit - asyncio.get_running_loop().time(), 0.01)

    def succeeded(self) -> bool:
        """Return whether it was sick until now."""
        was_sick, self.sick = self.sick, False
        self._failing_since, self._attempts = None, 0
        return was_sick

    def failed(self, begun: float) -> float:
        """An attempt that began at ``begun`` failed: return the seconds to wait before the next."""
        if self._failing_since is None:
            self._failing_since = begun
        left = self._failing_since + self._limit - asyncio.get_running_loop().time()
        self.sick = self.sick or (left <= 0 and self._attempts > 0)
        pause: float = min(0.01 * 2**self._attempts, self._limit)
        self._attempts = min(self._attempts + 1, 16)
        return pause if self.sick else min(pause, max(left, 0.0))
