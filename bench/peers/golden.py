"""Golden questions, the same for all: what is made of the pages that a contender finds for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log2
from typing import Any

__all__ = ["BEST", "scored"]

#: Passages that a question is asked for.
BEST = 8


def scored(
    questions: Sequence[dict[str, Any]], find: Callable[[dict[str, Any]], list[str]]
) -> dict[str, float]:
    """Return recall among the first three and all of the pages found, nDCG, and the mean reciprocal rank.

    Pages count, as some merge passages that follow each other: each at the place of its first one.

    :param find: gives the pages of the best passages, best first.
    """
    found = [list(dict.fromkeys(find(each))) for each in questions]
    expected = [set(each["expected"]) for each in questions]
    ranks = [
        next((place for place, page in enumerate(pages, 1) if page in wanted), 0)
        for pages, wanted in zip(found, expected, strict=True)
    ]
    count = len(questions)
    return {
        "recall@3": sum(0 < rank <= 3 for rank in ranks) / count,
        f"recall@{BEST}": sum(rank > 0 for rank in ranks) / count,
        f"nDCG@{BEST}": sum(map(_gain, found, expected)) / count,
        "MRR": sum(1 / rank for rank in ranks if rank) / count,
    }


def _gain(pages: Sequence[str], wanted: set[str]) -> float:
    gained = sum(1 / log2(place + 1) for place, page in enumerate(pages, 1) if page in wanted)
    return gained / sum(1 / log2(place + 1) for place in range(1, min(len(wanted), BEST) + 1))
