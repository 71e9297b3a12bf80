"""What tests of knowledge share: no vectors of one test are there for the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lingstream.knowledge import embedding
from lingstream.knowledge.models import Collection, Embedder, Source
from lingstream.knowledge.stores import database, pgvector, words

from . import embedders
from .embedders import told
from .world import settled


@pytest.fixture(autouse=True)
def _nothing_in_memory() -> Iterator[None]:
    _forget()
    yield
    _forget()


def _forget() -> None:
    database.forget_matrices()
    pgvector.forget_choices()
    words.forget_numbers()
    embedding.forget_sizes()


@pytest.fixture
def embedded_source() -> Iterator[Callable[..., Source]]:
    """Makes the source ``s`` of :data:`.world.world`, in a collection whose embedder is ``told``."""
    settled()
    embedders.register()
    told.texts.clear()
    told.fails = None

    def make(batch_texts: int, *, delete_after: int | None = None, **collection: Any) -> Source:
        embedder = Embedder.objects.create(slug="e", kind="told", batch_texts=batch_texts)
        into = Collection.objects.create(slug="c", embedder=embedder, **collection)
        return Source.objects.create(slug="s", collection=into, kind="world", delete_after=delete_after)

    yield make
    told.fails = None
