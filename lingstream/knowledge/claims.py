"""Who works on a source: one at a time, decided by the database and by nothing else.

1. A source is held by one run or command for ``LEASE`` seconds, renewed while it lives. The claim is a single
   conditional UPDATE by the database's time, and adds one to the epoch.
2. What a holder writes stands in a transaction that has locked the source at its epoch: who was overtaken
   writes nothing more. Nor does who has taken it when its documents were somebody else's, another tenant's or
   another collection's.
3. A source is given back only if no document is due, which the same statement asks. Who makes one due commits
   first and wakes afterwards, so either the holder sees it or the next one does.
4. Locks are taken in the order source, collection, document. A document that somebody else's transaction has
   locked is passed over: it is about to change again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import router, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from lingstream.core.exceptions import LingError
from lingstream.core.phrases import Phrase
from lingstream.models.clock import Now
from lingstream.models.locks import locked
from lingstream.models.prepared import Joined, Prepared, PreparedUpdate
from lingstream.models.rows import Among

from .models import SEVERAL, Collection, Document, Source, Sync

__all__ = [
    "LEASE",
    "TAKEN",
    "Held",
    "Overtaken",
    "Revised",
    "atomically",
    "claim",
    "due_documents",
    "is_free",
    "to_be_taken",
]

LEASE = timedelta(seconds=60)

#: Columns of a document that a look at it needs, and those that are read anew where it is locked.
TAKEN = (
    *("key", "url", "depth", "etag", "modified", "raw_hash", "text_hash", "pipeline", "title", "language"),
    *("metadata", "owner", "owner_key", "scope", "links", "size", "attempts", "asked"),
    *("misses", "check_every", "check_at"),
)
#: Columns of a source that say who may find its documents, and where.
_WHOSE = ("owner_id", "scope", "collection_id")
_LOCKED = ("source", "asked", "seen", "misses", "missed", "text_hash", "version", "check_every")


class Overtaken(LingError):
    """Another run or command holds the source by now, or somebody has stopped the pass."""

    code = "overtaken"


class Revised(Overtaken):
    """The source is not what it was when it was taken: whoever takes it again goes on with what it is now."""


def atomically() -> Any:
    """Return a transaction in the database that holds documents, as a context manager."""
    return transaction.atomic(using=router.db_for_write(Document))


def claim(source_id: int, holder: str) -> Held | None:
    """Take a source; ``None``: somebody else holds it, or it is gone.

    :param holder: the run or command; one that has held it before takes it back at once.
    """
    with atomically():
        taken = {"epoch": F("epoch") + 1, "holder": holder, "held_until": Now() + LEASE}
        if not _free_or_mine.change([source_id, holder], **taken):
            return None
        [row] = _sources.rows([source_id])
    source = _joined.made(router.db_for_read(Source), row)
    return Held(source, source.epoch)


def is_free() -> Q:
    """The condition that nobody alive holds a source."""
    return Q(held_until=None) | Q(held_until__lt=Now())


def due_documents() -> QuerySet[Document]:
    """Documents that are to be looked at now."""
    waits = Q(retry_at=None) | Q(retry_at__lte=Now())
    return Document.objects.filter(waits, status=Document.Status.PENDING)


def to_be_taken() -> QuerySet[Source]:
    """Sources that have something to do by the clock, and that nobody holds; those due longest come first."""
    running = Sync.objects.filter(source=OuterRef("pk"), status=Sync.Status.RUNNING)
    due = Q(next_at__lte=Now()) | Exists(running) | Exists(due_documents().filter(source=OuterRef("pk")))
    calm = Q(probe_at=None) | Q(probe_at__lte=Now())
    return Source.objects.filter(is_free(), calm, due, paused=False).order_by("next_at", "pk")


@dataclass(slots=True)
class Held:
    """A source in the hands of this process.

    :param source: as it was when it was taken, with its collection and embedder.
    :param epoch: what all that is written is conditional on.
    """

    source: Source
    epoch: int

    @contextmanager
    def transaction(self, *, begins: bool = False) -> Iterator[None]:
        """A transaction in which nobody else can take the source, or change whose its documents are.

        :param begins: what is written is no document's.
        :raises Overtaken: somebody has; :class:`Revised`: has changed that.
        """
        source = self.source
        with atomically():
            found = _mine_locked.rows([source.pk, self.epoch])
            if not found:
                raise Overtaken(f"the source {source.slug!r} goes on elsewhere")
            if not begins and found[0] != [getattr(source, name) for name in _WHOSE]:
                message = Phrase(
                    "the source %(source)s has another owner, tenant or collection by now",
                    source=repr(source.slug),
                )
                raise Revised(message)
            yield

    def revise(self, also: Iterable[int] = (), *, embeds: bool = False) -> int:
        """Raise the collection's revision within a transaction; return the new one.

        :param also: other collections, which passages leave.
        :param embeds: whether vectors are written by the same transaction.
        :raises Revised: all vectors of the collection are another embedder's since this has begun.
        """
        collection = self.source.collection
        _collections.change([*{collection.pk, *also}], revision=F("revision") + 1)
        [(revision, embedded_by)] = _revised.rows([collection.pk])
        makes = collection.embeds_by
        if embedded_by not in ("", SEVERAL, makes, collection.embedded_by):
            name = repr(collection.slug)
            raise Revised(
                Phrase("the collection %(collection)s has another embedder by now", collection=name)
            )
        if embeds and embedded_by != makes:
            _collections.change([collection.pk], embedded_by=SEVERAL if embedded_by else makes)
        return revision  # type: ignore[no-any-return]

    def document(self, pk: int) -> Document | None:
        """Lock a document within a transaction; ``None``: it is gone, or in somebody else's hands."""
        return self.documents([pk]).get(pk)

    def documents(self, pks: Iterable[int]) -> dict[int, Document]:
        """Lock documents within a transaction, those that nobody else has; return them by their keys."""
        return {row.pk: row for row in _documents.objects([[*pks]])}

    def renew(self) -> None:
        """Say that the holder lives.

        :raises Overtaken: somebody else has taken the source.
        """
        self._update(held_until=Now() + LEASE)

    def change(self, **columns: Any) -> None:
        """Change columns of the source, here and in the database.

        :raises Overtaken: as :meth:`renew`.
        """
        self._update(**columns)
        for name, value in columns.items():
            if not hasattr(value, "resolve_expression"):
                setattr(self.source, name, value)

    def release(self, *, even_if_due: bool = False) -> bool:
        """Give the source back; return false if there is more to do, and then it is still held."""
        mine = _mine if even_if_due else _mine_and_done
        given = mine.change([self.source.pk, self.epoch], holder="", held_until=None)
        return bool(given) or not Source.objects.filter(pk=self.source.pk, epoch=self.epoch).exists()

    def _update(self, **columns: Any) -> None:
        if not _mine.change([self.source.pk, self.epoch], **columns):
            raise Overtaken(f"the source {self.source.slug!r} goes on elsewhere")


def _at(values: Sequence[Any]) -> QuerySet[Source]:
    """A source at an epoch."""
    pk, epoch = values
    return Source.objects.filter(pk=pk, epoch=epoch).order_by()


def _among(pks: Sequence[Any]) -> QuerySet[Collection]:
    return Collection.objects.filter(pk__in=pks).order_by()


def _to_be_locked(pks: Sequence[Any]) -> QuerySet[Document]:
    rows = Document.objects.filter(Among("pk", pks[0])).order_by("pk").only(*_LOCKED)
    return locked(rows, skip=True)


# What each pass asks, and each of its transactions.
_free_or_mine = PreparedUpdate(
    Source, lambda its: Source.objects.filter(is_free() | Q(holder=its[1]), pk=its[0])
)
_joined = Joined(Source, "collection", "collection__embedder", "collection__embedder__provider")
_sources = Prepared(
    Source, lambda pks: Source.objects.filter(pk__in=pks).order_by().values_list(*_joined.names)
)
_mine = PreparedUpdate(Source, _at)
_mine_and_done = PreparedUpdate(
    Source, lambda its: _at(its).exclude(Exists(due_documents().filter(source=OuterRef("pk"))))
)
_mine_locked = Prepared(Source, lambda its: locked(_at(its)).values_list(*_WHOSE), locks=True)
_collections = PreparedUpdate(Collection, _among)
_revised = Prepared(Collection, lambda pks: _among(pks).values_list("revision", "embedded_by"))
_documents = Prepared(Document, _to_be_locked, locks=True)
