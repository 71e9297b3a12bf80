"""The one task of a process that reads from Redis: a single blocking read for all runs that are followed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from lingstream.core.exceptions import LingError

from .log import RedisLog
from .notices import StreamNotices
from .patience import Patience
from .streams import Link, Refused, Unreachable, decode

__all__ = ["Follower"]

logger = logging.getLogger("lingstream")

_COUNT = 500  # entries of one stream in one reply


class Follower:
    """Feeds the logs that other processes write.

    The read also waits for a stream of this process's own, the *wake-up key*: an entry there ends the wait,
    so that a run which has just been added is read too.

    :param wake_key: name of that stream.
    :param wake: writes an entry there.
    :param catch_up: fetches a log of which entries are missing.
    :param notices: read as well, once they have a place.
    :param writable: whether Redis takes writes: one that does not has no news of anybody.
    :param timeout: seconds after which a silent Redis counts as sick, and for which a read waits.
    :param pause: seconds between two reads, for entries to gather.
    """

    def __init__(
        self,
        link: Link,
        *,
        wake_key: str,
        wake: Callable[[], None],
        catch_up: Callable[[RedisLog], Awaitable[bool]],
        notices: StreamNotices,
        writable: Callable[[], bool],
        timeout: float,
        pause: float,
    ) -> None:
        self._link = link
        self._patience = Patience(timeout)
        self._wake_key = wake_key
        self._wake = wake
        self._catch_up = catch_up
        self._notices = notices
        self._writable = writable
        self._timeout = timeout
        self._pause = pause
        self._logs: dict[str, RedisLog] = {}
        self._woken_at = "0-0"
        self._some = asyncio.Event()
        self._reading = False
        self._stopped = False

    @property
    def logs(self) -> list[RedisLog]:
        """The logs that are followed."""
        return list(self._logs.values())

    def follow(self, log: RedisLog) -> None:
        """Feed ``log`` from where it is."""
        if self._logs.setdefault(log.keys.stream, log) is log:
            log.set_resumable(self._resumable)
            self.look()

    def look(self) -> None:
        """There is one more stream to read."""
        self._some.set()
        if self._reading:
            self._reading = False  # once is enough
            self._wake()

    def unfollow(self, log: RedisLog) -> None:
        """Feed ``log`` no more."""
        if self._logs.get(log.keys.stream) is log:
            del self._logs[log.keys.stream]
            if not self._logs and self._notices.place is None:
                self._some.clear()

    def stop(self) -> None:
        """Begin no further turn, should the cancel of this one be lost."""
        self._stopped = True

    def tell(self) -> None:
        """Tell the readers whether there can be news."""
        for log in self._logs.values():
            log.set_resumable(self._resumable)

    async def run(self) -> None:
        """Read until cancelled."""
        loop = asyncio.get_running_loop()
        while not self._stopped:
            await self._some.wait()
            begun = loop.time()
            try:
                streams = await self._read()
            except Exception as error:
                await asyncio.sleep(self._failed(begun, error))
                continue
            if self._patience.succeeded():
                self.tell()
                self._notices.recovered()
            for key, entries in streams:
                await self._feed(key.decode(), entries)
            if self._pause:
                await asyncio.sleep(self._pause)

    @property
    def _resumable(self) -> bool:
        return self._writable() and not self._patience.sick

    async def _read(self) -> Iterable[Any]:
        # Not longer than the time-out: a server that is gone without a word is noticed by its silence.
        block = max(int(self._timeout * 1000), 1)
        places = {self._wake_key: self._woken_at}
        places |= {key: str(log.last_id) for key, log in self._logs.items()}
        if self._notices.place is not None:
            places[self._notices.key] = self._notices.place
        command = ["XREAD", "COUNT", _COUNT, "BLOCK", block, "STREAMS", *places, *places.values()]
        self._reading = True
        try:
            [reply] = await self._link.exchange([command], block / 1000 + self._patience.within)
        finally:
            self._reading = False
        if isinstance(reply, Refused):
            raise Unreachable(reply.message)
        return reply or ()

    async def _feed(self, key: str, entries: list[Any]) -> None:
        if key == self._wake_key:
            self._woken_at = entries[-1][0].decode()
            return
        if key == self._notices.key:
            self._notices.receive(entries)
            return
        log = self._logs.get(key)
        if log is None:
            return
        log.missing = 0
        try:
            frames = [decode(fields[1]) for _, fields in entries]
            if not all(map(log.receive, frames)):
                await self._catch_up(log)
        except Unreachable:
            pass  # the next read tells us again
        except (LingError, KeyError, TypeError, ValueError):
            logger.exception("run %s: its stream holds what is no frame", log.run)
            log.abandon()
        if log.ended or log.abandoned:
            self.unfollow(log)

    def _failed(self, begun: float, error: Exception) -> float:
        if not isinstance(error, Unreachable):
            logger.error("reading from Redis failed", exc_info=error)
        was_sick = self._patience.sick
        pause = self._patience.failed(begun)
        if self._patience.sick and not was_sick:
            logger.warning("Redis does not answer, viewers of runs elsewhere get no news: %s", error)
            self.tell()
        return pause
