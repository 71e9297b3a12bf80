"""Who is told that an answer cites what has changed since, or is gone: the pages of its conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from lingstream.access.identity import Identity
from lingstream.access.visitors import digest_of, make_visitor_token
from lingstream.conversations import turns
from lingstream.conversations.notices import topic_of
from lingstream.conversations.reading import told_turns
from lingstream.core.notices import Notice
from lingstream.hubs import get_hub
from lingstream.knowledge import staleness
from lingstream.knowledge.asking import forget
from lingstream.knowledge.models import Chunk, Citation, Collection, Document, Source
from lingstream.knowledge.sources.port import Failed
from lingstream.models import Conversation, Run
from tests.chaos.patience import within
from tests.site import Site

from .world import Crash, crashing, one_pass, settled, statements, world

pytestmark = pytest.mark.django_db(transaction=True)

ASKED = "lingstream_knowledge_citation"


def make_source() -> Source:
    """A source of two documents, which are indexed."""
    settled()
    collection = Collection.objects.create(slug="sky", access="anyone")
    source = Source.objects.create(slug="sky", collection=collection, kind="world", delete_after=1)
    for key in ("clouds", "rain"):
        world.write(key, f"All about {key}.")
    assert one_pass(source).status == "finished"
    return source


def cite(key: str, talk: Conversation | None = None, uri: str = "citations/0") -> Conversation:
    """Have a new turn name a document."""
    talk = talk or Conversation.objects.create(workflow="talk", visitor=digest_of("me"))
    talk.count += 1
    Conversation.objects.filter(pk=talk.pk).update(count=talk.count)
    run = Run.objects.create(conversation=talk, number=talk.count, status="finished", visitor=digest_of("me"))
    chunk = Chunk.objects.filter(document__key=key)[0]
    Citation.objects.keep(str(run.pk), uri, str(chunk.uid), True)
    return talk


def told(talk: Conversation) -> int:
    """How often it was."""
    return Conversation.objects.get(pk=talk.pk).seq


@pytest.fixture
def source() -> Source:
    return make_source()


def changed(source: Source) -> None:
    world.write("clouds", "Something else of clouds.")
    one_pass(source)


def gone(source: Source) -> None:
    del world.documents["clouds"]
    one_pass(source)


def left_out(source: Source) -> None:
    world.write("clouds", "Not for you.")
    world.broken["clouds"] = Failed("noindex", "it asks", skip=True)
    one_pass(source)


def forgotten(source: Source) -> None:
    assert forget(source, ["clouds"]) == 1


def by_command(source: Source) -> None:
    call_command("ling_knowledge", "forget", "--source", "sky", "--key", "clouds", verbosity=0)


def with_its_source(source: Source) -> None:
    source.delete()


def with_its_collection(source: Source) -> None:
    source.collection.delete()


def with_its_owner(source: Source) -> None:
    owner = User.objects.create(username="ann")
    Document.objects.filter(key="clouds").update(owner=owner)
    owner.delete()


WAYS = [changed, gone, left_out, forgotten, by_command, with_its_source, with_its_collection, with_its_owner]


@pytest.mark.parametrize("way", WAYS)
def test_its_conversations_are_told_once(source: Source, way: Callable[[Source], None]) -> None:
    talk, other = cite("clouds"), cite("rain")
    cite("clouds", talk)
    way(source)
    assert told(talk) == 1
    assert told(other) == (way in (with_its_source, with_its_collection))
    assert Citation.objects.stale().filter(run__conversation=talk).count() == 2


class Replicas:
    """A router of a site that reads conversations and citations from a copy, which is not there now."""

    def db_for_read(self, model: type, **hints: Any) -> str | None:
        return "replica" if model in (Conversation, Citation) else None


@pytest.mark.parametrize("way", [changed, gone, left_out, with_its_source])
def test_who_cites_is_asked_where_that_is_written(
    source: Source, way: Callable[[Source], None], settings: Any
) -> None:
    talk = cite("clouds")
    settings.DATABASE_ROUTERS = [Replicas()]
    way(source)
    settings.DATABASE_ROUTERS = []
    assert told(talk) == 1


def test_what_is_stale_already_tells_nothing_more(source: Source) -> None:
    talk = cite("clouds")
    changed(source)
    world.write("clouds", "And once more.")
    one_pass(source)
    gone(source)
    assert told(talk) == 1
    again = cite("rain", talk)
    world.write("rain", "It rains no more.")
    one_pass(source)
    assert told(again) == 2


def test_what_stays_as_it_is_tells_nothing(source: Source) -> None:
    talk = cite("clouds")
    one_pass(source, full=True)
    world.write("clouds", "All about clouds.", metadata={"product": "sky"})
    one_pass(source)
    assert told(talk) == 0


def test_a_conversation_that_was_deleted_is_left_alone(source: Source) -> None:
    talk = cite("clouds")
    Conversation.objects.update(deleted_at=talk.created_at)
    changed(source)
    assert told(talk) == 0


@pytest.mark.parametrize("way", [forgotten, with_its_source])
def test_of_what_is_rolled_back_nobody_hears(source: Source, way: Callable[[Source], None]) -> None:
    talk = cite("clouds")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        way(source)
        raise ZeroDivisionError
    assert told(talk) == 0
    assert not Citation.objects.stale().exists()


def test_nor_of_a_pass_that_dies_in_its_transaction(source: Source) -> None:
    world.write("clouds", "Something else of clouds.")
    with statements() as executed:
        one_pass(source)
    asked = next(place for place, sql in enumerate(executed, 1) if ASKED in sql)
    talk = cite("clouds")
    world.write("clouds", "Something else again.")
    with pytest.raises(Crash), crashing(asked):
        one_pass(source)
    assert told(talk) == 0
    assert not Citation.objects.stale().exists()


def test_that_they_cannot_be_told_does_not_end_the_pass(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    cite("clouds")
    monkeypatch.setattr(staleness, "touch", lambda *_: 1 / 0)
    world.write("clouds", "Something else of clouds.")
    assert one_pass(source).status == "finished"
    assert Citation.objects.stale().count() == 1


class TestWhatItCosts:
    def test_where_nothing_was_there_before_nothing_is_asked(self) -> None:
        with statements() as executed:
            make_source()
        assert not [sql for sql in executed if ASKED in sql]

    def test_nor_where_nothing_has_changed(self, source: Source) -> None:
        with statements() as executed:
            one_pass(source, full=True)
        assert not [sql for sql in executed if ASKED in sql]

    def test_where_nobody_cites_it_is_one_query_for_a_batch_of_documents(self, source: Source) -> None:
        for key in ("clouds", "rain"):
            world.write(key, f"Something else of {key}.")
        with statements() as executed:
            one_pass(source)
        assert len([sql for sql in executed if ASKED in sql]) == 1
        assert not [sql for sql in executed if 'UPDATE "lingstream_conversation"' in sql]

    def test_a_deletion_asks_once_however_much_it_deletes(self, source: Source) -> None:
        for number in range(30):
            world.write(f"{number}", f"Number {number}.")
        one_pass(source)
        with CaptureQueriesContext(connection) as queries:
            source.delete()
        assert len([sql for sql in queries if ASKED in sql["sql"]]) == 2  # and Django empties the column

    def test_those_who_cite_are_told_by_two_for_each_hundred(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(staleness, "_BATCH", 10)
        talks = [cite("clouds") for _ in range(25)]
        world.write("clouds", "Something else of clouds.")
        with statements() as executed:
            one_pass(source)
        about = [sql for sql in executed if '"lingstream_conversation"' in sql]
        assert len(about) == 1 + 2 * 3
        assert [told(talk) for talk in talks] == [1] * 25

    def test_there_is_a_bound_and_the_last_ones_are_within(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(staleness, "MOST", 3)
        talks = [cite("clouds") for _ in range(5)]
        changed(source)
        assert [told(talk) for talk in talks] == [0, 0, 1, 1, 1]

    def test_turns_that_cite_nothing_stale_are_read_as_before(self, source: Source) -> None:
        talk = cite("clouds")
        tree, me = turns.tree_of(talk.pk), Identity.of(None, "")

        def read() -> tuple[list[str], int]:
            with CaptureQueriesContext(connection) as queries:
                [turn] = told_turns(tree, tree.all_shown, me)
            return turn["stale"], len(queries)

        assert read() == ([], 3), "the turns, what is thought of them, and how their workflow is talked to"
        changed(source)
        assert read() == (["citations/0"], 4)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer")
def test_a_turn_that_is_being_stored_holds_no_pass_up(source: Source) -> None:
    """Nor does a pass hold documents while it waits to tell a conversation."""
    talk = cite("clouds")
    world.write("clouds", "Something else of clouds.")
    stored = Event()

    def work() -> None:
        try:
            one_pass(source)
        finally:
            stored.set()
            connection.close()

    thread = Thread(target=work)
    with transaction.atomic():
        turns.lock(talk.pk)
        thread.start()
        while not Document.objects.filter(key="clouds", version=2).exists():
            stored.wait(0.02)
        assert told(talk) == 0
    thread.join()
    assert told(talk) == 1


async def test_a_page_hears_of_it_after_the_commit_and_finds_it_in_the_turn(site: Site) -> None:
    source = await sync_to_async(make_source)()
    talk = await sync_to_async(cite)("clouds")
    path = f"/ling/conversations/{talk.pk}/"
    mine = {"authorization": f"Ling-Visitor {make_visitor_token('me')}"}
    before = (await site.http.get(path, headers=mine)).json()
    assert [turn["stale"] for turn in before["turns"]] == [[]]
    heard = await get_hub().notices.listen()
    heard.add(topic_of(talk.pk))
    await asyncio.to_thread(changed, source)
    async with within():
        await heard.wait()
    [notice] = heard.take()
    assert notice == Notice(str(talk.pk), before["seq"] + 1, "change"), "it says nothing of a document"
    told: dict[str, Any] = (await site.http.get(path, headers=mine)).json()
    assert (told["seq"], [turn["stale"] for turn in told["turns"]]) == (notice.seq, [["citations/0"]])
    others = {"authorization": f"Ling-Visitor {make_visitor_token('you')}"}
    assert (await site.http.get(path, headers=others)).status_code == 403
