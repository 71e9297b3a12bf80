"""Rankings: fused, thinned, put together, cut to a budget."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingstream.knowledge.rank import fuse, mmr, neighbours, within_budget


def vector(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def test_fused_is_what_many_rank_well() -> None:
    assert [found for found, _ in fuse([(1, [1, 2, 3]), (1, [2, 3, 4])])] == [2, 3, 1, 4]


def test_a_weight_decides_between_two_that_disagree() -> None:
    assert fuse([(2, [7]), (1, [8])]) == [(7, 2 / 11), (8, 1 / 11)]


def test_of_one_that_comes_twice_the_first_place_counts() -> None:
    assert fuse([(1, [5, 5, 6])]) == [(5, 1 / 11), (6, 1 / 12)]


@pytest.mark.parametrize("rankings", [[], [(1, [])], [(1, []), (2, [])]])
def test_of_nothing_there_is_nothing(rankings: list[tuple[float, list[int]]]) -> None:
    assert fuse(rankings) == []


@given(st.lists(st.tuples(st.sampled_from([0.5, 1.0, 2.0]), st.lists(st.integers(0, 20), unique=True))))
def test_fusing_keeps_all_and_its_order_is_that_of_the_scores(
    rankings: list[tuple[float, list[int]]],
) -> None:
    fused = fuse(rankings)
    assert {found for found, _ in fused} == {found for _, ids in rankings for found in ids}
    assert fused == sorted(fused, key=lambda item: (-item[1], item[0]))
    for found, score in fused:
        parts = [weight / (11 + ids.index(found)) for weight, ids in rankings if found in ids]
        assert score == pytest.approx(sum(parts))


def test_a_twin_gives_way_to_what_says_something_else() -> None:
    vectors = [vector(1, 0), vector(1, 0), vector(0, 1)]
    assert mmr(vectors, [1.0, 0.9, 0.8], 2) == [0, 2]
    assert mmr(vectors, [1.0, 0.9, 0.8], 2, weight=1.0) == [0, 1]


def test_no_scale_of_scores_changes_what_is_taken() -> None:
    vectors = [vector(1, 0), vector(0.8, 0.6), vector(0, 1)]
    scores = [0.03, 0.029, 0.02]
    assert mmr(vectors, scores, 3) == mmr(vectors, [1000 * score for score in scores], 3)


def test_a_passage_without_a_vector_is_like_no_other() -> None:
    assert mmr([vector(1, 0), vector(1, 0), b""], [1.0, 0.9, 0.8], 2) == [0, 2]


@pytest.mark.parametrize(("vectors", "k", "taken"), [([], 3, []), ([b""], 3, [0]), ([b"", b""], 0, [])])
def test_thinning_of_little(vectors: list[bytes], k: int, taken: list[int]) -> None:
    assert mmr(vectors, [0.0] * len(vectors), k) == taken


NEIGHBOURS: dict[str, tuple[list[tuple[int, int]], list[list[int]]]] = {
    "none": ([], []),
    "one": ([(1, 4)], [[0]]),
    "beside each other, in the order of the text": ([(1, 5), (1, 4), (1, 6)], [[1, 0, 2]]),
    "with a gap": ([(1, 6), (1, 4)], [[0], [1]]),
    "of two documents": ([(2, 5), (1, 4)], [[0], [1]]),
    "the best hit's group is first": ([(1, 9), (1, 1), (1, 2), (1, 8)], [[3, 0], [1, 2]]),
    "the same passage twice": ([(1, 1), (1, 1)], [[0, 1]]),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_neighbours(name: str) -> None:
    places, groups = NEIGHBOURS[name]
    assert neighbours(places) == groups


@pytest.mark.parametrize(
    ("sizes", "budget", "kept"),
    [
        ([], 10, []),
        ([4, 4, 4], 8, [0, 1]),
        ([4, 9, 4], 8, [0, 2]),
        ([9], 8, []),
        ([0, 8], 8, [0, 1]),
        ([1], 0, []),
    ],
)
def test_a_budget_is_not_passed(sizes: list[int], budget: int, kept: list[int]) -> None:
    assert within_budget(sizes, budget) == kept
