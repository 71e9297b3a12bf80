"""What hangs on documents and passages goes with them, as Django's collector would have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model
from django.db.models.deletion import Collector
from django.db.models.signals import post_delete, pre_delete
from django.test.utils import CaptureQueriesContext

from lingstream.knowledge import removal
from lingstream.knowledge.models import (
    Chunk,
    Citation,
    Collection,
    Document,
    DocumentText,
    Embedder,
    Source,
    Vector,
)
from lingstream.knowledge.removal import remove_contents, remove_documents, remove_passages
from lingstream.models import Run

from .building import collection, document, find

pytestmark = pytest.mark.django_db

TABLES: tuple[type[Model], ...] = (Document, DocumentText, Chunk, Vector, Citation)


@pytest.fixture
def searched() -> Collection:
    """Three documents of two passages each, with vectors and texts, each cited once."""
    embedder = Embedder.objects.create(slug="meaning", kind="meaning")
    made = collection(embedder=embedder)
    run = Run.objects.create(status="finished")
    for name in ("clouds", "rain", "sun"):
        chunks = document(made, f"all of {name}", f"more of {name}", key=name)
        row = chunks[0].document
        DocumentText.objects.create(document=row, packed=DocumentText.pack(name))
        Citation.objects.create(run=run, uri=name, document=row, chunk_uid=chunks[0].uid)
    return made


def numbers() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in TABLES}


def some() -> list[Document]:
    return list(Document.objects.filter(key__in=["clouds", "rain"]).order_by("pk"))


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[type[Model]]:
    """The models of what Django's collector is given to delete."""
    given: list[type[Model]] = []
    collect = Collector.collect

    def heard(self: Collector, objs: Any, *args: Any, **kwargs: Any) -> None:
        given.append(objs.model)
        collect(self, objs, *args, **kwargs)

    monkeypatch.setattr(Collector, "collect", heard)
    return given


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type[Model]], None]]:
    """Have what hangs on a model be a site's own."""

    def hang(of: type[Model]) -> None:
        monkeypatch.setattr(removal, "_HANGS", {**removal._HANGS, of: {Run}})
        removal._is_ours.cache_clear()

    yield hang
    removal._is_ours.cache_clear()


def test_documents_go_with_all_that_hangs_on_them(searched: Collection, collected: list[Any]) -> None:
    remove_documents(some())
    assert numbers() == {"Document": 1, "DocumentText": 1, "Chunk": 2, "Vector": 2, "Citation": 3}
    cited = dict(Citation.objects.values_list("uri", "document__key"))
    assert cited == {"clouds": None, "rain": None, "sun": "sun"}
    assert [hit.text for hit in find("help", "clouds", mode="keyword")] == []
    assert collected == []


def test_passages_go_with_their_vectors(searched: Collection, collected: list[Any]) -> None:
    remove_passages(list(Chunk.objects.filter(document__key="sun").values_list("pk", flat=True)))
    assert numbers() == {"Document": 3, "DocumentText": 3, "Chunk": 4, "Vector": 4, "Citation": 3}
    assert collected == []


def test_what_is_in_a_document_goes_and_it_stays(searched: Collection, collected: list[Any]) -> None:
    for row in some():
        remove_contents(row.pk)
    assert numbers() == {"Document": 3, "DocumentText": 1, "Chunk": 2, "Vector": 2, "Citation": 3}
    assert set(Chunk.objects.values_list("document__key", flat=True)) == {"sun"}
    assert DocumentText.objects.get().document.key == "sun"
    assert not Citation.objects.filter(document=None).exists()
    assert find("help", "clouds", mode="keyword") == []
    assert collected == []


def test_nothing_is_asked_of_each_document(searched: Collection) -> None:
    clouds, *others = Document.objects.order_by("pk")
    with CaptureQueriesContext(connection) as one:
        remove_documents([clouds])
    with CaptureQueriesContext(connection) as two:
        remove_documents(others)
    assert (len(others), len(one), len(two)) == (2, 8, 6)  # a transaction looks for its collections once


@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_who_listens_hears_of_each_document(searched: Collection, signal: Any, collected: list[Any]) -> None:
    heard: list[str] = []

    def listen(instance: Document, **kwargs: Any) -> None:
        heard.append(f"{instance.key} {instance.status} {Document.objects.filter(key=instance.key).count()}")

    signal.connect(listen, sender=Document)
    try:
        remove_documents(some())
    finally:
        signal.disconnect(listen, sender=Document)
    there = int(signal is pre_delete)
    assert heard == [f"clouds indexed {there}", f"rain indexed {there}"]
    assert collected == []


@contextmanager
def listening(model: type[Model]) -> Iterator[list[Any]]:
    """Somebody hears of rows of a model that have gone: of those in the list."""
    heard: list[Any] = []

    def listen(instance: Any, **kwargs: Any) -> None:
        heard.append(instance)

    post_delete.connect(listen, sender=model)
    try:
        yield heard
    finally:
        post_delete.disconnect(listen, sender=model)


@pytest.mark.parametrize("model", [Chunk, Vector, DocumentText])
def test_who_listens_for_what_they_consist_of_hears_it_from_django(
    searched: Collection, model: type[Model], collected: list[Any]
) -> None:
    with listening(model) as heard:
        remove_documents(some())
    assert len(heard) == (2 if model is DocumentText else 4)
    assert collected[0] is Document
    assert numbers() == {"Document": 1, "DocumentText": 1, "Chunk": 2, "Vector": 2, "Citation": 3}


@pytest.mark.parametrize("of", [Document, Chunk])
def test_what_else_hangs_on_them_is_left_to_django(
    searched: Collection, hang: Callable[[type[Model]], None], collected: list[Any], of: type[Model]
) -> None:
    hang(of)
    remove_documents(some())
    assert collected[0] is Document
    collected.clear()
    remove_passages(list(Chunk.objects.values_list("pk", flat=True)[:1]))
    assert (Chunk in collected) == (of is Chunk)
    assert numbers() == {"Document": 1, "DocumentText": 1, "Chunk": 1, "Vector": 1, "Citation": 3}


@pytest.mark.parametrize("of", [Chunk, Vector, DocumentText])
def test_what_else_hangs_on_what_is_in_a_document_is_left_to_django(
    searched: Collection, hang: Callable[[type[Model]], None], collected: list[Any], of: type[Model]
) -> None:
    hang(of)
    remove_contents(some()[0].pk)
    assert collected[0] is (DocumentText if of is DocumentText else Chunk)
    assert numbers() == {"Document": 3, "DocumentText": 2, "Chunk": 4, "Vector": 4, "Citation": 3}


@pytest.mark.parametrize("model", [Chunk, Vector, DocumentText])
def test_who_listens_for_what_is_in_a_document_hears_it_from_django(
    searched: Collection, model: type[Model], collected: list[Any]
) -> None:
    with listening(model) as heard:
        remove_contents(some()[0].pk)
    assert len(heard) == (1 if model is DocumentText else 2)
    assert numbers() == {"Document": 3, "DocumentText": 2, "Chunk": 4, "Vector": 4, "Citation": 3}


@pytest.mark.parametrize("model", [Source, Collection])
def test_no_manager_deletes_all(model: Any) -> None:
    assert not hasattr(model.objects, "delete")  # as Django's: only a query does
