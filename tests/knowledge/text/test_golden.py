"""The golden questions: how often own words, ranked by SQLite's BM25, find the right page."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lingstream.knowledge.text.normalise import normalise
from lingstream.knowledge.text.split import split
from lingstream.knowledge.text.words import query_words, words

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests/cases/knowledge"

# Questions, pages, size of a passage, and the least recall in the first passages, by how many they are.
SETS: dict[str, tuple[str, Path, int, dict[int, float]]] = {
    "docs": ("docs.jsonl", CASES / "docs", 1200, {3: 0.88, 8: 1.0}),
    "chinese": ("chinese.jsonl", CASES / "chinese", 1200, {3: 0.75}),
    "chinese, in small passages": ("chinese.jsonl", CASES / "chinese", 300, {3: 0.75}),
}


def questions(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / name).read_text().splitlines()]


def indexed(folder: Path, size: int) -> tuple[sqlite3.Connection, list[str]]:
    """Index a folder's passages under their title and headings; return whose passage each row is."""
    database, pages = sqlite3.connect(":memory:"), list[str]()
    database.execute("CREATE VIRTUAL TABLE passages USING fts5(words, tokenize='unicode61')")
    for path in sorted(folder.glob("*.md")):
        text = normalise(path.read_text())
        title = text.partition("\n")[0].lstrip("# ")
        for piece in split(text, size):
            pages.append(path.name)
            passage = "\n".join([title, *piece.heading, text[piece.start : piece.end]])
            database.execute(
                "INSERT INTO passages (rowid, words) VALUES (?, ?)", (len(pages), " ".join(words(passage)))
            )
    return database, pages


@pytest.mark.parametrize("name", SETS)
def test_the_right_page_is_among_the_first(name: str) -> None:
    file, folder, size, least = SETS[name]
    database, pages = indexed(folder, size)
    asked = questions(file)
    found = dict.fromkeys(least, 0)
    for question in asked:
        match = " OR ".join(f'"{word}"' for word in query_words(question["question"]))
        rows = database.execute(
            "SELECT rowid FROM passages WHERE passages MATCH ? ORDER BY bm25(passages) LIMIT 8", (match,)
        ).fetchall()
        for count in least:
            found[count] += any(pages[row - 1] in question["expected"] for (row,) in rows[:count])
    recall = {count: hits / len(asked) for count, hits in found.items()}
    assert all(recall[count] >= bound for count, bound in least.items()), recall


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("docs.jsonl", ROOT / "docs"),
        ("docs.jsonl", CASES / "docs"),
        ("chinese.jsonl", CASES / "chinese"),
    ],
)
def test_every_question_expects_pages_that_there_are(file: str, folder: Path) -> None:
    for question in questions(file):
        assert question["expected"]
        assert all((folder / page).is_file() for page in question["expected"]), question
