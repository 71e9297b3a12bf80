"""Many rows in few statements: what Django would have written, in whatever state it finds the table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from lingstream.knowledge.models import Chunk, Document, DocumentText, EmbeddingCache, Source
from lingstream.models import Run, rows
from lingstream.models.clock import Now
from lingstream.models.rows import Among, update_rows, write_rows

from .building import collection

pytestmark = pytest.mark.django_db

PLACE = ["position", "heading", "owner_key"]
COLUMNS = ["uid", "collection_id", "document", "start", "end", "text", *PLACE]


@pytest.fixture
def source() -> Source:
    collection()
    return Source.objects.get()


def chunks(source: Source, number: int) -> list[list[Any]]:
    document = Document.objects.create(source=source, key=str(uuid4()))
    whose = source.collection_id, document.pk
    return [
        [uuid4(), *whose, 0, 2 * place, "云 " * place, place, ["云", str(place)], ""]
        for place in range(number)
    ]


def write(rows: list[list[Any]]) -> list[int]:
    return write_rows(Chunk, COLUMNS, rows, unique=["uid"], update=PLACE, keys=True)


def test_rows_are_as_django_reads_them_and_know_their_keys(source: Source) -> None:
    made = chunks(source, 600)  # of several statements
    with transaction.atomic(), CaptureQueriesContext(connection) as asked:
        keys = write(made)
    assert len(asked) <= 10
    read = Chunk.objects.in_bulk(keys)
    for key, row in zip(keys, made, strict=True):
        assert [getattr(read[key], name) for name in (*COLUMNS[:2], *COLUMNS[3:])] == [*row[:2], *row[3:]]
    assert {(each.tokens, each.scope) for each in read.values()} == {(0, "")}  # as the model has them


def test_what_is_there_is_changed_and_keeps_its_key(source: Source) -> None:
    old, other = chunks(source, 2)
    [key] = write([old])
    again = [*old[:5], "is left", 7, ["new"], ""]
    new, same = write([other, again])
    assert same == key != new
    row = Chunk.objects.get(pk=key)
    assert (row.position, row.heading, row.text) == (7, ["new"], "")


def test_without_changes_what_is_there_is_left() -> None:
    for data in (b"first", b"second"):
        names = ["fingerprint", "text_hash", "data"]
        write_rows(EmbeddingCache, names, [("f", "t", data)], unique=names[:2])
    kept = EmbeddingCache.objects.get()
    assert bytes(kept.data) == b"first" and kept.used_at


def test_a_key_that_is_another_row_s_is_written(source: Source) -> None:
    document = Document.objects.create(source=source, key="a")
    for text in ("one", "two"):
        row = document.pk, DocumentText.pack(text)
        write_rows(DocumentText, ["document", "packed"], [row], unique=["document"], update=["packed"])
    assert DocumentText.unpack(DocumentText.objects.get().packed) == "two"


@pytest.mark.parametrize("by", ["one statement", "one each"])
def test_rows_are_changed_each_its_own_way(
    source: Source, django_user_model: Any, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(rows, "_has_update_from", lambda _: by == "one statement")
    user = django_user_model.objects.create(username="a")
    one, two, three = (Document.objects.create(source=source, key=key) for key in "123")
    soon = Now() + timedelta(hours=1)
    with CaptureQueriesContext(connection) as asked:
        update_rows(
            [
                (one, {"title": "一", "metadata": {"a": "b"}, "owner_id": user.pk, "check_at": soon}),
                (two, {"title": "two", "metadata": {}, "owner_id": None, "check_at": soon}),
                (three, {"changed_at": Now(), "version": 3}),
            ]
        )
    assert len(asked) == (2 if by == "one statement" else 3)
    found = {row.key: row for row in Document.objects.filter(check_at__gt=Now() + timedelta(minutes=59))}
    assert found.keys() == {"1", "2"}
    assert (found["1"].title, found["1"].metadata, found["1"].owner) == ("一", {"a": "b"}, user)
    assert (found["2"].title, found["2"].metadata, found["2"].owner) == ("two", {}, None)
    three.refresh_from_db()
    assert three.changed_at and three.version == 3 and three.title == ""


def test_rows_have_keys_of_any_kind_and_nothing_in_all_of_them() -> None:
    """PostgreSQL would take a column of nothing for text."""
    runs = [Run.objects.create(workflow="x", document={"a": 1}) for _ in range(3)]
    update_rows([(run, {"document": None, "started_at": None, "cost": None}) for run in runs[:2]])
    update_rows([(runs[0], {"document": {"b": number}}) for number in range(3)])
    assert [Run.objects.get(pk=run.pk).document for run in runs] == [{"b": 2}, None, {"a": 1}]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite takes texts of any length")
def test_a_text_that_is_too_long_is_refused_and_not_cut() -> None:
    run = Run.objects.create(workflow="x")
    with pytest.raises(DataError):
        update_rows([(run, {"log_id": "1" * 1000})])


def test_of_many_rows_each_is_looked_up_by_its_key() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a plan as SQLite tells it")
    with CaptureQueriesContext(connection) as asked:
        update_rows([(Run(pk=uuid4()), {"log_id": "1-2"}) for _ in range(3)])
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + asked[0]["sql"])
        plan = [row[3] for row in cursor.fetchall()]
    assert any(step.startswith("SEARCH lingstream_run USING") for step in plan), plan


def test_of_no_rows_nothing_is_asked() -> None:
    with CaptureQueriesContext(connection) as asked:
        write([])
        update_rows([])
    assert len(asked) == 0


@pytest.mark.parametrize(
    "keys", [[], ["a.md"], ["a.md", 'a "quoted" \\ \n one', "it's 云 \U0001f600", "none"]]
)
def test_those_that_are_among_texts(source: Source, keys: list[str]) -> None:
    there = {"a.md", 'a "quoted" \\ \n one', "it's 云 \U0001f600", "云"}
    Document.objects.bulk_create(Document(source=source, key=key) for key in there)
    rows = Document.objects.filter(Among("key", keys), source=source)
    assert set(rows.values_list("key", flat=True)) == there.intersection(keys)


def test_however_many_there_are_they_are_one_parameter(source: Source) -> None:
    asked = []

    def heard(execute: Any, sql: str, params: Any, *rest: Any) -> Any:
        asked.append((sql, len(params)))
        return execute(sql, params, *rest)

    with connection.execute_wrapper(heard):
        for number in (1, 2_000):
            assert not Document.objects.filter(Among("pk", range(number))).exists()
    assert asked[0] == asked[1]
