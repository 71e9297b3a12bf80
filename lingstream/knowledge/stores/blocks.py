"""Vectors in memory: blocks that never change, and what of them is nearest to a question.

A search reads blocks while another thread renews the list of them, and needs no lock for it; a change costs a
copy of the blocks that it touches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .port import Near

__all__ = ["ROWS", "Block", "Row", "blocks_of", "nearest", "packed", "without"]

#: A passage's id, its vector and its marks.
Row: TypeAlias = tuple[int, bytes, tuple[int, ...]]

ROWS = 8_192  # of a block
_NONE: NDArray[np.intp] = np.empty(0, np.intp)
_FEW = 0.25  # of a block's rows: copying as many costs less than multiplying all of them


class Block:
    """Some vectors of one length.

    :param ids: of their passages, int64 of shape (n,).
    :param vectors: float32 of shape (n, dimensions).
    :param marks: of each passage.
    """

    def __init__(
        self, ids: NDArray[np.int64], vectors: NDArray[np.float32], marks: list[tuple[int, ...]]
    ) -> None:
        self.ids = ids
        self.vectors = vectors
        self.marks = marks

    @cached_property  # each search asks
    def nbytes(self) -> int:
        """What it keeps, about."""
        return int(self.vectors.nbytes + 24 * len(self.ids) + 4 * sum(map(len, self.marks)))

    @cached_property
    def _having(self) -> dict[int, NDArray[np.intp]]:
        """The rows that have a mark."""
        having: dict[int, list[int]] = {}
        for row, marks in enumerate(self.marks):
            for mark in marks:
                having.setdefault(mark, []).append(row)
        return {mark: np.array(rows, np.intp) for mark, rows in having.items()}

    @cached_property
    def _by_id(self) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """The ids in order, and where each is."""
        order = np.argsort(self.ids, kind="stable")
        return self.ids[order], order

    def having(self, ids: NDArray[np.int64], rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return which of some rows have one of these ids: places in ``rows``, which are in order."""
        known, order = self._by_id
        mine = order[_found(known, ids)]
        return _found(rows, mine)

    def within(self, groups: Sequence[Sequence[int]]) -> NDArray[np.intp]:
        """Return the rows that have a mark of each group, in order."""
        if len(groups) == 1 and len(groups[0]) == 1:  # somebody whom nobody knows
            return self._having.get(groups[0][0], _NONE)
        allowed = np.ones(len(self.ids), bool)
        for group in groups:
            has = np.zeros(len(self.ids), bool)
            for mark in group:
                has[self._having.get(mark, _NONE)] = True
            allowed &= has
        return np.flatnonzero(allowed)

    def scores(self, question: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the scores of some rows."""
        if len(rows) < _FEW * len(self.ids):
            return self.vectors[rows] @ question
        scores: NDArray[np.float32] = self.vectors @ question
        return scores if len(rows) == len(self.ids) else scores[rows]

    def kept(self, rows: NDArray[np.bool_]) -> Block:
        """Return a block of some rows of this one."""
        marks = [marks for marks, keep in zip(self.marks, rows, strict=True) if keep]
        return Block(self.ids[rows], self.vectors[rows], marks)

    def followed_by(self, other: Block) -> Block:
        """Return a block of the rows of both."""
        ids, vectors = np.concatenate((self.ids, other.ids)), np.concatenate((self.vectors, other.vectors))
        return Block(ids, vectors, self.marks + other.marks)


def blocks_of(rows: Iterable[Row], dimensions: int) -> Iterator[Block]:
    """Yield rows as blocks; a vector of another length was written for another embedder, and is left out."""
    fitting = (row for row in rows if len(row[1]) == 4 * dimensions)
    while some := [*islice(fitting, ROWS)]:
        ids, vectors, marks = zip(*some, strict=True)
        matrix = np.frombuffer(b"".join(vectors), "<f4").reshape(len(ids), dimensions)
        yield Block(np.array(ids, np.int64), matrix, list(marks))


def without(blocks: Iterable[Block], gone: NDArray[np.int64]) -> Iterator[Block]:
    """Yield blocks without some passages; what has none of them is the block that it was."""
    for block in blocks:
        kept = ~np.isin(block.ids, gone)
        if kept.all():
            yield block
        elif kept.any():
            yield block.kept(kept)


def packed(blocks: Iterable[Block]) -> list[Block]:
    """Return the same rows in few blocks; what is full stays the block that it was."""
    few: list[Block] = []
    for block in blocks:
        if few and len(few[-1].ids) + len(block.ids) <= ROWS:
            few[-1] = few[-1].followed_by(block)
        else:
            few.append(block)
    return few


def nearest(
    blocks: Iterable[Block], question: bytes, groups: Sequence[Sequence[int]], k: int, also: Sequence[int]
) -> list[Near]:
    """Return what :meth:`~.port.VectorStore.find` does, of blocks."""
    asked = np.frombuffer(question, "<f4")
    wanted = np.array(also, np.int64)
    best, others = list[_Some](), list[_Some]()
    for block in blocks:
        rows = block.within(groups)
        scores = block.scores(asked, rows)
        best = [_first([*best, _some(block, rows, scores, _highest(scores, k))], k)]
        if also:
            others.append(_some(block, rows, scores, block.having(wanted, rows)))
    found = [near for some in best for near in some.near()]
    known = {near.chunk_id for near in found}
    return found + [near for some in others for near in some.near() if near.chunk_id not in known]


class _Some(NamedTuple):
    """Passages of one block or more, as arrays: to make an object of each takes longer than to find them."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    vectors: NDArray[np.float32]

    def near(self) -> Iterator[Near]:
        for chunk_id, score, vector in zip(
            self.ids.tolist(), self.scores.tolist(), self.vectors, strict=True
        ):
            yield Near(chunk_id, score, vector.tobytes())


def _some(
    block: Block, rows: NDArray[np.intp], scores: NDArray[np.float32], which: NDArray[np.intp]
) -> _Some:
    at = rows[which]
    return _Some(block.ids[at], scores[which], block.vectors[at])


def _first(some: Sequence[_Some], k: int) -> _Some:
    """The ``k`` best, best first; of equals, the smaller id."""
    ids, scores, vectors = map(np.concatenate, zip(*some, strict=True))
    order = np.lexsort((ids, -scores))[:k]
    return _Some(ids[order], scores[order], vectors[order])


def _found(known: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.intp]:
    """Where in ``known``, which is in order, those of ``wanted`` are that it has."""
    places = np.searchsorted(known, wanted)
    inside = places < len(known)
    there: NDArray[np.intp] = places[inside][known[places[inside]] == wanted[inside]]
    return there


def _highest(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    if len(scores) <= k:
        return np.arange(len(scores))
    return np.argpartition(scores, -k)[-k:]
