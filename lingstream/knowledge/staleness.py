"""Conversations whose answers cite what changes or goes: the pages that show them are told.

1. Which ones they are is asked in the transaction that changes or deletes documents, by one query: nobody
   knows it any more behind a deletion. Of what cited an older text still nothing is asked, as that was told
   when it changed; where nobody cites, nothing else is done.
2. They are told after the commit, in transactions of their own, two queries for each hundred: who holds
   documents waits for no conversation, and of what is rolled back nobody hears. A process that dies between
   the two tells nobody; a page sees it with the next change, or when it is loaded.
3. The :data:`MOST` of them in which something was last are told; other pages see it in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any
from uuid import UUID

from django.db import router, transaction
from django.db.models import F, QuerySet

from lingstream.conversations.turns import hold, touch
from lingstream.execution.ownership import atomically
from lingstream.models import Conversation
from lingstream.models.prepared import Prepared
from lingstream.models.rows import Among

from .models import Citation

__all__ = ["MOST", "tell_later", "tell_of"]

#: Conversations that one transaction's documents may have told.
MOST = 1_000

_BATCH = 100


def tell_later(citations: QuerySet[Any]) -> None:
    """Have it told, once the transaction has committed, that what these citations name is not what it was.

    To be called before it is changed or deleted.
    """
    alias = router.db_for_write(Conversation)  # what a replica has may be what was
    _tell_later([pk for (pk,) in _last(citations.using(alias), MOST).using(alias)], alias)


def tell_of(documents: Sequence[int]) -> None:
    """As :func:`tell_later`, of all citations of these documents; its SQL is written once."""
    alias = router.db_for_write(Conversation)
    _tell_later([pk for (pk,) in _citing(MOST).rows([[*documents]], using=alias)], alias)


def _last(citations: QuerySet[Any], most: int) -> QuerySet[Conversation, tuple[Any, ...]]:
    """The conversations that are told of citations, those in which something was last first."""
    current = citations.filter(document__version=F("version"), run__conversation__isnull=False)
    talks = Conversation.objects.filter(pk__in=current.order_by().values("run__conversation"))
    return talks.filter(deleted_at=None).order_by("-updated_at").values_list("pk")[:most]


@cache
def _citing(most: int) -> Prepared:
    """The conversations in which somebody cites some documents; a number that is written into the SQL."""
    return Prepared(
        Conversation, lambda values: _last(Citation.objects.filter(Among("document", values[0])), most)
    )


def _tell_later(conversations: list[UUID], alias: str) -> None:
    if conversations:
        transaction.on_commit(partial(_tell, conversations), using=alias, robust=True)


def _tell(conversations: list[UUID]) -> None:
    for start in range(0, len(conversations), _BATCH):
        with atomically():
            touch(hold(conversations[start : start + _BATCH]))
