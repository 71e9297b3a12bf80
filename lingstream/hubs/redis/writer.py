"""The one task of a process that sends commands to Redis: batched over all its runs, order kept."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

from .log import RedisLog
from .patience import Bound, Patience
from .streams import Link, Refused, Unreachable, place_of

__all__ = ["Writer"]

logger = logging.getLogger("lingstream")

# Refusals that say nothing about the one key: the server cannot write, or is another than before.
_SICK = re.compile(
    r"\b((NoScript|ReadOnly|OutOfMemory|NoPermission)Error|READONLY|OOM|MISCONF|MASTERDOWN|NOREPLICAS|BUSY)\b"
)

Done = Callable[[Any], None]


class Writer:
    """Sends what logs have written, and single commands in between.

    Whatever comes while an exchange is under way goes with the next one, so the more there is to send, the
    less each frame costs.

    :param probe: a write that changes nothing: a Redis that is full, or a replica, answers to all else.
    :param timeout: seconds after which a Redis that does not answer counts as sick.
    :param pause: seconds between two exchanges, for frames to gather; cut short when somebody waits.
    :param changed: called when Redis became sick (``False``) or well again (``True``).
    """

    def __init__(
        self,
        link: Link,
        *,
        probe: list[Any],
        timeout: float,
        pause: float,
        changed: Callable[[bool], None],
    ) -> None:
        self._link = link
        self._probe = probe
        self._patience = Patience(timeout)
        self._timeout = timeout
        self._pause = pause
        self._changed = changed
        self._logs: dict[RedisLog, None] = {}
        self._posted: list[tuple[list[Any], Done | None]] = []
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopped = False

    @property
    def sick(self) -> bool:
        """Whether Redis has not answered for too long."""
        return self._patience.sick

    def pending(self, log: RedisLog) -> None:
        """Send what ``log`` has, soon."""
        self._logs[log] = None
        self._work.set()

    def hurry(self) -> None:
        """Send what is pending now."""
        self._hurry.set()

    def post(self, command: list[Any], done: Done | None = None) -> None:
        """Send a command that may be sent twice; ``done`` gets the reply, or :class:`Unreachable`."""
        self._posted.append((command, done))
        self._work.set()
        self._hurry.set()

    def probe(self) -> None:
        """See whether Redis takes writes, where nothing else is written."""
        self.post(self._probe)

    async def call(self, command: list[Any]) -> Any:
        """Send a command that may be sent twice, and return its reply.

        :raises Unreachable: Redis is sick.
        :raises Refused: it answered with an error.
        """
        if self.sick:
            raise Unreachable("Redis does not answer")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(reply: Any) -> None:
            if not future.done():
                future.set_result(reply)

        self.post(command, done)
        try:
            async with Bound(self._timeout):
                reply = await future
        except TimeoutError:
            raise Unreachable(f"Redis did not answer within {self._timeout} s") from None
        if isinstance(reply, (Unreachable, Refused)):
            raise reply
        return reply

    def stop(self) -> None:
        """Begin no further turn, should the cancel of this one be lost."""
        self._stopped = True

    async def run(self) -> None:
        """Send until cancelled."""
        loop = asyncio.get_running_loop()
        while not self._stopped:
            if not self.sick:
                await self._work.wait()
            self._work.clear()
            self._hurry.clear()
            begun = loop.time()
            try:
                await self._exchange()
            except Exception as error:
                await asyncio.sleep(self._failed(begun, error))
                continue
            if self._patience.succeeded():
                logger.warning(
                    "Redis answers again: what runs here can be followed and resumed from all processes"
                )
                self._changed(True)
            await self._gather()

    async def _exchange(self) -> None:
        posted, self._posted = self._posted, []
        logs, self._logs = self._logs, {}
        writes = [(log, command) for log in logs if (command := self._command(log))]
        commands = [command for command, _ in posted] + [command for _, command in writes]
        if self.sick:
            commands.append(self._probe)
        try:
            replies = await self._link.exchange(commands, self._patience.within) if commands else []
            for reply in replies:
                if isinstance(reply, Refused) and _SICK.search(reply.message):
                    await self._link.close()  # the next connection may lead to a server that is well
                    raise Unreachable(reply.message)
        except BaseException:
            self._posted = posted + self._posted
            self._logs = {**logs, **self._logs}
            self._work.set()
            raise
        for (_, done), reply in zip(posted, replies, strict=False):
            if done:
                done(reply)
        for (log, _), reply in zip(writes, replies[len(posted) :], strict=False):
            self._settle(log, reply)

    def _command(self, log: RedisLog) -> list[Any] | None:
        try:
            return log.outbox.command()
        except Exception:
            logger.exception("run %s: its log cannot be encoded, it goes on for this process alone", log.run)
            log.degrade()
            return None

    def _settle(self, log: RedisLog, reply: Any) -> None:
        if isinstance(reply, Refused):
            logger.error(
                "run %s: Redis refuses its log, it goes on for this process alone: %s", log.run, reply
            )
            log.degrade()  # tried again with the next sign of life
            return
        at, writer, stored = reply
        log.settle(place_of(at), writer.decode(), bool(stored))
        if log.outbox.unwritten:
            self.pending(log)

    def _failed(self, begun: float, error: Exception) -> float:
        if not isinstance(error, Unreachable):
            logger.error("writing to Redis failed", exc_info=error)
            error = Unreachable(str(error))
        was_sick = self.sick
        pause = self._patience.failed(begun)
        if self.sick:
            posted, self._posted = self._posted, []
            for _, done in posted:
                if done:
                    done(error)
            if not was_sick:
                logger.warning(
                    "Redis does not answer, runs go on for this process's viewers alone: %s", error
                )
                self._changed(False)
        return pause

    async def _gather(self) -> None:
        if self._pause:
            try:
                async with asyncio.timeout(self._pause):
                    await self._hurry.wait()
            except TimeoutError:
                pass
