"""The hub of the runs that processes share: which logs this process has, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any
from uuid import uuid4

from lingstream.core.ending import bounded, end_tasks
from lingstream.core.exceptions import LingError

from .follower import Follower
from .log import RedisLog
from .notices import StreamNotices
from .patience import Bound
from .streams import JOIN, Keys, Link, decode
from .watchers import Watchers
from .writer import Writer

__all__ = ["StreamsHub"]

_MISSING = 3  # checks in a row without a stream after which its readers are sent to the database
_OPENING = 0.02  # seconds in which a log is opened by the process that created it, if it is at all


class StreamsHub:
    """See :class:`~lingstream.hubs.redis.RedisHub`, which adds the connections.

    :param make_link: makes a connection.
    """

    shared = True

    def __init__(
        self,
        make_link: Callable[[], Link],
        *,
        prefix: str,
        ttl: float,
        max_frames: int,
        timeout: float,
        check: float,
        linger: float,
        pause: float,
    ) -> None:
        self._make_link = make_link
        self._prefix = prefix
        self._ttl = ttl
        self._max_frames = max_frames
        self._timeout = timeout
        self._check = min(check, ttl / 3)
        self._linger = linger
        self._pause = pause
        self.notices = StreamNotices(prefix, make_link, timeout=timeout, start=self._start)
        """See :attr:`Hub.notices`."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def create(self, run: str) -> RedisLog:
        """See :meth:`Hub.create`."""
        self._start()
        log = self._logs.get(run)
        if log is None or log.abandoned:
            log = self._logs[run] = self._new(run)
            log.mine = True
        log.released, log.drop_at = False, None
        return log

    async def find(self, run: str, *, running: bool = False) -> RedisLog | None:
        """See :meth:`Hub.find`. Where Redis does not answer, there is nothing to be found."""
        self._start()
        if self._closed:
            return None
        if log := self._usable(run):
            return log
        log = self._new(run)
        try:
            found = await self.catch_up(log)
        except LingError:
            return None
        if known := self._usable(run):  # somebody else has asked meanwhile
            return known
        if not found and not running:
            return None
        self._logs[run] = log
        self.follow(log)
        return log

    def release(self, run: str) -> None:
        """See :meth:`Hub.release`. A run that has not ended is followed from then on."""
        if self._loop and (log := self._logs.get(run)):
            log.released = True
            self._retire(log)

    def drop(self, run: str) -> None:
        """See :meth:`Hub.drop`. Other processes notice that the stream is gone, and ask the database too."""
        if self._loop and not self._closed:
            self._writer.post(["DEL", *Keys.of(self._prefix, run)])
            if log := self._logs.get(run):
                log.retire()
                self._forget(log)

    def set_watched(self, run: str, watched: bool) -> None:
        """See :meth:`Hub.set_watched`."""
        self._start()
        self._watchers.set_watched(run, watched)

    async def is_watched(self, run: str) -> bool:
        """See :meth:`Hub.is_watched`."""
        self._start()
        return await self._watchers.is_watched(run)

    async def aclose(self) -> None:
        """See :meth:`Hub.aclose`. What is written still reaches Redis, if Redis answers in time."""
        if self._loop is None or self._closed:
            return
        self._closed = True
        self.notices.end()
        self._timer.cancel()
        with contextlib.suppress(TimeoutError, LingError):
            async with Bound(self._timeout):
                for log in list(self._logs.values()):
                    await log.flush()
        self._writer.stop()
        self._follower.stop()
        await end_tasks(*self._tasks)
        for link in self._links:
            with contextlib.suppress(TimeoutError):
                await bounded(link.close(), self._timeout)
        for log in list(self._logs.values()):
            if log.writing:
                log.degrade()  # its readers may have what Redis has not
            self._forget(log)

    # -- what logs ask for -------------------------------------------------------------------------

    @property
    def sick(self) -> bool:
        """See :class:`LogHost`."""
        return self._closed or self._writer.sick

    def pending(self, log: RedisLog) -> None:
        """See :class:`LogHost`."""
        self._writer.pending(log)

    def hurry(self) -> None:
        """See :class:`LogHost`."""
        self._writer.hurry()

    def follow(self, log: RedisLog) -> None:
        """See :class:`LogHost`."""
        log.unused_since = self._now()
        if self._logs.get(log.run) is log and not log.ended:
            self._follower.follow(log)

    def opening(self, log: RedisLog) -> None:
        """See :class:`LogHost`."""
        self._follower.unfollow(log)
        if not self._closed:
            self._logs[log.run] = log

    def current(self, log: RedisLog) -> RedisLog:
        """See :class:`LogHost`."""
        if self._closed or log.abandoned:
            return log
        known = self._logs.setdefault(log.run, log)
        if not known.mine:
            self.follow(known)
        elif not known.last_id.epoch and self._loop:
            self._loop.call_later(_OPENING, self._not_opened, known, context=Context())
        return known

    async def catch_up(self, log: RedisLog) -> bool:
        """See :class:`LogHost`.

        :raises Unreachable: Redis is sick.
        """
        reply = await self._writer.call(JOIN.call(log.keys))
        if reply is None:
            return False
        snapshot, entries, ttl = reply
        for body in [snapshot, *(fields[1] for _, fields in entries)]:
            if body:
                log.receive(decode(body))
        if log.ended:
            log.drop_at = self._now() + ttl / 1000
        return True

    # -- helpers -----------------------------------------------------------------------------------

    def _start(self) -> None:
        """Begin in the event loop that we are called in: a hub is made before there is one."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        self._loop, self._closed = loop, False
        self._logs: dict[str, RedisLog] = {}
        self._wake_key = f"{self._prefix}:wake:{uuid4().hex}"
        self._links = [self._make_link(), self._make_link()]
        self._writer = Writer(
            self._links[0],
            probe=["SET", f"{self._prefix}:probe", "", "PX", 60_000],
            timeout=self._timeout,
            pause=self._pause,
            changed=self._changed,
        )
        self._follower = Follower(
            self._links[1],
            wake_key=self._wake_key,
            wake=self._wake,
            catch_up=self.catch_up,
            notices=self.notices,
            writable=lambda: not self._writer.sick,
            timeout=self._timeout,
            pause=self._pause,
        )
        self.notices.begin(self._writer, self._follower.look)
        self._watchers = Watchers(self._writer, self._prefix, lifetime=3 * self._check)
        # An empty context: a request's would keep its thread and its database handle as long as we live.
        self._tasks = [
            loop.create_task(work, name=f"lingstream redis {name}", context=Context())
            for name, work in (("writer", self._writer.run()), ("follower", self._follower.run()))
        ]
        self._timer = loop.call_later(self._check, self._tick, context=Context())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _new(self, run: str) -> RedisLog:
        log = RedisLog(self, run, Keys.of(self._prefix, run), max_frames=self._max_frames, ttl=self._ttl)
        log.unused_since = self._now()
        return log

    def _usable(self, run: str) -> RedisLog | None:
        log = self._logs.get(run)
        if log is None or log.abandoned or (log.drop_at is not None and log.drop_at <= self._now()):
            return None
        return log

    def _wake(self) -> None:
        self._writer.post(["XADD", self._wake_key, "MAXLEN", 1, "*", "w", ""])
        self._writer.post(["PEXPIRE", self._wake_key, 60_000])

    def _retire(self, log: RedisLog) -> None:
        if log.ended:
            log.drop_at = log.drop_at or self._now() + self._ttl
        elif log.retire():
            self.follow(log)

    def _changed(self, well: bool) -> None:
        for log in self._logs.values():
            if log.writing:
                log.touch() if well else log.degrade()
        self._follower.tell()
        if well:
            self.notices.recovered()

    def _tick(self) -> None:
        """Check what Redis has, and forget what nobody needs."""
        now = self._now()
        for log in list(self._logs.values()):
            if log.writing:
                log.touch()
            if log.released and log.mine:
                self._retire(log)
            if log.readers:
                log.unused_since = now
            if log.ended and not log.mine:
                log.drop_at = log.drop_at or now + self._ttl
            # Of an ended run Redis has everything that is written: nothing is kept here for nobody.
            linger = 0 if log.ended else self._linger
            unused = not log.writing and not log.readers and log.unused_since + linger <= now
            if unused or (log.drop_at is not None and log.drop_at <= now):
                self._forget(log)
        self._watchers.renew()
        if self._follower.logs or self.notices.place is not None:
            self._writer.probe()
        for log in self._follower.logs:
            self._writer.post(["EXISTS", log.keys.stream], partial(self._checked, log))
        self._timer = asyncio.get_running_loop().call_later(self._check, self._tick, context=Context())

    def _checked(self, log: RedisLog, reply: Any) -> None:
        """A stream that stays away has no writer that would put it back."""
        if isinstance(reply, int):
            log.missing = 0 if reply else log.missing + 1
        if log.missing >= _MISSING:
            self._forget(log)

    def _not_opened(self, log: RedisLog) -> None:
        """A log that was created for viewers to wait for: another process will write it."""
        if not log.last_id.epoch and not self._closed:
            log.mine = False
            self.follow(log)

    def _forget(self, log: RedisLog) -> None:
        self._follower.unfollow(log)
        log.abandon()
        if self._logs.get(log.run) is log:
            del self._logs[log.run]
