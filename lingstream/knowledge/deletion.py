"""The delete pass: what a complete listing lacks goes, unless too much of it does.

1. A document is missed by a pass only if the listing was complete, and if it was there before the listing
   began, by the database's time. Each pass misses it once, however often the pass is taken up again.
2. One that somebody wants to be looked at is not missed: it is looked at first.
3. If more goes than the guard lets (a share of the source, and more than ``LEAST``), nothing goes until
   somebody has confirmed it. Of documents that their site disowns the share alone counts, and those that it
   has disowned so far count together; after a listing that was not complete, none of them goes by itself.
"""

from __future__ import annotations

from django.db.models import F, QuerySet, Subquery

from lingstream.models.locks import locked

from .claims import Held
from .models import Document, Source, Sync
from .sources.port import DISOWNED

__all__ = ["LEAST", "confirm", "delete_documents", "delete_missed", "missed", "note_missing"]

#: Documents that may vanish at once, however large a share of their source they are.
LEAST = 20

_BATCH = 100


def note_missing(held: Held, sync: Sync) -> None:
    """Count one pass without them for all documents that a complete listing lacks."""
    # Asked of the row: read and sent again, a time of SQLite's clock is later than itself.
    began = Sync.objects.filter(pk=sync.pk).values("started_at")
    there = Document.objects.filter(source=held.source, created_at__lt=Subquery(began))
    lacking = there.filter(seen__lt=sync.number, missed__lt=sync.number).exclude(
        status=Document.Status.PENDING
    )
    with held.transaction():
        lacking.update(misses=F("misses") + 1, missed=sync.number)


def missed(source: Source, number: int, delete_after: int) -> QuerySet[Document]:
    """Documents of which the pass ``number`` says that they are gone."""
    gone = Document.objects.filter(source=source, missed=number, misses__gte=delete_after)
    return gone.exclude(status=Document.Status.PENDING)


def delete_missed(held: Held, number: int, delete_after: int) -> tuple[int, int]:
    """Delete what is gone; return how many were deleted, and how many wait for a confirmation."""
    source = held.source
    gone = missed(source, number, delete_after)
    pks = list(gone.order_by("pk").values_list("pk", flat=True))
    if not pks:
        return 0, 0
    if source.confirmed != number and _is_too_much(source, number, gone, len(pks)):
        return 0, len(pks)
    batches = (pks[start : start + _BATCH] for start in range(0, len(pks), _BATCH))
    return sum(delete_documents(held, gone.filter(pk__in=batch)) for batch in batches), 0


def _is_too_much(source: Source, number: int, gone: QuerySet[Document], count: int) -> bool:
    """Whether deletions wait for somebody's confirmation."""
    there = Document.objects.filter(source=source)
    share = source.collection.guard_percent / 100
    if count > LEAST and count > there.count() * share:
        return True
    if not gone.filter(error_code__in=DISOWNED).exists():
        return False
    found = there.exclude(text_hash="")
    disowned, all_of_them = found.filter(error_code__in=DISOWNED, misses__gt=0).count(), found.count()
    least = 1 if disowned < all_of_them else 0
    complete = Sync.objects.filter(source=source, number=number, complete=True).exists()
    return not complete or disowned > max(least, all_of_them * share)


def delete_documents(held: Held, documents: QuerySet[Document]) -> int:
    """Delete documents of the source with all that hangs on them, in one transaction; return how many."""
    with held.transaction():
        pks = list(locked(documents, skip=True, whole=True).values_list("pk", flat=True))
        Document.objects.filter(pk__in=pks).delete()
    return len(pks)


def confirm(source: Source) -> None:
    """Let the deletions go on that the last pass has found too many."""
    waiting = Source.objects.filter(pk=source.pk, state=Source.State.CONFIRM)
    waiting.update(confirmed=F("number"), state=Source.State.OK)
