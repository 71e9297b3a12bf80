"""A time that the database has written is the time that is read back, for every comparison."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from lingstream.access.identity import Identity
from lingstream.conversations.listing import Wanted, listed
from lingstream.models import Conversation
from lingstream.models.clock import Now
from tests.tables import Versions

pytestmark = pytest.mark.django_db


def test_a_time_is_found_by_the_value_that_was_read_back() -> None:
    for _ in range(20):  # thousandths that end in a zero are written as any
        talk = Conversation.objects.create(workflow="talk")
        rows = Conversation.objects.filter(pk=talk.pk)
        rows.update(updated_at=Now())
        talk.refresh_from_db()
        assert rows.filter(updated_at=talk.updated_at).exists()
        assert not rows.filter(updated_at__lt=talk.updated_at).exists()
        assert not rows.filter(updated_at__gt=talk.updated_at).exists()
        assert rows.filter(updated_at__gt=talk.updated_at - timedelta(microseconds=1)).exists()
        assert rows.annotate(at=Now()).filter(at__gte=talk.updated_at).exists()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="others have times that are no text")
@pytest.mark.parametrize("written", ["2026-01-01 12:00:00.120", "2026-01-01 12:00:00.000"])
def test_sqlite_writes_what_django_writes(written: str) -> None:
    talk = Conversation.objects.create(workflow="talk")
    queries = Conversation.objects.all().query.get_compiler(connection=connection)
    sql, _ = Now().as_sqlite(queries, connection)
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + sql.replace("'NOW'", "%s"), [written])
        stored = cursor.fetchone()[0]
        cursor.execute("UPDATE lingstream_conversation SET updated_at = %s", [stored])
    talk.refresh_from_db()
    assert Conversation.objects.filter(updated_at=talk.updated_at).exists()


def test_a_page_of_conversations_does_not_begin_with_the_last_one_of_the_page_before() -> None:
    user = User.objects.create(username="ann")
    made = [Conversation.objects.create(workflow="talk", owner=user) for _ in range(3)]
    Conversation.objects.update(updated_at=Now())  # as when their turns end
    seen, after = [], ""
    for _ in range(3):
        page = listed(Identity.of(user, None), Wanted.from_query({"limit": "1", "after": after}))
        seen += [each["id"] for each in page["conversations"]]
        after = page["next"] or ""
    assert sorted(seen) == sorted(str(each.pk) for each in made)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="others have times that are no text")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("written", ["2026-01-01 12:00:00.120", "2026-01-01 12:00:00.000"])
def test_times_from_before_are_rewritten(versions: Versions, written: str) -> None:
    with versions.at("lingstream", "0028_versions_from_before") as apps:
        talk = apps.get_model("lingstream", "Conversation").objects.create(workflow="talk")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE lingstream_conversation SET updated_at = %s", [written])
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes("lingstream"))
        found = Conversation.objects.get(pk=talk.pk)
        assert Conversation.objects.filter(updated_at=found.updated_at).exists()
