"""Documents in the index: what of each differs, and the one transaction that makes it so.

1. A passage is known by its document, its text and which of its like it is: the same passage keeps its row,
   its id and its vector, wherever in the document it has moved. All passages are compared at once. Where
   vectors of others may be left, as its collection has another embedder, it gets a new row of the same id:
   vectors go with a row, in every store.
2. Passages, words, vectors, text and hashes of a document change in one transaction, at the source's epoch:
   readers find the old document or the new one.
3. A document that somebody has asked for since it was read stays ``pending``, whatever was stored.
4. Its hints (``etag``, ``modified``) stand for what was read last, whether or not that gave passages; a
   document that could not be read has none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, UUID, uuid5

from django.db.models import QuerySet

from lingstream.core.provider import estimated_tokens
from lingstream.models import prepared as statements
from lingstream.models.clock import Now
from lingstream.models.owned import owner_key
from lingstream.models.rows import Among, update_rows, write_rows

from .claims import Held
from .listing import links_of
from .models import Chunk, Document, DocumentText, Source
from .outcomes import closing, in_order, recovered
from .pipeline import HALF, Prepared, digest
from .removal import remove_passages
from .sources.port import Content
from .staleness import tell_of
from .stores import words
from .stores.port import Described, Passage, store_named

__all__ = [
    "BY_WORDS",
    "Draft",
    "Reading",
    "described",
    "drafts",
    "passage_text",
    "read_columns",
    "store",
    "whose",
    "without_vectors",
]

#: Instead of a document's fingerprint: its passages have no vectors, and the next look gives them some.
BY_WORDS = "words"

#: What of a passage is written anew where it stands at another place, or belongs to somebody else.
_PLACE = ("collection_id", "position", "heading", "start", "end", "language", "owner_key", "scope")
_NOW = Now()  # one for all: to look one up by its value takes 10 µs for each new one
_TOLD = ("heading", "owner_key", "scope")  # what of that its words and its vector have
_WRITTEN = ("uid", *_PLACE, "document_id", "text", "text_hash", "tokens")
_place_of, _row_of = attrgetter(*_PLACE), attrgetter(*_WRITTEN)
_told_of = itemgetter(*map(_PLACE.index, _TOLD))


class _Known(NamedTuple):
    """A passage that is there: its row's key, and what its row has of :data:`_PLACE`."""

    pk: int
    place: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """A document that was read.

    :param document: its row, as it was when it was taken.
    :param content: its body is not needed any more.
    :param read: see :func:`read_columns`.
    :param fingerprint: of the rules that gave ``prepared``.
    :param asked: whether its source was; else it is what was kept of it.
    """

    document: Document
    content: Content
    read: Mapping[str, Any]
    prepared: Prepared
    fingerprint: str
    asked: bool = True


@dataclass(slots=True)
class Draft:
    """How a document's passages will differ from what there is.

    :param passages: all of them, as they will be.
    :param gone: ids of those that will not be.
    :param left: collections that they leave, as their source has.
    :param written: those that are not there yet, or elsewhere, or somebody else's.
    :param spoken: those whose words differ.
    :param embedded: hash of the text that a vector is needed of, by the passage that needs it.
    :param texts: those texts, by hash.
    """

    reading: Reading
    columns: dict[str, Any]
    passages: list[Passage] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    left: set[int] = field(default_factory=set)
    written: list[Passage] = field(default_factory=list)
    spoken: list[Passage] = field(default_factory=list)
    embedded: dict[UUID, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def is_same(self) -> bool:
        """Whether nothing that is found, or found by, differs."""
        document = self.reading.document
        same = all(getattr(document, name) == value for name, value in self.columns.items())
        return same and not (self.gone or self.written or self.spoken or self.embedded)


def passage_text(title: str, heading: Sequence[str], text: str) -> str:
    """Return what a passage's vector is made of: it with what it stands under."""
    above = " — ".join(part for part in (title, *heading) if part)
    return f"{above}\n{text}" if above else text


def drafts(held: Held, readings: Sequence[Reading]) -> list[Draft | Exception]:
    """Compare documents with what there is of them, by one query; one that cannot be is an error."""
    known: defaultdict[int, dict[UUID, _Known]] = defaultdict(dict)
    for document, uid, pk, *place in _chunks.rows([[reading.document.pk for reading in readings]]):
        known[document][uid] = _Known(pk, tuple(place))
    return [_compared(held, reading, known[reading.document.pk]) for reading in readings]


def described(held: Held, content: Content, prepared: Prepared) -> dict[str, Any]:
    """Return the columns that say what a document is."""
    return {
        **whose(held, content),
        "url": content.url[:2_000],
        "title": prepared.title,
        "language": prepared.language[:20],
        "metadata": dict(prepared.metadata),
        "text_hash": prepared.text_hash,
    }


def whose(held: Held, content: Content) -> dict[str, Any]:
    """Return the columns that say who may find a document."""
    source = held.source
    owner_id = source.owner_id if content.owner_id is None else content.owner_id
    return {
        "owner_id": owner_id,
        "owner_key": "" if owner_id is None else owner_key(owner_id, ""),
        "scope": source.scope if content.scope is None else content.scope,
    }


def read_columns(content: Content, fingerprint: str) -> dict[str, Any]:
    """Return the columns that say what was read of a document, and under which rules."""
    return {
        "mime": content.mime[:100],
        "size": len(content.body),
        "etag": content.etag[:500],
        "modified": content.modified[:100],
        "raw_hash": content.digest(),
        "links": links_of(content.links),
        "pipeline": fingerprint,
    }


def store(held: Held, made: Sequence[Draft], vectors: Mapping[str, bytes], number: int) -> int:
    """Make documents what their drafts say, in one transaction; return how many.

    Those that are in somebody else's hands are left.

    :param vectors: by hash of their texts, all that the drafts want, where the collection has an embedder.
    :param number: of the pass.
    :raises Overtaken: the source is.
    """
    collection = held.source.collection
    with held.transaction():
        left, embeds = {pk for draft in made for pk in draft.left}, any(draft.embedded for draft in made)
        collection.revision = held.revise(left, embeds=embeds)
        rows = held.documents(draft.reading.document.pk for draft in made)
        made = [draft for draft in made if draft.reading.document.pk in rows]
        if gone := [pk for draft in made for pk in draft.gone]:
            remove_passages(gone)
        written = [chunk for draft in made for chunk in draft.written]
        values = [_row_of(chunk) for chunk in written]
        keys = write_rows(Chunk, _WRITTEN, values, unique=["uid"], update=_PLACE, keys=True)
        for chunk, key in zip(written, keys, strict=True):
            chunk.pk = key
        words.write([chunk for draft in made for chunk in draft.spoken])
        embedded = [
            (chunk, vectors[draft.embedded[chunk.uid]])
            for draft in made
            for chunk in draft.passages
            if chunk.uid in draft.embedded
        ]
        if embedded:
            store_named(collection.store).write(collection, embedded)
        texts = [*map(_packed, made)]
        write_rows(DocumentText, ["document", "packed"], texts, unique=["document"], update=["packed"])
        mine = [(rows[draft.reading.document.pk], draft) for draft in made]
        if others := [row.pk for row, draft in mine if row.version and _is_other(row, draft)]:
            tell_of(others)
        update_rows([(row, _described(row, draft, held.source, number)) for row, draft in mine])
    if any(draft.reading.asked for draft in made):
        recovered(held)
    return len(made)


def _packed(draft: Draft) -> tuple[int, bytes]:
    return draft.reading.document.pk, DocumentText.pack(draft.reading.prepared.text)


def _described(row: Document, draft: Draft, source: Source, number: int) -> dict[str, Any]:
    """What a locked row is to say."""
    changed = _is_other(row, draft)
    return closing(
        row,
        draft.reading.document.asked,
        **{**in_order(row, source, number, changed=changed), **draft.reading.read},
        **draft.columns,
        status=Document.Status.INDEXED,
        version=row.version + changed,
        **({"changed_at": _NOW} if changed else {}),
    )


def _is_other(row: Document, draft: Draft) -> bool:
    """Whether its text is not that of a locked row."""
    return bool(row.text_hash != draft.columns["text_hash"])


def without_vectors(held: Held, pk: int) -> None:
    """Take the vectors of a document's passages, in whatever store, and leave the rest as it is."""
    with held.transaction():
        held.revise()
        if (row := held.document(pk)) is None:
            return
        chunks = list(Chunk.objects.filter(document=row))
        remove_passages([chunk.pk for chunk in chunks])  # vectors go with a passage's row, in every store
        for chunk in chunks:
            chunk.pk, chunk.document = None, row
        Chunk.objects.bulk_create(chunks)
        words.write(chunks)
        Document.objects.filter(pk=row.pk).update(pipeline=BY_WORDS)


def _compared(held: Held, reading: Reading, known: Mapping[UUID, _Known]) -> Draft | Exception:
    try:
        return _draft(held, reading, known)
    except Exception as error:
        return error


def _draft(held: Held, reading: Reading, known: Mapping[UUID, _Known]) -> Draft:
    document, title = reading.document, reading.prepared.title
    draft = Draft(reading, described(held, reading.content, reading.prepared))
    is_by_other_rules = document.pipeline[HALF:] != reading.fingerprint[HALF:]
    # Stores find passages by what marks them, too.
    marked = is_by_other_rules or any(
        getattr(document, name) != draft.columns[name] for name in ("title", "metadata")
    )
    collection = held.source.collection
    draft.left = {chunk.place[0] for chunk in known.values()} - {collection.pk}
    if known and (draft.left or (is_by_other_rules and collection.has_others_vectors)):
        draft.gone = [chunk.pk for chunk in known.values()]
        known = {}
    draft.passages = list(_passages(held, draft))
    for chunk in draft.passages:
        before, place = known.get(chunk.uid), _place_of(chunk)
        if before and before.place == place:
            chunk.pk = before.pk
        else:
            draft.written.append(chunk)
        retold = before is None or _told_of(before.place) != _told_of(place)
        if retold or marked:
            draft.spoken.append(chunk)
        if (retold or marked) and held.source.collection.embedder_id:
            text = passage_text(title, chunk.heading, chunk.text)
            draft.embedded[chunk.uid] = key = digest(text)
            draft.texts[key] = text
    uids = {chunk.uid for chunk in draft.passages}
    draft.gone += [chunk.pk for uid, chunk in known.items() if uid not in uids]
    return draft


def _passages(held: Held, draft: Draft) -> Iterator[Passage]:
    prepared, document = draft.reading.prepared, draft.reading.document.pk
    described = Described(draft.columns["title"], draft.columns["metadata"])  # as it will be
    alike: Counter[str] = Counter()
    for position, piece in enumerate(prepared.pieces):
        text = prepared.text[piece.start : piece.end]
        text_hash = digest(text)
        yield Passage(
            described,
            document,
            uid=uuid5(NAMESPACE_OID, f"{document}:{text_hash}:{alike[text_hash]}"),
            collection_id=held.source.collection_id,
            position=position,
            heading=list(piece.heading),
            start=piece.start,
            end=piece.end,
            text=text,
            text_hash=text_hash,
            tokens=estimated_tokens(text),
            language=draft.columns["language"],
            owner_key=draft.columns["owner_key"],
            scope=draft.columns["scope"],
        )
        alike[text_hash] += 1


def _of_documents(values: Sequence[Any]) -> QuerySet[Chunk, tuple[Any, ...]]:
    rows = Chunk.objects.filter(Among("document", values[0])).order_by()
    return rows.values_list("document_id", "uid", "pk", *_PLACE)


_chunks = statements.Prepared(Chunk, _of_documents)
