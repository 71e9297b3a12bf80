"""The runner's own threads for the database, apart from those of the requests.

``database_sync_to_async`` is one FIFO thread per process that opens and closes a connection at each call: a
heartbeat behind 400 writes of 50 ms there is 21 s old, and its process is taken for dead. So whatever must be
on time has a thread and a connection of its own: the heart (:mod:`.heart`), the journal (:mod:`.journal`),
and a few threads for all the rest, here. Threads and not one queue with priorities: a job that is under way
cannot be overtaken.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, TypeAlias, TypeVar

from django.db import connections

from lingstream.conf import app_settings
from lingstream.models.locks import expire

from .away import AWAY

__all__ = ["Ages", "DatabaseThread", "Lane", "end_threads", "keep_connections", "patiently"]

logger = logging.getLogger("lingstream")
P = ParamSpec("P")
T = TypeVar("T")
_Jobs: TypeAlias = "queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]"

_PAUSES = (0.1, 0.3, 1.0, 2.0)  # seconds between tries while the database is away; the last one repeats
_PATIENCE = 60.0  # seconds for which it may be away: longer than a restart or a fail-over takes
_QUIET = 5.0  # seconds between two warnings that it is away
_ENDING = 5.0  # seconds that threads may take to end their last jobs

_said_at = float("-inf")


async def patiently(attempt: Callable[[], Awaitable[T]], patience: float = _PATIENCE) -> T:
    """Return what ``attempt()`` gives; ask again while the database is away.

    :param patience: seconds after which nothing is tried again.
    :raises OperationalError: it did not come back.
    """
    now = asyncio.get_running_loop().time
    last = now() + patience
    tries = 0
    while True:
        try:
            return await attempt()
        except AWAY as error:
            pause = _PAUSES[min(tries, len(_PAUSES) - 1)]
            tries += 1
            if now() + pause > last:
                raise
            _say_away(error)
            await asyncio.sleep(pause)


def _say_away(error: Exception) -> None:
    """Log that the database is away: now and then, and not for each of the hundreds of calls that wait."""
    global _said_at
    if time.monotonic() - _said_at >= _QUIET:
        _said_at = time.monotonic()
        logger.warning("the database is away, trying again until it answers: %s", error)


def keep_connections() -> None:
    """Leave this thread's connections fit for the next job: only those that failed are closed.

    ``close_old_connections`` would close every one, every time, with the default ``CONN_MAX_AGE`` of 0. Where
    Django pools connections (``OPTIONS["pool"]``) they go back to the pool instead of being held for good.
    """
    for connection in connections.all(initialized_only=True):
        if connection.connection is None:
            continue
        if connection.settings_dict["OPTIONS"].get("pool"):
            connection.close()
        elif connection.errors_occurred:
            if connection.is_usable():
                connection.errors_occurred = False
            else:
                connection.close()


class DatabaseThread(threading.Thread):
    """A thread that closes its connections when it ends, and loses its locks if the process stands still.

    :param work: what it does, to the end.
    """

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)  # a database that hangs does not keep the process alive
        self._work = work
        self.start()

    def run(self) -> None:
        """See :class:`threading.Thread`."""
        expire(app_settings().dead_after)
        try:
            self._work()
        finally:
            connections.close_all()


async def end_threads(*threads: threading.Thread) -> None:
    """Wait for the end of ``threads``, within one bound for all of them."""
    await asyncio.to_thread(_join, threads)
    for thread in threads:
        if thread.is_alive():
            logger.warning("the thread %s hangs and is left alone", thread.name)


def _join(threads: Iterable[threading.Thread]) -> None:
    last = time.monotonic() + _ENDING
    for thread in threads:
        thread.join(max(0.0, last - time.monotonic()))


class Ages:
    """When what is under way began; used by one event loop only."""

    def __init__(self) -> None:
        self._begun: dict[object, float] = {}

    def begin(self) -> object:
        """Return a mark for :meth:`end`."""
        mark = object()
        self._begun[mark] = asyncio.get_running_loop().time()
        return mark

    def end(self, mark: object) -> None:
        """What ``mark`` stands for is over."""
        self._begun.pop(mark, None)

    @property
    def oldest(self) -> float:
        """Seconds since the oldest of them began, 0 if there is none."""
        begun = next(iter(self._begun.values()), None)
        return 0.0 if begun is None else asyncio.get_running_loop().time() - begun


class Lane:
    """A few threads that call functions which use the ORM; each begins when there is work for it.

    :param threads: how many; two, but one on SQLite, where writers wait for each other anyhow.
    :param tidy: called in the thread after each call.
    """

    def __init__(self, threads: int | None = None, *, tidy: Callable[[], None] = keep_connections) -> None:
        self._size = threads
        self._tidy = tidy
        self._jobs: _Jobs = queue.SimpleQueue()
        self._threads: list[DatabaseThread] = []
        self._open: set[Future[Any]] = set()  # asked for, and not done, whether or not somebody waits
        self._ages = Ages()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns; a call that is cancelled before it began is not made."""
        context = contextvars.copy_context()
        future: Future[T] = Future()
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        self._grow()
        self._jobs.put((future, lambda: context.run(function, *args, **kwargs)))
        mark = self._ages.begin()
        try:
            return await asyncio.wrap_future(future)
        finally:
            self._ages.end(mark)

    async def persist(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As :meth:`call`, but :func:`patiently`."""
        return await patiently(lambda: self.call(function, *args, **kwargs))

    @property
    def oldest(self) -> float:
        """Seconds for which the oldest call has been waiting or working."""
        return self._ages.oldest

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked for that is not done."""
        return not self._open

    async def aclose(self) -> None:
        """End the threads and their connections; a later call begins anew."""
        threads, self._threads = self._threads, []
        # Of its own for those who come after: a thread that hangs would leave them its signal to end.
        jobs, self._jobs = self._jobs, queue.SimpleQueue()
        for _ in threads:
            jobs.put(None)
        await end_threads(*threads)

    def _grow(self) -> None:
        count = self._size or (1 if connections["default"].vendor == "sqlite" else 2)
        if len(self._threads) < min(count, len(self._open)):
            name = f"lingstream lane {len(self._threads)}"
            self._threads.append(DatabaseThread(name, partial(self._work, self._jobs)))

    def _work(self, jobs: _Jobs) -> None:
        while job := jobs.get():
            future, call = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            finally:
                self._clear_up()
                del job, future, call  # or what was returned would live until the next job

    def _clear_up(self) -> None:
        try:
            self._tidy()
        except Exception:  # the thread has more to do, and its place is not given to another
            logger.exception("a thread's connections could not be looked after")
