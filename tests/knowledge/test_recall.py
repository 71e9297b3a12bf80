"""The golden questions, asked of the search itself: how often the right page is among the first."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection

from lingstream.knowledge.embed import EmbeddingPlan, build_embedding
from lingstream.knowledge.indexer import passage_text
from lingstream.knowledge.models import Collection, Embedder
from lingstream.knowledge.text.normalise import normalise
from lingstream.knowledge.text.split import split

from .building import collection, document, find

CASES = Path(__file__).parents[1] / "cases/knowledge"


def indexed(folder: Path, size: int) -> Collection:
    """A folder's pages, with the vectors that need no server."""
    made = collection(embedder=Embedder.objects.create(slug="static", kind="static"))
    embed = async_to_sync(build_embedding(EmbeddingPlan("static")).embed)
    for path in sorted(folder.glob("*.md")):
        text = normalise(path.read_text())
        title = text.partition("\n")[0].lstrip("# ")
        pieces = split(text, size)
        texts = [text[piece.start : piece.end] for piece in pieces]
        headings = [piece.heading for piece in pieces]
        passages = [passage_text(title, above, each) for above, each in zip(headings, texts, strict=True)]
        vectors = embed(passages, "passage")
        document(made, *texts, key=path.name, title=title, heading=headings, vectors=vectors)
    return made


def ranks(of: Collection, questions: list[dict[str, Any]], mode: Any, k: int) -> list[float]:
    """At which place of the first ``k`` hits each question has an expected page; infinity for none."""
    found = []
    for question in questions:
        hits = find(of, question["question"], mode=mode, k=k)
        places = [place for place, hit in enumerate(hits, 1) if hit.key in question["expected"]]
        found.append(min(places, default=inf))
    return found


# The least recall among the first hits, and what both together rank higher than the better one: each database
# ranks words in its own way.
BOUNDS: dict[tuple[str, str], tuple[dict[int, float], float]] = {
    ("docs", "sqlite"): ({3: 0.92, 8: 1.0}, 0.02),
    ("docs", "postgresql"): ({3: 0.84, 8: 1.0}, 0.0),
    ("chinese", "sqlite"): ({3: 0.75}, -0.04),
    ("chinese", "postgresql"): ({3: 0.75}, -0.04),
}


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "size"), [("docs", 1_200), ("chinese", 1_200), ("chinese", 300)])
def test_both_together_rank_pages_as_the_better_one_or_higher(name: str, size: int) -> None:
    """By the mean reciprocal rank, which other weights or another constant of the fusion lower at once.

    The pages are copies, of ``docs/`` too: bounds so close turn on each sentence that is edited.
    """
    least, gain = BOUNDS[name, connection.vendor]
    questions = [json.loads(line) for line in (CASES / f"{name}.jsonl").read_text().splitlines()]
    made = indexed(CASES / name, size)
    by = {mode: ranks(made, questions, mode, max(least)) for mode in ("keyword", "vector", "hybrid")}
    rank = {mode: fmean(1 / place for place in places) for mode, places in by.items()}
    assert rank["hybrid"] >= max(rank["keyword"], rank["vector"]) + gain, rank
    for k, bound in least.items():
        assert fmean(place <= k for place in by["hybrid"]) >= bound, (k, by)
