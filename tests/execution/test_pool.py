"""The providers that a process keeps: how many, until when, and how they are closed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.provider import ChatOptions, Chunk, Message, Provider
from lingstream.execution.pool import Pooled, ProviderPool
from lingstream.providers.scripted import ScriptedProvider
from tests import site as sites
from tests.chaos.patience import scaled
from tests.core.support import ALL, Deaf

closings: list[Closing] = []


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
    closings.append(Closing(plan.model))
    return closings[-1]


async def test_one_that_does_not_close_is_left_and_the_others_are_closed(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    kinds = {"closing": "tests.execution.test_pool.closing"}
    settings.LINGSTREAM = {**settings.LINGSTREAM, "PROVIDER_KINDS": kinds}
    closings.clear()
    pool = ProviderPool()
    for way in ("never", "fails", "at once"):
        pool.get(ProviderPlan(kind="closing", model=way))
    async with asyncio.timeout(scaled(20)):
        await pool.aclose()
    assert [provider.closed for provider in closings] == [False, False, True]
    assert "a provider did not close: reset by peer" in caplog.text
    assert "a provider did not close: Pooled.aclose took longer than 2 s" in caplog.text
    closings[0].deaf.released.set()


class Closable(ScriptedProvider):
    """Says when it was closed."""

    def __init__(self, answers: Any) -> None:
        super().__init__(answers, rate=None)
        self.closed = asyncio.Event()

    async def aclose(self) -> None:
        self.closed.set()


class Unwatched:
    """A stream that nothing can refer to weakly."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Any) -> None:
        self._chunks = chunks

    def __aiter__(self) -> Any:
        return self._chunks

    async def aclose(self) -> None:
        await self._chunks.aclose()


class Own(Closable):
    """Has a type of its own for its streams."""

    def stream(self, *args: Any) -> Any:
        return Unwatched(super().stream(*args))


@pytest.fixture
def built(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Closable]:
    """What the factory of the kind ``test`` builds, in order."""
    made: list[Closable] = []
    kind = getattr(request, "param", Closable)

    def build(plan: Any, key: str) -> Closable:
        made.append(kind(sites.answers))
        return made[-1]

    monkeypatch.setattr(sites, "scripted", build)
    return made


def plan(number: int) -> ProviderPlan:
    return ProviderPlan(name=f"p{number}", kind="test")


def say(provider: Provider) -> asyncio.Task[str]:
    """Ask it and forget it, as bots do: who reads the stream has nothing else."""
    return asyncio.create_task(read(provider.stream([], ChatOptions(model="m"))))


async def read(chunks: AsyncGenerator[Chunk, None]) -> str:
    async with aclosing(chunks):
        return "".join([chunk.text async for chunk in chunks])


async def test_one_is_built_once_and_kept() -> None:
    pool = ProviderPool(most=2)
    assert pool.get(plan(1)) is pool.get(plan(1))
    await pool.aclose()


async def test_the_pool_does_not_grow_with_every_edit_of_a_row(built: list[Closable]) -> None:
    pool = ProviderPool(most=2)
    first = pool.get(plan(1))
    for number in range(2, 50):
        pool.get(plan(1))
        pool.get(plan(number))
    assert len(pool._built) == 2
    assert pool.get(plan(1)) is first, "one that is in use went before those that are not"
    async with asyncio.timeout(scaled(5)):
        await asyncio.gather(*(model.closed.wait() for model in built[1:-1]))
    assert not built[0].closed.is_set()
    await pool.aclose()


@pytest.mark.parametrize("calls", [None, 5])
@pytest.mark.parametrize("built", [Closable, Own], indirect=True)
async def test_one_that_is_given_up_ends_its_calls_first(built: list[Closable], calls: int | None) -> None:
    gate = asyncio.Event()
    sites.answers = [["half", gate, " whole"]]
    pool = ProviderPool(most=1)
    call = say(pool.get(replace(plan(1), max_concurrency=calls)))
    pool.get(plan(2))
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not built[0].closed.is_set()
    gate.set()
    assert await call == "half whole"
    del call
    async with asyncio.timeout(scaled(5)):
        await built[0].closed.wait()
    await pool.aclose()


async def test_calls_wait_for_their_turn() -> None:
    gate = asyncio.Event()
    provider = Pooled(ScriptedProvider([["one", gate], "two"], rate=None), 1)
    first, second = (say(provider) for _ in range(2))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not first.done() and not second.done()
    gate.set()
    assert [await first, await second] == ["one", "two"]
