"""The golden questions, asked of the search itself: how often the right page is among the first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from lingstream.knowledge.embed import EmbeddingPlan, build_embedding
from lingstream.knowledge.indexer import passage_text
from lingstream.knowledge.models import Collection, Embedder
from lingstream.knowledge.text.normalise import normalise
from lingstream.knowledge.text.split import split

from .building import collection, document, find

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests/cases/knowledge"


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


def recall(of: Collection, questions: list[dict[str, Any]], mode: Any, k: int) -> float:
    """The part of the questions for which an expected page is among the first ``k`` hits."""
    found = 0
    for question in questions:
        hits = find(of, question["question"], mode=mode, k=k)
        found += any(hit.key in question["expected"] for hit in hits)
    return found / len(questions)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "folder", "size", "least"),
    [
        ("docs", ROOT / "docs", 1_200, {3: 0.84, 8: 1.0}),
        ("chinese", CASES / "chinese", 1_200, {3: 0.75}),
        ("chinese", CASES / "chinese", 300, {3: 0.75}),
    ],
)
def test_both_together_find_what_the_better_one_finds(
    name: str, folder: Path, size: int, least: dict[int, float]
) -> None:
    questions = [json.loads(line) for line in (CASES / f"{name}.jsonl").read_text().splitlines()]
    made = indexed(folder, size)
    for k, bound in least.items():
        by = {mode: recall(made, questions, mode, k) for mode in ("keyword", "vector", "hybrid")}
        # One question more or less among the first 3 is what an edit of these pages does.
        spare = 0.02 if k == 8 else 1 / len(questions)
        assert by["hybrid"] >= max(by["keyword"], by["vector"]) - spare, (k, by)
        assert by["hybrid"] >= bound, (k, by)
