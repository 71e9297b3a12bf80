"""A collection of many passages, and searches in it: ``python -m bench.project.finding PASSAGES ROUNDS``.

The rows are in ``BENCH_DATABASE``, a file of SQLite's. A tenth as many passages again are another tenant's,
so that there is something to keep out.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.project.settings")
os.environ.setdefault("BENCH_MODEL", "http://127.0.0.1")

import django
from corpus import passages, timed, vector

_AT_ONCE = 1_000
_OF_A_DOCUMENT = 4


class Embedded:
    """The corpus's vectors."""

    dimensions = 256

    async def embed(self, texts: list[str], kind: str) -> list[bytes]:
        return [vector(text).astype("<f4").tobytes() for text in texts]

    async def aclose(self) -> None:
        pass


def fill(number: int, scope: str = "") -> None:
    """Index passages, a document of every four."""
    from django.db import transaction

    from lingstream.knowledge.models import Chunk, Collection, Document, Source
    from lingstream.knowledge.stores import words
    from lingstream.knowledge.stores.port import store_named

    collection, source = Collection.objects.get(), Source.objects.get()
    rows = passages(number)
    for start in range(0, number, _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        with transaction.atomic():
            documents = Document.objects.bulk_create(
                Document(
                    source=source, key=f"{scope} {start + at}", title=title, scope=scope, status="indexed"
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
            words.write(chunks, some[0][0])
            vectors = [vector(chunk.text).astype("<f4").tobytes() for chunk in chunks]
            store_named("database").write(collection, [*zip(chunks, vectors, strict=True)])


def main(number: int, rounds: int) -> None:
    """Fill the database, search, and print what a search costs."""
    django.setup()
    from django.core.management import call_command

    from lingstream.execution.lane import Lane
    from lingstream.knowledge.asker import asker_of
    from lingstream.knowledge.embed import EmbeddingKind, register_embedding
    from lingstream.knowledge.models import Collection, Embedder, Source
    from lingstream.knowledge.search import Search

    call_command("migrate", verbosity=0)
    register_embedding("corpus", EmbeddingKind(lambda plan: Embedded()))
    embedder = Embedder.objects.create(slug="corpus", kind="corpus")
    collection = Collection.objects.create(slug="help", access="anyone", embedder=embedder)
    Source.objects.create(slug="help", collection=collection, kind="folder")
    fill(number)
    fill(number // 10, "another")
    lane = Lane(1)  # as a step `retrieve` has it

    async def find(question: str) -> int:
        return len(await Search(["help"], question).hits(asker_of(None), lane.call))

    with asyncio.Runner() as runner:
        print(json.dumps(timed(lambda question: runner.run(find(question)), rounds)))
        runner.run(lane.aclose())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
