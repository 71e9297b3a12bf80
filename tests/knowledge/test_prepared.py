"""Statements whose SQL is written once: they give, and change, what Django's would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from lingstream.knowledge.models import Chunk, Collection, Document, Embedder, Source
from lingstream.models import locks
from lingstream.models.prepared import Joined, Prepared, PreparedUpdate
from lingstream.models.rows import Among

from .building import collection, document

pytestmark = pytest.mark.django_db

NAMES = ("pk", "uid", "heading", "text", "document__source__collection__shared")


@pytest.fixture
def chunks() -> list[Chunk]:
    return document(collection(), *"abcde", heading=["云", "two"], title="all of them")


def query(pks: Sequence[int], titles: Sequence[str] = ("all of them",)) -> Any:
    return Chunk.objects.filter(pk__in=pks, document__title__in=titles).order_by("pk").values_list(*NAMES)


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_rows_are_as_the_query_gives_them(chunks: list[Chunk], number: int) -> None:
    pks = [chunk.pk for chunk in chunks[:number]]
    found = Prepared(Chunk, query).rows(pks, ["none of them", "all of them"])
    assert found == [[*row] for row in query(pks)]
    assert len(found) == number


def test_its_sql_is_written_once_for_each_number_of_values(chunks: list[Chunk]) -> None:
    asked = []

    def made(pks: Sequence[int]) -> Any:
        asked.append(len(pks))
        return query(pks)

    prepared = Prepared(Chunk, made)
    for pks in ([chunks[0].pk, chunks[1].pk], [chunks[3].pk, chunks[2].pk], [chunks[4].pk]):
        assert sorted(pk for pk, *_ in prepared.rows(pks)) == sorted(pks)
    assert asked == [2, 1]


def test_a_value_that_stands_in_a_query_twice_is_refused(chunks: list[Chunk]) -> None:
    twice = Prepared(Chunk, lambda pks: query(pks).filter(document__chunks__in=pks))
    with pytest.raises(AssertionError, match="each value of a query in it once"):
        twice.rows([chunks[0].pk])


def test_what_locks_is_written_again_where_locks_expire(
    chunks: list[Chunk], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def made(pks: Sequence[int]) -> Any:
        asked.append(locks.silence())
        return locks.locked(Chunk.objects.filter(pk__in=pks)).values_list("pk")

    prepared = Prepared(Chunk, made, locks=True)
    for silence in (None, 30.0, None, 30.0):
        monkeypatch.setattr(locks._thread, "silence", silence)
        assert prepared.rows([chunks[0].pk]) == [[chunks[0].pk]]
    assert asked == [None, 30.0]


def test_values_of_another_kind_are_asked_as_ever(
    chunks: list[Chunk], django_assert_num_queries: Any
) -> None:
    def by_uid(uids: Sequence[UUID]) -> Any:
        return Chunk.objects.filter(uid__in=uids).values_list("text")

    with django_assert_num_queries(1) as queries:
        assert Prepared(Chunk, by_uid).rows([chunks[2].uid]) == [["c"]]
    assert isinstance(queries, CaptureQueriesContext)


def test_one_parameter_may_be_many_values(chunks: list[Chunk]) -> None:
    asked = []

    def made(values: Sequence[Any]) -> Any:
        asked.append(values)
        return Chunk.objects.filter(Among("pk", values[1]), position__gte=values[0]).values_list("text")

    prepared = Prepared(Chunk, made)
    for number in (5, 2, 0):
        found = prepared.rows([1, [chunk.pk for chunk in chunks[:number]]])
        assert sorted(text for (text,) in found) == [*"abcde"[1:number]]
    assert len(asked) == 1


def test_objects_have_the_columns_that_are_named(chunks: list[Chunk], django_assert_num_queries: Any) -> None:
    prepared = Prepared(
        Chunk, lambda pks: Chunk.objects.filter(pk__in=pks).only("text", "heading", "document")
    )
    with django_assert_num_queries(1):
        [found] = prepared.objects([chunks[1].pk])
        assert (found, found.text, found.heading) == (chunks[1], "b", ["云", "two"])
        assert found.document_id == chunks[1].document_id
    with django_assert_num_queries(1):
        assert found.position == 1


def test_a_change_is_written_once_for_the_columns_it_is_of(chunks: list[Chunk]) -> None:
    asked = []

    def made(values: Sequence[Any]) -> Any:
        asked.append(values)
        return Chunk.objects.filter(Among("pk", values[1]), position__lt=values[0]).order_by("pk")

    update, pks = PreparedUpdate(Chunk, made), [chunk.pk for chunk in chunks]
    assert update.change([2, pks], text="new", position=F("position") + 1) == 2
    assert update.change([3, pks[2:]], text="newer", position=F("position") + 1) == 1
    assert update.change([2, []], text="newest", position=F("position") + 1) == 0
    assert len(asked) == 1
    assert update.change([9, pks[4:]], position=8) == 1
    assert len(asked) == 2
    rows = Chunk.objects.order_by("pk").values_list("text", "position")
    assert [*rows] == [("new", 1), ("new", 2), ("newer", 3), ("d", 3), ("e", 8)]


def test_truth_and_nothing_are_written_into_a_change(chunks: list[Chunk]) -> None:
    source = chunks[0].document.source
    update = PreparedUpdate(Source, lambda pks: Source.objects.filter(pk__in=pks))
    for paused, next_at in ((True, None), (False, None), (1, None)):
        assert update.change([source.pk], paused=bool(paused), next_at=next_at, every=60) == 1
        source.refresh_from_db()
        assert (source.paused, source.every) == (bool(paused), 60)


def test_what_cannot_be_written_once_is_changed_as_ever(chunks: list[Chunk]) -> None:
    source = chunks[0].document.source
    update = PreparedUpdate(Source, lambda pks: Source.objects.filter(pk__in=pks))
    for dates in ({"a.example": [1, 2]}, {}):
        assert update.change([source.pk], dates=dates) == 1
        source.refresh_from_db()
        assert source.dates == dates


@pytest.mark.parametrize("has_embedder", [True, False])
def test_one_row_gives_the_objects_that_belong_together(
    chunks: list[Chunk], has_embedder: bool, django_assert_num_queries: Any
) -> None:
    source = Source.objects.select_related("collection").get()
    if has_embedder:
        Collection.objects.update(embedder=Embedder.objects.create(slug="static", kind="static"))
    joined = Joined(Source, "collection", "collection__embedder", "collection__embedder__provider")
    [row] = Source.objects.filter(pk=source.pk).values_list(*joined.names)
    with django_assert_num_queries(0):
        found = joined.made("default", row)
        assert (found, found.collection, found.config) == (source, source.collection, source.config)
        embedder = found.collection.embedder
        assert (embedder and embedder.slug) == ("static" if has_embedder else None)
        assert embedder is None or embedder.provider is None
    assert Document.objects.filter(source=found).count() == 1
