"""System checks of knowledge: each has a site that it complains of, and one that it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.checks import run_checks

from lingstream.knowledge import checks, registry
from lingstream.knowledge.models import Chunk, Collection, Document, Embedder, Source, Vector
from lingstream.knowledge.registry import index

from .library.models import Article

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_declared() -> Iterator[None]:
    registry._declared.clear()
    yield
    registry._declared.clear()


@pytest.fixture
def collection() -> Collection:
    return Collection.objects.create(slug="c")


def found() -> list[str]:
    """The ids of ours, by their last part."""
    ids = (str(item.id) for item in run_checks(databases=["default"]))
    return sorted(each.partition(".")[2] for each in ids if each.startswith("lingstream_knowledge."))


def _source(**columns: Any) -> Callable[[Collection], object]:
    return lambda collection: Source.objects.create(slug="s", collection=collection, **columns)


def _vectors(*dimensions: int, says: int | None = None, **columns: Any) -> Callable[[Collection], object]:
    """Vectors of so many dimensions, by an embedder that says how many it makes."""

    def make(collection: Collection) -> None:
        embedder = Embedder.objects.create(slug="e", kind="openai", dimensions=says)
        Collection.objects.update(embedder=embedder, **columns)
        source = Source.objects.create(slug="s", collection=collection, kind="upload")
        document = Document.objects.create(source=source, key="a")
        place = {"position": 0, "start": 0, "end": 1, "text": "a"}
        for number in dimensions:
            chunk = Chunk.objects.create(collection=collection, document=document, **place)
            data = bytes(4 * number)
            Vector.objects.create(chunk=chunk, embedder=embedder, collection=collection, data=data)

    return make


CASES: dict[str, tuple[Callable[[Collection], object], list[str]]] = {
    "nothing": (lambda collection: None, []),
    "a kind that is there": (_source(kind="upload"), []),
    "an unknown kind": (_source(kind="moon"), ["E001"]),
    "a configuration that does not fit": (_source(kind="python", config={"function": 1}), ["E001"]),
    "one that makes no sense": (_source(kind="python", config={"function": "moon"}), ["E001"]),
    "a pipeline": (lambda collection: Collection.objects.update(pipeline=[{"kind": "moon"}]), ["E002"]),
    "pgvector that is missing": (lambda collection: Collection.objects.update(store="pgvector"), ["E004"]),
    "dimensions": (_vectors(3, 3, says=3), []),
    "other dimensions": (_vectors(1, says=3), ["E005"]),
    "other dimensions before others": (_vectors(1, 3, says=3), ["E005"]),
    "several dimensions": (_vectors(3, 4, 3), ["E005"]),
    "several dimensions until a pass": (_vectors(3, 4, embedded_by="another"), []),
    "a model that nobody declares": (_source(kind="models"), ["E007"]),
    "a schedule without a process": (_source(kind="upload", every=60), ["W002"]),
}


@pytest.mark.parametrize("case", CASES)
def test_rows(collection: Collection, case: str) -> None:
    make, expected = CASES[case]
    make(collection)
    assert found() == expected


def test_an_owner_without_a_second_look() -> None:
    index(Article, collection="help", text="text", owner="author")
    assert "W001" in found()
    index(
        Article, collection="help", text="text", owner="author", visible_to=lambda user: Article.objects.all()
    )
    assert "W001" not in found()


def test_a_root_that_is_not_there(settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "KNOWLEDGE_ROOTS": ["/nowhere"]}
    assert found() == ["W003"]


@pytest.mark.parametrize("kind", ["static", "e5"])
def test_a_package_that_is_missing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Embedder.objects.create(slug="e", kind=kind)
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert found() == ["E006"]


def test_a_database_in_which_no_words_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SUPPORTED", ("oracle",))
    assert found() == ["E003"]
