"""What can be done about documents that have failed: look at them again, or leave them out."""

from __future__ import annotations

from collections import defaultdict

from django.db.models import QuerySet

from .asking import ask
from .models import Document, Source, Sync

__all__ = ["discard", "failed", "look_again"]


def failed(source: Source, code: str = "") -> QuerySet[Document]:
    """Return the documents of a source that have failed.

    :param code: of their error; all unless given.
    """
    rows = source.documents.filter(status=Document.Status.FAILED)
    return rows.filter(error_code=code) if code else rows


def look_again(documents: QuerySet[Document]) -> int:
    """Have documents looked at as if nothing were known of them; return how many."""
    keys = defaultdict[Source, list[str]](list)
    for document in documents.select_related("source").only("key", "source"):
        keys[document.source].append(document.key)
    documents.update(raw_hash="", etag="", modified="")
    for source, asked in keys.items():
        ask(source, asked, Sync.Trigger.MANUAL)
    return sum(map(len, keys.values()))


def discard(documents: QuerySet[Document]) -> int:
    """Leave those of the documents out that have failed, until they change; return how many."""
    rows = documents.filter(status=Document.Status.FAILED)
    return rows.update(status=Document.Status.SKIPPED, retry_at=None)
