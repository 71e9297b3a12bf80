"""What becomes of rankings: fused to one, thinned of what says the same, put together, cut to a budget."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

__all__ = ["fuse", "mmr", "neighbours", "within_budget"]


def fuse(rankings: Sequence[tuple[float, Sequence[int]]], k: float = 10) -> list[tuple[int, float]]:
    """Return one ranking of many, by reciprocal rank: places count, as scores of two kinds have no ratio.

    :param rankings: weight, and ids from the best to the worst; of an id that comes twice, the first counts.
    :param k: the larger, the less the very first places count.
    :returns: ids with their sum of ``weight / (k + place)``, best first; of equals, the smaller id.
    """
    scores: dict[int, float] = {}
    for weight, ids in rankings:
        for place, found in enumerate(dict.fromkeys(ids), start=1):
            scores[found] = scores.get(found, 0.0) + weight / (k + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def mmr(vectors: Sequence[bytes], scores: Sequence[float], k: int, weight: float = 0.7) -> list[int]:
    """Return the places of ``k`` hits that are good and unlike each other (maximal marginal relevance).

    :param vectors: of the hits: float32, little endian, of unit length, all of as many dimensions. An empty
        one is like no other.
    :param scores: of the hits, of any scale; the better, the larger.
    :param weight: of the score, in proportion to the best; what is left weighs the likeness to those taken.
    :returns: places in the order in which they were taken.
    """
    import numpy as np

    count = len(scores)
    if not count or k < 1:
        return []
    matrix = _matrix(np, vectors)
    best = max(map(abs, scores)) or 1.0
    relevance = weight * np.asarray(scores, dtype=np.float64) / best
    likeness = np.full(count, -np.inf)
    taken: list[int] = []
    while len(taken) < min(k, count):
        worth = relevance - (1 - weight) * np.maximum(likeness, 0.0)
        worth[taken] = -np.inf
        taken.append(int(worth.argmax()))
        likeness = np.maximum(likeness, matrix @ matrix[taken[-1]])
    return taken


def _matrix(np: Any, vectors: Sequence[bytes]) -> Any:
    dimensions = max(map(len, vectors)) // 4
    matrix = np.zeros((len(vectors), dimensions), dtype=np.float32)
    for place, vector in enumerate(vectors):
        if vector:
            matrix[place] = np.frombuffer(vector, dtype="<f4")
    return matrix


def neighbours(places: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return which hits are passages beside each other, to be shown as one.

    :param places: document and position of each hit, best first.
    :returns: groups of indices into ``places``: each in the order of the text, the group of the best hit
        first.
    """
    order = sorted(range(len(places)), key=places.__getitem__)
    groups = [order[:1]] if order else []
    for before, index in pairwise(order):
        document, position = places[index]
        if places[before] in ((document, position), (document, position - 1)):
            groups[-1].append(index)
        else:
            groups.append([index])
    return sorted(groups, key=min)


def within_budget(sizes: Sequence[int], budget: int) -> list[int]:
    """Return the places of the hits that fit, best first: one that is too large gives way to smaller ones.

    :param sizes: of the hits, best first, in tokens or in whatever ``budget`` counts.
    """
    kept = []
    for place, size in enumerate(sizes):
        if size <= budget:
            kept.append(place)
            budget -= size
    return kept
