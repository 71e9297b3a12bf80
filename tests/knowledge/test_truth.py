"""Whatever has happened, and wherever a pass broke off: in the end the index is as a fresh one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lingstream.knowledge import outcomes
from lingstream.knowledge.models import Collection, Source
from lingstream.knowledge.sources.port import Failed

from .world import Crash, crashing, fresh, indexed, one_pass, settled, world

pytestmark = pytest.mark.django_db(transaction=True)

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
    st.tuples(st.just("sync"), st.booleans()),
    st.tuples(st.just("crash"), st.integers(0, 120)),
)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "_BACKOFF", (0.0, 0.0))
    monkeypatch.setattr(outcomes, "_PROBES", (0.0, 0.0))


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(hints=st.sampled_from(["etag", "content", ""]), steps=st.lists(STEPS, min_size=3, max_size=14))
def test_any_history_ends_as_a_fresh_index(hints: str, steps: list[tuple[Any, ...]]) -> None:
    settled(hints=hints)
    Collection.objects.all().delete()
    collection = Collection.objects.create(slug="c", chunk_size=100)
    source = Source.objects.create(slug="s", collection=collection, kind="world")
    for name, *rest in steps:
        STORY[name](source, *rest)
    world.cut = None
    world.broken.clear()
    collection.refresh_from_db()
    assert one_pass(source).status == "finished"
    assert one_pass(source, trigger="manual").status == "finished"
    assert indexed(source) == fresh(source)
    assert set(indexed(source)) == set(world.documents)


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


def _sync(source: Source, full: bool) -> None:
    one_pass(source, full=full)
    world.broken.clear()
    world.cut = None


def _crash(source: Source, after: int) -> None:
    try:
        with crashing(after):
            one_pass(source)
    except Crash:
        pass


STORY = {
    "write": _write,
    "rename": _rename,
    "copy": _copy,
    "remove": _remove,
    "tag": _tag,
    "break": _break,
    "cut": _cut,
    "resize": _resize,
    "sync": _sync,
    "crash": _crash,
}
