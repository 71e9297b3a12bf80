"""The work of a run: one task group within a deadline, ended from inside, from outside, or by its own faults.

1. The work runs in a task of its own, so that who cancels the run's task is not taken for what ends the work:
   what a task group leaves in ``Task.cancelling()`` differs between versions of Python.
2. Nobody waits for it for ever: what was stopped and does not end is left after ``CLEAN_UP`` seconds.
3. Each fault that ended it is told once; a fault of a clean-up is logged and changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from lingstream.core.exceptions import Fenced, InternalError, LimitExceeded, LingError
from lingstream.core.phrases import Phrase

__all__ = ["CLEAN_UP", "Work"]

logger = logging.getLogger("lingstream")

CLEAN_UP = 10.0  # seconds that work which was stopped gets to end; then the run ends without it


class Work:
    """What a run has to do.

    :param name: of the workflow, for the log.
    :param seconds: that it may take.
    :param stop: told of each fault that ends the work.
    :param known: the errors that bots ended with, which their own waiters have been told of.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        stop: Callable[[LingError], None],
        known: Callable[[], Iterable[LingError | None]],
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._stop = stop
        self._known = known
        self._group: asyncio.TaskGroup
        self._worker: asyncio.Task[None] | None = None
        self._awaited: asyncio.Future[None]  # the worker has ended, or has had its time
        self._left = False
        self.canceled = False
        self.over = False

    def spawn(self, work: Awaitable[None]) -> None:
        """Do ``work`` beside the rest."""
        self._group.create_task(self._guard(work))

    def cancel(self) -> None:
        """Stop it all. Once it is over it is too late: the end of the log has to be written."""
        if self.over or self.canceled:
            return
        self.canceled = True
        if self._worker:
            self._worker.cancel()
            asyncio.get_running_loop().call_later(CLEAN_UP, self._go_on)

    async def run(self, begin: Callable[[], None]) -> None:
        """Call ``begin`` inside the group, and wait for all that is spawned.

        :raises Fenced: the log belongs to a later epoch.
        :raises CancelledError: the task was cancelled from outside, whatever a clean-up made of that.
        """
        try:
            if not self.canceled:
                await self._run(begin)
        finally:
            self.over = True

    async def _run(self, begin: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._awaited = loop.create_future()
        self._worker = worker = asyncio.create_task(self._run_group(begin))
        worker.add_done_callback(self._go_on)
        overdue = loop.call_later(self._seconds + CLEAN_UP, self._go_on)
        try:
            await self._awaited  # no asyncio.wait, which holds a KB as long as it waits
        except asyncio.CancelledError:
            self._left = not self.canceled
            worker.cancel()
            await asyncio.wait([worker], timeout=CLEAN_UP)
        finally:
            overdue.cancel()
        if not worker.done():
            self._abandon(worker)
        if self._left or (worker.cancelled() and not self.canceled):
            raise asyncio.CancelledError
        if worker.done() and not worker.cancelled():
            worker.result()

    def _go_on(self, _: object = None) -> None:
        if not self._awaited.done():
            self._awaited.set_result(None)

    def _abandon(self, worker: asyncio.Task[None]) -> None:
        """Go on without work that was stopped and does not end."""
        logger.error("workflow %s: a clean-up took more than %g s", self._name, CLEAN_UP)
        worker.cancel()
        worker.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody asks for it
        if not (self._left or self.canceled):
            self._stop(self._too_slow())

    async def _run_group(self, begin: Callable[[], None]) -> None:
        deadline = asyncio.timeout(self._seconds)
        try:
            async with deadline, asyncio.TaskGroup() as self._group:
                begin()
        except TimeoutError:
            self._stop(self._too_slow())
        except BaseExceptionGroup as group:
            self._judge(group, expired=deadline.expired())

    def _judge(self, group: BaseExceptionGroup[BaseException], *, expired: bool) -> None:
        faults = _leaves(group)
        if self._left:
            # A write that was fenced is why it was left, and no fault of a clean-up.
            faults = [fault for fault in faults if not isinstance(fault, Fenced)]
            self._log("a clean-up failed while the run was left to others", faults)
            return
        for fault in faults:
            if isinstance(fault, Fenced):
                raise fault from group
        if expired:
            self._log("a clean-up failed when the time was up", faults)
            self._stop(self._too_slow())
        else:
            self._blame(faults)

    def _blame(self, faults: Sequence[BaseException]) -> None:
        """Say of each fault that it ended the run, once where several bots met the same one."""
        known = [fault for fault in faults if isinstance(fault, LingError)]
        strange = [fault for fault in faults if not isinstance(fault, LingError)]
        self._log("failed", strange)
        for error in {(error.code, error.message): error for error in known}.values():
            self._stop(error)
        if strange:
            self._stop(InternalError(Phrase("the workflow")))

    async def _guard(self, work: Awaitable[None]) -> None:
        """A bot's failure that nobody caught ends who waited for the bot, not the bot's siblings."""
        try:
            await work
        except (LingError, ExceptionGroup) as error:
            faults = _leaves(error) if isinstance(error, ExceptionGroup) else [error]
            failures = list(self._known())
            for fault in faults:
                told = any(fault is failure for failure in failures)
                if isinstance(fault, (LimitExceeded, Fenced)) or not told:
                    raise

    def _too_slow(self) -> LimitExceeded:
        return LimitExceeded(
            Phrase("the run took more than %(seconds)s seconds", seconds=f"{self._seconds:g}")
        )

    def _log(self, what: str, faults: Sequence[BaseException]) -> None:
        for fault in faults:
            logger.error("workflow %s: %s", self._name, what, exc_info=fault)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for item in group.exceptions:
        found.extend(_leaves(item) if isinstance(item, BaseExceptionGroup) else [item])
    return found
