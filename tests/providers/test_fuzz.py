"""A second of what ``make soak SUITES=decoder`` does for ten minutes."""

from __future__ import annotations

from itertools import islice

from tests.fuzz_decoder import check, mutations


def test_no_mutation_of_a_stream_raises_or_depends_on_its_cuts() -> None:
    for api, stream, dice in islice(mutations(seed=20261126), 400):
        check(api, stream, dice)
