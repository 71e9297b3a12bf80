"""Documents as the indexer leaves them, without one: rows, words and vectors in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import F

from lingstream.knowledge.hits import Hits
from lingstream.knowledge.models import Chunk, Collection, Document, Source
from lingstream.knowledge.search import search
from lingstream.knowledge.stores import words
from lingstream.knowledge.stores.port import store_named
from lingstream.models.owned import owner_key

from .meaning import vector_of

__all__ = ["collection", "document", "find", "grow"]


def collection(slug: str = "help", *, kind: str = "folder", **fields: Any) -> Collection:
    """Return a new collection with one source, which everybody may search unless ``fields`` say otherwise."""
    made = Collection.objects.create(slug=slug, **{"access": "anyone", **fields})
    Source.objects.create(slug=slug, collection=made, kind=kind)
    return made


@transaction.atomic
def document(
    into: Collection,
    *texts: str,
    key: str = "",
    vectors: Sequence[bytes] = (),
    heading: Sequence[str] | Sequence[Sequence[str]] = (),
    owner: Any = None,
    **fields: Any,
) -> list[Chunk]:
    """Index a document that is cut into ``texts``; return its passages.

    :param heading: above all of them, or one path for each.
    :param vectors: of the passages; what they mean (:mod:`.meaning`) unless given.
    """
    source = Source.objects.get(collection=into)
    whose = {"owner_key": owner_key(owner.pk, "") if owner else "", "scope": fields.pop("scope", "")}
    made = Document.objects.create(
        source=source,
        key=key or f"{source.documents.count()}.md",
        owner=owner,
        status=Document.Status.INDEXED,
        **whose,
        **fields,
    )
    start = 0
    chunks = []
    for position, text in enumerate(texts):
        path = heading if all(isinstance(each, str) for each in heading) else heading[position]
        where = {"position": position, "start": start, "end": start + len(text), "heading": [*path]}
        chunks.append(Chunk(collection=into, document=made, text=text, **where, **whose))
        start += len(text)
    Chunk.objects.bulk_create(chunks)
    words.write(chunks)
    with grow(into):
        if into.embedder_id:
            written = vectors or [vector_of(chunk.text) for chunk in chunks]
            store_named(into.store).write(into, [*zip(chunks, written, strict=True)])
    return chunks


def find(collections: Any, text: str, **how: Any) -> Hits:
    """Search, outside of any event loop."""
    return async_to_sync(search)(collections, text, **how)


@contextmanager
def grow(into: Collection) -> Iterator[None]:
    """What is written meanwhile is of the collection's next revision."""
    with transaction.atomic():
        Collection.objects.filter(pk=into.pk).update(revision=F("revision") + 1)
        into.refresh_from_db(fields=["revision"])
        yield
