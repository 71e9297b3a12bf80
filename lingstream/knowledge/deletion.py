"""The delete pass: what a complete listing lacks goes, unless too much of it does.

1. A document is missed by a pass only if the listing was complete, and if it was there before the listing
   began, by the database's time. Each pass misses it once, however often the pass is taken up again.
2. One that somebody wants to be looked at is not missed: it is looked at first.
3. If more goes than the guard lets (a share of the source, and more than ``LEAST``), nothing goes until
   somebody has confirmed it. Of documents that their site disowns the share alone counts, and those that it
   has disowned so far count together; after a listing that was not complete, none of them goes by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import F, QuerySet, Subquery

from lingstream.models.locks import locked
from lingstream.models.prepared import Prepared, PreparedUpdate
from lingstream.models.rows import Among

from .claims import Held
from .models import Document, Source, Sync
from .removal import remove_documents
from .sources.port import DISOWNED

__all__ = ["LEAST", "confirm", "delete_documents", "delete_missed", "note_missing"]

#: Documents that may vanish at once, however large a share of their source they are.
LEAST = 20

_BATCH = 100


def note_missing(held: Held, sync: Sync) -> None:
    """Count one pass without them for all documents that a complete listing lacks."""
    number = sync.number
    with held.transaction():
        _lacking.change([held.source.pk, sync.pk, number, number], misses=F("misses") + 1, missed=number)


def delete_missed(held: Held, number: int, delete_after: int) -> tuple[int, int]:
    """Delete what is gone; return how many were deleted, and how many wait for a confirmation."""
    source = held.source
    gone = [source.pk, number, delete_after]
    found = _missed.rows(gone)
    if not found:
        return 0, 0
    disowned = any(code in DISOWNED for _, code in found)
    if source.confirmed != number and _is_too_much(source, number, len(found), disowned):
        return 0, len(found)
    pks = [pk for pk, _ in found]
    batches = (pks[start : start + _BATCH] for start in range(0, len(pks), _BATCH))
    return sum(delete_documents(held, gone, batch) for batch in batches), 0


def _is_too_much(source: Source, number: int, count: int, is_disowned: bool) -> bool:
    """Whether deletions wait for somebody's confirmation.

    :param count: of documents that are gone.
    :param is_disowned: whether one of them is.
    """
    there = Document.objects.filter(source=source)
    share = source.collection.guard_percent / 100
    if count > LEAST and count > there.count() * share:
        return True
    if not is_disowned:
        return False
    found = there.exclude(text_hash="")
    disowned, all_of_them = found.filter(error_code__in=DISOWNED, misses__gt=0).count(), found.count()
    least = 1 if disowned < all_of_them else 0
    complete = Sync.objects.filter(source=source, number=number, complete=True).exists()
    return not complete or disowned > max(least, all_of_them * share)


def delete_documents(held: Held, gone: Sequence[int], pks: list[int]) -> int:
    """Delete documents of the source with all that hangs on them, in one transaction; return how many.

    :param gone: source, pass and misses by which they are, unless somebody has asked for one since.
    """
    with held.transaction():
        rows: list[Document] = _locked.objects([*gone, pks])
        remove_documents(rows)
    return len(rows)


def confirm(source: Source) -> None:
    """Let the deletions go on that the last pass has found too many."""
    waiting = Source.objects.filter(pk=source.pk, state=Source.State.CONFIRM)
    waiting.update(confirmed=F("number"), state=Source.State.OK)


def _not_seen(values: Sequence[Any]) -> QuerySet[Document]:
    source, sync, seen, missed = values
    # Asked of the row: read and sent again, a time of SQLite's clock is later than itself.
    began = Sync.objects.filter(pk=sync).values("started_at")
    there = Document.objects.filter(source=source, created_at__lt=Subquery(began))
    return there.filter(seen__lt=seen, missed__lt=missed).exclude(status=Document.Status.PENDING)


def _gone(values: Sequence[Any]) -> QuerySet[Document]:
    """Documents of which a pass says that they are gone."""
    source, number, delete_after, *pks = values
    gone = Document.objects.filter(source=source, missed=number, misses__gte=delete_after)
    gone = gone.filter(*(Among("pk", some) for some in pks)).exclude(status=Document.Status.PENDING)
    return gone.order_by("pk")


_lacking = PreparedUpdate(Document, _not_seen)
_missed = Prepared(Document, lambda values: _gone(values).values_list("pk", "error_code"))
_locked = Prepared(Document, lambda values: locked(_gone(values), skip=True, whole=True), locks=True)
