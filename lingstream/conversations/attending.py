"""Who looks at which conversation: asked when a page attaches itself."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, Q, Sum

from lingstream.access.identity import Identity
from lingstream.access.permissions import check_conversation
from lingstream.core.exceptions import AccessError, LingError, NotFound
from lingstream.models import Conversation
from lingstream.models.clock import Now

from .listing import of_person

__all__ = ["TYPING_EVERY", "changes_of", "opened_many", "typed"]

#: The least time between two notes of typing that are stored.
TYPING_EVERY = timedelta(seconds=5)


def opened_many(names: Collection[UUID], identity: Identity) -> dict[UUID, Conversation | LingError]:
    """Return conversations for their owner or visitor, or why one is refused; one query."""
    rows = Conversation.objects.filter(pk__in=names, deleted_at=None).in_bulk()
    return {name: _opened(rows.get(name), name, identity) for name in names}


def changes_of(identity: Identity) -> int:
    """Return how much has happened to all of a person's conversations: another number with each change."""
    rows = of_person(identity, deleted=True).aggregate(seq=Sum("seq"), count=Count("pk"))
    return int(rows["count"] + (rows["seq"] or 0))


def typed(conversation: UUID) -> None:
    """Store that its owner is typing: a bot does not interrupt him.

    Of what comes too soon after the last time, from whatever page, nothing is stored.
    """
    before = Q(typing_at=None) | Q(typing_at__lt=Now() - TYPING_EVERY)
    Conversation.objects.filter(before, pk=conversation).update(typing_at=Now())


def _opened(row: Conversation | None, name: UUID, identity: Identity) -> Conversation | LingError:
    if row is None:
        return NotFound(f"there is no conversation '{name}'")
    try:
        check_conversation(row, identity)
    except AccessError as fault:
        return fault
    return row
