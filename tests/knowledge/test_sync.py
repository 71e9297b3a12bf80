"""What a pass does, and what it leaves alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import OperationalError
from django.utils import timezone

from lingstream.core.exceptions import LingError, ProviderError
from lingstream.knowledge import outcomes, slices
from lingstream.knowledge.admin.sources import _bar
from lingstream.knowledge.asking import ask, forget
from lingstream.knowledge.claims import Held, claim
from lingstream.knowledge.deletion import confirm
from lingstream.knowledge.models import (
    Chunk,
    Collection,
    Document,
    DocumentText,
    Embedder,
    EmbeddingCache,
    Source,
    Sync,
    Vector,
)
from lingstream.knowledge.passes import rules_of
from lingstream.knowledge.preview import preview
from lingstream.knowledge.sources.port import Content, Failed, Gone, Ref
from lingstream.knowledge.sync import stop
from lingstream.models.clock import Now
from lingstream.steps.python import step
from tests.chaos.patience import scaled

from . import embedders
from .building import find
from .embedders import told
from .people import asking
from .world import Crash, crashing, fresh, indexed, one_pass, settled, statements, world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def source() -> Source:
    settled()
    collection = Collection.objects.create(slug="c", chunk_size=100)
    return Source.objects.create(slug="s", collection=collection, kind="world")


@pytest.fixture
def embedded(source: Source) -> Iterator[Source]:
    """The source, in a collection with an embedder."""
    embedders.register()
    told.texts.clear()
    told.fails = None
    Collection.objects.update(embedder=Embedder.objects.create(slug="e", kind="told", batch_texts=16))
    yield Source.objects.get()
    told.fails = None


def again(source: Source) -> Source:
    source.refresh_from_db()
    return source


def keys(**wanted: Any) -> list[str]:
    return list(Document.objects.filter(**wanted).order_by("key").values_list("key", flat=True))


def paragraphs(count: int, *others: str) -> str:
    """A text of which each paragraph is a passage."""
    return "\n\n".join([*(f"{number} " + "word " * 18 for number in range(count)), *others])


class TestOnePass:
    def test_counts_and_says_how_far_it_is(self, source: Source) -> None:
        for key in "abc":
            world.write(key, f"about {key}")
        world.broken["c"] = Failed("too-large", "too large")
        heard: dict[str, Any] = {}
        phases = []

        def hear(said: Any) -> None:
            heard.update(said)
            phases.append(heard["phase"])

        assert one_pass(source, report=hear).status == "finished"
        counts = {"seen": 3, "changed": 2, "deleted": 0, "failed": 1}
        assert heard == {"phase": "finished", **counts, "current": "", "left": 0}
        assert list(dict.fromkeys(phases)) == ["listing", "fetching", "deleting", "finished"]
        row = Sync.objects.get()
        assert (row.number, row.status, row.complete) == (1, "finished", True)
        assert (row.seen, row.changed, row.deleted, row.failed) == (3, 2, 0, 1)
        assert (again(source).state, source.number, source.holder) == ("ok", 1, "")

    @pytest.mark.parametrize("hints", ["etag", "content"])
    def test_what_is_as_it_was_is_not_fetched(self, source: Source, hints: str) -> None:
        settled(hints=hints)
        for number in range(250):
            world.write(f"{number:03}", f"about {number}")
        one_pass(source)
        world.fetched.clear()
        with statements() as executed:
            one_pass(source)
        assert not world.fetched
        assert len([sql for sql in executed if "IN (" in sql and "knowledge_document" in sql]) <= 4
        assert Sync.objects.first().changed == 0  # type: ignore[union-attr]

    def test_what_is_as_it_was_costs_two_questions_for_two_hundred(self, source: Source) -> None:
        rows = [
            Document(source=source, key=f"{number:05}", etag="x", status="indexed", text_hash="x")
            for number in range(1_400)
        ]
        Document.objects.bulk_create(rows)
        Document.objects.update(pipeline=rules_of(source)[1])
        costs = []
        for most in (400, 1_400):
            world.documents = {row.key: replace(Content(""), etag="x") for row in rows[:most]}
            world.partial = True
            with statements() as executed:
                assert one_pass(source).status == "finished"
            costs.append(len(executed))
        assert not world.fetched
        assert costs[1] - costs[0] <= 10, costs

    def test_a_pass_that_finds_nothing_new_is_written_down_once_and_given_back_once(
        self, source: Source
    ) -> None:
        settled(hints="etag")
        world.write("a", "about a")
        one_pass(source)
        with statements() as executed:
            assert one_pass(source).status == "finished"
        updates = [sql for sql in executed if sql.startswith("UPDATE")]
        assert len([sql for sql in updates if 'knowledge_sync" SET "listed"' in sql]) == 1
        assert len([sql for sql in updates if '"held_until" = NULL' in sql]) == 1
        assert not [sql for sql in executed if "COUNT(*)" in sql and '"status"' in sql]  # nobody hears it
        row = Sync.objects.latest("number")
        assert (row.seen, row.listed, row.complete, row.status) == (1, True, True, "finished")

    def test_a_hint_that_differs_while_the_text_does_not_changes_no_passage(self, source: Source) -> None:
        world.write("a", "the same")
        one_pass(source)
        before = Document.objects.get()
        world.documents["a"] = replace(world.documents["a"], body="the same\r\n", etag="other")
        one_pass(source)
        after = Document.objects.get()
        assert (after.etag, after.version, after.changed_at) == ("other", 1, before.changed_at)
        assert Collection.objects.get().revision == 1

    def test_a_passage_that_moves_keeps_its_row(self, source: Source) -> None:
        world.write("a", paragraphs(3))
        one_pass(source)
        before = {chunk.text: (chunk.pk, chunk.uid) for chunk in Chunk.objects.all()}
        world.write("a", "new " * 20 + "\n\n" + paragraphs(3))
        one_pass(source)
        after = {chunk.text: (chunk.pk, chunk.uid) for chunk in Chunk.objects.all()}
        assert before.items() <= after.items()
        assert list(Chunk.objects.values_list("position", flat=True)) == [0, 1, 2, 3]

    def test_an_owner_or_a_scope_that_changes_reaches_the_passages(self, source: Source) -> None:
        world.write("a", "the same", scope="acme")
        one_pass(source)
        world.write("a", "the same", scope="other")
        one_pass(source)
        assert (Chunk.objects.get().scope, Document.objects.get().version) == ("other", 1)
        Source.objects.update(scope="tenant")
        world.write("a", "the same")
        one_pass(source)
        assert Chunk.objects.get().scope == "tenant"

    def test_other_rules_cut_everything_anew(self, source: Source) -> None:
        world.write("a", paragraphs(6))
        one_pass(source)
        few = Chunk.objects.count()
        Collection.objects.update(chunk_size=1_200)
        one_pass(source)
        assert Chunk.objects.count() < few
        assert (Document.objects.get().version, indexed(source)) == (1, fresh(source))

    @pytest.mark.parametrize(("hints", "every"), [("etag", 77), ("content", 0)])
    def test_another_way_to_cut_needs_no_source(self, source: Source, hints: str, every: int) -> None:
        settled(hints=hints)
        world.write("a", paragraphs(6), owner_id=None, scope="acme", metadata={"product": "tea"})
        one_pass(source)
        world.fetched.clear()
        Document.objects.update(check_every=77)
        Collection.objects.update(chunk_size=1_200)
        one_pass(source)
        assert not world.fetched
        assert (Document.objects.get().check_every, indexed(source)) == (every, fresh(source))

    def test_another_way_to_cut_asks_for_what_somebody_has_asked_for(self, source: Source) -> None:
        for key in "ab":
            world.write(key, paragraphs(6))
        one_pass(source)
        world.fetched.clear()
        Collection.objects.update(chunk_size=1_200)
        world.listed = lambda: ask(source, ["a"], Sync.Trigger.MODEL)
        one_pass(source)
        assert world.fetched == {"a": 1}
        assert indexed(source) == fresh(source)

    def test_another_way_to_cut_goes_on_without_the_source_where_it_broke_off(self, source: Source) -> None:
        for key in "ab":
            world.write(key, paragraphs(6))
        one_pass(source)
        world.fetched.clear()
        Collection.objects.update(chunk_size=1_200)
        for after in range(40):
            Source.objects.update(held_until=None)
            with contextlib.suppress(Crash), crashing(after):
                one_pass(source)
        assert one_pass(source).status == "finished"
        assert not world.fetched
        assert indexed(source) == fresh(source)

    @pytest.mark.parametrize("news", ["a tag", "a look by hand", "a text that is broken"])
    def test_news_of_what_waits_to_be_cut_is_fetched(self, source: Source, news: str) -> None:
        settled(hints="etag" if news == "a tag" else "")
        for key in "ab":
            world.write(key, paragraphs(6))
        one_pass(source)
        Document.objects.update(check_every=77, check_at=timezone.now() + timedelta(days=1))
        Collection.objects.update(chunk_size=1_200)
        waiting = Document.objects.filter(status="pending", pipeline__contains="=")
        for after in range(40):
            with contextlib.suppress(Crash), crashing(after):
                one_pass(source)
            Source.objects.update(held_until=None)
            if waiting.count() == 2:
                break
        assert waiting.count() == 2
        Sync.objects.update(status="failed")
        world.fetched.clear()
        if news == "a text that is broken":
            DocumentText.objects.filter(document__key="b").update(packed=b"?")
        else:
            world.write("b", paragraphs(7))
        one_pass(source, trigger="manual" if news == "a look by hand" else "schedule")
        assert world.fetched["b"] == 1
        assert ("a" in world.fetched) is (news == "a look by hand")
        assert indexed(source) == fresh(source)

    def test_a_source_that_is_not_asked_is_not_well_for_it(self, source: Source) -> None:
        world.write("a", paragraphs(6))
        one_pass(source)
        Source.objects.update(failures=3)
        Collection.objects.update(chunk_size=1_200)
        one_pass(source)
        assert again(source).failures == 3
        world.write("a", paragraphs(7))
        one_pass(source)
        assert again(source).failures == 0

    @pytest.mark.usefixtures("shout")
    @pytest.mark.parametrize("change", ["the owner", "the configuration", "a step"])
    def test_what_comes_from_elsewhere_is_fetched_again(self, source: Source, change: str) -> None:
        world.write("a", paragraphs(6))
        one_pass(source)
        world.fetched.clear()
        if change == "the owner":
            Source.objects.update(owner=User.objects.create(username="anna"))
        elif change == "the configuration":
            Source.objects.update(config={"shown": "otherwise"})
        else:
            Collection.objects.update(pipeline=[{"kind": "shout"}])
        one_pass(source)
        source.refresh_from_db()
        assert world.fetched == {"a": 1}
        assert indexed(source) == fresh(source)


class TestVanishing:
    def test_what_is_not_listed_goes_with_all_that_hangs_on_it(self, embedded: Source) -> None:
        world.write("a", "one")
        world.write("b", "two")
        one_pass(embedded)
        del world.documents["a"]
        one_pass(embedded)
        assert keys() == ["b"]
        assert Chunk.objects.count() == Vector.objects.count() == 1

    @pytest.mark.parametrize(
        "fault", ["an error of the listing", "the limit of documents", "a listing that says so"]
    )
    def test_nothing_goes_by_a_listing_that_was_not_complete(self, source: Source, fault: str) -> None:
        for key in "abcd":
            world.write(key, f"about {key}")
        one_pass(source)
        del world.documents["d"]
        if fault == "an error of the listing":
            world.cut = 1
        elif fault == "the limit of documents":
            Source.objects.update(max_documents=2)
        else:
            world.partial = True
        one_pass(source)
        assert keys() == ["a", "b", "c", "d"]
        assert Sync.objects.first().complete is False  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("fault", "left"), [("", "ab"), ("the limit of documents", "abc"), ("a gap", "abc")]
    )
    def test_nor_by_one_of_which_a_later_slice_finds_that(
        self, source: Source, fault: str, left: str
    ) -> None:
        world.seeds, world.hints = ["a"], ""
        world.write("a", "leads to b", links=[Ref("b")])
        world.write("b", "leads to c", links=[Ref("c")])
        world.write("c", "leads nowhere")
        one_pass(source)
        if fault == "the limit of documents":
            Source.objects.update(max_documents=2)
        else:
            world.write("b", "leads nowhere any more")
            world.gap = "b" if fault else ""
        slices = 1
        while one_pass(source, full=slices == 1, seconds=0.0).status == "unfinished":
            slices += 1
        assert (keys(), slices > 1) == (list(left), True)

    def test_a_preview_takes_nothing_for_gone_that_documents_lead_to(self, source: Source) -> None:
        world.seeds, world.hints = ["a"], ""
        world.write("a", "leads to b", links=[Ref("b")])
        world.write("b", "leads to c, and back", links=[Ref("c"), Ref("a")])
        world.write("c", "leads nowhere")
        one_pass(source)
        Document.objects.create(source=source, key="d", links=[["b"], ["e"]])
        found = async_to_sync(preview)(source)
        assert (found.complete, found.gone.keys) == (True, ["d"])

    def test_a_source_at_its_limit_says_so(self, source: Source) -> None:
        Source.objects.update(max_documents=2)
        for key in "abc":
            world.write(key, f"about {key}")
        outcome = one_pass(source)
        told = "there are more than 2 documents"
        row, found = Sync.objects.get(), again(source)
        assert told in outcome.problem and told in row.problem and told in found.problem
        assert (row.complete, found.state, keys()) == (False, "degraded", ["a", "b"])
        Source.objects.update(max_documents=3)
        one_pass(source)
        assert (again(source).state, again(source).problem, keys()) == ("ok", "", ["a", "b", "c"])

    @pytest.mark.parametrize("hints", ["etag", "content", ""])
    def test_a_pass_that_has_read_its_bytes_leaves_the_rest_to_the_next(
        self, source: Source, hints: str
    ) -> None:
        settled(hints=hints)
        for key in "abcd":
            world.write(key, f"about {key}")
        one_pass(source)
        size = len("about a")
        Source.objects.update(max_bytes=2 * size)
        del world.documents["d"]
        for key in "abcef":
            world.write(key, f"after {key}")
        outcome = one_pass(source)
        row = Sync.objects.get(number=2)
        told = f"the pass has {2 * size} bytes behind it"
        assert told in row.problem and told in outcome.problem and told in again(source).problem
        assert (row.complete, row.bytes, again(source).state) == (False, 2 * size, "degraded")
        assert keys(error_code="put-off") == keys(status="pending") == ["c", "e", "f"]
        assert [row.text for row in Chunk.objects.order_by("document__key")] == [
            *("after a", "after b", "about c", "about d")
        ]
        assert one_pass(source, full=False).status == "finished"
        assert keys(status="pending") == ["c", "e", "f"]

        one_pass(source)
        assert {"c", "e"}.isdisjoint(keys(status="pending"))  # those that have waited came first
        Source.objects.update(max_bytes=None)
        one_pass(source)
        assert (again(source).state, Sync.objects.get(number=4).complete) == ("ok", True)
        assert keys(status="indexed") == keys(error_code="") == ["a", "b", "c", "e", "f"]

    def test_a_pass_that_has_had_its_time_ends_the_listing_too(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Source.objects.update(max_seconds=100)
        clock = SimpleNamespace(monotonic=count(step=40).__next__)
        for number in range(1_500):
            world.write(f"{number:04}", "text")
        monkeypatch.setattr(slices, "time", clock)
        one_pass(source, seconds=10_000.0)
        row = Sync.objects.get()
        assert "seconds behind it, and may have 100" in row.problem
        assert (row.listed, row.complete, row.status, row.seconds >= 100) == (True, False, "finished", True)
        assert 0 < sum(world.fetched.values()) < 100, "one group, so that each pass comes further"
        assert Document.objects.filter(error_code="put-off").count() < 1_500
        monkeypatch.undo()
        ask(source, ["0007"], Sync.Trigger.MODEL)
        one_pass(source, full=False, trigger="model")
        assert "0007" in keys(status="indexed")  # what is asked for has a pass of its own

    def test_all_that_somebody_asks_for_is_looked_at_whatever_the_bounds(self, source: Source) -> None:
        Source.objects.update(max_bytes=2 * len("text"))
        for key in "abcdef":
            world.write(key, "text")
        ask(source, list("abcde"), Sync.Trigger.WEBHOOK)
        one_pass(source, full=False, trigger="webhook")
        assert keys(status="indexed") == list("abcde")

    @pytest.mark.parametrize("when", ["before", "while put off", "at the bound", "while looked at"])
    def test_what_is_asked_for_is_not_put_off(
        self, source: Source, monkeypatch: pytest.MonkeyPatch, when: str
    ) -> None:
        Source.objects.update(max_bytes=len("text"), every=60)
        for number in range(60):
            world.write(f"{number:02}", "text")
        wanted = ["00", "58", "59", "60"]
        later = slices.put_off

        def wish() -> None:
            ask(source, wanted, Sync.Trigger.WEBHOOK)
            world.write("60", "text")

        def put_off(held: Any, why: str) -> None:
            if when == "at the bound":
                wish()
            later(held, why)

        monkeypatch.setattr(slices, "put_off", put_off)
        if when == "while put off":
            one_pass(source)
        if when in ("before", "while put off"):
            wish()
        if when == "while looked at":
            world.read = wish
        one_pass(source)
        assert set(wanted) <= set(keys(status="indexed"))
        assert keys(error_code="put-off") == keys(status="pending") != []

    def test_what_a_pass_has_read_counts_in_all_of_its_slices(self, source: Source) -> None:
        Source.objects.update(max_bytes=20 * len("text"))
        for number in range(60):
            world.write(f"{number:02}", "text")
        number = 1
        while one_pass(source, full=number == 1, seconds=0.0).status == "unfinished":
            number += 1
        read = sum(world.fetched.values())
        assert 20 <= read < 40 and Sync.objects.get().bytes == read * len("text")
        assert (number > 1, Sync.objects.get().complete) == (True, False)

    def test_a_source_may_want_it_missed_twice(self, source: Source) -> None:
        Source.objects.update(delete_after=2)
        world.write("a", "one")
        one_pass(source)
        world.documents.clear()
        one_pass(source)
        assert keys(misses=1) == ["a"]
        one_pass(source)
        assert keys() == []

    def test_a_pass_that_is_taken_up_again_misses_it_once(self, source: Source) -> None:
        Source.objects.update(delete_after=3)
        world.write("a", "one")
        one_pass(source)
        world.documents.clear()
        for statement in range(30):
            try:
                with crashing(statement):
                    one_pass(source, full=again(source).number == 1)
            except Crash:
                continue
            break
        assert (Document.objects.get().misses, again(source).number) == (1, 2)

    def test_what_was_there_after_the_listing_began_is_not_missed(self, source: Source) -> None:
        """Onyx reads what is there after the listing, and deletes what came meanwhile."""
        world.write("a", "one")
        world.listed = lambda: Document.objects.create(source=source, key="new", status="indexed")
        one_pass(source)
        assert keys() == ["a", "new"]

    def test_what_somebody_wants_to_be_looked_at_is_looked_at_first(self, source: Source) -> None:
        world.write("a", "one")
        one_pass(source)
        world.seeds = []  # a listing that is behind what there is
        Document.objects.update(status="pending")
        one_pass(source)
        assert keys(status="indexed", misses=0) == ["a"]

    def test_more_than_the_guard_lets_waits_for_somebody(self, source: Source) -> None:
        for number in range(40):
            world.write(f"{number:02}", "text")
        one_pass(source)
        for number in range(21):
            del world.documents[f"{number:02}"]
        one_pass(source)
        assert (Document.objects.count(), again(source).state) == (40, "needs-confirmation")
        assert "21 documents" in source.problem
        confirm(source)
        one_pass(source, full=False)
        assert (Document.objects.count(), again(source).state) == (19, "ok")

    def test_what_comes_back_before_that_stays(self, source: Source) -> None:
        for number in range(40):
            world.write(f"{number:02}", "text")
        one_pass(source)
        there = dict(world.documents)
        world.documents.clear()
        one_pass(source)
        world.documents.update(there)
        one_pass(source)
        confirm(again(source))
        one_pass(source, full=False)
        assert (Document.objects.count(), again(source).state) == (40, "ok")

    @pytest.mark.parametrize(("gone", "passes"), [(Gone(for_good=True), 1), (Gone(), 2)])
    def test_what_its_source_says_is_gone_goes(self, source: Source, gone: Gone, passes: int) -> None:
        Source.objects.update(delete_after=2)
        world.write("a", "one")
        one_pass(source)
        world.write("a", "two")  # so that it is asked for
        world.broken["a"] = gone
        for _ in range(passes):
            assert keys() == ["a"]
            Document.objects.update(status="pending")
            one_pass(source)
        assert keys() == []

    def test_what_a_site_disowns_by_and_by_is_counted_together(self, source: Source) -> None:
        Source.objects.update(delete_after=2)
        for number in range(10):
            world.write(f"{number}", "text")
        one_pass(source)
        for some in ("01", "23"):
            world.broken.update(dict.fromkeys(some, Failed("moved", "elsewhere", skip=True)))
            one_pass(source, trigger="manual")
            Document.objects.update(status="pending")
        one_pass(source)
        assert (len(keys()), again(source).state) == (10, "needs-confirmation")
        confirm(source)
        one_pass(source, full=False)
        assert (keys(), again(source).state) == (list("456789"), "ok")

    def test_documents_with_the_same_text_are_two(self, source: Source) -> None:
        """LlamaIndex keys by a hash of the text: it never deletes the twin."""
        world.write("a", "the same")
        world.write("b", "the same")
        one_pass(source)
        assert Chunk.objects.values("uid").distinct().count() == 2
        del world.documents["a"]
        one_pass(source)
        assert (keys(), Chunk.objects.count()) == (["b"], 1)


class TestVectors:
    def test_only_what_differs_is_embedded(self, embedded: Source) -> None:
        """LangChain embeds 150 of 250 passages again that have not changed, at each run."""
        world.write("a", paragraphs(250))
        one_pass(embedded)
        assert len(told.texts) == 250
        told.texts.clear()
        world.write("a", paragraphs(250, "one more"))
        one_pass(embedded)
        assert len(told.texts) == 1
        EmbeddingCache.objects.all().delete()
        world.write("a", paragraphs(251, "one more"))
        one_pass(embedded)
        assert len(told.texts) == 2
        assert Vector.objects.count() == 252

    @pytest.mark.parametrize("change", ["config", "owner"])
    def test_what_is_read_again_and_says_the_same_keeps_them(self, embedded: Source, change: str) -> None:
        world.write("a", paragraphs(3), owner_id=User.objects.create(username="bob").pk)
        one_pass(embedded)
        EmbeddingCache.objects.all().delete()
        told.texts.clear()
        world.fetched.clear()
        other = {"shown": "otherwise"} if change == "config" else User.objects.create()
        Source.objects.update(**{change: other})
        one_pass(embedded)
        assert (world.fetched, told.texts) == ({"a": 1}, [])
        assert indexed(embedded) == fresh(again(embedded))

    def test_a_text_is_paid_for_once(self, embedded: Source) -> None:
        world.write("a", "one")
        one_pass(embedded)
        world.documents["b"] = world.documents.pop("a")
        one_pass(embedded)
        assert (keys(), len(told.texts)) == (["b"], 1)

    def test_batches_go_across_documents(self, embedded: Source, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes = []
        embed = told.embed

        async def counted(texts: Any, model: str) -> Any:
            sizes.append(len(texts))
            return await embed(texts, model)

        monkeypatch.setattr(told, "embed", counted)
        for number in range(20):
            world.write(f"{number:02}", f"text {number}")
        one_pass(embedded)
        assert sorted(sizes) == [4, 16]

    @pytest.mark.parametrize("code", ["crashed", "timed-out"])
    def test_a_text_that_ends_the_process_which_reads_it_fails_alone(
        self, embedded: Source, monkeypatch: pytest.MonkeyPatch, code: str
    ) -> None:
        embed = told.embed

        async def fragile(texts: Any, model: str) -> Any:
            if any("text 7" in text for text in texts):
                raise LingError("lost", code=code, retryable=True)
            return await embed(texts, model)

        monkeypatch.setattr(told, "embed", fragile)
        for number in range(10):
            world.write(f"{number}", f"text {number}")
        one_pass(embedded)
        assert keys(status="indexed") == [key for key in "0123456789" if key != "7"]
        assert Document.objects.get(key="7").error_code == code

    @pytest.mark.parametrize(("refused", "most"), [("7", 12), ("0123456789", 3)], ids=["one", "each"])
    def test_a_text_that_a_server_refuses_fails_alone(
        self, embedded: Source, monkeypatch: pytest.MonkeyPatch, refused: str, most: int
    ) -> None:
        """As one that is too long for a model; a model that refuses each is not asked for each."""
        embed, requests = told.embed, []

        async def strict(texts: Any, model: str) -> Any:
            requests.append(texts)
            if any(text[-1] in refused for text in texts):
                raise ProviderError("too long", code="provider-bad-request", status=400)
            return await embed(texts, model)

        monkeypatch.setattr(told, "embed", strict)
        for number in range(10):
            world.write(f"{number}", f"text {number}")
        one_pass(embedded)
        assert keys(status="failed") == keys(error_code="provider-bad-request") == [*refused]
        assert keys(status="indexed") == [key for key in "0123456789" if key not in refused]
        assert len(requests) <= most

    def test_a_document_that_cannot_be_embedded_stays_as_it_was(self, embedded: Source) -> None:
        world.write("a", "one")
        one_pass(embedded)
        world.write("a", "two")
        told.fails = ProviderError("away", code="provider", retryable=True)
        one_pass(embedded)
        row = Document.objects.get()
        assert (row.status, row.attempts, row.error_code) == ("pending", 1, "provider")
        assert Chunk.objects.get().text == "one"
        told.fails = None
        Document.objects.update(retry_at=None)
        one_pass(embedded, full=False)
        assert Chunk.objects.get().text == "two"

    @pytest.mark.parametrize("fault", ["for a while", "for good", "its metadata", "its row"])
    def test_what_cannot_be_stored_is_closed_to_whom_it_is_closed_by_now(
        self, embedded: Source, fault: str
    ) -> None:
        ada, ben = User.objects.create_user("ada"), User.objects.create_user("ben")
        world.write("a", paragraphs(1), scope="x")
        one_pass(embedded)
        assert find(embedded.collection, "word", identity=asking(ben, "x"))
        bad = {"its metadata": {"metadata": {"at": timezone.now()}}, "its row": {"language": "\ud800"}}
        world.write("a", paragraphs(2), owner_id=ada.pk, scope="y", **bad.get(fault, {}))
        if fault not in bad:
            told.fails = ProviderError("away", code="provider", retryable=fault == "for a while")
        for _ in range(2):
            one_pass(embedded)
        assert (Document.objects.get().owner_key, Chunk.objects.count()) == (f"user:{ada.pk}", 1)
        assert not any(find(embedded.collection, "word", identity=asking(ben, each)) for each in "xy")
        told.fails = None
        world.write("a", paragraphs(2), owner_id=ada.pk, scope="y")
        Document.objects.update(retry_at=None)
        one_pass(embedded)
        assert find(embedded.collection, "0", identity=asking(ada, "y"), mode="keyword")
        assert indexed(embedded) == fresh(embedded)

    def test_another_embedder_makes_all_of_them_anew(self, embedded: Source) -> None:
        world.write("a", paragraphs(3))
        one_pass(embedded)
        Embedder.objects.update(model="another")
        one_pass(embedded)
        assert len(told.texts) == 6


class TestFailures:
    def test_attempts_are_the_documents_own(self, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outcomes, "_BACKOFF", (0.0, 0.0))
        Source.objects.update(retries=2)
        for key in "ab":
            world.write(key, f"about {key}")
        world.broken["a"] = Failed("http-503", "away", retryable=True)
        one_pass(source)
        assert world.fetched == {"a": 3, "b": 1}
        row = Document.objects.get(key="a")
        assert (row.status, row.error_code, row.error) == ("failed", "http-503", "away")
        world.broken.clear()
        one_pass(source)
        assert keys(status="indexed") == ["a", "b"]

    def test_it_is_tried_again_when_its_source_says(self, source: Source) -> None:
        world.write("a", "one")
        world.broken["a"] = Failed("http-429", "slowly", retryable=True, retry_after=1_000)
        assert one_pass(source).status == "finished"
        row = Document.objects.get()
        assert row.retry_at and timedelta(seconds=900) < row.retry_at - timezone.now() < timedelta(
            seconds=1_100
        )

    def test_a_failure_keeps_the_old_version(self, source: Source) -> None:
        world.write("a", "one")
        one_pass(source)
        world.write("a", "two")
        world.broken["a"] = Failed("too-large", "too large")
        one_pass(source)
        assert (keys(status="failed"), Chunk.objects.get().text) == (["a"], "one")

    def test_documents_are_stored_together(self, source: Source) -> None:
        for name in range(20):
            world.write(str(name), "one")
        with statements() as told:
            one_pass(source)
        assert len(keys(status="indexed")) == 20
        assert sum("revision" in each and each.startswith("UPDATE") for each in told) == 1
        assert len(told) < 5 * 20

    @pytest.mark.parametrize("text", ["two", ""])
    def test_a_document_of_nobody_fails_alone_and_is_found_by_nobody(self, source: Source, text: str) -> None:
        world.write("a", "one")
        one_pass(source)
        world.write("a", text, owner_id=1_000_000)
        world.write("b", "three")
        assert one_pass(source).status == "finished"
        assert (keys(status="failed", error_code="crashed"), keys(status="indexed")) == (["a"], ["b"])
        assert Chunk.objects.get().text == "three"

    def test_what_cannot_be_used_is_not_fetched_again_before_it_changes(self, source: Source) -> None:
        world.write("a", "")
        world.documents["a"] = replace(world.documents["a"], body=b"\x00\x01", mime="application/x-odd")
        one_pass(source)
        assert keys(status="failed") == ["a"]
        world.fetched.clear()
        one_pass(source)
        assert not world.fetched

    def test_a_source_may_stop_at_the_first(self, source: Source) -> None:
        Source.objects.update(on_failure="fail")
        world.write("a", "one")
        world.broken["a"] = Failed("too-large", "it is too large")
        assert one_pass(source).status == "failed"
        assert (again(source).state, source.paused) == ("failed", True)
        assert "too large" in source.problem
        assert Sync.objects.get().status == "failed"

    def test_after_twenty_in_a_row_a_source_is_left_alone(self, source: Source) -> None:
        for number in range(60):
            world.write(f"{number:02}", "text")
            world.broken[f"{number:02}"] = Failed("http-503", "away", retryable=True)
        assert one_pass(source).status == "waiting"
        assert again(source).state == "degraded"
        assert source.probe_at and sum(world.fetched.values()) == 32
        world.fetched.clear()
        assert one_pass(source).status == "waiting"
        assert sum(world.fetched.values()) == 1  # half open: one document is tried
        world.broken.clear()
        Document.objects.update(retry_at=None)
        assert one_pass(source).status == "finished"
        assert (again(source).state, source.failures, source.probe_at) == ("ok", 0, None)
        assert Document.objects.filter(status="indexed").count() == 60

    def test_a_source_that_cannot_be_opened_says_why(self, source: Source) -> None:
        Source.objects.update(config={"shut": True})
        assert one_pass(source).status == "failed"
        assert (again(source).state, source.problem) == ("failed", "the world is shut")
        assert source.probe_at


class TestLinks:
    def test_what_a_document_leads_to_is_found(self, source: Source) -> None:
        self._web()
        one_pass(source)
        assert keys() == ["a", "b", "c"]
        assert list(Document.objects.order_by("key").values_list("depth", flat=True)) == [0, 1, 2]

    def test_what_leads_on_need_not_be_read_again_for_that(self, source: Source) -> None:
        self._web()
        Source.objects.update(every=1_000)
        one_pass(source)
        world.fetched.clear()
        one_pass(source)
        assert (keys(misses=0), dict(world.fetched)) == (["a", "b", "c"], {})

    def test_what_nothing_leads_to_any_more_goes(self, source: Source) -> None:
        self._web()
        one_pass(source)
        world.write("a", "nothing leads on")
        one_pass(source)
        assert keys() == ["a"]

    def test_a_page_that_fails_leads_to_what_it_led_to(self, source: Source) -> None:
        self._web()
        one_pass(source)
        world.write("b", "changed")
        world.broken["b"] = Failed("http-500", "broken", retryable=True)
        one_pass(source, trigger="manual")
        assert keys(misses=0) == ["a", "b", "c"]

    def test_depth_and_number_are_bounded(self, source: Source) -> None:
        self._web()
        Source.objects.update(max_depth=1)
        one_pass(source)
        assert keys() == ["a", "b"]
        Source.objects.update(max_depth=10, max_documents=1)
        Document.objects.all().delete()
        one_pass(source)
        assert keys() == ["a"]
        assert Sync.objects.first().complete is False  # type: ignore[union-attr]

    @pytest.mark.parametrize("hints", ["", "etag"])
    def test_a_page_that_is_nearer_by_now_leads_further(self, source: Source, hints: str) -> None:
        self._web()
        world.write("c", "leads to d", links=[Ref("d")])
        world.write("d", "the end")
        world.hints = hints
        Source.objects.update(max_depth=2)
        one_pass(source)
        assert keys() == ["a", "b", "c"]
        world.seeds = ["a", "c"]
        one_pass(source)
        assert indexed(source) == fresh(source)
        assert dict(Document.objects.values_list("key", "depth")) == {"a": 0, "b": 1, "c": 0, "d": 1}

    @staticmethod
    def _web() -> None:
        world.seeds, world.hints = ["a"], ""
        world.write("a", "leads to b", links=[Ref("b"), Ref("a")])
        world.write("b", "leads to c", links=[Ref("c")])
        world.write("c", "leads back", links=[Ref("a")])


class TestLooksByTheClock:
    def test_what_does_not_change_is_looked_at_less_often(self, source: Source) -> None:
        world.hints = ""
        Source.objects.update(every=100)
        world.write("a", "one")
        pace = []
        for _ in range(12):
            one_pass(source)
            pace.append(Document.objects.get().check_every)
            Document.objects.update(check_at=Now() - timedelta(seconds=1))
        assert pace[:4] == [100, 150, 225, 338] and pace[-1] == 3_200
        world.write("a", "two")
        one_pass(source)
        assert Document.objects.get().check_every == 1_600

    def test_by_hand_all_are_looked_at(self, source: Source) -> None:
        world.hints = ""
        Source.objects.update(every=100)
        world.write("a", "one")
        one_pass(source)
        world.fetched.clear()
        one_pass(source)
        assert not world.fetched
        one_pass(source, trigger="manual")
        assert world.fetched == {"a": 1}


@pytest.fixture
def shout() -> None:
    @step("shout", schema={"type": "object", "properties": {"about": {"type": "string"}}}, record=True)
    def shout(input: Any, about: str = "") -> Any:
        if about and about not in input["text"]:
            return []
        return {"text": input["text"].upper(), "metadata": {"loud": True}}


class TestPipelines:
    @pytest.mark.usefixtures("shout")
    def test_a_step_changes_records_or_leaves_them_out(self, source: Source) -> None:
        Collection.objects.update(pipeline=[{"kind": "shout", "options": {"about": "one"}}])
        world.write("a", "one")
        world.write("b", "two")
        one_pass(source)
        assert Chunk.objects.get().text == "ONE"
        assert Document.objects.get(key="a").metadata == {"loud": True}
        assert keys(status="skipped", error_code="left-out") == ["b"]

    def test_one_that_is_none_stops_the_pass_before_it_begins(self, source: Source) -> None:
        Collection.objects.update(pipeline=[{"kind": "http"}])
        world.write("a", "one")
        assert one_pass(source).status == "failed"
        assert "works on records" in again(source).problem
        assert not Document.objects.exists()


class TestHolding:
    def test_a_database_that_is_away_for_a_beat_does_not_end_them(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        beats, renew, renewed = count(1), Held.renew, Event()

        def beat(held: Held) -> None:
            if next(beats) == 1:
                raise OperationalError("away")
            renew(held)
            renewed.set()

        monkeypatch.setattr(Held, "renew", beat)
        monkeypatch.setattr("lingstream.knowledge.sync._BEAT", 0.01)
        world.write("a", "one")
        world.read = lambda: renewed.wait(scaled(5))
        one_pass(source)
        assert renewed.is_set()

    def test_of_two_one_holds_a_source(self, source: Source) -> None:
        first = claim(source.pk, "first")
        assert first and claim(source.pk, "second") is None
        assert one_pass(source, "second").status == "busy"
        Source.objects.update(held_until=Now() - timedelta(seconds=1))
        assert one_pass(source, "second").status == "finished"

    def test_who_was_overtaken_writes_nothing(self, source: Source) -> None:
        world.write("a", "one")
        world.listed = lambda: Source.objects.update(epoch=99)
        assert one_pass(source).status == "overtaken"
        assert not Chunk.objects.exists()

    @pytest.mark.parametrize(("hints", "moment"), [("etag", "read"), ("content", "listed")])
    @pytest.mark.parametrize("change", ["owner", "scope", "collection"])
    def test_who_has_taken_it_as_somebody_elses_stores_nothing(
        self, source: Source, change: str, hints: str, moment: str
    ) -> None:
        settled(hints=hints)
        for key in "abc":
            world.write(key, f"about {key}")

        def changes() -> None:
            made: dict[str, Any] = {
                "owner": lambda: User.objects.create(username="anna"),
                "scope": lambda: "acme",
                "collection": lambda: Collection.objects.create(slug="other"),
            }
            Source.objects.update(**{change: made[change]()})

        setattr(world, moment, changes)
        assert one_pass(source).status == "unfinished"
        assert not Chunk.objects.exists()
        assert (again(source).holder, Sync.objects.get().status) == ("", "running")
        assert one_pass(source, "another", full=False).status == "finished"
        assert (Sync.objects.get().status, indexed(source)) == ("finished", fresh(source))
        assert set(Chunk.objects.values_list("collection", flat=True)) == {source.collection_id}

    def test_a_pass_begins_whoever_changes_that_meanwhile(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.write("a", "one")
        taken = claim

        def slow(*how: Any) -> Held | None:
            held = taken(*how)
            Source.objects.update(scope="acme")
            return held

        with monkeypatch.context() as patched:
            patched.setattr("lingstream.knowledge.sync.claim", slow)
            assert one_pass(source).status == "unfinished"
        assert one_pass(source, full=False).status == "finished"
        assert (Chunk.objects.get().scope, Sync.objects.get().number) == ("acme", 1)

    def test_a_stopped_pass_ends_and_none_follows(self, source: Source) -> None:
        world.write("a", "one")
        world.listed = lambda: stop(source)
        assert one_pass(source).status == "overtaken"
        assert (Sync.objects.get().status, again(source).paused) == ("stopped", True)

    def test_what_is_asked_for_meanwhile_is_looked_at_before_it_is_given_back(self, source: Source) -> None:
        world.write("a", "one")

        def late() -> None:
            world.write("b", "two")
            ask(source, ["b"], Sync.Trigger.MODEL)

        world.listed = late
        one_pass(source)
        assert keys(status="indexed") == ["a", "b"]

    def test_a_slice_ends_in_time_and_the_next_goes_on(self, source: Source) -> None:
        for number in range(40):
            world.write(f"{number:02}", "text")
        assert one_pass(source, seconds=0.0).status == "unfinished"
        assert Sync.objects.get().status == "running"
        assert one_pass(source, full=False).status == "finished"
        assert (Sync.objects.get().number, Document.objects.filter(status="indexed").count()) == (1, 40)

    @pytest.mark.parametrize("hints", ["etag", "content"])
    def test_slices_come_to_an_end_however_short_they_are(self, source: Source, hints: str) -> None:
        settled(hints=hints)
        for number in range(300):
            world.write(f"{number:03}", "text")
        slices = 1
        while one_pass(source, seconds=0.02).status == "unfinished":
            slices += 1
        assert 1 < slices < 100
        row = Sync.objects.get()
        assert (row.complete, row.seen, Document.objects.filter(status="indexed").count()) == (True, 300, 300)

    def test_what_is_asked_for_is_a_pass_that_says_who_asked_and_lists_nothing(self, source: Source) -> None:
        world.write("a", "one")
        world.write("b", "two")
        one_pass(source)
        one_pass(source, full=False)  # nobody has asked
        del world.documents["a"]
        world.write("b", "three")
        ask(source, ["b"], Sync.Trigger.WEBHOOK)
        Source.objects.update(state="degraded", problem="its last pass was not complete")
        one_pass(source, full=False, trigger="webhook")
        told = Sync.objects.order_by("pk").values_list("number", "trigger", "seen", "changed", "complete")
        assert list(told) == [(1, "schedule", 2, 2, True), (None, "webhook", 1, 1, False)]
        assert keys(status="indexed") == ["a", "b"]
        assert (again(source).number, again(source).state) == (1, "degraded")
        one_pass(source)
        assert keys(status="indexed") == ["b"]
        assert Sync.objects.latest("pk").number == 2

    def test_its_bar_is_of_what_was_asked_for_alone(self, source: Source) -> None:
        for number in range(60):
            world.write(f"{number:02}", "text")
        one_pass(source)
        ask(source, list(world.documents)[:40], Sync.Trigger.WEBHOOK)
        heard: dict[str, Any] = {}
        how: dict[str, Any] = {"full": False, "trigger": "webhook", "report": heard.update}
        assert one_pass(source, seconds=0.0, **how).status == "unfinished"
        row = Sync.objects.get(number=None)
        assert 0 < row.seen < 40
        bar = {"seen": 40, "done": row.seen, "left": 40 - row.seen}
        assert {name: told for name, told in _bar(source, row).items() if name in bar} == bar
        one_pass(source, **how)
        assert (heard["seen"], heard["left"], Sync.objects.get(number=None).seen) == (40, 0, 40)

    def test_a_pass_that_lists_takes_over_what_was_asked_for(self, source: Source) -> None:
        for number in range(40):
            world.write(f"{number:02}", "text")
        ask(source, list(world.documents), Sync.Trigger.MODEL)
        assert one_pass(source, full=False, trigger="model", seconds=0.0).status == "unfinished"
        assert one_pass(source).status == "finished"
        rows = Sync.objects.order_by("pk").values_list("number", "status", "complete")
        assert list(rows) == [(None, "finished", False), (1, "finished", True)]
        assert Document.objects.filter(status="indexed").count() == 40

    def test_forgetting_what_is_being_read_forgets_it(self, source: Source) -> None:
        world.write("a", "one")
        one_pass(source)
        world.write("a", "two")
        world.read = lambda: forget(source, ["a"])
        one_pass(source)
        assert keys() == []


FAULTS = {
    "an error": ({"cut": 0}, "the world ends here", ""),
    "an error behind two documents": ({"cut": 2}, "the world ends here", "ab"),
    "no end in time": ({"pause": 60}, "expected a listing to end within 1 s", "a"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_listing_that_fails_is_told_and_what_it_gave_before_is_read(
    source: Source, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, problem, found = FAULTS[fault]
    settled(**changes)
    if world.pause:
        monkeypatch.setattr(slices, "_LISTING", 1.0)
    for key in "abcd":
        world.write(key, "one")
    outcome = one_pass(source)
    assert (outcome.status, outcome.problem, keys()) == ("finished", problem, list(found))
    assert (again(source).state, source.problem) == ("degraded", problem)
    assert source.syncs.get(number=source.number).complete is False
    world.cut, world.pause = None, 0.0
    monkeypatch.undo()
    one_pass(source)
    assert (again(source).state, source.problem, keys()) == ("ok", "", list("abcd"))


def test_a_kind_that_is_none_is_told(source: Source) -> None:
    Source.objects.update(kind="moon")
    assert one_pass(source).status == "failed"
    assert "kind of source" in again(source).problem
