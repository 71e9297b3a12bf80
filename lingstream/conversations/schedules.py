"""Times of schedules: the bot begins in the conversations of its audience, once each, at each time.

It goes through them in the order of their keys, a few in one transaction, and the row says up to which it has
come: no lock is held for long, and where a process dies another goes on behind the last one that was told.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F

from lingstream.core.exceptions import LingError
from lingstream.execution.ownership import atomically
from lingstream.execution.timer import due
from lingstream.models import Conversation, Occasion, planned
from lingstream.models.clock import Now

from .audience import among
from .nudges import enabled
from .openings import speak

__all__ = ["Schedules"]

logger = logging.getLogger("lingstream")

_LATE = timedelta(minutes=5)  # behind its time a word on it comes too late
_BATCH = 20  # conversations that are locked at the same time


class Schedules:
    """What the timer does about them; see :class:`Due`."""

    every = 0.0

    def find(self, most: int) -> Sequence[Occasion]:
        """See :class:`Due`."""
        rows = enabled(Occasion.Kind.SCHEDULE).filter(next_at__lte=Now()).order_by("next_at")
        return list(rows.select_related("workflow").annotate(at=Now())[:most])

    def take(self, found: Any) -> bool:
        """Let the bot begin in each conversation that it is for, and move the schedule to its next time."""
        at, late = found.next_at, found.at - found.next_at > _LATE
        left = [] if late else _audience(found)
        while True:
            batch, left = left[:_BATCH], left[_BATCH:]
            with atomically():
                if not _claim(found, batch[-1] if left else None, late=late):
                    return False
                for talk in batch:
                    _speak(found, talk, at)
            if not left:
                return True


def _claim(occasion: Any, reached: UUID | None, *, late: bool) -> bool:
    """Say to which conversation it has come, or that its time is over; of several processes one can."""
    seen = {"next_at": occasion.next_at, "reached": occasion.reached}
    rows = Occasion.objects.filter(pk=occasion.pk, enabled=True, **seen)
    if reached is None:
        following = next(planned(occasion.schedule, occasion.at), None)
        return bool(rows.update(next_at=following, reached=None, skipped=F("skipped") + int(late)))
    occasion.reached = reached
    return bool(rows.update(reached=reached))


def _audience(occasion: Occasion) -> list[UUID]:
    """What is left of the latest conversations, in the order in which whoever locks several does."""
    since = Now() - timedelta(days=occasion.within_days)
    rows = Conversation.objects.filter(workflow=occasion.workflow_slug, updated_at__gte=since, count__gt=0)
    there = rows.filter(among(occasion.whom), deleted_at=None, archived_at=None)
    latest = there.order_by("-updated_at").values_list("pk", flat=True)[: occasion.most]
    return sorted(talk for talk in latest if occasion.reached is None or talk > occasion.reached)


def _speak(occasion: Occasion, talk: UUID, at: datetime) -> None:
    try:
        speak(occasion, talk, key=f"schedule:{occasion.pk}:{at.isoformat()}:{talk}")
    except LingError as error:
        logger.warning("schedule %s of %s: %s", occasion, occasion.workflow_slug, error.message)


due("schedules", Schedules())
