"""A collection of many passages, and searches in it: ``python -m bench.project.finding PASSAGES ROUNDS``.

The rows are in ``BENCH_DATABASE``, a file of SQLite's; ``BENCH_DIMENSIONS`` is how long vectors are. A tenth
as many passages again are another tenant's, so that there is something to keep out, and one document of two
hundred is of a kind of its own, so that there is something to narrow by.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.project.settings")
os.environ.setdefault("BENCH_MODEL", "http://127.0.0.1")

import django
from corpus import DIMENSIONS, mixed, passages, questions, timed, vector

__all__ = ["embedded", "fill", "mixed", "prepare", "questions", "searching", "vector"]

_AT_ONCE = 1_000
_OF_A_DOCUMENT = 4
_RARE = 200


def embedded(text: str) -> bytes:
    """Return a text's vector as stores take it."""
    return bytes(vector(text).astype("<f4").tobytes())


class Embedded:
    """The corpus's vectors."""

    dimensions = DIMENSIONS

    async def embed(self, texts: list[str], kind: str) -> list[bytes]:
        return [embedded(text) for text in texts]

    async def aclose(self) -> None:
        pass


def fill(rows: list[tuple[str, str]], scope: str = "") -> None:
    """Index passages, which are titles and texts, a document of every four."""
    from django.db import transaction

    from lingstream.knowledge.models import Chunk, Collection, Document, Source
    from lingstream.knowledge.stores import words
    from lingstream.knowledge.stores.port import store_named

    collection, source = Collection.objects.get(), Source.objects.get()
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        with transaction.atomic():
            documents = Document.objects.bulk_create(
                Document(
                    source=source,
                    key=f"{scope} {start + at}",
                    title=title,
                    scope=scope,
                    status="indexed",
                    metadata={"kind": "common" if (start // _OF_A_DOCUMENT + at) % _RARE else "rare"},
                )
                for at, (title, _) in enumerate(some[::_OF_A_DOCUMENT])
            )
            chunks = Chunk.objects.bulk_create(
                Chunk(
                    collection=collection,
                    document=documents[at // _OF_A_DOCUMENT],
                    position=at % _OF_A_DOCUMENT,
                    start=0,
                    end=len(text),
                    text=text,
                    scope=scope,
                )
                for at, (_, text) in enumerate(some)
            )
            words.write(chunks)
            vectors = [embedded(chunk.text) for chunk in chunks]
            store_named(collection.store).write(collection, [*zip(chunks, vectors, strict=True)])


def prepare(store: str) -> Any:
    """Have a database with a collection in which there is nothing; return the collection."""
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from lingstream.knowledge.embed import EmbeddingKind, register_embedding
    from lingstream.knowledge.models import Collection, Embedder, Source

    call_command("migrate", verbosity=0)
    if store == "pgvector":
        with connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION vector")
        call_command("ling_vectors", verbosity=0)
    register_embedding("corpus", EmbeddingKind(lambda plan: Embedded()))
    embedder = Embedder.objects.create(slug="corpus", kind="corpus")
    collection = Collection.objects.create(
        slug="help", access="anyone", embedder=embedder, store=store, narrow_by=["kind"]
    )
    Source.objects.create(slug="help", collection=collection, kind="folder")
    return collection


def searching(lane: Any) -> Callable[..., Awaitable[int]]:
    """Return what finds passages as a step `retrieve` does, and says how many."""
    from lingstream.knowledge.asker import asker_of
    from lingstream.knowledge.search import Search

    async def find(question: str, **how: Any) -> int:
        hits = await Search(["help"], question, **how).hits(asker_of(None), lane.call)
        return sum(len(hit.chunk_ids) for hit in hits)

    return find


def main(number: int, rounds: int) -> None:
    """Fill the database, search, and print what a search costs."""
    prepare("database")
    from lingstream.execution.lane import Lane

    rows = passages(number)
    fill(rows)
    fill(rows[: number // 10], "another")
    lane = Lane(1)
    find = searching(lane)
    with asyncio.Runner() as runner:
        run = runner.get_loop().run_until_complete  # without what a runner does about signals for each
        print(json.dumps(timed(lambda question: run(find(question)), rounds)))
        runner.run(lane.aclose())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
