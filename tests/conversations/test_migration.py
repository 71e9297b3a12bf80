"""Conversations of before get turns; the version before can still store its own beside them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from lingstream.core.engine.chat import Chat as EngineChat
from lingstream.models import Chat, Conversation, Occasion, Run, Workflow
from tests.access.test_migration import migrate
from tests.tables import Versions


@pytest.fixture
def newest_version(transactional_db: None, versions: Versions) -> Iterator[Any]:
    """A database with the tables as all migrations make them."""
    with versions.at(*MigrationExecutor(connection).loader.graph.leaf_nodes("lingstream")[0]) as apps:
        yield apps


@pytest.fixture
def eleventh_version(transactional_db: None, versions: Versions) -> Iterator[Any]:
    """A database before chats had policies."""
    with versions.at("lingstream", "0011_attachments") as apps:
        yield apps


@pytest.fixture
def first_version(transactional_db: None, versions: Versions) -> Iterator[Any]:
    """A database with the tables as the first migration makes them."""
    with versions.at("lingstream", "0001_initial") as apps:
        yield apps


def newest() -> None:
    migrate(*MigrationExecutor(connection).loader.graph.leaf_nodes())


def turns(conversation: Any) -> list[tuple[str, int, str | None, str]]:
    runs = Run.objects.filter(conversation_id=conversation.pk).select_related("parent").order_by("number")
    return [
        (run.input, run.number, run.parent.input if run.parent else None, Run.Cause(run.cause))
        for run in runs
    ]


def test_runs_are_numbered_by_their_beginning_and_chained_in_more_than_one_batch(first_version: Any) -> None:
    old = {name: first_version.get_model("lingstream", name) for name in ("Conversation", "Run")}
    now = timezone.now()
    talk, other, empty = (old["Conversation"].objects.create(title=title) for title in "abc")
    for minutes, name in ((3, "first"), (1, "third"), (2, "second")):
        at = now - timedelta(minutes=minutes)
        old["Run"].objects.create(workflow=f"w-{name}", conversation=talk, input=name, created_at=at)
    same = [old["Run"].objects.create(workflow="w", conversation=other, created_at=now) for _ in range(2)]
    alone = old["Run"].objects.create(workflow="w")
    many = old["Conversation"].objects.bulk_create([old["Conversation"]() for _ in range(450)])
    old["Run"].objects.bulk_create(
        [old["Run"](workflow="w", conversation=each, owner_key="anyone") for each in many for _ in range(2)]
    )
    newest()
    assert turns(talk) == [
        ("first", 1, None, "user"),
        ("second", 2, "first", "user"),
        ("third", 3, "second", "user"),
    ]
    row = Conversation.objects.select_related("leaf").get(pk=talk.pk)
    assert row.leaf and (row.leaf.input, row.count, row.workflow) == ("third", 3, "w-third")
    assert sorted(Run.objects.filter(pk__in=[run.pk for run in same]).values_list("number", flat=True)) == [
        1,
        2,
    ]
    kept = Run.objects.get(pk=alone.pk)
    assert (kept.number, kept.parent, kept.message, kept.hidden, kept.context) == (0, None, None, False, None)
    kept_empty = Conversation.objects.get(pk=empty.pk)
    assert (kept_empty.count, kept_empty.leaf, kept_empty.workflow, kept_empty.data) == (0, None, "", {})
    numbered = Conversation.objects.filter(pk__in=[each.pk for each in many])
    assert not numbered.exclude(count=2).exists()
    assert Run.objects.filter(conversation__in=numbered, number=2, parent__number=1).count() == 450


def test_there_and_back_again_keeps_a_tree(newest_version: Any) -> None:
    talk = Conversation.objects.create(count=3)
    root = Run.objects.create(workflow="w", conversation=talk, number=1)
    branches = [Run.objects.create(workflow="w", conversation=talk, number=n, parent=root) for n in (2, 3)]
    Conversation.objects.filter(pk=talk.pk).update(leaf=branches[0])
    migrate(("lingstream", "0006_conversations"))
    seventh = [("lingstream", "0007_turns")]
    runs = migrate(*seventh).loader.project_state(seventh).apps.get_model("lingstream", "Run").objects
    assert [run.parent_id for run in runs.order_by("number")] == [None, root.pk, root.pk]
    migrate(("lingstream", "0005_steps"))
    newest()
    assert Conversation.objects.get().count == 3
    assert [run.number for run in Run.objects.order_by("created_at")] == [1, 2, 3]


def test_the_version_before_can_still_store_its_own(first_version: Any) -> None:
    target = [("lingstream", "0005_steps")]
    migrate(*target)
    apps = MigrationExecutor(connection).loader.project_state(target).apps
    newest()
    talk = apps.get_model("lingstream", "Conversation").objects.create()
    for _ in range(2):  # both without a number
        apps.get_model("lingstream", "Run").objects.create(workflow="w", conversation_id=talk.pk)
    for run in Run.objects.all():
        assert (run.number, run.cause, run.message, run.message_id) == (0, "user", None, "")
    row = Conversation.objects.get()
    assert (row.count, row.seq, row.external_id, row.data, row.title_by) == (0, 0, "", {}, "")


def test_a_chat_takes_no_file_that_no_message_could_hold(eleventh_version: Any) -> None:
    old = {name: eleventh_version.get_model("lingstream", name) for name in ("Chat", "Workflow")}
    for slug, size in (("usual", 5_000_000), ("small", 10)):
        workflow = old["Workflow"].objects.create(slug=slug)
        old["Chat"].objects.create(workflow=workflow, max_size=size)
    newest()
    rows = {row.workflow.slug: row.to_chat() for row in Chat.objects.select_related("workflow")}
    assert rows == {"usual": EngineChat(max_size=2_500_000), "small": EngineChat(max_size=10)}


def test_conversations_from_before_bots_spoke_first_and_back(eleventh_version: Any) -> None:
    target = [("lingstream", "0011_attachments")]
    old = {
        name: eleventh_version.get_model("lingstream", name) for name in ("Conversation", "Workflow", "Chat")
    }

    def store(title: str) -> None:
        workflow = old["Workflow"].objects.create(slug=title)
        old["Chat"].objects.create(workflow=workflow)
        old["Conversation"].objects.create(title=title, workflow=title)

    store("before")
    newest()
    store("after")  # by a process of the version before, while the site is being deployed
    for talk in Conversation.objects.all():
        assert (talk.timezone, talk.nudge_at, talk.nudges, talk.nudged_today) == ("", None, 0, 0)
        assert Chat.objects.get(workflow__slug=talk.title).to_chat().greeting == {}
    workflow = Workflow.objects.get(slug="after")
    Occasion.objects.create(workflow=workflow, kind="silence", name="silence", after=60)
    Run.objects.create(workflow="after", conversation=talk, number=1, cause="silence")
    migrate(*target)
    assert old["Conversation"].objects.count() == 2
    newest()
    assert Run.objects.get().cause == "silence" and not Occasion.objects.exists()
