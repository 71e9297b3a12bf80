"""A folder of documents, indexed again and again: ``python -m bench.project.indexing DOCUMENTS [unchanged]``.

The rows are in ``BENCH_DATABASE``, a file of SQLite's, and are there after a crash; the files in a folder
beside it. What is printed has ``equal``: whether the index is in the end as a fresh one would be.

*unchanged*: small documents, searched by words alone; what a pass costs that finds all of them as they were,
the best of three, and how many statements it takes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.project.settings")
os.environ.setdefault("BENCH_MODEL", "http://127.0.0.1")

import django
from corpus import indexed, vector

FOLDER = Path(os.environ["BENCH_DATABASE"]).parent / "documents"


class Embedded:
    """The corpus's vectors, counted."""

    dimensions = 256
    count = 0

    async def embed(self, texts: list[str], kind: str) -> list[bytes]:
        Embedded.count += len(texts)
        return [vector(text).astype("<f4").tobytes() for text in texts]

    async def aclose(self) -> None:
        pass


def written(documents: Mapping[str, tuple[str, str]]) -> None:
    """Make the folder have these documents; what is there already is not touched."""
    for path in FOLDER.iterdir():
        if path.name not in documents:
            path.unlink()
    for key, (title, text) in documents.items():
        path, content = FOLDER / key, f"# {title}\n\n{text}"
        if not path.exists() or path.read_text("utf-8") != content:
            path.write_text(content, "utf-8")


@cache
def worker() -> tuple[asyncio.Runner, Any]:
    """What a worker has for as long as it lives: an event loop, and services with a thread for passes."""
    from lingstream.execution.services import SiteServices

    return asyncio.Runner(), SiteServices()


def one_pass(source: int) -> int:
    """Do one pass over a source; return how many passages were embedded."""
    from lingstream.knowledge.sync import sync

    Embedded.count = 0
    runner, services = worker()
    status = "unfinished"
    while status == "unfinished":  # a slice is, that has had its minutes
        outcome = runner.run(sync(source, "bench", services=services))
        status = outcome.status
    if outcome.status != "finished":
        sys.exit(f"the pass has ended {outcome.status}: {outcome.problem}")
    return Embedded.count


def digest(slug: str) -> str:
    """Return a digest of all passages and vectors of a collection."""
    from lingstream.knowledge.models import Vector

    rows = Vector.objects.filter(collection__slug=slug).order_by("chunk__document__key", "chunk__position")
    hashed = sha256()
    for key, text, data in rows.values_list("chunk__document__key", "chunk__text", "data"):
        hashed.update(f"{key} {text}".encode() + bytes(data))
    return hashed.hexdigest()


def prepare() -> None:
    """Have a database, and a folder with nothing in it."""
    from django.conf import settings

    settings.LINGSTREAM["KNOWLEDGE_ROOTS"] = [str(FOLDER)]
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    FOLDER.mkdir()


def unchanged(number: int) -> None:
    """Index, and again; print what that costs."""
    prepare()
    from django.db.backends.signals import connection_created

    from lingstream.knowledge.models import Collection, Source

    collection = Collection.objects.create(slug="help", access="anyone")
    config = {"path": str(FOLDER)}
    source = Source.objects.create(
        slug="help", collection=collection, kind="folder", max_documents=number, config=config
    )
    for place in range(number):
        text = f"# Page {place}\n\nAll that there is to say about number {place}.\n"
        (FOLDER / f"{place}.md").write_text(text, "utf-8")
    statements: list[str] = []

    def listen(connection: Any, **kwargs: Any) -> None:
        connection.execute_wrappers.append(
            lambda execute, sql, *rest: (statements.append(sql), execute(sql, *rest))[1]
        )

    connection_created.connect(listen)
    one_pass(source.pk)
    costs = []
    for _ in range(3):
        statements.clear()
        began, used = time.perf_counter(), time.process_time()
        one_pass(source.pk)
        cpu, wall = time.process_time() - used, time.perf_counter() - began
        costs.append({"cpu": cpu * 1e3, "wall": wall * 1e3, "statements": len(statements)})
    print(json.dumps(min(costs, key=lambda cost: cost["cpu"])))


def main(number: int) -> None:
    """Index, again, and what has changed; print what it costs."""
    prepare()
    from lingstream.knowledge.embed import EmbeddingKind, register_embedding
    from lingstream.knowledge.models import Collection, Embedder, Source

    register_embedding("corpus", EmbeddingKind(lambda plan: Embedded()))
    embedder = Embedder.objects.create(slug="corpus", kind="corpus")

    def source(slug: str) -> int:
        collection = Collection.objects.create(slug=slug, access="anyone", embedder=embedder)
        config = {"path": str(FOLDER)}
        return Source.objects.create(slug=slug, collection=collection, kind="folder", config=config).pk

    from lingstream.knowledge.text.language import language_of

    language_of("what every process loads once, as it imports its modules")
    kept = source("help")
    costs = indexed(lambda documents: one_pass(kept), number, written)
    one_pass(source("fresh"))
    print(json.dumps(costs | {"equal": digest("help") == digest("fresh")}))


if __name__ == "__main__":
    (unchanged if sys.argv[2:] == ["unchanged"] else main)(int(sys.argv[1]))
