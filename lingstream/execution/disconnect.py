"""What becomes of a run whose viewers go: its workflow's ``on_disconnect``, and its chat's ``on_abort``."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing, contextmanager
from contextvars import Context
from typing import Any

from lingstream.conf import app_settings
from lingstream.conversations.chats import chat_of
from lingstream.hubs import get_hub
from lingstream.models import Run

from .runner import get_runner
from .start import Start
from .storage import in_database, load_run

__all__ = ["abort", "is_bound", "or_cancel", "watching"]

_viewers: Counter[str] = Counter()
_timers: dict[str, asyncio.TimerHandle] = {}
_tasks: set[asyncio.Task[None]] = set()


async def is_bound(start: Start) -> bool:
    """Whether what is started ends with the connection that it is streamed on: a chat's ``on_abort``."""
    return bool(start.conversation) and (await in_database(chat_of, start.workflow)).on_abort == "cancel"


@contextmanager
def watching(run: Run) -> Iterator[None]:
    """Count a viewer while it is here.

    When the last one has left a run whose workflow says ``cancel``, and none came back within
    ``DISCONNECT_GRACE`` seconds, to this process or another, the run is cancelled.
    """
    if run.plan.get("on_disconnect", "continue") != "cancel":
        del run
        yield
        return
    name = str(run.pk)
    del run  # a viewer holds no rows
    _viewers[name] += 1
    if timer := _timers.pop(name, None):
        timer.cancel()
    get_hub().set_watched(name, True)
    try:
        yield
    finally:
        _viewers[name] -= 1
        if not _viewers[name]:
            del _viewers[name]
            get_hub().set_watched(name, False)
            loop = asyncio.get_running_loop()
            # A context of its own, as for runs: the viewer's may be a request's.
            _timers[name] = loop.call_later(app_settings().disconnect_grace, _leave, name, context=Context())


async def or_cancel(name: str, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Pass on what is streamed of a run; if its reader goes before the end, :func:`abort` it."""
    async with aclosing(parts):
        try:
            async for part in parts:
                yield part
        except (asyncio.CancelledError, GeneratorExit):
            abort(name)
            raise


def abort(name: str) -> None:
    """Cancel the run: at once, and whoever else watches it. That the process goes away is nobody's going."""
    if not get_runner().draining:
        _soon(_cancel(name))


def _leave(name: str) -> None:
    _timers.pop(name, None)
    _soon(_cancel_unwatched(name))


def _soon(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work, context=Context())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _cancel_unwatched(name: str) -> None:
    if not await get_hub().is_watched(name):
        await _cancel(name)


async def _cancel(name: str) -> None:
    await get_runner().cancel(await in_database(load_run, name))
