"""Queries whose SQL is written once: they give what Django's would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.test.utils import CaptureQueriesContext

from lingstream.knowledge.models import Chunk
from lingstream.knowledge.stores.prepared import Prepared
from lingstream.models import locks

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
