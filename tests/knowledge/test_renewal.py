"""What is in memory, and what vectors are compared with, while sources move and embedders change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from lingstream.core.exceptions import LingError
from lingstream.knowledge.models import Chunk, Collection, Document, Embedder, Source, Sync, Vector
from lingstream.knowledge.sources.port import Failed
from lingstream.knowledge.stores import port
from lingstream.knowledge.stores.bounds import Bounds, Place
from lingstream.knowledge.stores.database import DatabaseStore
from lingstream.knowledge.stores.port import Near, store_named

from . import embedders
from .building import collection, document, find
from .world import fresh, indexed, one_pass, world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def source(embedded_source: Callable[..., Source]) -> Source:
    """A source whose documents have vectors, for anybody."""
    made = embedded_source(16, access="anyone")
    for key in ("one", "two", "three"):
        world.write(key, f"the word {key}")
    assert one_pass(made).status == "finished"
    return made


def other(model: str = "another") -> None:
    """Have the embedder make other vectors."""
    Embedder.objects.update(model=model)


class TestSourcesThatMove:
    @pytest.mark.parametrize(
        "then", ["it is deleted", "a pass", "its documents are left out", "in the admin"]
    )
    def test_leave_nothing_in_memory_where_they_were(self, source: Source, then: str) -> None:
        old = source.collection
        question = embedders.vector_of("x")

        def near() -> set[int]:
            now = Collection.objects.get(pk=old.pk)
            bounds = Bounds([Place(old.pk, None, None)])
            return {each.chunk_id for each in store_named("database").find(now, question, bounds, 9)}

        assert len(near()) == 3
        new = Collection.objects.create(slug="new", embedder=old.embedder)
        if then == "in the admin":
            _move(source, new)
        else:
            Source.objects.update(collection=new)
        if then == "it is deleted":
            Source.objects.get().delete()
        elif then == "its documents are left out":
            world.broken.update(dict.fromkeys(world.documents, Failed("noindex", "it asks", skip=True)))
        if then in ("a pass", "its documents are left out"):
            one_pass(source, trigger="manual")
        assert near() == set()


def _move(source: Source, to: Collection) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    data = {"collection": to.pk, "slug": source.slug, "kind": source.kind, "on_failure": "skip"}
    bounds = {"retries": 3, "max_documents": 100, "max_depth": 3}
    forms = {"syncs-TOTAL_FORMS": 0, "syncs-INITIAL_FORMS": 0}
    url = reverse("admin:lingstream_knowledge_source_change", args=[source.pk])
    answer = client.post(url, {**data, **bounds, **forms})
    assert answer.status_code == 302, answer.content.decode()


class TestEmbeddersThatChange:
    def test_are_not_asked_until_all_vectors_are_theirs(self, source: Source) -> None:
        assert find("c", "one", mode="vector")
        other()
        hits = find("c", "one")
        assert [hit.key for hit in hits] == ["one"]
        assert hits[0].vector_rank is None
        [note] = hits.notes
        assert note.startswith("c is searched by words alone, without e: its vectors are another embedder's")
        with pytest.raises(LingError, match="its vectors are another embedder's"):
            find("c", "one", mode="vector")
        one_pass(source)
        hits = find("c", "one", mode="vector")
        assert (len(hits), hits.notes) == (3, [])
        assert indexed(source) == fresh(source)

    def test_wait_for_all_sources(self, source: Source) -> None:
        second = Source.objects.create(slug="second", collection=source.collection, kind="world")
        one_pass(second)
        other()
        one_pass(source)
        assert find("c", "one").notes
        one_pass(second)
        assert not find("c", "one").notes

    def test_wait_for_no_document_that_cannot_be_read(self, source: Source) -> None:
        world.hints = ""
        world.broken["one"] = Failed("too-large", "too large")
        uid = Chunk.objects.get(document__key="one").uid
        other()
        one_pass(source)
        assert Document.objects.get(key="one").status == "failed"
        assert not Vector.objects.filter(chunk__document__key="one").exists()
        hits = find("c", "one")
        assert (hits.notes, [hit.id for hit in hits if hit.keyword_rank == 1]) == ([], [str(uid)])
        world.broken.clear()
        one_pass(source)
        assert indexed(source) == fresh(source)

    def test_and_back_again_in_the_middle_leave_no_mixture(self, source: Source) -> None:
        world.hints = ""
        other()
        world.broken["one"] = Failed("http-503", "away", retryable=True)
        one_pass(source)
        other("")
        world.broken.clear()
        Document.objects.update(retry_at=None)
        one_pass(source, trigger="manual")
        assert not find("c", "one").notes
        assert indexed(source) == fresh(source)

    def test_end_a_pass_that_still_has_the_old_one(self, source: Source) -> None:
        world.write("one", "other words")
        world.read = lambda: Collection.objects.update(embedded_by="of another pass")
        assert one_pass(source).status == "unfinished"
        assert Sync.objects.get(number=2).status == "running"
        assert one_pass(source).status == "finished"
        assert not find("c", "one").notes


class TestStoresThatChange:
    def test_are_not_asked_until_all_vectors_are_in_the_new_one(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aside = Aside()
        monkeypatch.setitem(port._stores, "aside", aside)
        Collection.objects.update(store="aside")
        assert "its vectors are another embedder's, or in another store" in find("c", "one").notes[0]
        assert one_pass(source).status == "finished"
        assert [*map(len, (aside.vectors, find("c", "one", mode="vector").notes))] == [3, 0]
        assert not Vector.objects.exists()
        Collection.objects.update(store="database")
        assert find("c", "one").notes
        one_pass(source)
        assert len(find("c", "one", mode="vector")) == 3


class Aside(DatabaseStore):
    """A store that is nowhere but here."""

    def __init__(self) -> None:
        self.vectors: dict[int, bytes] = {}

    def write(self, collection: Any, vectors: Any) -> None:
        self.vectors |= {chunk.pk: data for chunk, data in vectors}

    def find(self, collection: Any, question: bytes, bounds: Any, k: int, also: Any = ()) -> list[Near]:
        return [Near(pk, 0.5, data) for pk, data in self.vectors.items()][:k]


def test_rows_of_models_that_nobody_declares_do_not_keep_others_from_being_found() -> None:
    made: Any = collection()
    for number in range(40):
        document(made, f"the word and the word, {number}", key=f"hidden {number}")
    undeclared = Source.objects.create(slug="undeclared", collection=made, kind="models")
    Document.objects.update(source=undeclared)
    for number in range(8):
        document_of(made, number)
    assert len(find(made, "word", k=8)) == 8


def document_of(made: Any, number: int) -> None:
    """A document that is found, behind those that are not."""
    sources = Source.objects.filter(kind="models")
    sources.update(collection=Collection.objects.get_or_create(slug="aside")[0])
    document(made, f"a text of many others, in which there is a word, {number}", key=f"shown {number}")
    sources.update(collection=made)
