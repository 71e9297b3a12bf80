"""A source that tests change at will, what becomes of it in the index, and how a fresh index would be."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from django.db import OperationalError, connections
from django.db.backends.signals import connection_created

from lingstream.core.engine.kinds import Services
from lingstream.core.exceptions import LingError
from lingstream.execution.lane import Lane
from lingstream.knowledge.models import Collection, Document, Source
from lingstream.knowledge.slices import Outcome
from lingstream.knowledge.sources.port import (
    Content,
    Fetched,
    Gone,
    Known,
    Ref,
    SourceKind,
    Unchanged,
    register_source,
)
from lingstream.knowledge.sync import sync

__all__ = [
    "Crash",
    "World",
    "away",
    "crashing",
    "cut_out",
    "fresh",
    "indexed",
    "one_pass",
    "settled",
    "statements",
    "world",
]


@dataclass
class World:
    """What there is.

    :param documents: by key.
    :param hints: what a listing says of a document: ``etag``, ``content`` (all of it), or nothing.
    :param broken: keys that cannot be fetched, and how.
    :param cut: the listing ends with an error behind so many documents.
    :param pause: seconds that a listing takes behind each document.
    :param seeds: what is listed, if not all; documents lead to others by their ``links``.
    :param partial: a listing says that it is not all there is.
    :param gap: a key whose document tells a listing that it has a gap.
    :param listed: called once, when a listing is over, and ``read`` when a document has been fetched; in a
        thread.
    :param fetched: how often each was.
    """

    documents: dict[str, Content] = field(default_factory=dict)
    hints: str = "etag"
    broken: dict[str, Fetched] = field(default_factory=dict)
    cut: int | None = None
    pause: float = 0.0
    seeds: list[str] | None = None
    partial: bool = False
    gap: str = ""
    listed: Callable[[], object] | None = None
    read: Callable[[], object] | None = None
    fetched: Counter[str] = field(default_factory=Counter)

    def write(self, key: str, text: str, **more: Any) -> None:
        """Have a document, or have it say something else."""
        content = Content(text, url=f"https://example.org/{key}", title=f"About {key}", **more)
        self.documents[key] = replace(content, etag=content.digest()[:12])


world = World()


class WorldKind(SourceKind):
    """The kind ``world``: one world at a time."""

    kind = "world"

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[WorldListing]:
        if source.config.get("shut"):
            raise LingError("the world is shut", code="shut")
        yield WorldListing()


class WorldListing:
    def __init__(self) -> None:
        self.complete = False
        self.problem = ""

    async def refs(self) -> AsyncIterator[Ref]:
        keys = sorted(world.documents) if world.seeds is None else world.seeds
        for number, key in enumerate(keys):
            if number == world.cut:
                raise LingError("the world ends here", code="cut")
            content = world.documents.get(key)
            etag = content.etag if content and world.hints == "etag" else ""
            yield Ref(key, etag=etag, content=content if world.hints == "content" else None)
            await asyncio.sleep(world.pause)
        await _told("listed")
        self.complete = not world.partial

    async def fetch(self, known: Known) -> Fetched:
        world.fetched[known.key] += 1
        await _told("read")
        if known.key == world.gap:
            self.complete, self.problem = False, "the world has a gap"
        if known.key in world.broken:
            return world.broken[known.key]
        content = world.documents.get(known.key)
        if content is None:
            return Gone()
        return Unchanged() if known.etag and known.etag == content.etag else content


async def _told(name: str) -> None:
    function = getattr(world, name)
    setattr(world, name, None)
    if function:
        await Lane(1).call(function)


register_source(WorldKind())


def settled(**changes: Any) -> None:
    """Begin with an empty world."""
    for name, value in vars(World(**changes)).items():
        setattr(world, name, value)


def one_pass(source: Source, holder: str = "test", **how: Any) -> Outcome:
    """Do one slice of a pass over a source."""
    services = Services(lambda plan: None)  # type: ignore[arg-type,return-value]
    return asyncio.run(sync(source.pk, holder, services=services, **how))


def indexed(source: Source) -> dict[str, Any]:
    """Return all that can be found of a source, by key, and nothing that depends on how it came there."""
    return {row.key: _indexed(row) for row in Document.objects.filter(source=source)}


def fresh(source: Source) -> dict[str, Any]:
    """Return what an index of the same source would be that knew nothing of before."""
    collection = Collection.objects.get(pk=source.collection_id)
    collection.pk, collection.slug, collection.embedded_by = None, f"fresh-{uuid4().hex}", ""
    collection.save()
    made = Source.objects.create(
        slug=collection.slug,
        collection=collection,
        kind=source.kind,
        config=source.config,
        owner=source.owner,
        scope=source.scope,
    )
    assert one_pass(made, "fresh").status == "finished"
    found = indexed(made)
    collection.delete()
    return found


def cut_out(packed: bytes) -> str:
    """Return a document's text, out of its row."""
    return zlib.decompress(packed).decode()


def _indexed(row: Document) -> dict[str, Any]:
    text = cut_out(row.text.packed) if hasattr(row, "text") else ""
    chunks = []
    vectors = _vectors(row)
    for chunk in row.chunks.order_by("position"):
        assert text[chunk.start : chunk.end] == chunk.text
        whose = (chunk.owner_key, chunk.scope, chunk.language, vectors.get(chunk.pk))
        chunks.append((chunk.position, chunk.heading, chunk.start, chunk.end, chunk.text, *whose))
    assert [chunk[0] for chunk in chunks] == list(range(len(chunks)))
    return {
        "text": text,
        "title": row.title,
        "url": row.url,
        "metadata": row.metadata,
        "status": row.status,
        "chunks": chunks,
        "words": _words(row),
    }


def _vectors(row: Document) -> dict[int, list[Any]]:
    """The vectors of its passages, of whatever embedder and in whatever store, by the passages' keys."""
    tables = {"lingstream_knowledge_vector": "data"}
    with connections["default"].cursor() as cursor:
        if "lingstream_knowledge_pgvector" in connections["default"].introspection.table_names(cursor):
            tables["lingstream_knowledge_pgvector"] = "vector_send(data)"
        found: dict[int, list[Any]] = {}
        for table, data in tables.items():
            cursor.execute(
                f"SELECT chunk_id, embedder_id, {data} FROM {table} WHERE chunk_id IN "
                "(SELECT id FROM lingstream_knowledge_chunk WHERE document_id = %s) ORDER BY 1, 2",
                [row.pk],
            )
            for chunk, embedder, vector in cursor.fetchall():
                found.setdefault(chunk, []).append((table, embedder, bytes(vector)))
    return found


def _words(row: Document) -> list[Any]:
    """The words of its passages, as the database has them."""
    with connections["default"].cursor() as cursor:
        if connections["default"].vendor == "sqlite":
            sql = "SELECT words FROM lingstream_knowledge_words WHERE rowid = %s"
        else:
            sql = """
                SELECT lexeme, positions FROM lingstream_knowledge_words, unnest(words)
                WHERE chunk_id = %s AND lexeme !~ '^#' ORDER BY lexeme
            """
        found = []
        for pk in row.chunks.order_by("position").values_list("pk", flat=True):
            cursor.execute(sql, [pk])
            found.append(cursor.fetchall())
    return found


class Crash(BaseException):
    """The process is gone: no statement succeeds any more."""


@contextmanager
def crashing(after: int) -> Iterator[None]:
    """Have every statement fail from one on, in threads that begin now, as for a process that is killed.

    A statement that was executed before stays, as far as its transaction was committed.
    """
    left = after

    def hear(sql: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Crash

    with _heard(hear):
        yield


@contextmanager
def away(after: int, tries: int = 1, *, answer_only: bool = False) -> Iterator[Counter[str]]:
    """Have the database be away for so many statements from one on, in threads that begin now.

    :param answer_only: what is asked is done, and nobody hears of it; one that ends a transaction among them.
    :returns: how many statements there were by now, as ``all``, and how many of them failed.
    """
    met: Counter[str] = Counter()

    def hear(sql: str) -> None:
        met["all"] += 1
        if after < met["all"] <= after + tries:
            met["failed"] += 1
            raise OperationalError("the database is away")

    with _heard(hear, after=answer_only):
        yield met


@contextmanager
def statements() -> Iterator[list[str]]:
    """Return what is executed meanwhile, in threads that begin now."""
    found: list[str] = []
    with _heard(found.append):
        yield found


@contextmanager
def _heard(hear: Callable[[str], None], *, after: bool = False) -> Iterator[None]:
    def execute(call: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not after:
            hear(sql)
        found = call(sql, params, many, context)
        if after and not sql.startswith("BEGIN"):
            hear(sql)
        return found

    def connected(sender: Any, connection: Any, **kwargs: Any) -> None:
        connection.execute_wrappers.append(execute)
        if after:
            commit = connection._commit

            def commits() -> None:
                commit()
                hear("COMMIT")

            connection._commit = commits

    connection_created.connect(connected)
    try:
        yield
    finally:
        connection_created.disconnect(connected)
