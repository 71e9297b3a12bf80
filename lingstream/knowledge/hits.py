"""What a search finds: passages, each with what it was found by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from .rank import neighbours

__all__ = ["HIT_COLUMNS", "Hit", "Hits", "hit_of", "merged"]

#: What is read of a passage, its document and the source of that: values, as a model's instance of each costs
#: more than to find them.
HIT_COLUMNS = (
    *("pk", "uid", "collection_id", "document_id", "position"),
    *("heading", "start", "end", "text", "tokens", "language"),
    *(f"document__{name}" for name in ("key", "url", "title", "version", "scope", "owner_key", "metadata")),
    *(f"document__source__{name}" for name in ("collection_id", "kind", "slug")),
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    :param id: the passage's uid; of several that were merged, the best one's.
    :param chunk_ids: of all of them.
    :param collection: its slug.
    :param key: the document's name within its source, whose slug is ``source``, and its kind ``source_kind``.
    :param version: the document's, which grows when its text changes.
    :param heading: the path of headings above it.
    :param start: in code points of the document's text, and so ``end``.
    :param tokens: estimated.
    :param rank: among the hits, from 1; 0 for one that was removed.
    :param score: what the ranks were made by at last: ``rerank_score`` where there is one, else
        ``fused_score``.
    :param keyword_rank: among those found by words, from 1; ``None``: it was not.
    :param keyword_score: more is better; only to be compared within one search.
    :param vector_rank: among those found by vectors of its collection's embedder.
    :param vector_score: the cosine, from -1 to 1.
    :param removed: of an explained search: what has kept it from being found (``access``, ``scope``,
        ``owner``, ``where``, ``visible``, ``rank`` or ``budget``), or ``""``.
    """

    id: str
    chunk_ids: tuple[int, ...]
    document_id: int
    collection: str
    source: str
    source_kind: str
    key: str
    title: str
    url: str
    version: int
    heading: tuple[str, ...]
    text: str
    start: int
    end: int
    position: int
    language: str
    tokens: int
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    rank: int = 0
    score: float = 0.0
    keyword_rank: int | None = None
    keyword_score: float | None = None
    vector_rank: int | None = None
    vector_score: float | None = None
    fused_score: float = 0.0
    rerank_score: float | None = None
    removed: str = ""

    @property
    def passage(self) -> dict[str, Any]:
        """What a workflow's document has of it."""
        return {
            "id": self.id,
            "title": self.title,
            "url": self.url,
            "heading": list(self.heading),
            "text": self.text,
            "version": self.version,
            "score": round(self.score, 6),
        }


class Hits(list[Hit]):
    """What a search gives.

    :ivar notes: what was asked for and could not be done, in words, for staff.
    """

    def __init__(self, hits: Iterable[Hit] = (), notes: Iterable[str] = ()) -> None:
        super().__init__(hits)
        self.notes = [*notes]


def hit_of(row: Any, collection: str, **scores: Any) -> Hit:
    """Return a passage as a hit.

    :param row: a named tuple of :data:`HIT_COLUMNS`.
    :param collection: its slug.
    """
    return Hit(
        id=str(row.uid),
        chunk_ids=(row.pk,),
        document_id=row.document_id,
        collection=collection,
        source=row.document__source__slug,
        source_kind=row.document__source__kind,
        key=row.document__key,
        title=row.document__title,
        url=row.document__url,
        version=row.document__version,
        heading=tuple(row.heading),
        text=row.text,
        start=row.start,
        end=row.end,
        position=row.position,
        language=row.language,
        tokens=row.tokens,
        metadata=row.document__metadata,
        **scores,
    )


def merged(hits: Sequence[Hit]) -> list[Hit]:
    """Return hits, those that follow each other in one document as one, at the place of the best.

    :param hits: best first.
    """
    groups = neighbours([(hit.document_id, hit.position) for hit in hits])
    return [_joined([hits[place] for place in group], hits[min(group)]) for group in groups]


def _joined(run: Sequence[Hit], best: Hit) -> Hit:
    if len(run) == 1:
        return best
    text, end = run[0].text, run[0].end
    for hit in run[1:]:
        # Between passages is white space only; where they overlap, what both have is said once.
        text += hit.text[end - hit.start :] if hit.start < end else f"\n\n{hit.text}"
        end = hit.end
    return replace(
        best,
        chunk_ids=tuple(pk for hit in run for pk in hit.chunk_ids),
        heading=run[0].heading,
        text=text,
        start=run[0].start,
        end=end,
        position=run[0].position,
        tokens=sum(hit.tokens for hit in run),
    )
