"""When a source is looked at: by the clock, by hand, and when somebody has saved something.

A source is looked at in a run of the workflow ``knowledge-sync``. Whoever queues one takes the source for it
in the same transaction, so of many who want it at once one does.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db.models import Q, QuerySet

from lingstream.access.identity import Identity
from lingstream.conf import app_settings
from lingstream.core.exceptions import LingError
from lingstream.execution.retention import delete_batch, expired
from lingstream.execution.start import Start, begin
from lingstream.execution.timer import due
from lingstream.models import Run, planned
from lingstream.models.clock import Now

from .claims import LEASE, atomically, is_free, to_be_taken
from .embedding import forget_unused
from .models import Source, Sync
from .sources.port import source_kind, source_kinds

__all__ = [
    "EVALUATION",
    "WORKFLOW",
    "DueSources",
    "WatchedSources",
    "following",
    "go_on",
    "request",
    "run_at",
    "wake",
]

logger = logging.getLogger("lingstream")

#: The workflow that looks at a source; only the site's own code starts it.
WORKFLOW = "knowledge-sync"
#: The workflow that asks golden questions; likewise.
EVALUATION = "knowledge-eval"

_JITTER = 0.1  # of a period: sources that were made together are not looked at together
_KEPT = 7  # days for which the runs of passes are kept
_REMEMBERED = timedelta(days=90)  # for which is known what came of them, if they have listed something


class DueSources:
    """What the timer does about sources; see :class:`Due`."""

    every = 0.0

    def find(self, most: int) -> Sequence[Source]:
        """See :class:`Due`."""
        return list(to_be_taken().annotate(at=Now())[:most])

    def take(self, found: Any) -> bool:
        """See :class:`Due`; a pass that is due by the clock moves its time."""
        full = found.next_at is not None and found.next_at <= found.at
        free = to_be_taken().filter(pk=found.pk)
        columns: dict[str, Any] = {}
        if full:  # of several that have seen the same time one moves it
            free, columns = free.filter(next_at__lte=Now()), {"next_at": following(found, found.at)}
        return _queue(found, free, full=full, trigger=Sync.Trigger.SCHEDULE, **columns) is not None


class WatchedSources:
    """What the timer does about sources that are watched: a pass begins as soon as their state differs."""

    every = 1.0

    def find(self, most: int) -> list[tuple[Source, str]]:
        """See :class:`Due`; a kind that cannot say how it is says so in a pass."""
        watching = [name for name, kind in source_kinds().items() if kind.watches]
        calm = Q(probe_at=None) | Q(probe_at__lte=Now())
        rows = Source.objects.filter(is_free(), calm, kind__in=watching, paused=False).order_by("pk")[:most]
        found = []
        for source in rows:
            with contextlib.suppress(LingError, OSError):
                if (state := source_kind(source.kind).state(source.config)) not in ("", source.watched):
                    found.append((source, state))
        return found

    def take(self, found: tuple[Source, str]) -> bool:
        """See :class:`Due`; of several that have seen the same state one begins a pass."""
        source, state = found
        free = Source.objects.filter(is_free(), pk=source.pk, paused=False).exclude(watched=state)
        trigger = Sync.Trigger.SCHEDULE
        return _queue(source, free, full=True, trigger=trigger, watched=state) is not None


class Tidying:
    """What the timer deletes: old runs of passes, and vectors that nobody has needed for long."""

    every = 3_600.0

    def find(self, most: int) -> list[int]:
        """See :class:`Due`."""
        return [most]

    def take(self, found: int) -> bool:
        """See :class:`Due`."""
        gone = sum(delete_batch(runs) for runs in expired(_KEPT, [WORKFLOW, EVALUATION]))
        Sync.objects.filter(ended_at__lt=Now() - _REMEMBERED).delete()
        Sync.objects.filter(ended_at__lt=Now() - timedelta(days=_KEPT), number=None).delete()
        return bool(gone + forget_unused(app_settings().knowledge_cache) > found)


def request(source: Source) -> Run | None:
    """Have a pass begin, and return its run; ``None``: somebody is at it, and a pass will follow.

    :raises LingError: ``no-runner``: no process that executes runs lives.
    """
    mine = Source.objects.filter(pk=source.pk)
    run = _queue(source, mine.filter(is_free()), full=True, trigger=Sync.Trigger.MANUAL)
    if run is None:
        mine.update(next_at=Now())
    return run


def run_at(source: Source) -> Run | None:
    """Return the run that is at a source, or is queued for it; ``None``: none is, or a command holds it."""
    if not source.holder:
        return None
    runs = Run.objects.open().filter(workflow=WORKFLOW).order_by("-created_at")
    return next((run for run in runs.only("input") if _holder(run.input) == source.holder), None)


def _holder(input: Any) -> Any:
    return input.get("holder") if isinstance(input, dict) else None


def wake(source_id: int, trigger: str = Sync.Trigger.SCHEDULE) -> Run | None:
    """Have what is pending of a source looked at; ``None``: whoever holds it will see it, or the timer.

    Called after the commit of what made a document pending.

    :param trigger: what that was.
    """
    return _go_on(to_be_taken().filter(pk=source_id), trigger)


def go_on(source_id: int) -> Run | None:
    """Queue the next slice of a pass, of a source that is paused, too; ``None``: somebody has taken it."""
    return _go_on(Source.objects.filter(is_free(), pk=source_id))


def following(source: Source, at: datetime) -> datetime | None:
    """Return when the next pass after ``at`` is due; ``None``: by hand only."""
    if source.cron:
        return next(planned(source.cron, at), None)
    if source.every:
        return at + timedelta(seconds=source.every * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311
    return None


def _go_on(free: QuerySet[Source], trigger: str = Sync.Trigger.SCHEDULE) -> Run | None:
    source = free.first()
    try:
        return _queue(source, free, full=False, trigger=trigger) if source else None
    except LingError as error:  # no process that executes runs lives: the timer of the next one sees it
        logger.warning("the source %s waits: %s", source, error.message)
        return None


def _queue(source: Source, free: QuerySet[Source], *, full: bool, trigger: str, **columns: Any) -> Run | None:
    """Take the source for a run that is queued in the same transaction."""
    holder = uuid4().hex
    with atomically():
        if not free.update(holder=holder, held_until=Now() + LEASE, **columns):
            return None
        input = {"source": source.pk, "holder": holder, "full": full, "trigger": trigger}
        return begin(Start(workflow=WORKFLOW, input=input), Identity.of_site())


due("knowledge", DueSources())
due("knowledge-watching", WatchedSources())
due("knowledge-tidying", Tidying())
