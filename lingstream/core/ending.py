"""Waiting for code that is not ours to end: always with a bound.

A cancel is a request. Code between us and an ``await`` may lose it and go on (``asyncio.wait_for`` of Python
3.11 does, where the answer comes in the same turn of the loop, and libraries are built on it), or make an
error of it. Who then waits for the task waits for ever. So whatever is not ours to end runs in a task of its
own, is cancelled more than once, and is left in the end, with its stack in the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

__all__ = ["bounded", "consume", "end_tasks", "fault_before", "stack_of"]

logger = logging.getLogger("lingstream")

T = TypeVar("T")

_left: set[asyncio.Future[Any]] = set()
"""Tasks that nobody waits for any more: the event loop does not keep them from the garbage collector."""


async def end_tasks(*tasks: asyncio.Task[Any], within: float = 1.0, tries: int = 3) -> set[asyncio.Task[Any]]:
    """Cancel ``tasks`` and wait for their end, again and again, for at most ``within * tries`` seconds.

    What they raise is nobody's business any more, and dropped. Cancelled itself, it leaves them as they are:
    each has been cancelled at least once.

    :param within: seconds between two cancels of a task that goes on.
    :returns: those that did not end; the log has said where they are.
    """
    going = {task for task in tasks if not task.done()}
    for task in tasks:
        _leave(task)
    for _ in range(tries):
        for task in going:
            task.cancel()
        if going:
            _, going = await asyncio.wait(going, timeout=within)
    for task in going:
        logger.error("left %s, which %d cancels did not end: %s", task.get_name(), tries, stack_of(task))
    return going


async def bounded(work: Coroutine[Any, Any, T], seconds: float, *, within: float = 0.3, tries: int = 3) -> T:
    """Await ``work`` for ``seconds``, then end it (see :func:`end_tasks`) and go on.

    :raises TimeoutError: it took longer.
    """
    task = asyncio.create_task(work, name=getattr(work, "__qualname__", None))
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        done = task.done()
        await end_tasks(task, within=within, tries=tries)
    if not done:
        raise TimeoutError(f"{task.get_name()} took longer than {seconds:g} s")
    return task.result()


async def consume(
    stream: AsyncIterator[T],
    take: Callable[[T], Awaitable[None] | None],
    *,
    within: float = 1.0,
    tries: int = 3,
) -> None:
    """Call ``take`` with each item of ``stream``, and close it; raises what either of them raises.

    :param stream: closed by its ``aclose``, where it has one.
    :param take: may return something to wait for before the next item.

    Where ``take`` raises, or we are cancelled, a stream that does not close is left (see :func:`end_tasks`);
    ``take`` is not called any more. A cancel that comes when either has raised already, while the stream
    still closes, has that for its cause: see :func:`fault_before`. One task for the whole stream, because one
    for each item would cost more than the item.
    """
    # What `take` or the stream raised, or nothing. Set by the reader itself: that the task is done, asyncio
    # would tell us a turn of the loop later, and under load a turn is long.
    over: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    async def read() -> None:
        fault: Exception | None = None
        try:
            try:
                async for item in stream:
                    if over.done():  # nobody listens any more
                        return
                    try:
                        if rest := take(item):
                            await rest
                    except Exception as error:
                        over.set_result(error)
                        return
            finally:
                if close := getattr(stream, "aclose", None):
                    await close()
        except Exception as error:
            fault = error
        finally:
            if not over.done():
                over.set_result(fault)

    task = asyncio.create_task(read(), name=f"reader of {getattr(stream, '__qualname__', 'a stream')}")
    known: Exception | None = None
    try:
        try:
            if known := await over:
                await asyncio.wait({task}, timeout=within)  # it closes the stream, undisturbed
                raise known
            task.result()
        except asyncio.CancelledError:
            known = over.result() if over.done() and not over.cancelled() else None
            raise
        finally:
            await end_tasks(task, within=within, tries=tries)
    except asyncio.CancelledError as cancelled:
        raise cancelled from known


def fault_before(error: TimeoutError) -> Exception | None:
    """What :func:`consume` had met when the time was over, which ``error`` of ``asyncio.timeout`` says."""
    cancelled = error.__context__
    fault = cancelled.__cause__ if isinstance(cancelled, asyncio.CancelledError) else None
    return fault if isinstance(fault, Exception) else None


def stack_of(task: asyncio.Task[Any]) -> str:
    """Where a task waits, from the outside in: names and lines only, no values."""
    places: list[str] = []
    waits: Any = task.get_coro()
    while waits is not None:
        frame: FrameType | None = getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None)
        if frame:
            places.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}")
        waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)
    return " > ".join(places)


def _leave(task: asyncio.Task[Any]) -> None:
    """Keep a task alive until it ends, and let nobody complain about what it raises then."""
    _left.add(task)
    task.add_done_callback(_forget)


def _forget(task: asyncio.Future[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()
