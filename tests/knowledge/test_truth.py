"""Whatever has happened, and wherever a pass broke off: in the end the index is as a fresh one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lingstream.knowledge import outcomes, slices
from lingstream.knowledge.indexer import passage_text
from lingstream.knowledge.models import Chunk, Collection, Embedder, Source
from lingstream.knowledge.sources.port import Failed
from lingstream.knowledge.stores import database, pgvector
from lingstream.knowledge.stores.bounds import Bounds, Place
from lingstream.knowledge.stores.port import store_named

from . import embedders
from .world import Crash, crashing, fresh, indexed, one_pass, settled, world

pytestmark = pytest.mark.django_db(transaction=True)

STORES = ["database", "pgvector"][: 1 + (connection.vendor == "postgresql")]
KEYS = st.sampled_from("abcdef")
PARAGRAPHS = st.lists(
    st.sampled_from(["same again", "one", "two", "云端", "# Head", "## Below", "x" * 90]),
    min_size=0,
    max_size=5,
)
TEXTS = PARAGRAPHS.map("\n\n".join)
BROKEN = st.sampled_from(
    [
        Failed("http-503", "away", retryable=True),
        Failed("too-large", "too large"),
        Failed("robots", "not for us", skip=True),
    ]
)

STEPS = st.one_of(
    st.tuples(st.just("write"), KEYS, TEXTS),
    st.tuples(st.just("rename"), KEYS, KEYS),
    st.tuples(st.just("copy"), KEYS, KEYS),
    st.tuples(st.just("remove"), KEYS),
    st.tuples(st.just("tag"), KEYS, st.sampled_from(["x", "y"])),
    st.tuples(st.just("break"), KEYS, BROKEN),
    st.tuples(st.just("cut"), st.integers(0, 4)),
    st.tuples(st.just("resize"), st.sampled_from([100, 120, 1_200])),
    st.tuples(st.just("embed"), st.sampled_from(["", "a", "b"])),
    st.tuples(st.just("model"), st.sampled_from(["", "large"])),
    st.tuples(st.just("keep"), st.sampled_from(STORES)),
    st.tuples(st.just("sync"), st.booleans()),
    st.tuples(st.just("crash"), st.integers(0, 120)),
    st.tuples(st.just("unsettled")),
)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "_BACKOFF", (0.0, 0.0))
    monkeypatch.setattr(outcomes, "_PROBES", (0.0, 0.0))


@pytest.fixture
def stores() -> Iterator[None]:
    """An embedder, and a place for its vectors in each store that the database can have."""
    embedders.register()
    if "pgvector" not in STORES:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
        pgvector.create_table("default")
        yield
        cursor.execute("DROP FUNCTION lingstream_knowledge_pgvector_gone CASCADE")
        cursor.execute("DROP TABLE lingstream_knowledge_pgvector")


EDIT, PASS = ("write", "a", "# Head\n\none"), ("sync", True)
TWIN = ("write", "b", "# Head\n\none")


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(STORES[-1], "etag", [EDIT, PASS, ("embed", "b"), PASS])
@example(STORES[-1], "etag", [EDIT, PASS, ("embed", ""), PASS])
@example(STORES[-1], "etag", [EDIT, TWIN, PASS, ("embed", ""), ("copy", "b", "a"), PASS, ("embed", "a")])
@example(STORES[-1], "etag", [EDIT, ("unsettled",), ("model", "large")])
@example(STORES[-1], "etag", [EDIT, PASS, ("model", "large"), ("unsettled",), ("model", "")])
@example(STORES[-1], "etag", [EDIT, PASS, ("keep", "database"), PASS])
@given(
    store=st.sampled_from(STORES),
    hints=st.sampled_from(["etag", "content", ""]),
    steps=st.lists(STEPS, min_size=3, max_size=14),
)
@pytest.mark.usefixtures("stores")
def test_any_history_ends_as_a_fresh_index(store: str, hints: str, steps: list[tuple[Any, ...]]) -> None:
    settled(hints=hints)
    Collection.objects.all().delete()
    Embedder.objects.all().delete()
    database.forget_matrices()
    pgvector.forget_choices()
    Embedder.objects.create(slug="b", kind="told", model="other")
    embedder = Embedder.objects.create(slug="a", kind="told")
    collection = Collection.objects.create(slug="c", chunk_size=100, embedder=embedder, store=store)
    source = Source.objects.create(slug="s", collection=collection, kind="world")
    for name, *rest in steps:
        STORY[name](source, *rest)
        check_vectors()
    world.cut = None
    world.broken.clear()
    assert one_pass(source).status == "finished"
    assert one_pass(source, trigger="manual").status == "finished"
    assert indexed(source) == fresh(source)
    assert set(indexed(source)) == set(world.documents)
    if (collection := check_vectors()).embedder:
        assert collection.is_embedded


def check_vectors() -> Collection:
    """Expect that what a search by vectors finds was made of its passage by the model that is asked."""
    collection = Collection.objects.select_related("embedder").get(slug="c")
    if (embedder := collection.embedder) and collection.is_embedded:
        everywhere = Bounds([Place(collection.pk, None, None)])
        question = embedders.vector_of("x", embedder.model)
        found = store_named(collection.store).find(collection, question, everywhere, 500)
        chunks = Chunk.objects.select_related("document").in_bulk([near.chunk_id for near in found])
        for near in found:
            chunk = chunks[near.chunk_id]
            text = passage_text(chunk.document.title, chunk.heading, chunk.text)
            assert near.vector == embedders.vector_of(text, embedder.model), text
    return collection


def _write(source: Source, key: str, text: str) -> None:
    world.write(key, text)


def _rename(source: Source, old: str, new: str) -> None:
    if old in world.documents:
        world.documents[new] = world.documents.pop(old)


def _copy(source: Source, old: str, new: str) -> None:
    if old in world.documents:
        world.documents[new] = world.documents[old]


def _remove(source: Source, key: str) -> None:
    world.documents.pop(key, None)


def _tag(source: Source, key: str, tag: str) -> None:
    if key in world.documents:
        world.write(key, str(world.documents[key].body), metadata={"tag": tag}, scope=tag)


def _break(source: Source, key: str, how: Failed) -> None:
    world.broken[key] = how


def _cut(source: Source, after: int) -> None:
    world.cut = after


def _resize(source: Source, size: int) -> None:
    Collection.objects.filter(pk=source.collection_id).update(chunk_size=size)


def _embed(source: Source, slug: str) -> None:
    embedder = Embedder.objects.filter(slug=slug).first()
    Collection.objects.filter(pk=source.collection_id).update(embedder=embedder)


def _model(source: Source, name: str) -> None:
    Embedder.objects.filter(slug="a").update(model=name)


def _keep(source: Source, store: str) -> None:
    Collection.objects.filter(pk=source.collection_id).update(store=store)


def _sync(source: Source, full: bool) -> None:
    one_pass(source, full=full)
    world.broken.clear()
    world.cut = None


def _crash(source: Source, after: int) -> None:
    with suppress(Crash), crashing(after):
        one_pass(source)


def _unsettled(source: Source) -> None:
    """A pass whose process is gone before it can say that all vectors are the embedder's."""
    with patch.object(slices, "settle_vectors", side_effect=Crash), suppress(Crash):
        one_pass(source)


STORY = {
    "unsettled": _unsettled,
    "write": _write,
    "rename": _rename,
    "copy": _copy,
    "remove": _remove,
    "tag": _tag,
    "break": _break,
    "cut": _cut,
    "resize": _resize,
    "embed": _embed,
    "model": _model,
    "keep": _keep,
    "sync": _sync,
    "crash": _crash,
}
