"""Collections whose documents are deleted, by whomever, become another revision.

That is the collections in which their passages are: a source that was moved leaves them where they were until
its next pass. So what is in memory of their vectors is renewed (:mod:`.stores.database`). That is after the
commit: to hold the collection's row meanwhile would have all the site's transactions wait for each other.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F

from lingstream.models.prepared import Prepared

from .models import Chunk, Collection, Document, Source

__all__ = ["document_goes"]


def document_goes(sender: type[Document], instance: Document, using: str, **kwargs: Any) -> None:
    """Receive ``pre_delete`` of documents, while their passages and sources are there."""
    # What a savepoint takes back is taken off this list, so it is what knows of the transaction.
    waiting = (each for _, each, _ in transaction.get_connection(using).run_on_commit)
    revisions = next((each for each in waiting if isinstance(each, _Revisions)), None)
    if revisions is None:
        transaction.on_commit(revisions := _Revisions(using), using=using, robust=True)
    revisions.add(instance.source_id)


class _Revisions:
    """What one transaction deletes: two queries for each source, and one for each collection."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._sources: set[int] = set()
        self._collections: set[int] = set()

    def add(self, source_id: int) -> None:
        if source_id not in self._sources:
            self._sources.add(source_id)
            for found in (_of_source, _of_passages):
                self._collections.update(pk for (pk,) in found.rows([source_id], using=self._using))

    def __call__(self) -> None:
        for pk in self._collections:  # each by itself: no two transactions wait for each other
            Collection.objects.using(self._using).filter(pk=pk).update(revision=F("revision") + 1)


_of_source = Prepared(
    Source, lambda pks: Source.objects.filter(pk__in=pks).order_by().values_list("collection_id")
)
_of_passages = Prepared(
    Chunk,
    lambda sources: (
        Chunk.objects.filter(document__source__in=sources).order_by().values_list("collection_id").distinct()
    ),
)
