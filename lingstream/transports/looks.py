"""What the database says of runs whose viewers hear nothing: asked for all viewers of a process at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

from lingstream.conf import app_settings
from lingstream.execution.storage import in_database
from lingstream.models import Run

__all__ = ["look"]

logger = logging.getLogger("lingstream")

_CHUNK = 500  # runs in one statement; some databases allow a thousand values


def look(run: str) -> asyncio.Future[Run | None]:
    """Return a future of the run as the database has it at the next look, within ``TICK`` seconds.

    ``None`` says that it was deleted. While the database is away there is no next look. One future is shared
    by all who ask for the run, so it is not to be cancelled.
    """
    loop = asyncio.get_running_loop()
    return _of_loops.setdefault(loop, _Looks()).ask(run)


class _Looks:
    """One statement for all runs that are asked for, and one for those that have changed."""

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Future[Run | None]] = {}
        self._known: dict[str, Run] = {}
        self._task: asyncio.Task[None] | None = None

    def ask(self, run: str) -> asyncio.Future[Run | None]:
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done():
            # An empty context: a request's would keep its thread and its connection.
            self._task = loop.create_task(self._work(), name="lingstream looks", context=Context())
        return self._asked.setdefault(run, loop.create_future())

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(app_settings().tick)
            if not self._asked:
                self._known = {}
                return
            try:
                found = await in_database(_load, list(self._asked), self._known)
            except Exception as error:
                logger.warning("viewers wait for the database: %r", error)
                continue
            self._known = {name: run for name, run in found.items() if run is not None}
            for name, run in found.items():
                future = self._asked.pop(name)
                if not future.done():
                    future.set_result(run)


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Looks] = WeakKeyDictionary()


def _load(names: list[str], known: Mapping[str, Run]) -> dict[str, Run | None]:
    """Return the runs by id, those of ``known`` that have not changed as they are."""
    found: dict[str, Run | None] = dict.fromkeys(names)
    changed = []
    for part in _chunks(names):
        rows = Run.objects.filter(pk__in=part).values_list("pk", *_STATE)
        for pk, *state in rows:
            run = known.get(str(pk))
            if run is not None and [getattr(run, name) for name in _STATE] == state:
                found[str(pk)] = run
            else:
                changed.append(str(pk))
    for part in _chunks(changed):
        for run in Run.objects.filter(pk__in=part).defer("plan", "input"):
            found[str(run.pk)] = run
    return found


_STATE = ("status", "epoch", "log_id", "runner_id")


def _chunks(names: list[str]) -> Iterable[list[Any]]:
    return (names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK))
