"""The providers of a process: how they are closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from lingstream.core.plan import ProviderPlan
from lingstream.core.provider import ChatOptions, Chunk, Message
from lingstream.pool import ProviderPool

from .core.support import ALL, Deaf

built: list[Closing] = []


class Closing:
    """A provider that closes as its model's name says."""

    def __init__(self, way: str) -> None:
        self.deaf = Deaf(ALL)
        self.closed = False
        self._way = way

    async def stream(self, messages: Sequence[Message], options: ChatOptions) -> AsyncIterator[Chunk]:
        yield Chunk("")

    async def aclose(self) -> None:
        if self._way == "never":
            await self.deaf.work()
        if self._way == "fails":
            raise ConnectionError("reset by peer")
        self.closed = True


def closing(plan: Any, key: str) -> Closing:
    """The factory of the kind ``closing``."""
    built.append(Closing(plan.model))
    return built[-1]


async def test_one_that_does_not_close_is_left_and_the_others_are_closed(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    kinds = {"closing": "tests.test_pool.closing"}
    settings.LINGSTREAM = {**settings.LINGSTREAM, "PROVIDER_KINDS": kinds}
    built.clear()
    pool = ProviderPool()
    for way in ("never", "fails", "at once"):
        pool.get(ProviderPlan(kind="closing", model=way))
    async with asyncio.timeout(20):
        await pool.aclose()
    assert [provider.closed for provider in built] == [False, False, True]
    assert "a provider did not close: reset by peer" in caplog.text
    assert "a provider did not close: Closing.aclose took longer than 2 s" in caplog.text
    built[0].deaf.released.set()
