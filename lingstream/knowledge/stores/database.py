"""Vectors in rows, on any database, and for searches in memory: a matrix of each collection and embedder.

1. A matrix is as of a revision of its collection. A search for a later one renews it first, with the rows
   that were written since; that some have gone is seen by their number.
2. The matrices of a process take ``KNOWLEDGE_MEMORY`` at most: those used last. A collection that alone takes
   more is read in blocks, by each search.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from django.db import router
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Coalesce, Length

from lingstream.conf import app_settings
from lingstream.models.rows import write_rows

from ..models import Chunk, Collection, Vector
from .blocks import ROWS, Block, Row, blocks_of, nearest, packed, without
from .bounds import Bounds, marks_of
from .port import Near, Passage, Size

__all__ = ["DatabaseStore", "forget_matrices"]

_Key: TypeAlias = tuple[str, int, int | None, int]


class DatabaseStore:
    """The store ``database``; see :class:`~.port.VectorStore`."""

    def write(self, collection: Collection, vectors: Sequence[tuple[Chunk | Passage, bytes]]) -> None:
        """See :meth:`~.port.VectorStore.write`."""
        whose = collection.embedder_id, collection.pk, collection.revision
        write_rows(
            Vector,
            ["chunk", "embedder", "collection", "revision", "data"],
            [(chunk.pk, *whose, data) for chunk, data in vectors],
            unique=["chunk", "embedder"],
            update=["collection", "revision", "data"],
        )

    def find(
        self, collection: Collection, question: bytes, bounds: Bounds, k: int, also: Sequence[int] = ()
    ) -> list[Near]:
        """See :meth:`~.port.VectorStore.find`."""
        dimensions = len(question) // 4
        kept = _matrices.blocks(collection, dimensions)
        if kept is not None:
            return nearest(kept, question, bounds.marks, k, also)
        [place] = bounds.places  # what the database may leave out before a block is read: the marks decide
        rows = _rows(_vectors(collection).filter(place.kept("chunk__")))
        return nearest(blocks_of(rows, dimensions), question, bounds.marks, k, also)

    def size(self, collection: Collection) -> Size:
        """See :meth:`~.port.VectorStore.size`."""
        rows = Vector.objects.filter(collection=collection)
        found = rows.aggregate(vectors=Count("pk"), bytes=Coalesce(Sum(Length("data")), 0))
        return Size(**found)

    def dimensions(self, collection: Collection, most: int) -> set[int]:
        """See :meth:`~.port.VectorStore.dimensions`."""
        rows = Vector.objects.filter(collection=collection, embedder=collection.embedder_id)
        ends = (rows.order_by(order).values("pk")[:most] for order in ("revision", "-revision"))
        sizes = (Vector.objects.filter(pk__in=end).order_by().values_list(Length("data")) for end in ends)
        return {size // 4 for end in sizes for (size,) in end.distinct()}


def forget_matrices() -> None:
    """Forget what is in memory: the database is another one, or was set back."""
    _matrices.clear()


class _Matrix:
    """The vectors of a collection by its embedder, as of a revision."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._renewing = threading.Lock()
        self._revision = -1
        self._blocks: list[Block] = []

    @property
    def nbytes(self) -> int:
        return sum(block.nbytes for block in self._blocks)

    def renewed(self, collection: Collection) -> list[Block]:
        """Return the blocks as of the collection's revision, or of a later one."""
        with self._renewing:
            if self._revision < collection.revision:
                self._blocks = self._as_of_now(_vectors(collection))
                self._revision = collection.revision
            return self._blocks

    def _as_of_now(self, vectors: QuerySet[Vector]) -> list[Block]:
        written = [*blocks_of(_rows(vectors.filter(revision__gt=self._revision)), self._dimensions)]
        if not self._blocks:
            return written
        blocks = packed([*without(self._blocks, _ids(written)), *written])
        known = _ids(blocks)
        if len(known) != vectors.count():
            there = np.fromiter(vectors.values_list("chunk_id", flat=True), np.int64)
            blocks = packed(without(blocks, np.setdiff1d(known, there)))
        return blocks


class _Matrices:
    """Those of this process, the one that was used last at the end."""

    def __init__(self) -> None:
        self._choosing = threading.Lock()
        self._matrices: OrderedDict[_Key, _Matrix] = OrderedDict()

    def clear(self) -> None:
        with self._choosing:
            self._matrices.clear()

    def blocks(self, collection: Collection, dimensions: int) -> list[Block] | None:
        """Return the vectors of a collection; ``None``: they are too many to be kept."""
        key = (router.db_for_read(Vector), collection.pk, collection.embedder_id, dimensions)
        with self._choosing:
            matrix = self._matrices.get(key)
        if matrix is None:
            if _vectors(collection).count() * 4 * dimensions > app_settings().knowledge_memory:
                return None
            with self._choosing:
                matrix = self._matrices.setdefault(key, _Matrix(dimensions))
        blocks = matrix.renewed(collection)
        self._used(key)
        return blocks

    def _used(self, key: _Key) -> None:
        """Say that a matrix was used; those that were not for the longest time make room, itself the last."""
        with self._choosing:
            if key in self._matrices:
                self._matrices.move_to_end(key)
            most = app_settings().knowledge_memory
            while self._matrices and sum(each.nbytes for each in self._matrices.values()) > most:
                self._matrices.popitem(last=False)


_matrices = _Matrices()


def _vectors(collection: Collection) -> QuerySet[Vector]:
    return Vector.objects.filter(collection=collection, embedder=collection.embedder_id)


def _rows(vectors: QuerySet[Vector]) -> Iterator[Row]:
    columns = ("collection_id", "chunk__scope", "chunk__owner_key", "chunk__document__metadata")
    rows = vectors.order_by("chunk_id").values_list("chunk_id", "data", "chunk__document_id", *columns)
    last: tuple[int, tuple[int, ...]] = (0, ())
    for chunk_id, data, document_id, *whose in rows.iterator(chunk_size=ROWS):
        if document_id != last[0]:
            last = document_id, marks_of(*whose)
        yield chunk_id, bytes(data), last[1]


def _ids(blocks: Sequence[Block]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.concatenate([np.empty(0, np.int64), *(block.ids for block in blocks)])
