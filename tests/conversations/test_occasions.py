"""Occasions that somebody notices, schedules, what code declares, and what rows may say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import islice
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.db.models.signals import post_migrate
from django.utils import timezone

import lingstream
from lingstream.conversations import audience, declared, occasions, schedules
from lingstream.conversations.schedules import Schedules
from lingstream.core.engine import registry
from lingstream.core.engine.occasions import Occasion as Declaration
from lingstream.core.exceptions import LingError, UsageError
from lingstream.models import Chat, Conversation, Occasion, Run, Runner, Workflow, planned
from tests import site as sites
from tests.conversations.test_silence import fresh
from tests.conversations.test_turns import at_once

CLOSED = {"type": "object", "properties": {"question": {"type": "string"}}, "additionalProperties": False}
WITH_DATA = {"properties": {"occasion": {"properties": {"data": {"type": "object"}}}}}


@pytest.fixture
def workflow(db: None) -> Workflow:
    Runner.objects.create()  # somebody executes runs
    return sites.store_workflow("talk", {"answer": "A"})


@pytest.fixture
def talk(workflow: Workflow) -> Conversation:
    return Conversation.objects.create(workflow="talk")


def store(workflow: Workflow, kind: str, **columns: Any) -> Occasion:
    return Occasion.objects.create(workflow=workflow, kind=kind, **{"name": kind, **columns})


def causes(talk: Conversation) -> list[str]:
    return [run.cause for run in talk.turns()]


class TestAGreeting:
    def test_comes_at_the_first_sight_and_once(self, workflow: Workflow, talk: Conversation) -> None:
        occasion = store(workflow, "greeting", input="Say hello to {{ conversation.external_id }}")
        Conversation.objects.update(external_id="ann")
        (run,) = occasions.attached(talk)
        assert run.key == f"greeting:{occasion.pk}:{talk.pk}" and run.input["question"] == "Say hello to ann"
        assert occasions.attached(talk.pk) == []
        assert causes(talk) == ["greeting"]

    @pytest.mark.django_db(transaction=True)
    def test_of_two_tabs_one_is_greeted(self, workflow: Workflow, talk: Conversation) -> None:
        store(workflow, "greeting")
        assert at_once(*[lambda: occasions.attached(talk.pk)] * 3) == []
        assert causes(talk) == ["greeting"]

    def test_not_where_something_was_said(self, workflow: Workflow, talk: Conversation) -> None:
        store(workflow, "greeting")
        seen = fresh(talk)
        talk.ask("hi")
        assert occasions.attached(talk) == [] and occasions.attached(seen) == []
        assert causes(talk) == ["user"]

    @pytest.mark.parametrize(
        "columns", [{"enabled": False}, {"condition": "conversation.turns"}, {"input": "{{ nothing }}"}]
    )
    def test_nor_where_the_occasion_is_against_it(
        self, workflow: Workflow, talk: Conversation, columns: Any
    ) -> None:
        store(workflow, "greeting", **columns)
        assert occasions.attached(talk) == [] and causes(talk) == []

    def test_raises_nothing(self, workflow: Workflow, talk: Conversation, caplog: Any) -> None:
        store(workflow, "greeting")
        Runner.objects.all().delete()
        assert occasions.attached(talk) == []
        assert "expected a process that executes runs" in caplog.text
        assert occasions.attached(Conversation(workflow="talk")) == []

    @pytest.mark.parametrize("switch", ["workflow", "no workflow"])
    def test_not_of_a_workflow_that_is_off(self, workflow: Workflow, talk: Conversation, switch: str) -> None:
        store(workflow, "greeting")
        if switch == "workflow":
            Workflow.objects.update(enabled=False)
        else:
            Conversation.objects.update(workflow="")
        assert occasions.attached(fresh(talk)) == [] and causes(talk) == []


class TestSomebodyComesOrGoes:
    def test_the_bot_says_so(self, workflow: Workflow, talk: Conversation) -> None:
        store(workflow, "connected")
        store(workflow, "disconnected", input="bye")
        (came,), (went,) = occasions.connected(talk), occasions.disconnected(talk)
        assert (came.cause, came.input["occasion"]["kind"]) == ("presence", "connected")
        assert (went.cause, went.input["question"]) == ("presence", "bye")

    def test_not_more_often_than_it_may(self, workflow: Workflow, talk: Conversation) -> None:
        store(workflow, "connected", min_gap=3600)
        store(workflow, "disconnected", daily=2)
        assert len(occasions.connected(talk)) == 1 and occasions.connected(talk) == []
        Conversation.objects.update(last_bot_at=timezone.now() - timedelta(hours=2))
        assert len(occasions.disconnected(talk)) == 1 and occasions.disconnected(talk) == []
        assert fresh(talk).nudged_today == 2


class TestASignal:
    @pytest.fixture
    def signal(self, workflow: Workflow) -> Occasion:
        return store(workflow, "signal", name="shipped", input="Order {{ data.order }}")

    def test_begins_a_turn_once_for_a_key(self, talk: Conversation, signal: Occasion) -> None:
        run = signal.fire(talk, key="order-7", data={"order": 7})
        assert run and run.input["question"] == "Order 7"
        assert run.input["occasion"]["data"] == {"order": 7}
        assert signal.fire(talk, key="order-7", data={"order": 7}) == run
        assert signal.fire(talk, key="order-8", data={"order": 8}) != run
        assert causes(talk) == ["signal", "signal"]

    def test_and_is_gone_with_the_callers_transaction(self, talk: Conversation, signal: Occasion) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            assert signal.fire(talk, data={"order": 7})
            raise ZeroDivisionError
        assert causes(talk) == [] and fresh(talk).nudged_today == 0

    def test_waits_for_the_turn_that_goes_on(self, talk: Conversation, signal: Occasion) -> None:
        Workflow.objects.update(when_busy="interrupt")
        asked = talk.ask("hi")
        assert signal.fire(talk, data={"order": 1})
        asked.refresh_from_db()
        assert (asked.status, causes(talk)) == ("queued", ["user", "signal"])

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"key": "x" * 101}, "key of up to 100"),
            ({"key": "\0"}, "printable"),
            ({"data": object()}, "JSON data"),
            ({"data": {}}, "order"),
        ],
    )
    def test_that_cannot_be_is_refused(
        self, talk: Conversation, signal: Occasion, given: Any, message: str
    ) -> None:
        with pytest.raises(LingError, match=message):
            signal.fire(talk, **given)

    def test_is_nothing_to_a_person_who_is_locked(self, talk: Conversation, signal: Occasion) -> None:
        talk.owner = User.objects.create(username="ann", is_active=False)
        talk.save()
        assert signal.fire(talk, data={"order": 7}) is None and causes(talk) == []

    def test_of_another_workflow_is_refused(self, talk: Conversation, signal: Occasion) -> None:
        with pytest.raises(UsageError, match="expected a conversation of 'talk', got one of 'other'"):
            signal.fire(Conversation.objects.create(workflow="other"))
        signal.enabled = False
        assert signal.fire(talk) is None

    @pytest.mark.django_db(transaction=True)
    def test_from_an_event_loop(self, talk: Conversation, signal: Occasion) -> None:
        run = asyncio.run(signal.afire(talk, data={"order": 9}))
        assert run and run.input["question"] == "Order 9"


@pytest.fixture
def present() -> Iterator[None]:
    """Somebody says who is there: those with this title."""
    before = audience._told[:]
    audience.told_by(lambda: Q(title="there"))
    yield
    audience._told[:] = before


class TestASchedule:
    @pytest.fixture
    def schedule(self, workflow: Workflow) -> Occasion:
        row = store(workflow, "schedule", schedule="0 9 * * *", at_most=2, audience="any")
        assert row.next_at and row.next_at > timezone.now()
        self.at(seconds=-2)
        row.refresh_from_db()
        return row

    @staticmethod
    def at(**moved: float) -> None:
        Occasion.objects.update(next_at=timezone.now() + timedelta(**moved))

    @staticmethod
    def look() -> list[bool]:
        kind = Schedules()
        return [kind.take(row) for row in kind.find(100)]

    def talks(self, *titles: str, **columns: Any) -> list[Conversation]:
        return [
            Conversation.objects.create(workflow="talk", title=title, **{"count": 1, **columns})
            for title in titles
        ]

    def begun(self) -> list[str]:
        runs = Run.objects.filter(cause="schedule").select_related("conversation")
        return sorted(run.conversation.title for run in runs)

    def test_comes_in_the_latest_conversations_once(self, schedule: Occasion) -> None:
        self.talks("a", "b", "c")
        assert self.look() == [True]
        assert self.begun() == ["b", "c"]
        run = Run.objects.filter(cause="schedule")[0]
        assert schedule.next_at
        key = f"schedule:{schedule.pk}:{schedule.next_at.isoformat()}:{run.conversation_id}"
        assert run.key == key and len(key) <= 200
        assert self.look() == []
        schedule.refresh_from_db()
        assert schedule.next_at == next(planned("0 9 * * *", timezone.now())) and schedule.skipped == 0

    def test_to_its_audience(self, schedule: Occasion, present: None) -> None:
        Occasion.objects.update(audience="present")
        self.talks("there", "gone")
        self.talks("there", archived_at=timezone.now())
        self.talks("there", count=0)
        (old,) = self.talks("there")
        Conversation.objects.filter(pk=old.pk).update(updated_at=timezone.now() - timedelta(days=31))
        Conversation.objects.create(workflow="other", title="there", count=1)
        self.look()
        assert self.begun() == ["there"]

    def test_that_is_late_is_skipped_and_counted(self, schedule: Occasion) -> None:
        self.talks("a")
        self.at(minutes=-6)
        assert self.look() == [True]
        schedule.refresh_from_db()
        assert (schedule.skipped, self.begun()) == (1, [])
        assert schedule.next_at and schedule.next_at > timezone.now()

    def test_one_conversation_is_in_no_others_way(
        self, schedule: Occasion, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        first, _ = self.talks("a", "b")
        Occasion.objects.update(input="{{ conversation.data.name }}")
        Conversation.objects.exclude(pk=first.pk).update(data={"name": "b"})
        assert self.look() == [True]
        assert self.begun() == ["b"] and "name" in caplog.text

    @pytest.mark.django_db(transaction=True)
    def test_of_many_that_look_at_once_one_does_it(self, schedule: Occasion) -> None:
        self.talks("a", "b")
        rows = [Schedules().find(100)[0] for _ in range(3)]
        taken: list[bool] = []
        works = [lambda row=row: taken.append(Schedules().take(row)) for row in rows]
        assert at_once(*works) == []
        assert sorted(taken) == [False, False, True] and self.begun() == ["a", "b"]

    def test_goes_a_few_at_a_time_and_on_where_somebody_has_died(
        self, schedule: Occasion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(schedules, "_BATCH", 2)
        Occasion.objects.update(at_most=5)
        self.talks(*"abcdef")
        spoken, speak = [], schedules.speak

        def dying(occasion: Occasion, talk: UUID, **more: Any) -> Any:
            if len(spoken) == 3:
                raise SystemExit
            spoken.append(talk)
            return speak(occasion, talk, **more)

        monkeypatch.setattr(schedules, "speak", dying)
        with pytest.raises(SystemExit):
            self.look()
        schedule.refresh_from_db()
        assert len(self.begun()) == 2 and schedule.reached == spoken[1]
        monkeypatch.setattr(schedules, "speak", speak)
        stale = Schedules().find(1)[0]
        assert self.look() == [True] and not Schedules().take(stale)
        assert self.begun() == [*"bcdef"]
        schedule.refresh_from_db()
        assert schedule.reached is None and schedule.next_at and schedule.next_at > timezone.now()

    @pytest.mark.django_db(transaction=True)
    def test_many_that_go_through_it_at_once_tell_each_conversation_once(
        self, schedule: Occasion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(schedules, "_BATCH", 3)
        Occasion.objects.update(at_most=50)
        self.talks(*map(str, range(20)))
        rows = [Schedules().find(100)[0] for _ in range(3)]
        assert at_once(*[lambda row=row: Schedules().take(row) for row in rows]) == []
        assert len(self.begun()) == len(set(self.begun())) == 20

    def test_is_found_by_an_index(self, schedule: Occasion) -> None:
        rows = [Occasion(slug=f"w{n}", kind="signal", name="x") for n in range(2_000)]
        Occasion.objects.bulk_create(rows)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        plan = Occasion.objects.filter(next_at__lte=timezone.now()).order_by("next_at").explain()
        assert "lingstream_occasion_due" in plan, plan

    def test_a_late_word_is_none(self) -> None:
        assert timedelta(minutes=5) == schedules._LATE


@pytest.mark.parametrize(
    ("schedule", "after", "times"),
    [
        ("0 9 * * MON-FRI", "2026-03-27T09:00", ["2026-03-30T07:00", "2026-03-31T07:00"]),
        # The clock is put forward: 02:30 is not there, and comes at the next minute that is.
        ("30 2 * * *", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        # It is put back: once, also where the first 02:30 is over.
        ("30 2 * * *", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("30 2 * * *", "2026-10-25T01:10", ["2026-10-26T01:30", "2026-10-27T01:30"]),
    ],
)
def test_times_are_those_of_the_sites_clock(settings: Any, schedule: str, after: str, times: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    since = datetime.fromisoformat(f"{after}:00+00:00")
    found = [each.astimezone(UTC) for each in islice(planned(schedule, since), 2)]
    assert found == [datetime.fromisoformat(f"{each}:00+00:00") for each in times]


class TestARow:
    @pytest.mark.parametrize(
        ("columns", "field"),
        [
            ({"kind": "silence"}, "after"),
            ({"kind": "schedule"}, "schedule"),
            ({"kind": "schedule", "schedule": "* * * * * *"}, "schedule"),
            ({"kind": "schedule", "schedule": "61 * * * *"}, "schedule"),
            ({"kind": "schedule", "schedule": "0 0 30 2 *"}, "schedule"),
            ({"kind": "signal", "name": "a b"}, "name"),
            ({"kind": "signal", "condition": "data >"}, "condition"),
            ({"kind": "signal", "condition": "order > 2"}, "condition"),
            ({"kind": "signal", "input": "{{ order }}"}, "input"),
            ({"kind": "signal", "input": "{% if %}"}, "input"),
            ({"kind": "signal", "quiet_from": "22:00"}, "quiet_to"),
            ({"kind": "signal", "quiet_from": "22:00:10", "quiet_to": "22:00:50"}, "quiet_to"),
            ({"kind": "silence", "after": 60, "factor": 0.5}, "factor"),
            ({"kind": "silence", "after": 60, "at_most": 0}, "at_most"),
            ({"kind": "silence", "after": 60, "name": "second"}, "__all__"),
            ({"kind": "signal", "name": "silence"}, "__all__"),
        ],
    )
    def test_that_cannot_be_says_what_is_wrong(self, workflow: Workflow, columns: Any, field: str) -> None:
        store(workflow, "silence", after=60)
        with pytest.raises(ValidationError) as raised:
            Occasion(workflow=workflow, **{"name": "x", **columns}).full_clean()
        found = raised.value.message_dict
        assert [name for name in found if name != "__all__" or len(found) == 1] == [field]

    @pytest.mark.parametrize(
        ("schema", "columns", "refused"),
        [
            (CLOSED, {}, "'occasion'"),
            (CLOSED, {"enabled": False}, ""),
            ({**CLOSED, "properties": {"question": {}, "occasion": {}}}, {}, ""),
            ({"required": ["order"]}, {}, '"order" is a required property'),
            # The text is known if nothing is to be filled in.
            ({"properties": {"question": {"maxLength": 3}}}, {"input": "hello"}, "at 'question'"),
            ({"properties": {"question": {"maxLength": 3}}}, {"input": "{{ now }}"}, ""),
            # A schedule has no data; those of a signal come from outside.
            (WITH_DATA, {}, "at 'occasion/data'"),
            (WITH_DATA, {"kind": "signal"}, ""),
            ({"type": "nothing"}, {}, ""),  # which the workflow's own page says
        ],
    )
    def test_whose_input_its_workflow_refuses_is_none(
        self, workflow: Workflow, schema: Any, columns: Any, refused: str
    ) -> None:
        workflow.input_schema = schema
        row = Occasion(
            workflow=workflow, **{"kind": "schedule", "name": "x", "schedule": "0 9 * * *", **columns}
        )
        if not refused:
            row.full_clean()
            return
        with pytest.raises(ValidationError) as raised:
            row.full_clean()
        assert refused in raised.value.message_dict["__all__"][0]

    def test_is_judged_by_where_its_workflow_takes_messages(self, workflow: Workflow) -> None:
        Chat.objects.create(workflow=workflow, input_uri="text")
        workflow.input_schema = {"required": ["text"]}
        Occasion(workflow=workflow, kind="greeting", name="x").full_clean()
        workflow.chat.input_uri = "occasion/kind/text"
        with pytest.raises(ValidationError, match="occasion/kind"):
            Occasion(workflow=workflow, kind="greeting", name="x").full_clean()

    @pytest.mark.parametrize("columns", [{"name": "second", "kind": "silence"}, {"kind": "signal"}])
    @pytest.mark.parametrize("where", ["row", "slug"])
    def test_is_there_once(self, workflow: Workflow, columns: Any, where: str) -> None:
        whose = {"workflow": workflow} if where == "row" else {"slug": "python"}
        Occasion.objects.create(kind="silence", name="silence", **whose)
        with pytest.raises(IntegrityError), transaction.atomic():
            Occasion.objects.create(**{"name": "silence", **columns}, **whose)

    def test_belongs_to_one_workflow(self, workflow: Workflow) -> None:
        for whose in ({}, {"workflow": workflow, "slug": "python"}):
            with pytest.raises(IntegrityError), transaction.atomic():
                Occasion.objects.create(kind="signal", name="x", **whose)

    def test_has_a_secret_for_each_tenant_which_can_be_renewed(self, workflow: Workflow) -> None:
        hook, other = (store(workflow, "webhook", name=name) for name in "ab")
        secrets = [hook.secret(), hook.secret("tenant"), other.secret()]
        hook.secret_version += 1
        assert len({*secrets, hook.secret()}) == 4 and len(secrets[0]) == 64


class TestInCode:
    @pytest.fixture(autouse=True)
    def nothing_declared(self, db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(registry, "_functions", {})
        monkeypatch.setattr(registry, "_declared", {})
        yield

    @staticmethod
    def declare(*given: Declaration, slug: str = "python") -> None:
        registry._functions.clear()
        registry._declared.clear()

        @lingstream.workflow(slug, occasions=given)
        async def function(run: Any) -> None: ...

    def test_it_is_kept_as_rows(self) -> None:
        self.declare(
            lingstream.Greeting(),
            lingstream.Silence("90s", quiet=("22:00", "08:00"), daily=4),
            lingstream.Schedule("0 9 * * *"),
            lingstream.Signal("shipped"),
            lingstream.Connected(min_gap="1h"),
        )
        assert declared.sync() == []
        rows = {row.name: row for row in Occasion.objects.of("python")}
        assert {row.source for row in rows.values()} == {"code"}
        assert {name: row.kind for name, row in rows.items()} == {
            "greeting": "greeting",
            "silence": "silence",
            "schedule": "schedule",
            "shipped": "signal",
            "connected": "connected",
        }
        assert (rows["silence"].after, rows["silence"].daily, rows["connected"].min_gap) == (90, 4, 3600)
        assert rows["schedule"].next_at and rows["schedule"].audience == "present"

    def test_what_is_no_longer_declared_goes_and_what_is_off_stays_off(self) -> None:
        self.declare(lingstream.Greeting(), lingstream.Silence("60s"))
        declared.sync()
        Occasion.objects.filter(kind="silence").update(enabled=False)
        self.declare(lingstream.Silence("70s"), lingstream.Signal("greeting"))
        declared.sync()
        found = Occasion.objects.order_by("kind").values_list("name", "kind", "enabled", "after")
        assert list(found) == [("greeting", "signal", True, None), ("silence", "silence", False, 70)]

    def test_a_renamed_silence_takes_the_place_of_the_old_one(self) -> None:
        self.declare(lingstream.Silence("60s"))
        declared.sync()
        self.declare(lingstream.Silence("60s", name="hush"))
        assert declared.sync() == [] and Occasion.objects.get().name == "hush"

    def test_a_row_of_the_workflow_takes_them_over(self) -> None:
        self.declare(lingstream.Greeting())
        declared.sync()
        workflow = Workflow.objects.create(slug="python")
        declared.sync()
        assert Occasion.objects.get().workflow == workflow
        workflow.delete()
        declared.sync()
        assert Occasion.objects.get().slug == "python"

    def test_the_admin_decides(self) -> None:
        workflow = Workflow.objects.create(slug="python")
        store(workflow, "silence", name="mine", after=5)
        store(workflow, "signal", name="greeting")
        self.declare(lingstream.Silence("60s"), lingstream.Greeting(), lingstream.Signal("more"))
        assert declared.sync() == []
        assert sorted(row.name for row in Occasion.objects.of("python")) == ["greeting", "mine", "more"]

    def test_what_cannot_be_stored_is_told_and_is_in_no_others_way(self, caplog: Any) -> None:
        self.declare(
            lingstream.Schedule("never"), lingstream.Greeting(input="{{ x }}"), lingstream.Signal("y")
        )
        with pytest.raises(CommandError, match="python: schedule: Expected five fields"):
            call_command("ling_sync", stdout=StringIO())
        assert [row.name for row in Occasion.objects.all()] == ["y"]
        app = declared.Occasion._meta.app_config
        post_migrate.send(sender=app, using="default", app_config=app, verbosity=0)
        assert "occasion schedule of python" in caplog.text

    @pytest.mark.parametrize(
        "make",
        [
            lambda: lingstream.Silence("soon"),
            lambda: lingstream.Silence(-1),
            lambda: lingstream.Silence(quiet=("22", "noon")),
            lambda: lingstream.Signal("a b"),
            lambda: "silence",
        ],
    )
    def test_what_is_no_occasion_is_refused_at_once(self, make: Any) -> None:
        with pytest.raises(UsageError):
            self.declare(make())

    @pytest.mark.parametrize("kind", [lingstream.Silence, lingstream.Signal])
    def test_so_are_two_of_a_kind_or_name(self, kind: Any) -> None:
        with pytest.raises(UsageError):
            self.declare(kind(), kind())

    def test_a_conversation_of_it_is_greeted(self) -> None:
        Runner.objects.create()
        sites.store_provider()
        self.declare(lingstream.Greeting())
        declared.sync()
        talk = Conversation.objects.create(workflow="python")
        (run,) = occasions.attached(talk)
        assert run.workflow == "python"
