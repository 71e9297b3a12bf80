"""Who is there: as long as a conversation has a row of :class:`~lingstream.models.Presence`, somebody is.

1. The first row makes somebody come (``connected``), the last one's end makes everybody leave
   (``disconnected``): each in the transaction that changes the rows, with the conversation's lock. So of all
   processes one sees it, and the two take turns.
2. A row ends ``DISCONNECT_GRACE`` seconds after its last tab was closed, or its process was stopped, or fell
   silent and is taken for dead.
3. Rows are kept only for workflows with an occasion that asks for them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from lingstream.conf import app_settings
from lingstream.execution.away import AWAY
from lingstream.execution.ownership import atomically
from lingstream.execution.timer import due
from lingstream.models import Conversation, Occasion, Presence
from lingstream.models.clock import Now

from . import occasions
from .audience import told_by
from .turns import hold

__all__ = ["Leaving", "is_kept", "keep", "present"]

logger = logging.getLogger("lingstream")

_ASKS = (
    Q(kind__in=(Occasion.Kind.CONNECTED, Occasion.Kind.DISCONNECTED))
    | Q(audience__in=(Occasion.Audience.PRESENT, Occasion.Audience.ABSENT))
    | Q(kind=Occasion.Kind.SCHEDULE, audience=Occasion.Audience.USUAL)
)


def is_kept(workflow: str) -> bool:
    """Whether some occasion of the workflow asks who is there."""
    return bool(workflow) and Occasion.objects.of(workflow).filter(_ASKS, enabled=True).exists()


def keep(conversation: Conversation, runner: UUID, tabs: int, ago: float = 0.0) -> None:
    """Store in how many tabs a process shows a conversation.

    :param ago: seconds since that has changed.
    """
    with atomically():
        if not hold([conversation.pk]):
            return  # deleted meanwhile
        rows = Presence.objects.filter(conversation=conversation)
        comes = tabs > 0 and not rows.exists()
        since = {"tabs": tabs, "seen_at": Now() - timedelta(seconds=ago)}
        if not rows.filter(runner=runner).update(**since) and tabs:
            Presence.objects.create(conversation=conversation, runner_id=runner, **since)
        if comes:
            occasions.connected(conversation)


@told_by
def present() -> Q:
    """Return the condition on rows of conversations that somebody is there."""
    return Q(Exists(_living().filter(conversation=OuterRef("pk"))))


class Leaving:
    """What is due when the last tab of all has been closed; see :class:`lingstream.execution.timer.Due`."""

    every = 0.0

    def find(self, most: int) -> Sequence[UUID]:
        """Return conversations that have been left."""
        there = _living().filter(conversation=OuterRef("conversation"))
        left = Presence.objects.filter(~Exists(there)).order_by("conversation").distinct()
        return list(left.values_list("conversation", flat=True)[:most])

    def take(self, found: UUID) -> bool:
        """Say so, once; what cannot be said is logged, and in nobody's way."""
        try:
            with atomically():
                if not hold([found]) or _living().filter(conversation=found).exists():
                    return False
                gone, _ = Presence.objects.filter(conversation=found).delete()
                if gone:
                    occasions.disconnected(found)
        except AWAY:
            raise
        except Exception:
            logger.exception("what follows the leaving of %s has failed", found)
            gone, _ = Presence.objects.filter(conversation=found).delete()
        return bool(gone)


due("leaving", Leaving())


def _living() -> QuerySet[Presence]:
    given = app_settings()
    grace = timedelta(seconds=given.disconnect_grace)
    silence = max(grace, timedelta(seconds=given.dead_after))
    return Presence.objects.filter(
        Q(tabs__gt=0) | Q(seen_at__gte=Now() - grace),
        Q(runner__stopped_at=None) | Q(runner__stopped_at__gte=Now() - grace),
        runner__heartbeat_at__gte=Now() - silence,
    )
