"""What the stores give for a question: rankings by words and by vectors, and the one made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from .models import Collection
from .rank import fuse, mmr
from .stores import words
from .stores.bounds import Bounds
from .stores.port import Near, store_named
from .text.words import defining, query_words

__all__ = ["MODES", "Candidates", "Mode", "Weights", "candidates", "weights_of"]

Mode: TypeAlias = Literal["hybrid", "keyword", "vector"]
MODES: tuple[Mode, ...] = ("hybrid", "keyword", "vector")

_OF_EACH = 50  # passages of each ranking
_CONSTANT = 10  # of the fusion
# Vectors against words, by kind of embedder, as the golden questions have it.
_WEIGHTS = {"static": 0.5}


class Weights(NamedTuple):
    """What a place in each ranking counts, in proportion to the other."""

    words: float
    vectors: float


@dataclass(frozen=True, slots=True)
class Candidates:
    """Passages by their ids.

    :param fused: all of them with their scores, best first.
    :param keyword: rank, from 1, and score of those found by words, and so ``vector``.
    :param near: what is known of their vectors.
    """

    fused: Mapping[int, float]
    keyword: Mapping[int, tuple[int, float]]
    vector: Mapping[int, tuple[int, float]]
    near: Mapping[int, Near]

    def best(self, k: int) -> list[int]:
        """Return ``k`` of them, of which none says what another one says better."""
        ids = [*self.fused]
        if not self.near:
            return ids[:k]
        vectors = [self.near[pk].vector if pk in self.near else b"" for pk in ids]
        length = next(filter(None, map(len, vectors)))  # those of another embedder cannot be compared
        alike = [vector if len(vector) == length else b"" for vector in vectors]
        return [ids[place] for place in mmr(alike, [*self.fused.values()], k)]

    def scores(self, pk: int) -> dict[str, Any]:
        """Return what a hit has of a passage."""
        keyword_rank, keyword_score = self.keyword.get(pk, (None, None))
        vector_rank, vector_score = self.vector.get(pk, (None, None))
        if vector_score is None and pk in self.near:
            vector_score = self.near[pk].score
        fused = self.fused.get(pk, 0.0)
        return {
            "score": fused,
            "fused_score": fused,
            "keyword_rank": keyword_rank,
            "keyword_score": keyword_score,
            "vector_rank": vector_rank,
            "vector_score": vector_score,
        }


def candidates(
    text: str,
    collections: Sequence[Collection],
    bounds: Bounds,
    vectors: Mapping[int, bytes],
    mode: Mode,
    weights: Weights | None = None,
) -> Candidates:
    """Return what the stores find within bounds; they ask the database.

    :param collections: those of the bounds' places.
    :param vectors: of the question, by the key of each collection; what has none is searched by words alone.
    :param weights: in place of :func:`weights_of`.
    """
    asked = [] if mode == "vector" else query_words(text)
    found = words.find(bounds, asked, _OF_EACH, defining(text)) if asked else []
    keyword = _ranks(found)
    rankings: list[tuple[float, Sequence[int]]] = [(weights.words if weights else 1.0, [*keyword])]
    vector: dict[int, tuple[int, float]] = {}
    near: dict[int, Near] = {}
    alike: dict[int | None, list[Collection]] = {}
    for each in collections:
        if each.pk in vectors:
            alike.setdefault(each.embedder_id, []).append(each)
    for using in alike.values():
        some = _near(using, bounds, vectors[using[0].pk], [*keyword])
        ranks = _ranks([(each.chunk_id, each.score) for each in some[:_OF_EACH]])
        rankings.append(((weights or weights_of(using[0])).vectors, [*ranks]))
        vector |= ranks
        near |= {each.chunk_id: each for each in some}
    return Candidates(dict(fuse(rankings, _CONSTANT)), keyword, vector, near)


def weights_of(collection: Collection) -> Weights:
    """Return the weights with which a collection is searched."""
    embedder = collection.embedder
    return Weights(1.0, _WEIGHTS.get(embedder.kind, 1.0) if embedder else 1.0)


def _near(
    collections: Sequence[Collection], bounds: Bounds, question: bytes, also: Sequence[int]
) -> list[Near]:
    """The nearest in collections of one embedder, and those of ``also`` that are theirs, best first."""
    places = {place.collection_id: place for place in bounds.places}
    found = [
        near
        for each in collections
        for near in store_named(each.store).find(
            each, question, Bounds([places[each.pk]], bounds.where), _OF_EACH, also
        )
    ]
    return sorted(found, key=lambda near: (-near.score, near.chunk_id))


def _ranks(found: Sequence[tuple[int, float]]) -> dict[int, tuple[int, float]]:
    return {pk: (rank, score) for rank, (pk, score) in enumerate(found, start=1)}
