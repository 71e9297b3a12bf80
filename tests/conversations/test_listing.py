"""Lists of conversations: what is on them, page by page, and by an index however many there are."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lingstream.access.identity import Identity
from lingstream.conversations.listing import Wanted, _rows, listed
from lingstream.models import Conversation, Run, owner_key
from tests.chaos.patience import scaled

MANY = [20_000, pytest.param(100_000, marks=pytest.mark.soak)]


@pytest.fixture
def ann(db: None) -> Identity:
    return Identity.of(User.objects.create(username="ann"), None)


def talks(identity: Identity, count: int, **columns: Any) -> list[Conversation]:
    """Store conversations, the first of them the newest."""
    now = timezone.now()
    rows = [
        Conversation(
            **{"workflow": "talk", "title": f"Talk {number}", **columns},
            owner_id=identity.owner_id,
            owner_key=identity.owner_key,
        )
        for number in range(count)
    ]
    made = Conversation.objects.bulk_create(rows, batch_size=5_000)
    for number, row in enumerate(made[:200]):  # when it is stored its time is set
        updated = now - timedelta(seconds=number // 2)  # two share each second
        Conversation.objects.filter(pk=row.pk).update(updated_at=updated)
        row.updated_at = updated
    return made


def ids(page: dict[str, Any]) -> list[str]:
    return [each["id"] for each in page["conversations"]]


def wanted(**query: str) -> Wanted:
    return Wanted.from_query(query)


def test_pages_follow_each_other_without_gaps_or_doubles(ann: Identity) -> None:
    made = talks(ann, 11)
    found: list[str] = []
    after = ""
    for size in (3, 3, 3, 2):
        page = listed(ann, wanted(limit="3", after=after))
        assert len(page["conversations"]) == size
        found += ids(page)
        after = page["next"] or ""
    assert not after
    expected = sorted(made, key=lambda row: (row.updated_at, row.pk), reverse=True)
    assert found == [str(row.pk) for row in expected]


def test_one_that_moves_up_meanwhile_is_in_nobodys_way(ann: Identity) -> None:
    made = talks(ann, 6)
    first = listed(ann, wanted(limit="2"))
    Conversation.objects.filter(pk=made[5].pk).update(updated_at=timezone.now())
    rest = listed(ann, wanted(limit="9", after=first["next"]))
    assert len(ids(rest)) == 3 and not set(ids(first)) & set(ids(rest))


def test_a_cursor_may_have_lost_its_plus_in_a_url(ann: Identity) -> None:
    talks(ann, 3)
    after = listed(ann, wanted(limit="1"))["next"]
    assert "+" in after
    again = listed(ann, wanted(after=after.replace("+", " ")))
    assert ids(again) == ids(listed(ann, wanted(after=after))) and len(ids(again)) == 2


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ({}, ["b clouds", "a Clouds"]),
        ({"workflow": "other"}, ["b clouds"]),
        ({"q": "CLOUDS"}, ["b clouds", "a Clouds"]),
        ({"q": " a "}, ["a Clouds"]),
        ({"q": "%"}, []),
        ({"archived": "1"}, ["old clouds"]),
        ({"archived": "0"}, ["b clouds", "a Clouds"]),
        ({"workflow": "none"}, []),
    ],
)
def test_what_is_wanted(ann: Identity, query: dict[str, str], titles: list[str]) -> None:
    bob = User.objects.create(username="bob")
    for title, columns in (
        ("a Clouds", {}),
        ("b clouds", {"workflow": "other"}),
        ("old clouds", {"archived_at": timezone.now()}),
        ("deleted clouds", {"deleted_at": timezone.now()}),
        ("bob's clouds", {"owner": bob}),
        ("another tenant's clouds", {"scope": "shop"}),
    ):
        Conversation.objects.create(**{"title": title, "workflow": "talk", "owner": ann.user, **columns})
    assert [each["title"] for each in listed(ann, wanted(**query))["conversations"]] == titles


def test_what_is_said_of_each(ann: Identity) -> None:
    talk = Conversation.objects.create(owner=ann.user, workflow="talk", count=4, read_number=2)
    turns = {"workflow": "talk", "conversation": talk}
    asked = Run.objects.create(**turns, number=1, status="finished")
    seen = Run.objects.create(**turns, number=2, parent=asked, cause="code")
    news = Run.objects.create(**turns, number=3, parent=seen, cause="code", status="finished")
    Run.objects.create(**turns, number=4, parent=seen, cause="code", status="finished")  # on another path
    Run.objects.create(**turns, number=5, parent=news, cause="code", hidden=True)
    Run.objects.create(**turns, cause="title", hidden=True)
    Conversation.objects.filter(pk=talk.pk).update(leaf=news)
    (item,) = listed(ann, Wanted())["conversations"]
    assert (item["unread"], item["open"], item["seq"], item["workflow"]) == (1, True, 0, "talk")
    Run.objects.filter(cause="code").update(status="finished")
    Conversation.objects.filter(pk=talk.pk).update(read_number=3)
    (item,) = listed(ann, Wanted())["conversations"]
    assert (item["unread"], item["open"]) == (0, False)


@pytest.mark.parametrize("cause", Run.Cause)
def test_a_turn_is_unread_unless_a_person_began_it(ann: Identity, cause: Run.Cause) -> None:
    talk = Conversation.objects.create(owner=ann.user, count=1)
    quiet = cause in ("title", "summary")
    run = Run.objects.create(conversation=talk, number=0 if quiet else 1, hidden=quiet, cause=cause)
    Conversation.objects.filter(pk=talk.pk).update(leaf=None if quiet else run)
    (item,) = listed(ann, Wanted())["conversations"]
    assert item["unread"] == (cause not in ("user", "edit", "regenerate", "title", "summary"))


@pytest.mark.slow
@pytest.mark.parametrize("many", MANY)
def test_many_are_listed_by_an_index(ann: Identity, many: int) -> None:
    bob = Identity.of(User.objects.create(username="bob"), None)
    made = talks(ann, many)
    talks(bob, many // 10)
    for talk in made[-10:]:  # the newest: each has something that nobody has seen
        Run.objects.create(workflow="talk", conversation=talk, number=1, cause="code", status="finished")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for query in ({}, {"workflow": "talk"}, {"limit": "100"}):
        page = listed(ann, wanted(**query))
        assert sum(each["unread"] for each in page["conversations"]) == 10
        for asked in (wanted(**query), wanted(**query, after=page["next"])):
            with CaptureQueriesContext(connection) as queries:
                begun = time.perf_counter()
                listed(ann, asked)
                took = time.perf_counter() - begun
            plan = _rows(ann, asked)[:51].explain()
            assert "lingstream_conv_" in plan, plan
            assert "SCAN lingstream_conversation" not in plan and "Seq Scan on lingstream_conv" not in plan
            assert len(queries) <= 3
            assert took < scaled(1.0), plan
    assert owner_key(ann.owner_id, "") == ann.owner_key
