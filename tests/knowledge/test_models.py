"""A site's own rows as documents: asked for in the transaction that saves them, found soon afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.test.utils import CaptureQueriesContext

from lingstream.execution.runner import get_runner
from lingstream.knowledge import looking, registry, slices
from lingstream.knowledge.models import Chunk, Collection, Document, Source, Sync
from lingstream.knowledge.passes import rules_of
from lingstream.knowledge.registry import Indexed, declare, index, visible_keys
from lingstream.models import Run
from tests.chaos.patience import scaled, within
from tests.site import Site

from .library.models import Article, Piece, Scrap, Tale
from .world import indexed, one_pass, statements

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def articles() -> Iterator[Any]:
    """Declares what is indexed of articles, for one test."""

    def declared(**how: Any) -> Source:
        given = {"collection": "help", "text": "text", "title": "title", **how}
        return declare(index(Article, **given))

    yield declared
    registry._declared.clear()


def keys(source: Source) -> set[str]:
    return {row.title for row in Document.objects.filter(source=source, status="indexed")}


class TestSaving:
    def test_what_is_saved_is_pending_in_its_transaction(self, articles: Any) -> None:
        source = articles()
        with transaction.atomic():
            article = Article.objects.create(title="Rain", text="It rains.")
            row = Document.objects.get(source=source, key=str(article.pk))
            assert row.status == "pending"
            transaction.set_rollback(True)
        assert not Document.objects.exists()

    def test_saves_are_one_wish(self, articles: Any) -> None:
        source = articles()
        article = Article.objects.create(title="Rain", text="It rains.")
        for text in ("It pours.", "It stops."):
            article.text = text
            article.save()
        assert one_pass(source, full=False).status == "finished"
        assert [chunk.text for chunk in Chunk.objects.all()] == ["It stops."]
        assert Document.objects.get().version == 1

    def test_what_is_saved_again_while_it_is_read_is_read_again(
        self, articles: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = articles()
        article = Article.objects.create(title="Rain", text="It rains.")
        content = Indexed.content

        def slow(self: Indexed, row: Any) -> Any:
            found = content(self, row)
            if row.text == "It rains.":
                Article.objects.get(pk=row.pk)  # what was read is what it was
                row.text = "It pours."
                row.save()
            return found

        monkeypatch.setattr(Indexed, "content", slow)
        assert one_pass(source, full=False).status == "finished"
        assert [chunk.text for chunk in Chunk.objects.all()] == ["It pours."]
        assert article.pk

    def test_what_is_deleted_goes_in_its_transaction(self, articles: Any) -> None:
        source = articles()
        article = Article.objects.create(title="Rain", text="It rains.")
        one_pass(source, full=False)
        revision = Collection.objects.get().revision
        with transaction.atomic():
            article.delete()
            assert not Document.objects.exists() and not Chunk.objects.exists()
        assert Collection.objects.get().revision > revision

    def test_a_user_who_goes_takes_their_documents_along(self, articles: Any) -> None:
        source = articles(owner="author")
        ada = User.objects.create_user("ada")
        Article.objects.create(title="Rain", text="It rains.", author=ada)
        one_pass(source, full=False)
        assert Chunk.objects.get().owner_key == f"user:{ada.pk}"
        ada.delete()
        assert not Document.objects.exists()

    @pytest.mark.parametrize(
        ("declared", "saved"),
        [(Article, Piece), (Piece, Article), (Piece, Piece), (Piece, Scrap), (Article, Tale), (Piece, Tale)],
    )
    def test_a_row_is_heard_of_by_whichever_model_it_comes(
        self, monkeypatch: pytest.MonkeyPatch, declared: Any, saved: Any
    ) -> None:
        monkeypatch.setattr(registry, "_declared", {})
        source = declare(index(declared, collection="help", title="title", text="text"))
        article = saved.objects.create(title="Rain", text="It rains.")
        one_pass(source, full=False)
        assert keys(source) == {"Rain"}
        article.delete()
        assert not Document.objects.exists()

    @pytest.mark.parametrize("reverse", [False, True])
    def test_a_relation_that_changes_has_it_read(self, articles: Any, reverse: bool) -> None:
        source = articles(metadata=lambda row: {"groups": [group.name for group in row.groups.all()]})
        article = Article.objects.create(title="Rain", text="It rains.")
        one_pass(source, full=False)
        group = Group.objects.create(name="staff")
        if reverse:
            group.article_set.add(article)
        else:
            article.groups.add(group)
        one_pass(source, full=False)
        assert Document.objects.get().metadata == {"groups": ["staff"]}


class TestPasses:
    @pytest.mark.parametrize("updated_field", ["", "changed_at"])
    def test_what_sends_no_signal_is_found_by_a_pass(self, articles: Any, updated_field: str) -> None:
        source = articles(updated_field=updated_field)
        Article.objects.bulk_create([Article(title=name, text=name) for name in ("a", "b", "c")])
        one_pass(source)
        assert keys(source) == {"a", "b", "c"}
        changed = Article.objects.get(title="a").changed_at.replace(year=2040)
        Article.objects.filter(title="a").update(title="d", changed_at=changed)
        Article.objects.filter(title="b")._raw_delete("default")
        one_pass(source)
        assert keys(source) == {"c", "d"}
        assert indexed(source).keys() == {str(pk) for pk in Article.objects.values_list("pk", flat=True)}

    @pytest.mark.parametrize("known", [False, True])
    @pytest.mark.parametrize("moment", ["listed", "noted", "stored"])
    @pytest.mark.parametrize("what", ["saved", "deleted"])
    def test_a_row_that_changes_behind_the_listing_is_as_it_is_by_now(
        self, articles: Any, monkeypatch: pytest.MonkeyPatch, what: str, moment: str, known: bool
    ) -> None:
        source = articles()
        Article.objects.bulk_create([Article(title=f"T{n}", text=f"text {n}") for n in range(70)])
        if known:
            one_pass(source)
            Article.objects.update(text="another")
        changes = [*range(70)]

        def change() -> None:  # of each row once, as the listing has read it
            for number in (3, 40, 69):
                if number in changes:
                    changes.remove(number)
                    row = Article.objects.get(title=f"T{number}")
                    row.text = "the newest"
                    row.save() if what == "saved" else row.delete()

        content, note, store = Indexed.content, slices.note, looking.store

        def read(self: Indexed, row: Any) -> Any:
            if row.title == "T69":
                change()
            return content(self, row)

        def noted(*args: Any, **how: Any) -> Any:
            change()
            return note(*args, **how)

        def stored(*args: Any) -> int:
            change()
            return store(*args)

        if moment == "listed":
            monkeypatch.setattr(Indexed, "content", read)
        elif moment == "noted":
            monkeypatch.setattr(slices, "note", noted)
        else:
            monkeypatch.setattr(looking, "store", stored)
        assert one_pass(source).status == "finished"
        assert one_pass(source, full=False).status == "finished"
        rows = {str(row.pk): row.text for row in Article.objects.all()}
        assert {key: row["text"] for key, row in indexed(source).items()} == rows
        assert list(rows.values()).count("the newest") == (3 if what == "saved" else 0)

    def test_a_row_that_a_listing_still_sees_while_it_is_deleted_does_not_stay(self, articles: Any) -> None:
        source = articles()
        article = Article.objects.create(title="Rain", text="It rains.")
        one_pass(source)
        with transaction.atomic():
            key = str(article.pk)
            article.delete()
            Document.objects.create(source=source, key=key, status="indexed", pipeline=rules_of(source)[1])
        assert one_pass(source, full=False).status == "finished"
        assert not Document.objects.exists()

    def test_nothing_that_is_made_anew_under_its_key_goes(self, articles: Any) -> None:
        source = articles()
        article = Article.objects.create(title="Rain", text="It rains.")
        one_pass(source)
        with transaction.atomic():
            pk = article.pk
            article.delete()
            Article.objects.create(pk=pk, title="Sun", text="It shines.")
        assert one_pass(source, full=False).status == "finished"
        assert [chunk.text for chunk in Chunk.objects.all()] == ["It shines."]

    def test_rows_whose_database_is_away_behind_the_listing_are_fetched(
        self, articles: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = articles()
        Article.objects.bulk_create([Article(title="Rain", text="It rains.")])

        def away(*args: Any) -> Any:
            raise OperationalError("away")

        monkeypatch.setattr(registry, "_among", away)
        assert one_pass(source).status == "finished"
        assert keys(source) == {"Rain"}

    def test_a_row_that_cannot_be_read_fails_alone(self, articles: Any) -> None:
        source = articles(text=lambda row: row.text if row.title != "a" else 1 / 0)
        Source.objects.update(retries=0)
        Article.objects.bulk_create([Article(title=name, text=name) for name in "abc"])
        assert one_pass(source).problem == ""
        assert keys(source) == {"b", "c"}
        row = Document.objects.get(status="failed")
        assert (row.error_code, "ZeroDivisionError" in row.error) == ("crashed", True)

    def test_only_what_is_wanted_is_a_document(self, articles: Any) -> None:
        source = articles(only=Q(published=True))
        article = Article.objects.create(title="Rain", text="It rains.")
        Article.objects.create(title="Sun", text="It shines.", published=False)
        one_pass(source, full=False)
        assert keys(source) == {"Rain"}
        article.published = False
        article.save()
        one_pass(source, full=False)
        assert not Document.objects.exists()

    def test_rows_that_are_as_they_were_cost_two_queries_for_each_four_hundred(self, articles: Any) -> None:
        source = articles()
        Article.objects.bulk_create([Article(title=f"{n}", text=f"text {n}") for n in range(800)])
        one_pass(source)
        with statements() as executed:
            assert one_pass(source).status == "finished"
        listed = [
            sql
            for sql in executed
            if "knowledge_document" in sql
            and any(part in sql for part in ("IN (", "ANY(", "INSERT"))
            and 'SET "retry_at"' not in sql  # once a pass
        ]
        assert len(listed) == 4, listed

    def test_a_declared_source_is_made_once(self, articles: Any) -> None:
        first = articles()
        assert articles() == first
        assert (first.kind, first.collection.slug, Source.objects.count()) == ("models", "help", 1)


def test_who_may_see_what_is_asked_in_one_query(articles: Any) -> None:
    source = articles(visible_to=lambda user: Article.objects.filter(author=user))
    ada = User.objects.create_user("ada")
    mine = Article.objects.create(title="Rain", text="It rains.", author=ada)
    other = Article.objects.create(title="Sun", text="It shines.")
    with CaptureQueriesContext(connection) as queries:
        keys = [str(mine.pk), str(other.pk), "a file of that source before it was the model's.md"]
        assert visible_keys(source.slug, keys, ada) == {str(mine.pk)}
    assert len(queries) == 1


async def test_it_is_found_two_seconds_after_the_commit(site: Site, articles: Any) -> None:
    source = await sync_to_async(articles)()
    await get_runner().ensure_registered()
    begun = time.monotonic()
    article = await Article.objects.acreate(title="Rain", text="It rains.")
    async with within():
        while not await Document.objects.filter(source=source, status="indexed").aexists():
            await asyncio.sleep(0.02)
    assert time.monotonic() - begun < scaled(2)
    await article.adelete()
    assert not await Document.objects.aexists()
    run = await Run.objects.aget()
    await get_runner().wait(str(run.pk))
    await run.arefresh_from_db()
    assert (run.workflow, run.status) == ("knowledge-sync", "finished")
    assert run.document["phase"] == "finished"
    assert (run.document["changed"], run.document["current"]) == (1, "")
    row = await Sync.objects.aget()
    assert (row.trigger, row.number, row.run_id, row.status) == ("model", None, run.pk, "finished")
