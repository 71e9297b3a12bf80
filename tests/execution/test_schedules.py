"""Runs by the clock: once for each slot, also after an outage, and whose they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone, translation

from lingstream.execution import retention, schedules
from lingstream.execution.schedules import Slots, key_of
from lingstream.models import Conversation, Run, Runner, Schedule, Workflow
from lingstream.models.clock import Now
from lingstream.models.phrases import translated
from tests import site as sites
from tests.conversations.test_turns import at_once

MADE = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def workflow(db: None) -> Workflow:
    Runner.objects.create()  # somebody executes runs
    return sites.store_workflow("digest", {"answer": "A"})


def due(ago: float = 1, **columns: Any) -> Schedule:
    """Store a schedule whose slot has come so many seconds ago."""
    row = Schedule.objects.create(**{"name": "digest", "workflow": "digest", "every": 3600, **columns})
    at = timezone.now() - timedelta(seconds=ago)
    Schedule.objects.filter(pk=row.pk).update(slot_at=at, next_at=at)
    row.refresh_from_db()
    return row


def look() -> list[bool]:
    kind = Slots()
    return [kind.take(row) for row in kind.find(100)]


@pytest.mark.usefixtures("workflow")
class TestASlot:
    def test_starts_one_run(self) -> None:
        ann = User.objects.create(username="ann")
        row = due(input={"days": 1}, owner=ann, scope="acme")
        assert look() == [True] and look() == []
        run = Run.objects.get()
        assert (run.workflow, run.input, run.owner, run.scope) == ("digest", {"days": 1}, ann, "acme")
        assert (run.status, run.key) == ("queued", key_of(row)) and len(run.key) <= 200
        row.refresh_from_db()
        assert (row.last_run, row.last_error) == (run.pk, "") and row.last_at and row.next_at
        assert row.last_at <= timezone.now() < row.next_at

    @pytest.mark.django_db(transaction=True)
    def test_starts_one_of_many_that_look_at_once(self) -> None:
        due()
        rows = [Slots().find(100)[0] for _ in range(4)]
        taken: list[bool] = []
        assert at_once(*[lambda row=row: taken.append(Slots().take(row)) for row in rows]) == []
        assert sorted(taken) == [False, False, False, True] and Run.objects.count() == 1

    def test_is_known_by_its_key_where_the_row_is_lost(self) -> None:
        row = due()
        look()
        Schedule.objects.update(slot_at=row.slot_at, next_at=row.next_at)  # as from a back-up
        assert look() == [True] and Run.objects.count() == 1

    def test_has_a_key_that_nobody_can_guess(self) -> None:
        """Of a run of nobody the key is the proof of who asks."""
        row = due()
        before = key_of(row)
        row.pk += 1
        assert before.rpartition(":")[2] != key_of(row).rpartition(":")[2] and len(before) > 32

    @pytest.mark.parametrize("columns", [{"every": 60}, {"every": None, "cron": "* * * * *"}])
    def test_that_was_missed_shares_its_run_with_the_next_ones(self, columns: Any) -> None:
        row = due(ago=3 * 86_400, **columns)
        assert look() == [True] and look() == []
        row.refresh_from_db()
        assert row.next_at and timedelta() < row.next_at - timezone.now() <= timedelta(minutes=1)
        assert Run.objects.count() == 1

    def test_that_is_switched_off_is_none(self) -> None:
        row = due()
        seen = Slots().find(1)[0]
        Schedule.objects.update(enabled=False)
        assert not Slots().take(seen) and look() == []
        row.refresh_from_db()
        row.enabled = False
        row.save()
        assert row.next_at is None
        row.enabled = True
        row.save()
        assert look() == [] and row.next_at and row.next_at > timezone.now()
        assert not Run.objects.exists()

    def test_is_found_by_an_index(self) -> None:
        rows = [Schedule(name=str(n), workflow="w", every=60) for n in range(2_000)]
        Schedule.objects.bulk_create(rows)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        plan = Schedule.objects.filter(next_at__lte=timezone.now()).order_by("next_at").explain()
        assert "lingstream_schedule_due" in plan, plan


@pytest.mark.usefixtures("workflow")
class TestWhatKeepsARunFromStarting:
    def test_is_told_by_the_row_until_one_starts(self) -> None:
        row = due(workflow="gone")
        assert look() == [True] and not Run.objects.exists()
        row.refresh_from_db()
        assert "got 'gone'" in row.last_error and row.next_at and row.next_at > timezone.now()
        with translation.override("zh-hans"):
            assert translated(row.last_error) == "应为工作流的 slug，实际为 'gone'"
        Schedule.objects.update(workflow="digest", next_at=Now())
        look()
        row.refresh_from_db()
        assert row.last_error == "" and row.last_run

    @pytest.mark.parametrize("talks", [False, True], ids=["alone", "in a conversation"])
    def test_is_an_owner_who_is_locked(self, talks: bool) -> None:
        ann = User.objects.create(username="ann")
        row = due(**{"conversation": Conversation.objects.create(owner=ann)} if talks else {"owner": ann})
        User.objects.update(is_active=False)
        assert look() == [True] and not Run.objects.exists()
        row.refresh_from_db()
        assert "switched off" in row.last_error

    def test_is_in_no_others_way(self, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
        begin = schedules.begin

        def failing(asked: Any, identity: Any) -> Run:
            if asked.input == 1:
                raise IntegrityError("a fault of ours")
            return begin(asked, identity)

        monkeypatch.setattr(schedules, "begin", failing)
        due(ago=9, name="bad", input=1)
        due(name="good")
        assert look() == [True, True] and Run.objects.count() == 1
        assert Schedule.objects.get(name="bad").last_error == "IntegrityError('a fault of ours')"
        assert "Traceback" in caplog.text

    def test_is_not_the_databases_being_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: Any) -> None:
            raise OperationalError("the server closed the connection")

        row = due()
        monkeypatch.setattr(schedules, "begin", away)
        with pytest.raises(OperationalError):
            look()
        monkeypatch.undo()
        before = row.next_at
        row.refresh_from_db()
        assert row.next_at == before and look() == [True] and Run.objects.count() == 1


@pytest.mark.usefixtures("workflow")
class TestInAConversation:
    def test_the_bot_begins_a_turn_of_its_owners(self) -> None:
        ann = User.objects.create(username="ann")
        talk = Conversation.objects.create(owner=ann, scope="acme", workflow="digest")
        asked = talk.ask("hi")
        due(conversation=talk)
        assert look() == [True]
        run = Run.objects.get(cause="schedule")
        assert (run.conversation, run.owner, run.scope, run.number, run.parent) == (
            talk,
            ann,
            "acme",
            2,
            asked,
        )

    def test_that_is_deleted_none_begins(self) -> None:
        talk = Conversation.objects.create(workflow="digest", deleted_at=timezone.now())
        row = due(conversation=talk)
        assert look() == [True] and not Run.objects.exists()
        row.refresh_from_db()
        assert "there is no conversation" in row.last_error
        retention.delete_conversations(Conversation.objects.all())
        assert not Schedule.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_who_erases_it_and_who_starts_wait_in_no_circle(self) -> None:
        talk = Conversation.objects.create(workflow="digest")
        row = due(conversation=talk)
        row = Slots().find(1)[0]
        deletes = lambda: retention.delete_conversations(Conversation.objects.all())  # noqa: E731
        assert at_once(lambda: Slots().take(row), deletes) == []
        assert not Schedule.objects.exists() and not Run.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_persons_schedules_are_erased_with_all_that_is_theirs() -> None:
    ann, bob = (User.objects.create(username=name) for name in ("ann", "bob"))
    talk = Conversation.objects.create(owner=ann)
    for name, columns in {"a": {"owner": ann}, "b": {"conversation": talk}, "c": {"owner": bob}}.items():
        due(name=name, **columns)
    retention.erase(ann)
    assert [row.name for row in Schedule.objects.all()] == ["c"]


class TestTimes:
    def first(self, after: datetime, count: int = 2, **columns: Any) -> list[datetime]:
        row = Schedule(created_at=MADE, **columns)
        return [each.astimezone(UTC) for each in islice(row.slots(after), count)]

    @pytest.mark.parametrize(
        ("after", "numbers"), [(-90, [0, 1]), (0, [1, 2]), (1, [1, 2]), (600, [2, 3]), (86_399, [144, 145])]
    )
    def test_every_so_many_seconds_since_it_was_made(self, after: int, numbers: list[int]) -> None:
        found = self.first(MADE + timedelta(seconds=after), every=600)
        assert found == [MADE + timedelta(seconds=600 * number) for number in numbers]

    @pytest.mark.parametrize(
        ("before", "hour"),
        # The clock is put forward, and back, at night: a crontab goes with it, seconds do not.
        [("2026-03-28", 7), ("2026-10-24", 8)],
    )
    def test_over_both_changes_of_the_clock(self, settings: Any, before: str, hour: int) -> None:
        settings.TIME_ZONE = "Europe/Berlin"
        noon = datetime.fromisoformat(f"{before}T12:00:00+00:00")
        days = [noon + timedelta(days=number) for number in (1, 2)]
        assert self.first(noon, cron="0 9 * * *") == [day.replace(hour=hour) for day in days]
        assert self.first(noon, every=86_400) == days

    def test_are_spread(self, db: None) -> None:
        row = Schedule(name="x", workflow="w", every=3600, jitter=600)
        spread = set()
        for _ in range(50):
            row.save()
            assert row.slot_at and row.next_at
            assert timedelta() <= row.next_at - row.slot_at <= timedelta(seconds=600)
            assert (row.slot_at - row.created_at) % timedelta(hours=1) == timedelta()
            spread.add(row.next_at)
        assert len(spread) > 10


class TestARow:
    @pytest.mark.parametrize(
        ("columns", "field"),
        [
            ({"every": 9}, "every"),
            ({"every": None}, "__all__"),
            ({"cron": "0 9 * * *"}, "__all__"),
            ({"every": None, "cron": "soon"}, "cron"),
            ({"every": None, "cron": "0 0 30 2 *"}, "cron"),
            ({"jitter": 61}, "jitter"),
            ({"workflow": "gone"}, "workflow"),
            ({"input": {"days": "many"}}, "input"),
            ({"name": "taken"}, "name"),
        ],
    )
    def test_that_cannot_be_says_what_is_wrong(self, workflow: Workflow, columns: Any, field: str) -> None:
        due(name="taken")
        Workflow.objects.update(input_schema={"properties": {"days": {"type": "integer"}}})
        Schedule(name="ok", workflow="digest", every=60, input={"days": 1}).full_clean()
        with pytest.raises(ValidationError) as raised:
            Schedule(**{"name": "x", "workflow": "digest", "every": 60, **columns}).full_clean()
        assert list(raised.value.message_dict) == [field]

    def test_in_a_conversation_is_its_owners(self, workflow: Workflow) -> None:
        ann = User.objects.create(username="ann")
        talk = Conversation.objects.create(owner=ann, scope="acme")
        row = Schedule(name="x", workflow="digest", every=60, conversation=talk, scope="acme")
        row.full_clean()
        for columns in ({"owner": ann, "scope": ""}, {"owner": None, "scope": "other"}):
            row.owner, row.scope = columns["owner"], columns["scope"]  # type: ignore[assignment]
            with pytest.raises(ValidationError, match="Expected no owner"):
                row.full_clean()

    def test_of_a_workflow_in_python_alone(self, db: None) -> None:
        Schedule(name="x", workflow="cloud-facts-python", every=60).full_clean()

    @pytest.mark.parametrize("columns", [{"every": None}, {"cron": "0 9 * * *"}])
    def test_has_either_seconds_or_a_crontab(self, db: None, columns: Any) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            due(**columns)
