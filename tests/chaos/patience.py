"""How long a test waits: the longer, the more the machine has to do, and the slower it is.

Nothing waits for these bounds to pass, so a generous one costs no time; one that a busy machine passes costs
the truth of the suite. It stays a bound: ``MOST`` times as long, and a test that hangs has failed.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

__all__ = ["PATIENCE", "scale", "scaled", "within"]

PATIENCE = 40.0  # seconds that anything may take on an idle machine
MOST = 8.0
USUAL = 0.020  # seconds of CPU for the known piece of work, where the bounds were set


def scale() -> float:
    """How many times as long as usual things take at the moment."""
    return min(MOST, max(1.0, _load()) * _slowness())


def scaled(seconds: float) -> float:
    """``seconds`` of an idle machine, as seconds of this one now."""
    return seconds * scale()


@asynccontextmanager
async def within(seconds: float = PATIENCE) -> AsyncIterator[None]:
    """Bound what follows; the bound moves on while the load grows."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.timeout(scaled(seconds)) as bound:

        def look() -> None:
            nonlocal timer
            if not bound.expired():
                bound.reschedule(max(bound.when() or 0.0, begun + scaled(seconds)))
                timer = loop.call_later(1.0, look)

        timer = loop.call_later(1.0, look)
        try:
            yield
        finally:
            timer.cancel()


def _load() -> float:
    """Processes that want a CPU, for each CPU: of the last minute, or now if there are more by now."""
    try:
        minute, *_, counts, _ = Path("/proc/loadavg").read_text().split()
        wanting = max(float(minute), float(counts.split("/")[0]))
    except OSError:  # not Linux
        wanting = os.getloadavg()[0]
    return wanting / (os.cpu_count() or 1)


@cache
def _slowness() -> float:
    """How much more CPU time a known piece of work takes than usual; load does not count here."""
    times = []
    for _ in range(3):
        begun = time.thread_time()
        sum(number * number for number in range(300_000))
        times.append(time.thread_time() - begun)
    return max(1.0, min(times) / USUAL)
