"""Many rows in few statements: what Django would have written, in whatever state it finds the table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from lingstream.knowledge.models import Chunk, Document, DocumentText, EmbeddingCache, Source
from lingstream.knowledge.stores.rows import update_rows, write_rows
from lingstream.models.clock import Now

from .building import collection

pytestmark = pytest.mark.django_db

PLACE = ["position", "heading", "owner_key"]


@pytest.fixture
def source() -> Source:
    collection()
    return Source.objects.get()


def chunks(source: Source, number: int) -> list[Chunk]:
    document = Document.objects.create(source=source, key=str(uuid4()), metadata={"a": [1]})
    return [
        Chunk(
            uid=uuid4(),
            collection=source.collection,
            document=document,
            position=place,
            heading=["云", str(place)],
            start=0,
            end=2 * place,
            text="云 " * place,
        )
        for place in range(number)
    ]


def test_rows_are_as_django_reads_them_and_know_their_keys(source: Source) -> None:
    made = chunks(source, 600)  # of several statements
    with transaction.atomic(), CaptureQueriesContext(connection) as asked:
        write_rows(made, unique=["uid"], update=PLACE, keys=True)
    assert len(asked) <= 10
    read = Chunk.objects.in_bulk([each.pk for each in made])
    for each in made:
        found = read[each.pk]
        assert (found.uid, found.heading, found.text) == (each.uid, each.heading, each.text)


def test_what_is_there_is_changed_and_keeps_its_key(source: Source) -> None:
    old, other = chunks(source, 2)
    write_rows([old], unique=["uid"], update=PLACE, keys=True)
    again = Chunk(uid=old.uid, collection=old.collection, document=old.document, position=7, start=0, end=1)
    again.pk = 10**6  # of a try that was lost: it may be another row's by now
    again.text, again.heading = "is left", ["new"]
    write_rows([other, again], unique=["uid"], update=PLACE, keys=True)
    assert again.pk == old.pk != other.pk
    old.refresh_from_db()
    assert (old.position, old.heading, old.text) == (7, ["new"], "")


def test_without_changes_what_is_there_is_left() -> None:
    for data in (b"first", b"second"):
        write_rows(
            [EmbeddingCache(fingerprint="f", text_hash="t", data=data)], unique=["fingerprint", "text_hash"]
        )
    kept = EmbeddingCache.objects.get()
    assert bytes(kept.data) == b"first" and kept.used_at


def test_a_key_that_is_another_row_s_is_written(source: Source) -> None:
    [chunk] = chunks(source, 1)
    for text in ("one", "two"):
        packed = DocumentText.pack(text)
        write_rows(
            [DocumentText(document=chunk.document, packed=packed)], unique=["document"], update=["packed"]
        )
    assert DocumentText.unpack(DocumentText.objects.get().packed) == "two"


def test_rows_are_changed_each_its_own_way(source: Source, django_user_model: Any) -> None:
    user = django_user_model.objects.create(username="a")
    one, two, three = (Document.objects.create(source=source, key=key) for key in "123")
    soon = Now() + timedelta(hours=1)
    update_rows(
        [
            (one, {"title": "一", "metadata": {"a": "b"}, "owner_id": user.pk, "check_at": soon}),
            (two, {"title": "two", "metadata": {}, "owner_id": None, "check_at": soon}),
            (three, {"changed_at": Now(), "version": 3}),
        ]
    )
    found = {row.key: row for row in Document.objects.filter(check_at__gt=Now() + timedelta(minutes=59))}
    assert found.keys() == {"1", "2"}
    assert (found["1"].title, found["1"].metadata, found["1"].owner) == ("一", {"a": "b"}, user)
    assert (found["2"].title, found["2"].metadata, found["2"].owner) == ("two", {}, None)
    three.refresh_from_db()
    assert three.changed_at and three.version == 3 and three.title == ""


def test_of_no_rows_nothing_is_asked() -> None:
    with CaptureQueriesContext(connection) as asked:
        write_rows([], unique=["uid"])
        update_rows([])
    assert len(asked) == 0
