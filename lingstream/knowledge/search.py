"""Finding passages: by words and by vectors, within what who asks may see.

1. What may be found comes from who asks and from rows (:mod:`.asker`); what is asked for only narrows it.
2. The stores filter first. What they give is looked at once more by the rows themselves, so that a store that
   lags behind shows nothing to anybody.
3. Four queries at most, where a collection's vectors are in memory and as new as it is: the collections, the
   words, the passages, and what the site says of its own rows. A user of whom only the id is known costs one
   more, and a permission what the site's backends take to know it; some that a process asks once a minute.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from django.db.models.utils import create_namedtuple_class

from lingstream.core.exceptions import LingError, UsageError
from lingstream.core.phrases import Phrase
from lingstream.execution.storage import in_database
from lingstream.models.prepared import Prepared

from .asker import Asker, Identity, Room, asker_of, room_of
from .candidates import MODES, Candidates, Mode, Weights, candidates
from .embedding import vector_of
from .hits import HIT_COLUMNS, Hit, Hits, hit_of, merged
from .models import Chunk, Collection
from .rank import within_budget
from .registry import declared, is_restricted, visible_keys
from .rerank import RerankFailure, reranked
from .stores.bounds import Bounds, Place, Where, narrowed

__all__ = ["MODES", "MOST_HITS", "Search", "search"]

logger = logging.getLogger("lingstream")

#: Calls a function that uses the ORM in a thread.
Call: TypeAlias = Callable[..., Awaitable[Any]]

MOST_HITS = 50

_SPARE = 2  # times as many passages as wanted are read: some may have gone
_TO_RERANK = 30  # passages that a reranker is given at least
_LONGEST = 4_000  # characters of a question


async def search(
    collection: str | Collection | Sequence[str | Collection],
    text: str,
    *,
    identity: Identity | None = None,
    k: int = 8,
    where: Where | None = None,
    mode: Mode = "hybrid",
    rerank: str = "",
    budget: int | None = None,
    weights: Weights | None = None,
    explain: bool = False,
) -> Hits:
    """Return the passages that answer a question best, best first.

    :param collection: its slug, or several.
    :param text: the question, of which 4,000 characters are read.
    :param identity: who asks: of a request, or of a step's call; ``None`` is a visitor whom nobody knows. In
        a collection that they may not search, they find nothing.
    :param k: how many, 50 at most; passages that follow each other in a document become one.
    :param where: values of metadata, or lists of which one is enough, by names of the collection's
        ``narrow_by``.
    :param mode: ``hybrid``, ``keyword`` or ``vector``.
    :param rerank: the name of a reranker (:mod:`.rerank`).
    :param budget: tokens that all of them may take together; what does not fit is left out.
    :param weights: of the rankings by words and by vectors (:class:`.candidates.Weights`), in place of those
        that golden questions have found best.
    :param explain: return, behind the hits, what was *not* found and why (:attr:`Hit.removed`): passages that
        ``identity`` may not see. For staff.
    :returns: a list, whose ``notes`` say what could not be done: an embedder or a reranker did not answer.
    :raises NotFound: there is no such collection.
    :raises UsageError: an argument is none.
    """
    rows = [collection] if isinstance(collection, (str, Collection)) else collection
    slugs = [each if isinstance(each, str) else each.slug for each in rows]
    asked = Search(slugs, text, k, where or {}, mode, rerank, budget, weights)
    return await asked.hits(asker_of(identity), in_database, explain=explain)


@dataclass(frozen=True, slots=True)
class Search:
    """One question; see :func:`search`.

    :raises UsageError: it makes none.
    """

    collections: Sequence[str]
    text: str
    k: int = 8
    where: Where = field(default_factory=dict)
    mode: Mode = "hybrid"
    rerank: str = ""
    budget: int | None = None
    weights: Weights | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(
                Phrase(
                    "expected a mode among %(known)s, got %(got)s",
                    known=", ".join(MODES),
                    got=f"{self.mode!r:.80}",
                )
            )
        if not 1 <= self.k <= MOST_HITS:
            raise UsageError(
                Phrase("expected 1 to %(most)s passages, got %(got)s", most=MOST_HITS, got=self.k)
            )

    async def hits(self, asker: Asker, call: Call, *, explain: bool = False) -> Hits:
        """Return what is found.

        :param call: calls a function that uses the ORM in a thread.
        """
        room: Room = await call(room_of, self.collections, asker, narrowed(self.where))
        text = self.text[:_LONGEST].encode("utf-8", "replace").decode().strip()
        if not text or not (room.places or explain):
            return Hits()
        notes: list[str] = []
        vectors = await self._vectors(text, room.collections if explain else room.open, notes, call)
        found: list[Hit] = await call(self._found, text, room, vectors)
        if self.rerank and found:
            found = await self._reranked(text, found, notes)
        hits = self._fitting(found[: self.k])
        if explain:
            hits += await call(self._removed, text, room, vectors, found, hits)
        for note in notes:
            logger.warning("a search goes on without what it asks for: %s", note)
        return Hits(hits, notes)

    async def _vectors(
        self, text: str, collections: Sequence[Collection], notes: list[str], call: Call
    ) -> dict[int, bytes]:
        """The question's vectors by collection; where words are asked too, one that fails is done without."""
        if self.mode == "keyword":
            return {}
        having = [(each, each.embedder) for each in collections if each.embedder]
        if self.mode == "vector" and not having:
            got = f"{', '.join(self.collections)!r:.200}"
            raise UsageError(Phrase("expected a collection with an embedder, got %(got)s", got=got))
        made: dict[int, bytes] = {}
        vectors = {}
        for each, embedder in having:
            try:
                _check_embedded(each)
                if embedder.pk not in made:
                    made[embedder.pk] = await vector_of(text, embedder, call)
                vectors[each.pk] = made[embedder.pk]
            except LingError as error:
                if self.mode == "vector":
                    raise
                notes.append(
                    Phrase(
                        "%(collection)s is searched by words alone, without %(embedder)s: %(problem)s",
                        collection=each.slug,
                        embedder=str(embedder),
                        problem=error.message,
                    )
                )
        return vectors

    def _found(self, text: str, room: Room, vectors: Mapping[int, bytes]) -> list[Hit]:
        """The passages, as they may be shown, and some to spare; all are read where those do not suffice."""
        found = candidates(text, room.open, room.bounds, vectors, self.mode, self.weights)
        for most in (self._wanted(room), MOST_HITS * _SPARE):
            ids = found.best(most)
            hits = [hit for hit, why in _read(found, ids, room) if not why]
            hidden = _hidden(hits, room.asker)
            shown = [hit for hit in hits if hit.document_id not in hidden]
            if len(shown) >= self.k or len(ids) == len(found.fused):
                break
        return shown

    def _wanted(self, room: Room) -> int:
        """How many passages are read: all there are, where the site may hide any number of them."""
        names = {each.slug for each in room.open}
        if any(each.visible_to and each.collection in names for each in declared().values()):
            return MOST_HITS * _SPARE
        return max(self.k * _SPARE, _TO_RERANK if self.rerank else 0)

    async def _reranked(self, text: str, hits: list[Hit], notes: list[str]) -> list[Hit]:
        try:
            scores = await reranked(self.rerank, text, [hit.text for hit in hits])
        except RerankFailure as error:
            told = Phrase("the order is that of words and vectors: %(problem)s", problem=error.message)
            notes.append(told)
            return hits
        scored = [
            replace(hit, score=score, rerank_score=score) for hit, score in zip(hits, scores, strict=True)
        ]
        return sorted(scored, key=lambda hit: -hit.score)

    def _fitting(self, hits: list[Hit]) -> list[Hit]:
        """The hits that the budget has room for, each by itself, then put together and numbered."""
        if self.budget is not None:
            hits = [hits[place] for place in within_budget([hit.tokens for hit in hits], self.budget)]
        return [replace(hit, rank=rank) for rank, hit in enumerate(merged(hits), start=1)]

    def _removed(
        self,
        text: str,
        room: Room,
        vectors: Mapping[int, bytes],
        found: Sequence[Hit],
        hits: Sequence[Hit],
    ) -> list[Hit]:
        """What a search without bounds finds beside ``hits``, and why they do not have it."""
        everything = Bounds([Place(each.pk, None, None) for each in room.collections])
        others = candidates(text, room.collections, everything, vectors, self.mode, self.weights)
        shown = {pk for hit in hits for pk in hit.chunk_ids}
        within_k = {pk for hit in found[: self.k] for pk in hit.chunk_ids}
        rest = _read(others, [pk for pk in others.fused if pk not in shown], room)
        hidden = _hidden([hit for hit, why in rest if not why], room.asker)

        def reason(hit: Hit) -> str:
            if hit.document_id in hidden:
                return "visible"
            return "budget" if within_k.issuperset(hit.chunk_ids) else "rank"

        return [replace(hit, removed=why or reason(hit)) for hit, why in rest]


def _check_embedded(collection: Collection) -> None:
    if not collection.is_embedded:
        message = Phrase(
            "its vectors are another embedder's, or in another store, until a pass over its sources"
        )
        raise LingError(message, code="vectors", retryable=True)


def _read(found: Candidates, ids: Sequence[int], room: Room) -> list[tuple[Hit, str]]:
    """Passages with their documents, in this order, each with what keeps it out; one query."""
    rows = {row.pk: row for row in map(_HitRow._make, _hit_rows.rows(ids))}
    slugs = {each.pk: each.slug for each in room.collections}
    return [
        (hit_of(row, slugs[row.collection_id], **found.scores(row.pk)), room.keeps_out(row))
        for row in (rows[pk] for pk in ids if pk in rows)
        if row.collection_id in slugs
    ]


_HitRow: Any = create_namedtuple_class(*HIT_COLUMNS)
_hit_rows = Prepared(Chunk, lambda ids: Chunk.objects.filter(pk__in=ids).order_by().values_list(*HIT_COLUMNS))


def _hidden(hits: Sequence[Hit], asker: Asker) -> set[int]:
    """The documents that the site does not let who asks see; a query for each of its models."""
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for hit in hits:
        if is_restricted(hit.source, hit.source_kind):
            keys[hit.source].add(hit.key)
    user = asker.user() if keys else None
    seen = {slug: visible_keys(slug, some, user) for slug, some in keys.items()}
    return {hit.document_id for hit in hits if hit.source in seen and hit.key not in seen[hit.source]}
