"""What tests of knowledge share: no vectors of one test are there for the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lingstream.knowledge.stores import database, pgvector


@pytest.fixture(autouse=True)
def _nothing_in_memory() -> Iterator[None]:
    database.forget_matrices()
    pgvector.forget_choices()
    yield
    database.forget_matrices()
    pgvector.forget_choices()
