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

from functools import partial
from typing import Any
from uuid import UUID

from django.db import router, transaction
from django.db.models import F, QuerySet

from lingstream.conversations.turns import hold, touch
from lingstream.execution.ownership import atomically
from lingstream.models import Conversation

__all__ = ["MOST", "tell_later"]

#: Conversations that one transaction's documents may have told.
MOST = 1_000

_BATCH = 100


def tell_later(citations: QuerySet[Any]) -> None:
    """Have it told, once the transaction has committed, that what these citations name is not what it was.

    To be called before it is changed or deleted.
    """
    alias = router.db_for_write(Conversation)  # what a replica has may be what was
    current = citations.using(alias).filter(document__version=F("version"), run__conversation__isnull=False)
    talks = Conversation.objects.using(alias).filter(pk__in=current.order_by().values("run__conversation"))
    last = talks.filter(deleted_at=None).order_by("-updated_at").values_list("pk", flat=True)
    if found := list(last[:MOST]):
        transaction.on_commit(partial(_tell, found), using=alias, robust=True)


def _tell(conversations: list[UUID]) -> None:
    for start in range(0, len(conversations), _BATCH):
        with atomically():
            touch(hold(conversations[start : start + _BATCH]))
