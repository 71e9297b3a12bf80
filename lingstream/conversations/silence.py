"""Silences that are over: the bot says something, once, whatever number of processes look."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from lingstream.execution.away import AWAY
from lingstream.execution.ownership import atomically
from lingstream.execution.timer import due
from lingstream.models import OPEN, QUIET, Conversation, Occasion, Run
from lingstream.models.clock import Now

from .audience import among
from .nudges import begun_on, enabled, local_day, next_nudge, spread
from .openings import begin_turn, opening, resting, spent

__all__ = ["Nudges", "overdue"]

logger = logging.getLogger("lingstream")

_TYPING = timedelta(seconds=20)  # since the person's client last said so


def overdue() -> QuerySet[Conversation]:
    """Return the conversations that have been silent for long enough, the longest first.

    Not those in which something is being said, or in which the person types.
    """
    going = Run.objects.filter(conversation_id=OuterRef("pk"), status__in=OPEN).exclude(cause__in=QUIET)
    still = Q(typing_at=None) | Q(typing_at__lt=Now() - _TYPING)
    rows = Conversation.objects.filter(still, ~Exists(going), nudge_at__lte=Now())
    return rows.filter(deleted_at=None, archived_at=None).order_by("nudge_at")


class Nudges:
    """What the timer does about them; see :class:`Due`."""

    every = 0.0

    def find(self, most: int) -> Sequence[Conversation]:
        """See :class:`Due`."""
        rows = overdue().select_related("owner").defer("summary").annotate(at=Now())
        return list(rows[:most])

    def take(self, found: Conversation) -> bool:
        """Let the bot begin, or move the time if it may not yet.

        What is wrong with the occasion ends the silence: its next time comes with the next turn.
        """
        occasion = enabled(Occasion.Kind.SILENCE).of(found.workflow).select_related("workflow").first()
        try:
            with atomically():
                return (
                    _nudge(occasion, found) if occasion and found.workflow else _claim(found, nudge_at=None)
                )
        except AWAY:
            raise
        except Exception as error:  # also a fault of ours: it would come again, before all that are due later
            logger.warning("nothing is said into the silence of %s: %r", found.pk, error)
            return _claim(found, nudge_at=None)


def _nudge(occasion: Occasion, talk: Any) -> bool:
    at, number = talk.at, talk.nudges + 1
    later = spread(occasion, talk, resting(occasion, talk, at) or at)
    if later != at:
        return _claim(talk, nudge_at=later)
    spoken = begun_on(talk, local_day(talk, at))
    if number > occasion.most or (occasion.daily and spoken >= occasion.daily):
        return _claim(talk, nudge_at=None)
    counted = {"nudges": number, "nudge_at": next_nudge(occasion, talk, at, number)}
    audience = among(occasion.whom)
    key = f"silence:{talk.pk}:{talk.count}:{number}"
    start = opening(occasion, talk, at, key=key, number=number)
    if start is None or (audience and not Conversation.objects.filter(audience, pk=talk.pk).exists()):
        return _claim(talk, **counted)
    if not _claim(talk, **counted, **spent(talk, at)):
        return False
    begin_turn(start, talk)
    return True


def _claim(talk: Conversation, **columns: Any) -> bool:
    """Store columns, if all is still as it was seen: of several processes one changes the row.

    Whoever waited for its lock meanwhile is told no by its count of turns or nudges, which has changed then.
    """
    seen = {"nudge_at": talk.nudge_at, "count": talk.count, "nudges": talk.nudges}
    return bool(overdue().order_by().filter(pk=talk.pk, **seen).update(**columns))


due("silence", Nudges())
