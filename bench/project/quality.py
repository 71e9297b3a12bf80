"""Golden questions of a folder of pages: ``python -m bench.project.quality docs|chinese [static|e5]``.

The pages and questions are those of ``tests/cases/knowledge``; the pages are indexed by a pass, with the
vectors of a kind that needs no server, and asked for by words, by vectors and by both. What peers are to find
the same in is written to the file ``BENCH_GIVEN``: passages as they are embedded, and questions, each with
its vector.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

from .indexing import FOLDER, one_pass, prepare

CASES = Path(__file__).resolve().parents[2] / "tests" / "cases" / "knowledge"


def main(name: str, kind: str = "static") -> None:
    """Index, ask, print what was found, and write down what it was found in."""
    prepare()
    from golden import BEST, scored

    from lingstream.knowledge.candidates import MODES
    from lingstream.knowledge.models import Collection, Embedder, Source
    from lingstream.knowledge.search import search

    shutil.copytree(CASES / name, FOLDER, dirs_exist_ok=True)
    embedder = Embedder.objects.create(slug=kind, kind=kind)
    collection = Collection.objects.create(slug=name, access="anyone", embedder=embedder)
    config = {"path": str(FOLDER)}
    source = Source.objects.create(slug=name, collection=collection, kind="folder", config=config)
    one_pass(source.pk)
    lines = (CASES / f"{name}.jsonl").read_text("utf-8").splitlines()
    questions = _with_vectors([json.loads(line) for line in lines], embedder)
    given = json.dumps({"passages": _passages(name), "questions": questions})
    Path(os.environ["BENCH_GIVEN"]).write_text(given, "utf-8")

    def pages(mode: Any, question: dict[str, Any]) -> list[str]:
        return [hit.key for hit in asyncio.run(search(name, question["question"], mode=mode, k=BEST))]

    print(json.dumps({mode: scored(questions, partial(pages, mode)) for mode in MODES}))


def _with_vectors(questions: list[dict[str, Any]], embedder: Any) -> list[dict[str, Any]]:
    import numpy as np

    from lingstream.knowledge.embed import build_embedding

    embed = build_embedding(embedder.to_plan()).embed
    vectors = asyncio.run(embed([each["question"] for each in questions], "query"))
    return [
        {**each, "vector": np.frombuffer(vector, "<f4").tolist()}
        for each, vector in zip(questions, vectors, strict=True)
    ]


def _passages(slug: str) -> list[dict[str, Any]]:
    import numpy as np

    from lingstream.knowledge.indexer import passage_text
    from lingstream.knowledge.models import Vector

    rows = Vector.objects.filter(collection__slug=slug).select_related("chunk__document").order_by("chunk")
    return [
        {
            "key": row.chunk.document.key,
            "text": passage_text(row.chunk.document.title, row.chunk.heading, row.chunk.text),
            "vector": np.frombuffer(bytes(row.data), "<f4").tolist(),
        }
        for row in rows
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
