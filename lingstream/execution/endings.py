"""The ends of runs that nobody executes any more: stored, and told to viewers, who would wait for ever."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from lingstream.conf import app_settings
from lingstream.core.engine import run as engine
from lingstream.core.exceptions import ConfigurationError, InternalError, LingError
from lingstream.core.log.ports import RunLog
from lingstream.core.log.state import empty_snapshot
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Usage
from lingstream.hubs import get_hub
from lingstream.models import Run

from . import ownership
from .journal import DatabaseJournal, Writer
from .lane import Lane

__all__ = ["Endings"]

logger = logging.getLogger("lingstream")


class Endings:
    """Ends runs in the name of a runner.

    :param runner: the runner's id.
    :param lane: where the database is asked.
    :param writer: where the end of a run that this process owns is stored.
    """

    def __init__(self, runner: UUID, lane: Lane, writer: Writer) -> None:
        self._runner = runner
        self._lane = lane
        self._writer = writer

    async def fail(self, row: Run, log: RunLog, why: Exception) -> None:
        """End a run that its own execution could not end: nobody may be left waiting for it."""
        error = why if isinstance(why, ConfigurationError) else InternalError(Phrase("the run"))
        try:
            await self._open(row, log)
            log.write(row.epoch, "error", error.to_wire())
            # What it has used is not asked for: what failed may be what all that ask the database wait for.
            await self._end(row, log, "failed", Usage(), errors=(error.to_wire(),))
        except Exception:
            logger.exception("run %s could not be ended", row.pk)

    async def cancel(self, row: Run, log: RunLog) -> None:
        """End a run whose last owner did not live to hear that it was to stop: with what that has stored.

        :raises Fenced: it is another's by now.
        :raises DatabaseError: the end cannot be stored.
        """
        spent = await self._lane.persist(ownership.spent, row)
        await self._open(row, log)
        stopped = {"status": "canceled"}
        trace = [each | stopped if each["status"] == "running" else each for each in row.trace]
        await self._end(row, log, "canceled", spent, trace=tuple(trace))

    async def _open(self, row: Run, log: RunLog) -> None:
        if log.last_id.epoch < row.epoch:
            await log.open(row.epoch, {**empty_snapshot(), "document": row.document})

    async def _end(self, row: Run, log: RunLog, status: str, spent: Usage, **more: Any) -> None:
        result = engine.RunResult(status, log.state.document.value, spent, **more)
        await DatabaseJournal(row, self._writer).end(result, str(log.last_id.following))
        log.write(row.epoch, "done", engine.done_body(status, spent.to_wire(), result.document))
        await log.flush()

    async def end_lost(self, *, takeover: bool) -> None:
        """End runs whose processes died once too often.

        :param takeover: whether to judge processes that are silent (:func:`.ownership.lose`).
        """
        settings = app_settings()
        for row in await self._lane.call(
            ownership.lose,
            self._runner,
            settings.dead_after,
            attempts=settings.max_attempts,
            takeover=takeover,
        ):
            await self._write_end(row)

    async def end_orphans(self) -> None:
        """Write the end of runs whose processes died after storing it, or that never had a process."""
        settings = app_settings()
        for row in await self._lane.call(ownership.orphans, settings.dead_after, within=settings.log_ttl):
            log = await get_hub().find(str(row.pk), running=row.runner_id is None)
            silent = log is not None and not log.ended
            if await self._lane.call(ownership.adopt, row, self._runner, epoch=silent) and silent:
                row.epoch += 1  # as it has been stored; the row itself may have been deleted since
                await self._write_end(row)

    async def _write_end(self, row: Run) -> None:
        """Write an epoch that says no more than how the run ended, as the database has it."""
        name = str(row.pk)
        log = get_hub().create(name)
        try:
            why = {"error": row.failure} if row.failure else {}
            await log.open(row.epoch, {**empty_snapshot(), "document": row.document, **why})
            if row.status == Run.Status.LOST:
                log.write(row.epoch, "error", row.errors[0])
            log.write(row.epoch, "done", engine.done_body(row.status, row.usage, row.document))
            await log.flush()
        except LingError as error:
            logger.warning("run %s: its log does not say that it is %s: %s", name, row.status, error)
        finally:
            get_hub().release(name)
