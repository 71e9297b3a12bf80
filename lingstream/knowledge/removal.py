"""Documents and passages go with all that hangs on them, as Django deletes them, by SQL that is written once.

Django's collector asks at each deletion what refers to what it deletes, and writes a query for each of these
relations: of a pass in which a few documents go that took more than the database did. What hangs on documents
are tables of this app. Where anything else does, of a site's own, or somebody wants to hear of what they
consist of, the collector does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from django.db import models, router
from django.db.models import QuerySet
from django.db.models.signals import post_delete, pre_delete

from lingstream.models.prepared import PreparedDelete, PreparedUpdate
from lingstream.models.rows import Among

from .models import Chunk, Citation, Document, DocumentText, Vector
from .staleness import tell_of

__all__ = ["remove_contents", "remove_documents", "remove_passages"]

#: What goes with rows of a model, or no longer names them.
_HANGS: Mapping[type[models.Model], set[type[models.Model]]] = {
    Document: {DocumentText, Chunk, Citation},
    DocumentText: set(),
    Chunk: {Vector},
    Vector: set(),
}


def remove_documents(rows: Sequence[Document]) -> None:
    """Delete documents within a transaction that has locked them; who listens is told of each.

    :param rows: with all their columns.
    """
    if not (pks := [row.pk for row in rows]):
        return
    if not (_is_ours(Document) and _are_silent(DocumentText, Chunk, Vector)):
        Document.objects.filter(pk__in=pks).delete()
        return
    told = {"sender": Document, "using": router.db_for_write(Document)}
    for row in rows:
        pre_delete.send(instance=row, origin=row, **told)
    tell_of(pks)
    _citations.change([pks], document=None)
    for its in (_vectors_of_documents, _texts_of_documents, _passages_of_documents, _documents):
        its.delete([pks])
    for row in rows:
        post_delete.send(instance=row, origin=row, **told)


def remove_passages(pks: Sequence[int]) -> None:
    """Delete passages with their vectors, within a transaction."""
    if not (_is_ours(Chunk) and _are_silent(Chunk, Vector)):
        Chunk.objects.filter(pk__in=pks).delete()
        return
    for its in (_vectors, _passages):
        its.delete([[*pks]])


def remove_contents(pk: int) -> None:
    """Delete a document's passages with their vectors, and its text, within a transaction; it stays."""
    if _is_ours(Chunk) and _are_silent(Chunk, Vector):
        for its in (_vectors_of_documents, _passages_of_documents):
            its.delete([[pk]])
    else:
        Chunk.objects.filter(document=pk).delete()
    if _is_ours(DocumentText) and _are_silent(DocumentText):
        _texts_of_documents.delete([[pk]])
    else:
        DocumentText.objects.filter(document=pk).delete()


@cache  # models hang together as they do once all apps are loaded
def _is_ours(model: type[models.Model]) -> bool:
    """Whether nothing but tables of this app hangs on rows of a model, and on what goes with them."""
    meta: Any = model._meta
    there = {
        each.related_model
        for each in meta.get_fields(include_hidden=True)
        if each.auto_created and not each.concrete and (each.one_to_one or each.one_to_many)
    }
    hangs = _HANGS[model]
    return there == hangs and not meta.private_fields and all(map(_is_ours, hangs & _HANGS.keys()))


def _are_silent(*some: type[models.Model]) -> bool:
    """Whether nobody hears of rows of some models that go."""
    return not any(signal.has_listeners(model) for model in some for signal in (pre_delete, post_delete))


def _of_documents(model: type[models.Model]) -> PreparedDelete:
    return PreparedDelete(model, lambda values: model._default_manager.filter(Among("document", values[0])))


def _of_passages(values: Sequence[Any]) -> QuerySet[Vector]:
    chunks = Chunk.objects.filter(Among("document", values[0])).order_by()
    return Vector.objects.filter(chunk__in=chunks.values("pk"))


_citations = PreparedUpdate(Citation, lambda values: Citation.objects.filter(Among("document", values[0])))
_vectors_of_documents = PreparedDelete(Vector, _of_passages)
_texts_of_documents, _passages_of_documents = _of_documents(DocumentText), _of_documents(Chunk)
_documents = PreparedDelete(Document, lambda values: Document.objects.filter(Among("pk", values[0])))
_vectors = PreparedDelete(Vector, lambda values: Vector.objects.filter(Among("chunk", values[0])))
_passages = PreparedDelete(Chunk, lambda values: Chunk.objects.filter(Among("pk", values[0])))
