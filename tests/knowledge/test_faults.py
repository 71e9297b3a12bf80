"""Whatever a pass needs may be gone for a while: in the end the index is a fresh one, and people are told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from threading import Thread
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.backends.signals import connection_created
from django.db.models.deletion import Collector
from django.utils import timezone, translation

from lingstream.core.exceptions import LingError
from lingstream.execution import lane
from lingstream.knowledge import embedding, indexer, looking, outcomes
from lingstream.knowledge.models import Document, Embedder, EmbeddingCache, Source, Sync, Vector
from lingstream.knowledge.sources.port import Failed, Gone, Ref
from lingstream.models import Provider
from lingstream.models.phrases import translated
from lingstream.testing import OpenAIServer, Reply, embeddings

from .embedders import told
from .world import WorldKind, WorldListing, away, fresh, indexed, one_pass, settled, world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_PAUSES", (0.0,))
    monkeypatch.setattr(outcomes, "_BACKOFF", (0.0, 0.0))
    monkeypatch.setattr(outcomes, "_PROBES", (0.0, 0.0))


@pytest.fixture
def source(embedded_source: Callable[..., Source]) -> Source:
    return embedded_source(2, delete_after=2, chunk_size=100)


def again(source: Source) -> Source:
    source.refresh_from_db()
    return source


def begin() -> None:
    """What there is before."""
    settled()
    for key in ("changed", "gone", "same", "unlisted"):
        world.write(key, f"about {key}\n\n{'word ' * 25}")


def go_on() -> None:
    """One document is new, one has changed, one answers that it is gone, one is not listed."""
    world.write("changed", "other words\n\n" + "word " * 30)
    world.write("new", "new words")
    world.write("gone", "words that nobody reads")
    world.broken["gone"] = Gone()
    del world.documents["unlisted"]


def look_again(source: Source) -> None:
    """Look at everything once more, and nothing is wrong."""
    world.broken.clear()
    world.documents.pop("gone", None)
    Document.objects.update(retry_at=None)
    assert one_pass(source, trigger="manual").status == "finished"
    assert (again(source).state, source.problem) == ("ok", "")


def is_as_fresh(source: Source) -> None:
    """Look once more, and compare."""
    look_again(source)
    assert indexed(source) == fresh(source)


class TestADatabaseThatIsAway:
    @pytest.mark.parametrize("answer_only", [False, True])
    def test_for_one_statement_whichever_changes_nothing(self, source: Source, answer_only: bool) -> None:
        misses = dict.fromkeys(("gone", "unlisted"), 1)
        wanted: dict[str, Any] = {}
        for statement in count(answer_only, 5):
            Source.objects.update(number=0, confirmed=0)
            Sync.objects.all().delete()
            Document.objects.all().delete()
            begin()
            one_pass(source)
            go_on()
            told.texts.clear()
            with away(statement, answer_only=answer_only) as fault:
                outcome = one_pass(source)
            assert (outcome.status, again(source).state) == ("finished", "ok"), statement
            rows = Document.objects.filter(misses__gt=0).values_list("key", "misses")
            assert dict(rows) == misses, statement
            assert len(told.texts) == len(set(told.texts)), statement
            look_again(source)
            wanted = wanted or fresh(source)
            assert indexed(source) == wanted, statement
            if not fault["failed"]:
                break
        assert statement > 30

    @pytest.mark.parametrize("statement", range(3, 45, 7))
    def test_for_longer_than_anybody_waits_leaves_it_to_the_next(
        self, source: Source, statement: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin()
        one_pass(source)
        go_on()
        monkeypatch.setattr(lane.patiently, "__defaults__", (0.0,))
        with away(statement, 10_000), pytest.raises(OperationalError):
            one_pass(source, "first")
        assert Sync.objects.filter(status="failed").count() == 0
        assert one_pass(source, "second", full=False).status == "busy"
        Source.objects.update(held_until=None)
        assert one_pass(source, "second").status == "finished"
        is_as_fresh(source)

    @pytest.mark.skipif("connections['default'].vendor != 'sqlite'", reason="a bound of SQLite's")
    def test_a_disk_that_is_full_is_waited_for(self, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(20):
            world.write(f"{number:02}", f"{number} " + "many words " * 400)
        tries = 0
        room = 8  # pages

        def waits(error: Exception) -> None:
            nonlocal tries
            assert "full" in str(error)
            tries += 1

        def connected(sender: Any, connection: Any, **kwargs: Any) -> None:
            connection.execute_wrappers.append(execute)

        def execute(call: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            database = context["connection"].connection
            most = 1_000_000 if tries > 3 else used + room
            database.execute(f"PRAGMA max_page_count = {most}")
            return call(sql, params, many, context)

        with connections["default"].cursor() as cursor:
            cursor.execute("VACUUM")  # what other tests have left free would be room, too
            cursor.execute("PRAGMA page_count")
            [used] = cursor.fetchone()
        monkeypatch.setattr(lane, "_say_away", waits)
        connection_created.connect(connected)
        try:
            assert one_pass(source).status == "finished"
        finally:
            connection_created.disconnect(connected)
        assert tries > 3
        is_as_fresh(source)

    def test_another_one_that_a_source_leans_on_is_the_sources_trouble(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Source.objects.update(delete_after=1)
        begin()
        one_pass(source)

        async def refs(self: Any) -> Any:
            yield Ref("changed")
            raise OperationalError("their server is away")

        with monkeypatch.context() as patch:
            patch.setattr(WorldListing, "refs", refs)
            assert one_pass(source).status == "finished"
        assert (again(source).state, "their server is away" in source.problem) == ("degraded", True)

        async def fetch(self: Any, known: Any) -> Any:
            raise OperationalError("their server is away")

        go_on()
        with monkeypatch.context() as patch:
            patch.setattr(WorldListing, "fetch", fetch)
            assert one_pass(source).status in ("finished", "waiting")
        assert "their server is away" in Document.objects.get(key="new").error
        is_as_fresh(source)


def closed(request: dict[str, Any]) -> Any:
    return Reply(body={}, before=asyncio.Event())


def short(request: dict[str, Any]) -> Any:
    return embeddings({**request, "input": request["input"][1:]})


# What the server answers, the word for it, and what people read of it.
SERVERS: dict[str, tuple[Callable[[dict[str, Any]], Any], str, str]] = {
    "is busy": (
        lambda request: Reply(status=429, headers={"Retry-After": "300"}),
        "provider-rate-limit",
        "the model server answered 429",
    ),
    "is down": (lambda request: Reply(status=503), "provider-unavailable", "the model server answered 503"),
    "hangs": (closed, "provider-timeout", "the model server sent nothing for 0.2 s"),
    "answers with a page": (
        lambda request: Reply(body=b"<html>"),
        "provider-bad-response",
        "vectors of one size, got something else",
    ),
    "forgets one": (short, "provider-bad-response", "vectors of one size, got something else"),
    "has another model": (
        lambda request: embeddings(request, 7),
        "vectors",
        "expected vectors of 64 dimensions as before, got 7",
    ),
}


class TestAServerOfEmbeddings:
    @pytest.mark.parametrize("name", SERVERS)
    def test_that_fails_leaves_the_old_version_and_mends(
        self, source: Source, settings: Any, name: str
    ) -> None:
        answer, code, words = SERVERS[name]
        answers: list[Callable[[dict[str, Any]], Any]] = [embeddings]
        with OpenAIServer(embeddings=lambda request: answers[-1](request)) as server:
            settings.LINGSTREAM = {**settings.LINGSTREAM, "ALLOW_HOSTS": [f"127.0.0.1:{server.port}"]}
            provider = Provider.objects.create(
                name="p", kind="openai", base_url=server.base_url, options={"max_retries": 0, "timeout": 0.2}
            )
            Embedder.objects.update(kind="openai", provider=provider, model="m")
            begin()
            world.documents = {"a": world.documents["same"], "b": world.documents["gone"]}
            assert one_pass(source).status == "finished", again(source).problem
            before = indexed(source)
            world.write("a", "other words")
            world.write("c", "new words")
            answers.append(answer)
            assert one_pass(source).status == "finished"
            found = indexed(source)
            assert {key: found[key]["chunks"] for key in "ab"} == {key: before[key]["chunks"] for key in "ab"}
            row = Document.objects.get(key="c")
            assert (row.error_code, words in row.error) == (code, True), row.error
            if code != "vectors":
                assert (again(source).state, words in source.problem) == ("degraded", True)
            if name == "is busy":
                assert row.retry_at and 290 < (row.retry_at - timezone.now()).total_seconds() < 310
            assert not Vector.objects.filter(chunk__document=row).exists()
            answers.append(embeddings)
            is_as_fresh(source)
            assert {len(bytes(each.data)) for each in Vector.objects.all()} == {256}

    @pytest.mark.parametrize(
        ("vectors", "code", "words"),
        [
            (OSError("no route"), "error", "the embedder e: OSError: no route"),
            ([], "vectors", "expected 1 vectors, got 0"),
            ([b"12345678"], "vectors", "expected vectors of 4 dimensions as before, got 2"),
        ],
    )
    def test_of_the_sites_own_may_raise_and_return_anything(
        self, source: Source, vectors: Any, code: str, words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.write("a", "one")
        one_pass(source)
        world.write("b", "two")

        async def embed(texts: Any, model: str) -> Any:
            if isinstance(vectors, Exception):
                raise vectors
            return vectors

        with monkeypatch.context() as patch:
            patch.setattr(told, "embed", embed)
            assert one_pass(source).status == "finished"
        row = Document.objects.get(key="b")
        assert (row.error_code, row.error) == (code, words)
        is_as_fresh(source)

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OperationalError("away")])
    def test_a_cache_that_cannot_be_written_costs_no_document(
        self, source: Source, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keep, errors = embedding._keep, [error]

        def full(*args: Any) -> None:
            if errors:
                raise errors.pop()
            keep(*args)

        monkeypatch.setattr(embedding, "_keep", full)
        world.write("a", "one")
        assert one_pass(source).status == "finished"
        assert (Document.objects.get().status, EmbeddingCache.objects.count()) == (
            "indexed",
            isinstance(error, OperationalError),
        )


class TestOneDocument:
    """Whatever is wrong with one, the others are indexed, and the pass is over."""

    @pytest.mark.parametrize("fault", ["its hint", "its draft", "its error", "its pipeline", "a full disk"])
    def test_that_is_impossible_fails_alone(
        self, source: Source, fault: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for key in "ab":
            world.write(key, f"about {key}")
        one_pass(source)
        with monkeypatch.context() as patch:
            patch.setattr(outcomes, "_BACKOFF", (60.0, 60.0))
            if fault == "its hint":  # the same text, and a hint that no database takes
                world.documents["a"] = replace(world.documents["a"], etag="\ud800")
            elif fault == "its error":
                world.write("a", "changed")
                world.broken["a"] = Failed("od\0d", "half a \ud800 and a \0")
            else:
                world.write("a", "changed")
                _break(patch, fault)
            world.write("b", "changed, too")
            assert one_pass(source).status == "finished"
        assert {row.key: row.status for row in Document.objects.all()} == {
            "a": "pending" if fault == "a full disk" else "failed",
            "b": "indexed",
        }
        assert Document.objects.get(key="a").error
        world.write("a", "well again")
        is_as_fresh(source)

    def test_with_an_address_that_no_database_takes_is_listed(self, source: Source) -> None:
        world.write("a", "one", links=[Ref("b", url="https://example.org/\0\ud800")])
        world.write("b", "two")
        world.seeds, world.hints = ["a"], ""
        assert one_pass(source).status == "finished"
        assert Document.objects.filter(status="indexed").count() == 2

    def test_whose_source_wants_to_be_left_alone_has_not_been_tried(self, source: Source) -> None:
        world.write("a", "one")
        world.broken["a"] = Failed("resting", "left alone", retryable=True, retry_after=60, untried=True)
        for _ in range(5):
            one_pass(source)
            Document.objects.update(retry_at=None)
        row = Document.objects.get()
        assert (row.attempts, row.status, again(source).failures) == (0, "pending", 0)
        is_as_fresh(source)

    def test_is_missed_once_by_a_pass_however_often_it_is_asked_for(self, source: Source) -> None:
        world.write("a", "one")
        one_pass(source)
        world.broken["a"] = Gone()
        for _ in range(3):
            Document.objects.update(status="pending")
            one_pass(source, full=False)
        assert Document.objects.get().misses == 1


class TestASource:
    @pytest.mark.parametrize(
        ("error", "state"),
        [
            (ConnectionError("no route to host"), "degraded"),
            (TimeoutError("it hangs"), "degraded"),
            (LingError("their server says 503", retryable=True), "degraded"),
            (LingError("there is no such folder"), "failed"),
            (KeyError("a mistake"), "failed"),
        ],
    )
    def test_that_cannot_be_opened_says_whether_it_mends(
        self, source: Source, error: Exception, state: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def open(self: Any, source: Source) -> Any:
            raise error

        world.write("a", "one")
        with monkeypatch.context() as patch:
            patch.setattr(WorldKind, "open", open)
            assert one_pass(source).status == "failed"
        assert again(source).state == state
        assert str(error.args[0]) in source.problem and source.probe_at
        is_as_fresh(source)

    def test_of_which_all_fails_is_told_in_words_and_its_documents_are_not_to_blame(
        self, source: Source
    ) -> None:
        for number in range(30):
            world.write(f"{number:02}", "text")
            world.broken[f"{number:02}"] = Failed("http-503", "the host answered 503", retryable=True)
        for _ in range(8):
            one_pass(source)
            Document.objects.update(retry_at=None)
        assert not Document.objects.filter(status="failed").exists()
        assert again(source).state == "degraded"
        assert "failures in a row, such as: the host answered 503" in source.problem
        with translation.override("zh-hans"):
            told_in_chinese = translated(source.problem)
        assert re.fullmatch(r"连续失败 \d+ 次，例如：the host answered 503", told_in_chinese)
        is_as_fresh(source)


def _break(patch: pytest.MonkeyPatch, fault: str) -> None:
    """Have what is done with the document ``a`` fail."""
    if fault == "its draft":
        passages = indexer._passages

        def broken(held: Any, draft: Any) -> Any:
            if draft.reading.document.key == "a":
                raise ZeroDivisionError("of this document")
            return passages(held, draft)

        patch.setattr(indexer, "_passages", broken)
        return
    prepare = looking.prepare
    error = OSError(28, "No space left on device") if fault == "a full disk" else ZeroDivisionError("of it")

    async def fails(key: str, *args: Any) -> Any:
        if key == "a":
            raise error
        return await prepare(key, *args)

    patch.setattr(looking, "prepare", fails)


@pytest.mark.skipif("connections['default'].vendor != 'postgresql'", reason="SQLite has one writer")
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("what", ["source", "collection"])
def test_a_source_goes_while_a_pass_is_at_it(
    source: Source, monkeypatch: pytest.MonkeyPatch, what: str, many: bool
) -> None:
    begin()
    one_pass(source)
    go_on()
    row = {"source": source, "collection": source.collection}[what]
    delete, passes, outcomes_met = Collector.delete, list[Thread](), list[str]()

    def work() -> None:
        outcomes_met.append(one_pass(source).status)

    def delete_late(self: Collector) -> Any:
        """Behind the moment at which Django has looked what there is to delete."""
        if not passes:
            passes.append(Thread(target=work))
            passes[0].start()
            passes[0].join(1)
        return delete(self)

    monkeypatch.setattr(Collector, "delete", delete_late)
    if many:
        type(row)._default_manager.filter(pk=row.pk).delete()
    else:
        row.delete()
    passes[0].join()
    assert outcomes_met in (["busy"], ["overtaken"])
    assert not Document.objects.exists()
