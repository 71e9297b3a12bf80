"""Asking for documents: somebody has saved, deleted or sent something, in a transaction of their own.

What is written here commits or rolls back with it.
"""

from __future__ import annotations

from collections.abc import Collection as Many
from functools import partial

from django.db import router, transaction
from django.db.models import F
from django.db.models.functions import Greatest

from lingstream.models.clock import Now
from lingstream.models.locks import locked

from .claims import atomically
from .due import wake
from .models import Document, Source
from .removal import remove_documents

__all__ = ["ask", "ask_again", "forget"]


def ask(source: Source, keys: Many[str], trigger: str, *, using: str | None = None) -> None:
    """Have documents looked at, those that are new among them; soon after the transaction has committed.

    :param trigger: who asks, as :class:`Sync.Trigger` has it.
    :param using: the database of the transaction, if it is not that of the documents.
    """
    if _want(source, keys) < len(set(keys)):
        rows = [Document(source=source, key=key, seen=source.number) for key in dict.fromkeys(keys)]
        Document.objects.bulk_create(rows, ignore_conflicts=True)
        _want(source, keys)  # one that another transaction has just added knows nothing of this wish
    then = partial(wake, source.pk, trigger)
    transaction.on_commit(then, using=using or router.db_for_write(Document), robust=True)


def ask_again(source: Source, keys: Many[str], trigger: str) -> None:
    """Have those of the documents looked at soon that are there; see :func:`ask`."""
    if _want(source, keys):
        wake(source.pk, trigger)


def forget(source: Source, keys: Many[str]) -> int:
    """Delete documents, with all that hangs on them; return how many."""
    with atomically():
        there = Document.objects.filter(source=source, key__in=keys)
        rows = list(locked(there.order_by("pk"), whole=True))
        remove_documents(rows)
    return len(rows)


def _want(source: Source, keys: Many[str]) -> int:
    """Write down that somebody wants documents to be looked at; return how many are there."""
    return Document.objects.filter(source=source, key__in=keys).update(
        asked=F("asked") + 1,
        seen=Greatest("seen", source.number),
        status=Document.Status.PENDING,
        retry_at=Now(),  # which tells wishes from what a listing has found
        check_at=Now(),
        attempts=0,
    )
