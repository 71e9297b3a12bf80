"""The port of stores of vectors: what the indexer writes in a document's transaction, and a search finds in.

1. What is written is found once its transaction is committed, and not before.
2. The vectors of a passage go with its row, however that goes. A store may be late with it: a search drops
   what has no row.
3. Nothing outside of the bounds is found, whatever ``also`` names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from lingstream.core.exceptions import ConfigurationError
from lingstream.core.phrases import Phrase
from lingstream.providers.dotted import import_dotted

if TYPE_CHECKING:
    from uuid import UUID

    from ..models import Chunk, Collection
    from .bounds import Bounds

__all__ = ["Described", "Near", "Passage", "Size", "VectorStore", "register_store", "store_named", "stores"]


class Described(NamedTuple):
    """What passages are found by of their document."""

    title: str
    metadata: Mapping[str, Any]


@dataclass(slots=True)
class Passage:
    """What a row of :class:`~..models.Chunk` will be, at a tenth of what an object of a model costs.

    :param pk: the row's key, as soon as it is known.
    """

    document: Described
    document_id: int
    uid: UUID
    collection_id: int
    position: int
    heading: list[str]
    start: int
    end: int
    text: str
    text_hash: str
    tokens: int
    language: str
    owner_key: str
    scope: str
    pk: int | None = None


@dataclass(frozen=True, slots=True)
class Near:
    """One passage as a store found it.

    :param score: the cosine of the angle between its vector and the question's, from -1 to 1.
    :param vector: float32, little endian, of unit length.
    """

    chunk_id: int
    score: float
    vector: bytes


class Size(NamedTuple):
    """How many vectors there are, and how many bytes they take."""

    vectors: int
    bytes: int


class VectorStore(Protocol):
    """The port: one stateless object for each store. All of it uses the ORM: call it in a thread."""

    def write(self, collection: Collection, vectors: Sequence[tuple[Chunk | Passage, bytes]]) -> None:
        """Write vectors of the collection's embedder, or write them anew: where their bounds differ, too.

        :param collection: with the revision that it has by this transaction.
        :param vectors: of passages with their documents.
        """
        ...

    def find(
        self, collection: Collection, question: bytes, bounds: Bounds, k: int, also: Sequence[int] = ()
    ) -> list[Near]:
        """Return the ``k`` nearest passages, best first, and then those of ``also`` that are not among them.

        :param question: a vector of the collection's embedder.
        :param bounds: those of this collection alone.
        :param also: passages found otherwise, whose vectors are wanted, too.
        """
        ...

    def size(self, collection: Collection) -> Size:
        """Return what it has of a collection, of whatever embedder."""
        ...

    def dimensions(self, collection: Collection, most: int) -> set[int]:
        """Return the dimensions of vectors of the collection's embedder.

        :param most: so many of the oldest ones are looked at, and so many of the newest.
        """
        ...


_stores: dict[str, str | VectorStore] = {
    "database": "lingstream.knowledge.stores.database.DatabaseStore",
    "pgvector": "lingstream.knowledge.stores.pgvector.PgVectorStore",
}


def register_store(name: str, store: VectorStore) -> None:
    """Make a store known, under the name that collections have."""
    _stores[name] = store


def stores() -> Mapping[str, str | VectorStore]:
    """Return the stores there are by name; one that nobody has asked for yet is a dotted path."""
    return MappingProxyType(_stores)


def store_named(name: str) -> VectorStore:
    """Return a store.

    :raises ConfigurationError: there is none of that name.
    """
    store = _stores.get(name)
    if store is None:
        message = Phrase(
            "expected a store among %(known)s, got %(got)s",
            known=", ".join(sorted(_stores)),
            got=f"{name!r:.80}",
        )
        raise ConfigurationError(message)
    if isinstance(store, str):
        made = cast("type[VectorStore]", import_dotted(store))
        store = _stores[name] = made()
    return store
