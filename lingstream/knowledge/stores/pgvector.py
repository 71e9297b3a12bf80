"""Vectors in a table of pgvector's, which PostgreSQL searches: for collections that no process should hold.

The table is made by ``manage.py ling_vectors``, as ``createcachetable`` makes the cache's: the extension is
not everywhere, and needs a right that few users of a database have. So is the index of a collection past
20,000 passages, an HNSW of its own. Below that, and where the bounds leave few passages, all of them are
compared: an HNSW finds the nearest ones first, drops what is out of bounds, and returns too few.
"""

from __future__ import annotations

import json
import struct
import time
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from django.db import connections, router, transaction

from ..models import Chunk, Collection
from .bounds import Bounds, marks_of
from .port import Near, Passage, Size

__all__ = ["PgVectorStore", "create_indexes", "create_table", "forget_choices", "lacking"]

_INDEX_FROM = 20_000  # passages
_FEW = 10_000  # passages within the bounds
_HALF_FROM = 2_000  # dimensions; an index of `vector` can have no more
# Candidates that an HNSW keeps while it searches, and while it is built. Of the nearest twenty of 50,000
# passages it finds 0.95 so; with 100 and pgvector's own 64 it finds 0.83, in half the time.
_WIDTH, _WIDTH_BUILDING = 400, 200
_CHOSEN_FOR = 60.0  # seconds for which it stays as it was found whether passages are few

_Marks: TypeAlias = tuple[tuple[int, ...], ...]

_TABLE = (
    """
    CREATE TABLE IF NOT EXISTS lingstream_knowledge_pgvector (
        chunk_id bigint NOT NULL,
        embedder_id bigint NOT NULL,
        collection_id bigint NOT NULL,
        marks bigint[] NOT NULL,
        data vector NOT NULL,
        PRIMARY KEY (chunk_id, embedder_id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS lingstream_knowledge_pgvector_marks
    ON lingstream_knowledge_pgvector USING gin (marks)
    """,
    """
    CREATE OR REPLACE FUNCTION lingstream_knowledge_pgvector_gone() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            DELETE FROM lingstream_knowledge_pgvector;
        ELSE
            DELETE FROM lingstream_knowledge_pgvector WHERE chunk_id = OLD.id;
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER lingstream_knowledge_pgvector_gone AFTER DELETE ON lingstream_knowledge_chunk
    FOR EACH ROW EXECUTE FUNCTION lingstream_knowledge_pgvector_gone()
    """,
    """
    CREATE OR REPLACE TRIGGER lingstream_knowledge_pgvector_none AFTER TRUNCATE ON lingstream_knowledge_chunk
    FOR EACH STATEMENT EXECUTE FUNCTION lingstream_knowledge_pgvector_gone()
    """,
)
_WRITE = """
    INSERT INTO lingstream_knowledge_pgvector (chunk_id, embedder_id, collection_id, marks, data)
    VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (chunk_id, embedder_id) DO UPDATE
    SET collection_id = excluded.collection_id, marks = excluded.marks, data = excluded.data
"""
_FIND = """
    (
        SELECT chunk_id, -({data} <#> %(question)s::{type}), vector_send(data), TRUE
        FROM lingstream_knowledge_pgvector WHERE {space} AND {within}
        ORDER BY {data} <#> %(question)s::{type} LIMIT %(k)s
    ) UNION ALL (
        SELECT chunk_id, -(data <#> %(question)s::vector), vector_send(data), FALSE
        FROM lingstream_knowledge_pgvector WHERE {space} AND {within} AND chunk_id = ANY(%(also)s)
    )
"""
_SIZE = """
    SELECT count(*), coalesce(sum(pg_column_size(data)), 0)
    FROM lingstream_knowledge_pgvector WHERE collection_id = %s
"""
_DIMENSIONS = """
    WITH theirs AS NOT MATERIALIZED (
        SELECT chunk_id, data FROM lingstream_knowledge_pgvector
        WHERE collection_id = %(of)s AND embedder_id = %(by)s
    )
    SELECT vector_dims(data) FROM (SELECT data FROM theirs ORDER BY chunk_id LIMIT %(most)s) oldest
    UNION
    SELECT vector_dims(data) FROM (SELECT data FROM theirs ORDER BY chunk_id DESC LIMIT %(most)s) newest
"""
_ARE_FEW = """
    SELECT NOT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(%(index)s) AND indisvalid)
        OR (
            SELECT count(*) FROM (
                SELECT FROM lingstream_knowledge_pgvector WHERE {space} AND {within} LIMIT %(few)s
            ) found
        ) < %(few)s
"""


class PgVectorStore:
    """The store ``pgvector``; see :class:`~.port.VectorStore`."""

    def write(self, collection: Collection, vectors: Sequence[tuple[Chunk | Passage, bytes]]) -> None:
        """See :meth:`~.port.VectorStore.write`."""
        rows = [
            (chunk.pk, collection.embedder_id, collection.pk, _marks(chunk), _text(data))
            for chunk, data in vectors
        ]
        with connections[router.db_for_write(Chunk)].cursor() as cursor:
            cursor.executemany(_WRITE, rows)

    def find(
        self, collection: Collection, question: bytes, bounds: Bounds, k: int, also: Sequence[int] = ()
    ) -> list[Near]:
        """See :meth:`~.port.VectorStore.find`."""
        alias = router.db_for_read(Chunk)
        space = _Space(collection.pk, collection.embedder_id or 0, len(question) // 4)
        marks = tuple(map(tuple, bounds.marks))
        few = _are_few(alias, space, marks, int(time.monotonic() / _CHOSEN_FOR))
        sql = _FIND.format(
            data="data" if few else space.indexed,
            type="vector" if few else space.type,
            space=space.condition,
            within=_within(marks),
        )
        values = {"question": _text(question), "k": k, "also": list(also), **_values(marks)}
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            cursor.execute(
                "SELECT set_config('hnsw.iterative_scan', 'strict_order', TRUE), "
                "set_config('hnsw.ef_search', %s, TRUE)",
                [str(max(k, _WIDTH))],
            )
            cursor.execute(sql, values)
            return _ranked(cursor.fetchall())

    def size(self, collection: Collection) -> Size:
        """See :meth:`~.port.VectorStore.size`."""
        with connections[router.db_for_read(Chunk)].cursor() as cursor:
            cursor.execute(_SIZE, [collection.pk])
            return Size(*cursor.fetchone())

    def dimensions(self, collection: Collection, most: int) -> set[int]:
        """See :meth:`~.port.VectorStore.dimensions`."""
        with connections[router.db_for_read(Chunk)].cursor() as cursor:
            cursor.execute(
                _DIMENSIONS, {"of": collection.pk, "by": collection.embedder_id or 0, "most": most}
            )
            return {row[0] for row in cursor.fetchall()}


class _Space(NamedTuple):
    """Vectors that can be compared.

    Its numbers are literals in SQL: a plan with parameters uses no partial index. The dimensions are part of
    it, because an embedder that was changed has left others until all is embedded anew.
    """

    collection_id: int
    embedder_id: int
    dimensions: int

    @property
    def index_name(self) -> str:
        return f"lingstream_knowledge_pgvector_{self.collection_id}_{self.embedder_id}_{self.dimensions}"

    @property
    def type(self) -> str:
        return f"{'halfvec' if self.dimensions > _HALF_FROM else 'vector'}({self.dimensions})"

    @property
    def indexed(self) -> str:
        return f"(data::{self.type})"

    @property
    def condition(self) -> str:
        return (
            f"collection_id = {self.collection_id} AND embedder_id = {self.embedder_id} "
            f"AND vector_dims(data) = {self.dimensions}"
        )


def forget_choices() -> None:
    """Forget which bounds leave few passages: the database is another one."""
    _are_few.cache_clear()


def lacking(alias: str) -> str:
    """Return the statement or command that a database lacks for this store, ``""`` for none."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return "a database of PostgreSQL"
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'")
        if not cursor.fetchone():
            return "CREATE EXTENSION vector"
        cursor.execute("SELECT to_regclass('lingstream_knowledge_pgvector')")
        return "" if cursor.fetchone()[0] else "manage.py ling_vectors"


def create_table(alias: str) -> None:
    """Create the table, where it is not there yet."""
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        for statement in _TABLE:
            cursor.execute(statement)


def create_indexes(alias: str) -> Iterator[str]:
    """Create the indexes that are due; yield the name of each when it is there. Writers go on meanwhile."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT collection_id, embedder_id, vector_dims(data) FROM lingstream_knowledge_pgvector "
            "GROUP BY 1, 2, 3 HAVING count(*) >= %s ORDER BY 1, 2, 3",
            [_INDEX_FROM],
        )
        for space in [_Space(*row) for row in cursor.fetchall()]:
            cursor.execute(
                "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [space.index_name]
            )
            valid = cursor.fetchone()
            if valid == (True,):
                continue
            if valid:  # what a build that was broken off leaves is written, and never read
                cursor.execute(f"DROP INDEX CONCURRENTLY {space.index_name}")
            kind = space.type.partition("(")[0]
            cursor.execute(
                f"CREATE INDEX CONCURRENTLY {space.index_name} ON lingstream_knowledge_pgvector "
                f"USING hnsw ({space.indexed} {kind}_ip_ops) WITH (ef_construction = {_WIDTH_BUILDING}) "
                f"WHERE {space.condition}"
            )
            yield space.index_name


@lru_cache(1_000)
def _are_few(alias: str, space: _Space, marks: _Marks, minute: int) -> bool:
    """Whether passages are so few that all are compared; asked again in the next ``minute``."""
    sql = _ARE_FEW.format(space=space.condition, within=_within(marks))
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, {"index": space.index_name, "few": _FEW, **_values(marks)})
        return bool(cursor.fetchone()[0])


def _within(marks: _Marks) -> str:
    return " AND ".join(f"marks && %(group{number})s::bigint[]" for number in range(len(marks)))


def _values(marks: _Marks) -> dict[str, Any]:
    return {f"group{number}": list(group) for number, group in enumerate(marks)}


def _marks(chunk: Chunk | Passage) -> list[int]:
    return [*marks_of(chunk.collection_id, chunk.scope, chunk.owner_key, chunk.document.metadata)]


def _text(data: bytes) -> str:
    return json.dumps(struct.unpack(f"<{len(data) // 4}f", data))


def _ranked(rows: Sequence[tuple[int, float, Any, bool]]) -> list[Near]:
    """The nearest first; what was asked for and is among them is there once."""
    found: dict[int, Near] = {}
    for chunk_id, score, sent, _ in sorted(rows, key=lambda row: (not row[3], -row[1], row[0])):
        if chunk_id not in found:
            found[chunk_id] = Near(chunk_id, score, _bytes(sent))
    return [*found.values()]


def _bytes(sent: Any) -> bytes:
    """A vector as pgvector sends it, two numbers of 16 bits first, and the highest byte of each."""
    vector = array("f", bytes(sent[4:]))
    vector.byteswap()
    return vector.tobytes()
