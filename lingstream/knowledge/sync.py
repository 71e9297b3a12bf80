"""One pass over a source, in slices, by whoever holds it: the order of its steps is what keeps it true.

1. Enumerate: what the source lists becomes rows; the pass's beginning is the database's time before that.
2. Fetch what is pending and due; 3. cut it in memory; what is as it was ends here.
4. Embed what has no vector yet, across documents, outside every transaction.
5. Store each document in one transaction.
6. Delete, if the listing was complete, what it lacks.

A pass is a row, and so is all that it has done: who takes it up again after a crash goes on with what the
rows say, under the same number. Without a pass of its own (somebody has saved a document, a retry is due) the
same steps 2 to 6 are done for what is pending. Fetched documents are worked on a few at a time; what they
lead to is listed before they are done.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from uuid import UUID

from django.db.models import F

from lingstream.core.ending import end_tasks
from lingstream.core.engine.kinds import Services
from lingstream.core.exceptions import Fenced
from lingstream.core.phrases import Phrase
from lingstream.execution.away import AWAY
from lingstream.execution.lane import Lane
from lingstream.execution.services import lane_of
from lingstream.models.clock import Now

from .claims import LEASE, Held, Overtaken, Revised, atomically, claim
from .looking import mends, told
from .models import Source, Sync
from .passes import begin_pass, end_pass, rules_of
from .slices import Outcome, Report, Slice

__all__ = ["SLICE", "stop", "sync"]

#: Seconds of work after which a slice ends, and the next one is queued.
SLICE = 300.0

_BEAT = LEASE.total_seconds() / 4


async def sync(
    source_id: int,
    holder: str,
    *,
    services: Services,
    full: bool = True,
    trigger: str = Sync.Trigger.SCHEDULE,
    run: UUID | None = None,
    report: Report | None = None,
    seconds: float = SLICE,
) -> Outcome:
    """Do one slice of a pass over a source, or of what is pending of it.

    :param holder: the run or command, by a name that only it has, and has again after a crash.
    :param services: what the steps of a pipeline may ask for.
    :param full: begin a pass, if none has begun; else only what is pending is done.
    :param run: the run that does it, if it is one.
    :param report: called in the event loop, with what has changed.
    """
    async with AsyncExitStack() as stack:
        lane = await stack.enter_async_context(lane_of(services))
        held = await lane.persist(claim, source_id, holder)
        if held is None:
            return Outcome("busy")
        stack.push_async_callback(end_tasks, asyncio.create_task(_beat(lane, held)))
        row: Sync | None = None
        try:
            row = await lane.persist(begin_pass, held, full, trigger, run)
            work = Slice(
                held,
                row,
                *rules_of(held.source),
                call=lane.persist,
                services=services,
                report=report,
                seconds=seconds,
            )
            outcome = await work.run()
        except Revised as error:
            outcome = Outcome("unfinished", error.message)
        except Overtaken as error:
            return Outcome("overtaken", error.message)
        except (Fenced, *AWAY):
            raise
        except Exception as error:
            problem = told(error, Phrase("the source %(source)s", source=str(held.source)))
            state = Source.State.DEGRADED if mends(error) else Source.State.FAILED
            with contextlib.suppress(Overtaken):
                await lane.persist(end_pass, held, row, Sync.Status.FAILED, state, problem)
            outcome = Outcome("failed", problem)
        # Not where this is cancelled: the run goes on elsewhere, and takes back at once what it holds.
        if outcome.status != "finished":
            await lane.persist(held.release, even_if_due=True)
        return outcome


def stop(source: Source) -> None:
    """Stop the pass over a source, whoever does it, and begin none until the source is no longer paused."""
    with atomically():
        mine = Source.objects.filter(pk=source.pk)
        mine.update(paused=True, epoch=F("epoch") + 1, holder="", held_until=None)
        running = Sync.objects.filter(source=source, status=Sync.Status.RUNNING)
        running.update(status=Sync.Status.STOPPED, ended_at=Now())


async def _beat(lane: Lane, held: Held) -> None:
    with contextlib.suppress(Overtaken):
        while True:
            await asyncio.sleep(_BEAT)
            with contextlib.suppress(*AWAY):  # the next beat may come through
                await lane.call(held.renew)
