"""Small pieces of work that many tasks have done in a thread, a few at a time.

To go to a thread and back costs as much as to read a file, or to cut a page. Tasks that walk side by side ask
at the same time, and so they go together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, ParamSpec, TypeVar

__all__ = ["Together"]

P = ParamSpec("P")
T = TypeVar("T")


class _Call(NamedTuple):
    future: asyncio.Future[Any]
    work: Callable[[], Any]


class Together:
    """What is asked for in one turn of an event loop is done in one turn of a thread, one after the other.

    Each has its own result or error. None is told before all are done: who asks bounds how many there are.
    """

    def __init__(self) -> None:
        self._waiting: list[_Call] = []

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As :func:`asyncio.to_thread`."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._begin, loop)
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append(_Call(future, partial(function, *args, **kwargs)))
        return await future

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        calls, self._waiting = self._waiting, []
        try:
            loop.run_in_executor(None, _outcomes, calls).add_done_callback(partial(_tell, calls))
        except RuntimeError as error:  # there is no executor any more
            _fail(calls, error)


def _outcomes(calls: Sequence[_Call]) -> list[tuple[Any, BaseException | None]]:
    return [_outcome(call) for call in calls]


def _outcome(call: _Call) -> tuple[Any, BaseException | None]:
    if call.future.cancelled():
        return None, None
    try:
        return call.work(), None
    except StopIteration as error:  # which no future takes
        return None, RuntimeError(f"the work raised {error!r}")
    except BaseException as error:
        return None, error


def _tell(calls: Sequence[_Call], done: asyncio.Future[list[tuple[Any, BaseException | None]]]) -> None:
    if done.cancelled() or done.exception():
        _fail(calls, RuntimeError("the thread has not done it"))
        return
    for call, (result, error) in zip(calls, done.result(), strict=True):
        if call.future.done():
            continue
        if error:
            call.future.set_exception(error)
        else:
            call.future.set_result(result)


def _fail(calls: Sequence[_Call], error: Exception) -> None:
    for call in calls:
        if not call.future.done():
            call.future.set_exception(error)
