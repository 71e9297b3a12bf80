"""The broker of the chaos suite, as the documentation shows it."""

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import Any

from taskiq import InMemoryBroker
from taskiq_redis import RedisStreamBroker

__all__ = ["broker", "deaf", "deaf_once"]

# maxlen: acknowledged messages stay in the stream; the lock's time-out: a worker may die with the lock.
broker = RedisStreamBroker(os.environ["CHAOS_REDIS"], maxlen=10_000, unacknowledged_lock_timeout=5)


class Deaf(InMemoryBroker):
    """A broker whose library loses the cancels of its listener: its first one, or all of them."""

    def __init__(self, *, once: bool) -> None:
        super().__init__()
        self._once = once

    async def listen(self) -> AsyncGenerator[Any, None]:
        lost = 0
        while not (self._once and lost > 1):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
        raise asyncio.CancelledError
        yield

    async def shutdown(self) -> None:
        if not self._once:
            await anext(self.listen())


deaf_once, deaf = Deaf(once=True), Deaf(once=False)
