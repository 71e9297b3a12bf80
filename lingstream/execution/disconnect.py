"""What becomes of a run that nobody watches any more: its workflow's ``on_disconnect``."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context

from lingstream.conf import app_settings
from lingstream.hubs import get_hub
from lingstream.models import Run

from .runner import get_runner
from .storage import in_database, load_run

__all__ = ["watching"]

_viewers: Counter[str] = Counter()
_timers: dict[str, asyncio.TimerHandle] = {}
_tasks: set[asyncio.Task[None]] = set()


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


def _leave(name: str) -> None:
    _timers.pop(name, None)
    task = asyncio.get_running_loop().create_task(_cancel(name))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _cancel(name: str) -> None:
    if not await get_hub().is_watched(name):
        await get_runner().cancel(await in_database(load_run, name))
