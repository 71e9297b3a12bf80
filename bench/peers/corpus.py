"""What bench/knowledge.py searches, the same for all: Python's own help texts, and vectors of their words."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any
from zlib import crc32

import numpy as np

__all__ = [
    "DIMENSIONS",
    "FOLDER",
    "LENGTH",
    "documents",
    "indexed",
    "milvus",
    "mixed",
    "passages",
    "pieces",
    "questions",
    "timed",
    "vector",
]

DIMENSIONS = int(os.environ.get("BENCH_DIMENSIONS", "256"))
FOLDER = Path(os.environ.get("BENCH_DATABASE", ".")).parent  # of what is on disk
LENGTH = 1_000  # characters of a passage
_OWN = 500  # passages, about, before they come again
_WORDS = np.random.default_rng(0).standard_normal((4_096, DIMENSIONS)).astype(np.float32)


def passages(number: int) -> list[tuple[str, str]]:
    """Return titles and texts; where there are too few, the same ones again, each time of another version."""
    pieces = [
        (name, text[start : start + LENGTH])
        for name, text in sorted(topics.items())
        for start in range(0, len(text), LENGTH)
    ]
    again = ((name, f"{text}\n\nversion {version}") for version in range(number) for name, text in pieces)
    return list(islice(again, number))


def mixed(number: int) -> list[tuple[str, str]]:
    """As :func:`passages`, but where there are too few, half of the lines are from others: no two are alike.

    An index that walks from neighbour to neighbour does not get out of a hundred that are.
    """
    chance = random.Random(0)
    rows = passages(number)
    lines = [line for _, text in rows[:500] for line in text.splitlines() if len(line) > 20]
    for place in range(_OWN, number):
        title, text = rows[place]
        own = text.splitlines()
        half = chance.sample(own, len(own) // 2)
        rows[place] = title, "\n".join([*half, *chance.sample(lines, len(own) // 2)])
    return rows


#: The versions of the corpus that passes find, one after the other; of passes of a kind the least counts.
_PASSES = {"first": [0], "again": [0, 0, 0], "changed": [1, 2, 3]}
_OF_A_DOCUMENT = 3


def documents(number: int, version: int = 0) -> dict[str, tuple[str, str]]:
    """Return titles and texts by key; in each later version one of a hundred has changed and one has gone."""
    rows = passages(number * _OF_A_DOCUMENT)
    texts = [rows[start : start + _OF_A_DOCUMENT] for start in range(0, len(rows), _OF_A_DOCUMENT)]
    made = {
        f"{place}.md": (some[0][0], "\n\n".join(text for _, text in some)) for place, some in enumerate(texts)
    }
    some = number // 100
    for key in [*made][: version * some]:
        made[key] = made[key][0], made[key][1].replace("\n\n", "\n\nWhat is new. ", 1)
    for key in [*made][number - version * some :]:
        del made[key]
    return made


def pieces(text: str) -> list[str]:
    """Return a text cut, for those whose cutting is not what is measured."""
    return [text[start : start + LENGTH] for start in range(0, len(text), LENGTH)]


def indexed(
    one_pass: Callable[[dict[str, tuple[str, str]]], int],
    number: int,
    publish: Callable[[dict[str, tuple[str, str]]], None] = lambda documents: None,
) -> dict[str, dict[str, float]]:
    """Return what a pass of each kind costs in ms, and how many passages it embedded at most.

    :param one_pass: brings an index up to date with documents; returns how many it embedded.
    :param publish: makes them be where they are found; that is none of an index's costs.
    """
    costs = {}
    for name, versions in _PASSES.items():
        found = []
        for version in versions:
            given = documents(number, version)
            publish(given)
            began, used = time.perf_counter(), time.process_time()
            embedded = one_pass(given)
            found.append((time.process_time() - used, time.perf_counter() - began, embedded))
        cpu, wall, _ = map(min, zip(*found, strict=True))
        costs[name] = {"cpu": cpu * 1e3, "wall": wall * 1e3, "embedded": max(each for *_, each in found)}
    return costs


def milvus(embeddings: Any) -> Any:
    """Return LangChain's store with Milvus Lite, on disk; all vectors are compared, as by the others."""
    from langchain_milvus import Milvus

    return Milvus(
        embeddings,
        connection_args={"uri": str(FOLDER / "milvus.db")},
        index_params={"index_type": "FLAT", "metric_type": "IP"},
        auto_id=False,
    )


def questions() -> list[str]:
    """Return twenty questions: the words in the middle of every so manyth text."""
    texts = [text for _, text in sorted(topics.items())]
    return [" ".join(text[len(text) // 2 :].split()[1:9]) for text in texts[:: len(texts) // 20][:20]]


def vector(text: str) -> np.ndarray:
    """Return the vector of a text: the mean of its words', of unit length."""
    total = _WORDS[[crc32(word.encode()) % len(_WORDS) for word in text.lower().split()]].sum(axis=0)
    return total / np.linalg.norm(total)


def timed(find: Callable[[str], int], rounds: int) -> dict[str, float]:
    """Return what one question costs, in ms: the best of some rounds of all; and how much is found."""
    asked = questions()
    find(asked[0])
    cpu, wall, found = [], [], 0
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        found = sum(find(question) for question in asked)
        cpu.append(time.process_time() - used)
        wall.append(time.perf_counter() - began)
    each = 1e3 / len(asked)
    return {"cpu": min(cpu) * each, "wall": min(wall) * each, "found": found / len(asked)}
