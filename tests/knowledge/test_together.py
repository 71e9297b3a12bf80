"""Small pieces of work that go to a thread together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from lingstream.knowledge.together import Together


async def counted(work: Callable[[], Any]) -> tuple[Any, int]:
    """Return what ``work()`` gives, and how often a thread was asked for."""
    turns = 0
    loop = asyncio.get_running_loop()
    submit = loop.run_in_executor

    def counting(*args: Any) -> Any:
        nonlocal turns
        turns += 1
        return submit(*args)

    loop.run_in_executor = counting  # type: ignore[method-assign]
    return await work(), turns


async def test_what_is_asked_for_in_one_turn_takes_one_turn_of_a_thread() -> None:
    together = Together()

    async def twice(number: int) -> tuple[int, int]:
        first = await together.call(lambda: number)
        return first, await together.call(lambda factor: factor * number, factor=10)

    found, turns = await counted(lambda: asyncio.gather(*map(twice, range(50))))
    assert found == [(number, 10 * number) for number in range(50)]
    assert turns == 2


async def test_each_fails_alone() -> None:
    together = Together()
    work = [together.call(lambda number=number: 1 / number) for number in (1, 0, 2)]
    one, none, half, last = await asyncio.gather(*work, together.call(next, iter(())), return_exceptions=True)
    assert (one, half) == (1, 0.5)
    assert isinstance(none, ZeroDivisionError)
    assert isinstance(last, RuntimeError)  # no future takes a StopIteration


async def test_what_is_cancelled_meanwhile_is_not_begun() -> None:
    together = Together()
    begun, go_on = threading.Event(), threading.Event()
    done = []

    def first() -> bool:
        begun.set()
        return go_on.wait(10)

    tasks = [asyncio.create_task(together.call(first)), asyncio.create_task(together.call(done.append, 1))]
    assert await asyncio.to_thread(begun.wait, 10)
    tasks[1].cancel()
    await asyncio.wait(tasks[1:])
    go_on.set()
    assert await tasks[0] and done == []


async def test_a_turn_under_way_holds_no_other_up() -> None:
    together = Together()
    begun, go_on = threading.Event(), threading.Event()

    def first() -> bool:
        begun.set()
        return go_on.wait(10)

    task = asyncio.create_task(together.call(first))
    assert await asyncio.to_thread(begun.wait, 10)
    await together.call(go_on.set)
    assert await task
