"""Silences: when the bot speaks into one, that it does so once, and that a person comes first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from lingstream.access.visitors import digest_of, make_visitor_token
from lingstream.conversations import audience, nudges, silence
from lingstream.conversations.asking import said
from lingstream.conversations.messages import message_of
from lingstream.conversations.silence import Nudges, overdue
from lingstream.conversations.speech import owner_of
from lingstream.core.engine.run import RunResult
from lingstream.core.provider import Usage
from lingstream.execution import ownership
from lingstream.execution.journal import Write, result_of, store
from lingstream.execution.start import Start, create_run
from lingstream.models import Conversation, Occasion, Run, Runner, Workflow
from lingstream.models.clock import Now
from tests import site as sites
from tests.conversations.test_turns import at_once
from tests.execution.test_start import ended

MANY = 20_000


@pytest.fixture
def workflow(db: None) -> Workflow:
    Runner.objects.create()  # somebody executes runs
    return sites.store_workflow("talk", {"answer": "A"})


@pytest.fixture
def talk(workflow: Workflow) -> Conversation:
    return Conversation.objects.create(workflow="talk", owner=User.objects.create(username="ann"))


@pytest.fixture
def occasion(workflow: Workflow) -> Occasion:
    return Occasion.objects.create(workflow=workflow, kind="silence", name="silence", after=60)


def fresh(talk: Conversation) -> Conversation:
    return Conversation.objects.get(pk=talk.pk)


def ask(talk: Conversation, text: str = "hi") -> Run:
    return create_run(said(fresh(talk), message_of(text)), owner_of(talk))[0]


def end(run: Run, document: Any = "yes", status: str = "finished", **columns: Any) -> Run:
    """End a run as the journal does."""
    Run.objects.filter(pk=run.pk).update(status="running", epoch=1)
    run.refresh_from_db()
    ends = result_of(RunResult(status, document, Usage()), "1-9")
    hidden = nudges.is_hidden(run, status, document)
    assert store([Write(run, 1, columns={**ends, "hidden": hidden, **columns})]) == [True]
    run.refresh_from_db()
    return run


def quiet_for(talk: Conversation, seconds: float = 1) -> None:
    """Let the silence have been over for so long."""
    Conversation.objects.filter(pk=talk.pk).update(nudge_at=timezone.now() - timedelta(seconds=seconds))


def look() -> list[bool]:
    """One look of one process."""
    kind = Nudges()
    return [kind.take(row) for row in kind.find(100)]


def nudged(talk: Conversation) -> list[Run]:
    return list(Run.objects.filter(conversation=talk, cause="silence").order_by("number"))


def seconds_left(talk: Conversation) -> float | None:
    due = fresh(talk).nudge_at
    return None if due is None else round((due - timezone.now()).total_seconds(), -1)


class TestWhenItIs:
    def test_begins_with_the_end_of_a_turn_and_ends_with_a_persons(
        self, talk: Conversation, occasion: Occasion
    ) -> None:
        run = ask(talk)
        assert fresh(talk).nudge_at is None
        end(run)
        assert seconds_left(talk) == 60
        more = ask(talk)
        row = fresh(talk)
        assert (row.nudge_at, row.nudges) == (None, 0) and row.last_user_at
        end(more, status="failed", document=None)
        assert seconds_left(talk) == 60

    @pytest.mark.parametrize("how", ["canceled before it began", "lost"])
    def test_so_it_does_however_the_turn_ended(
        self, talk: Conversation, occasion: Occasion, how: str
    ) -> None:
        run = ask(talk)
        if how == "lost":
            Run.objects.update(status="running", attempts=3, epoch=3)
            assert ownership.lose(Runner.objects.get().pk, 10, attempts=3) == [run]
        else:
            assert ownership.request_cancel(run)
        assert seconds_left(talk) == 60 and fresh(talk).seq == 2

    @pytest.mark.parametrize(
        ("columns", "talks"),
        [
            ({"enabled": False}, {}),
            ({}, {"archived_at": timezone.now()}),
            ({}, {"deleted_at": timezone.now()}),
            ({}, {"nudges": 3}),
            ({"daily": 2}, {"nudged_on": "today", "nudged_today": 2}),
        ],
    )
    def test_none_is_waited_for(
        self, talk: Conversation, occasion: Occasion, columns: Any, talks: Any
    ) -> None:
        run = ask(talk)
        Occasion.objects.update(**columns)
        if "nudged_on" in talks:
            talks = {**talks, "nudged_on": timezone.localdate(timezone.now() + timedelta(seconds=60))}
        Conversation.objects.update(**talks)
        end(run)
        assert fresh(talk).nudge_at is None

    def test_it_is_longer_each_time_until_there_were_enough(
        self, talk: Conversation, occasion: Occasion
    ) -> None:
        Occasion.objects.update(factor=3, at_most=3)
        end(ask(talk))
        pauses = []
        while (left := seconds_left(talk)) is not None:
            pauses.append(left)
            quiet_for(talk)
            assert look() == [True]
            end(nudged(talk)[-1])
        assert pauses == [60, 180, 540]
        assert [run.key for run in nudged(talk)] == [
            f"silence:{talk.pk}:{count}:{number}" for count, number in ((1, 1), (2, 2), (3, 3))
        ]
        end(ask(talk))
        assert seconds_left(talk) == 60

    def test_quiet_hours_are_waited_for(self, talk: Conversation, occasion: Occasion) -> None:
        occasion.quiet_from, occasion.quiet_to = time(22), time(8)
        talk.timezone = "Europe/Berlin"
        at = datetime(2026, 3, 28, 21, 30, tzinfo=UTC)
        due = nudges.next_nudge(occasion, talk, at, 0)
        assert due is not None
        waited = due - datetime(2026, 3, 29, 6, 0, tzinfo=UTC)  # the clock was put forward
        assert timedelta() <= waited <= timedelta(minutes=15)

    def test_none_of_a_conversation_without_a_workflow(self, workflow: Workflow, occasion: Occasion) -> None:
        talk = Conversation.objects.create()
        nudges.plan_nudges([talk.pk])
        assert fresh(talk).nudge_at is None


class TestTheBotSpeaks:
    def test_in_a_turn_of_its_own(self, talk: Conversation, occasion: Occasion) -> None:
        first = end(ask(talk))
        Run.objects.update(language="zh-hans")
        quiet_for(talk)
        assert look() == [True]
        (run,) = nudged(talk)
        assert (run.number, run.parent_id, run.message, run.status) == (2, first.pk, None, "queued")
        assert (run.owner_key, run.language) == (talk.owner_key, "zh-hans")
        assert run.input["question"].startswith("(The user has been silent")
        told = {"kind": "silence", "name": "silence", "number": 1, "data": None}
        assert run.input["occasion"] == told
        row = fresh(talk)
        assert (row.nudges, row.nudged_on, row.nudged_today) == (1, timezone.localdate(), 1)
        assert row.last_bot_at and seconds_left(talk) == 120
        assert look() == []

    def test_with_what_its_template_says(self, talk: Conversation, occasion: Occasion) -> None:
        Occasion.objects.update(input="{{ occasion.number }} {{ conversation.data.name }} {{ now[:2] }}")
        Conversation.objects.update(data={"name": "Ann"})
        end(ask(talk))
        quiet_for(talk)
        assert look() == [True]
        assert nudged(talk)[0].input["question"] == "1 Ann 20"

    @pytest.mark.parametrize(
        "columns", [{"typing": 5}, {"archived_at": timezone.now()}, {"deleted_at": timezone.now()}]
    )
    def test_not_while(self, talk: Conversation, occasion: Occasion, columns: Any) -> None:
        end(ask(talk))
        quiet_for(talk)
        if "typing" in columns:
            columns = {"typing_at": timezone.now() - timedelta(seconds=columns["typing"])}
        Conversation.objects.update(**columns)
        assert look() == [] and not nudged(talk)

    def test_but_when_the_typing_has_stopped(self, talk: Conversation, occasion: Occasion) -> None:
        end(ask(talk))
        quiet_for(talk)
        Conversation.objects.update(typing_at=timezone.now() - timedelta(seconds=25))
        assert look() == [True] and nudged(talk)

    def test_not_while_a_turn_goes_on(self, talk: Conversation, occasion: Occasion) -> None:
        end(ask(talk))
        ask(talk)
        quiet_for(talk)
        assert look() == []

    def test_no_more_than_so_often_a_day(self, talk: Conversation, occasion: Occasion) -> None:
        Occasion.objects.update(daily=2, at_most=9)
        for _ in range(3):
            end(ask(talk))
            quiet_for(talk)
            for _ in look():
                for run in Run.objects.filter(finished_at=None):
                    end(run)
        assert len(nudged(talk)) == 2 and fresh(talk).nudged_today == 2
        yesterday = timezone.localdate() - timedelta(days=1)
        Conversation.objects.update(nudged_on=yesterday, nudge_at=Now())
        look()
        assert len(nudged(talk)) == 3 and fresh(talk).nudged_today == 1

    @pytest.mark.parametrize(
        ("columns", "talks"),
        [
            ({"min_gap": 3600}, {"last_bot_at": timezone.now()}),
            ({"quiet_from": time(0), "quiet_to": time(23, 59, 59)}, {}),
        ],
    )
    def test_later_where_it_may_not_yet(
        self, talk: Conversation, occasion: Occasion, columns: Any, talks: Any
    ) -> None:
        end(ask(talk))
        Occasion.objects.update(**columns)
        quiet_for(talk)
        Conversation.objects.update(**talks)
        assert look() == [True]
        row = fresh(talk)
        assert row.nudge_at and row.nudge_at > timezone.now()
        assert (row.nudges, nudged(talk)) == (0, [])

    def test_not_to_who_is_locked(self, talk: Conversation, occasion: Occasion) -> None:
        end(ask(talk))
        quiet_for(talk)
        User.objects.update(is_active=False)
        assert look() == [True] and nudged(talk) == []

    @pytest.mark.parametrize("columns", [{"condition": "conversation.turns > 5"}, {"audience": "present"}])
    def test_not_where_the_occasion_does_not_fit_but_perhaps_next_time(
        self, talk: Conversation, occasion: Occasion, columns: Any
    ) -> None:
        end(ask(talk))
        Occasion.objects.update(**columns)
        quiet_for(talk)
        assert look() == [True]
        row = fresh(talk)
        assert (row.nudges, row.nudged_today, nudged(talk), seconds_left(talk)) == (1, 0, [], 120)

    @pytest.mark.parametrize("there", [True, False])
    def test_to_who_is_there(
        self, talk: Conversation, occasion: Occasion, monkeypatch: pytest.MonkeyPatch, there: bool
    ) -> None:
        from django.db.models import Q

        monkeypatch.setattr(audience, "_told", [])
        audience.told_by(lambda: Q(title="there"))
        Conversation.objects.update(title="there" if there else "")
        Occasion.objects.update(audience="present")
        end(ask(talk))
        quiet_for(talk)
        look()
        assert bool(nudged(talk)) is there

    @pytest.mark.parametrize(
        "columns", [{"input": "{{ nothing }}"}, {"input": "{{ data.x }}"}, {"condition": "1 > data"}]
    )
    def test_what_fails_ends_the_silence_and_is_in_no_others_way(
        self, talk: Conversation, occasion: Occasion, columns: Any, caplog: Any
    ) -> None:
        end(ask(talk))
        Occasion.objects.update(**columns)
        quiet_for(talk)
        assert look() == [True]
        row = fresh(talk)
        assert (row.nudge_at, row.nudges, row.nudged_today, nudged(talk)) == (None, 0, 0, [])
        assert "nothing is said into the silence" in caplog.text

    def test_nor_where_the_workflow_cannot_be_started(
        self, talk: Conversation, occasion: Occasion, caplog: Any
    ) -> None:
        end(ask(talk))
        Workflow.objects.update(input_schema={"required": ["age"]})
        quiet_for(talk)
        look()
        assert fresh(talk).nudge_at is None and "age" in caplog.text

    def test_nor_where_there_is_no_occasion_any_more(self, talk: Conversation, occasion: Occasion) -> None:
        end(ask(talk))
        quiet_for(talk)
        occasion.delete()
        assert look() == [True]
        assert fresh(talk).nudge_at is None


class TestOnce:
    @pytest.mark.django_db(transaction=True)
    def test_of_many_that_look_at_once_one_speaks(self, talk: Conversation, occasion: Occasion) -> None:
        end(ask(talk))
        talks = [talk, *(Conversation.objects.create(workflow="talk", owner=talk.owner) for _ in range(9))]
        Conversation.objects.update(nudge_at=timezone.now() - timedelta(seconds=1))
        barrier = threading.Barrier(3)

        def one() -> None:
            kind = Nudges()
            rows = kind.find(100)
            barrier.wait()
            for row in rows:
                kind.take(row)

        assert at_once(one, one, one) == []
        assert [len(nudged(each)) for each in talks] == [1] * 10
        assert {each.nudges for each in Conversation.objects.all()} == {1}

    def test_what_was_seen_before_a_turn_is_said_no_more(
        self, talk: Conversation, occasion: Occasion
    ) -> None:
        end(ask(talk))
        quiet_for(talk)
        kind = Nudges()
        (seen,) = kind.find(100)
        end(ask(talk))
        quiet_for(talk)  # due again, in another silence
        assert kind.take(seen) is False
        assert look() == [True] and len(nudged(talk)) == 1

    def test_a_death_after_the_commit_leaves_a_run_that_anybody_takes(
        self, talk: Conversation, occasion: Occasion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And one before it leaves nothing, so that the next look does it."""
        end(ask(talk))
        quiet_for(talk)
        with monkeypatch.context() as patch:
            patch.setattr(silence, "begin_turn", lambda *given: (_ for _ in ()).throw(SystemExit))
            with pytest.raises(SystemExit):
                look()
        assert not nudged(talk) and fresh(talk).nudges == 0
        assert look() == [True]
        (run,) = nudged(talk)
        (claimed,) = ownership.claim(Runner.objects.get().pk, 10, attempts=3, most=8)
        assert claimed == run


class TestAPersonSpeaks:
    """While the bot does, or in the same second."""

    @pytest.fixture
    def nudge(self, talk: Conversation, occasion: Occasion) -> Run:
        end(ask(talk))
        quiet_for(talk)
        look()
        return nudged(talk)[0]

    @pytest.mark.parametrize("when_busy", ["enqueue", "reject", "interrupt"])
    def test_one_that_waits_ends_unseen(self, talk: Conversation, nudge: Run, when_busy: str) -> None:
        Workflow.objects.update(when_busy=when_busy)
        more = ask(talk, "more")
        nudge.refresh_from_db()
        assert (nudge.status, nudge.hidden) == ("canceled", True)
        row = fresh(talk)
        assert (row.nudge_at, row.nudges, row.leaf_id) == (None, 0, more.pk)
        assert [turn.number for turn in row.turns()] == [1, 3]

    @pytest.mark.parametrize(
        ("document", "status", "hidden"),
        [
            (None, "canceled", True),
            ({"answer": ""}, "canceled", True),
            ({"cards": [{}]}, "canceled", True),
            ({"answer": "Still th"}, "canceled", False),
            ({"cards": [0]}, "canceled", False),
            (None, "failed", True),
            ({"answer": ""}, "finished", False),
        ],
    )
    def test_one_that_runs_is_asked_to_stop_and_hidden_if_nothing_was_shown(
        self, talk: Conversation, nudge: Run, document: Any, status: str, hidden: bool
    ) -> None:
        Run.objects.filter(pk=nudge.pk).update(status="running", runner=Runner.objects.get())
        ask(talk, "more")
        nudge.refresh_from_db()
        assert nudge.cancel_requested_at and not nudge.ended
        assert end(nudge, document, status).hidden is hidden

    def test_a_turn_of_the_sites_code_stops_nobody(self, talk: Conversation, nudge: Run) -> None:
        talk.say("talk", {"question": "x"})
        nudge.refresh_from_db()
        assert nudge.status == "queued"

    @pytest.mark.django_db(transaction=True)
    def test_in_the_same_second_one_of_them_comes_first(self, talk: Conversation, occasion: Occasion) -> None:
        for number in range(12):
            for run in Run.objects.filter(finished_at=None):
                end(run)
            end(ask(talk))
            quiet_for(talk)
            (seen,) = Nudges().find(100)
            speaks: list[Callable[[], Any]] = [lambda: ask(talk, "now"), lambda row=seen: Nudges().take(row)]
            assert at_once(*(speaks if number % 2 else speaks[::-1])) == []
            begun = list(Run.objects.filter(conversation=talk, finished_at=None).order_by("number"))
            words = list(Run.objects.filter(conversation=talk).order_by("-number")[:2])
            if words[0].cause == "silence":
                raise AssertionError("the bot has spoken after the person")
            assert [run.cause for run in begun] == ["user"]
            assert words[1].cause == "user" or (words[1].status, words[1].hidden) == ("canceled", True)
            assert (fresh(talk).nudges, fresh(talk).nudge_at) == (0, None)


@pytest.mark.parametrize("wait", [None, 0.05], ids=["server-sent events", "polling"])
async def test_who_types_at_a_page_without_a_socket_is_let_finish(
    occasion: Occasion, site: sites.Site, wait: float | None
) -> None:
    """The page hears of the conversation by its one response, and says in a request that its person types."""
    sites.answers = '{"answer": "yes"}'
    talk = await Conversation.objects.acreate(workflow="talk", visitor=digest_of("me"))
    site.http.headers["authorization"] = f"Ling-Visitor {make_visitor_token('me')}"
    url = f"/ling/conversations/{talk.pk}/"
    await ended((await site.http.post(f"{url}messages/", json={"text": "hi"})).json()["run"])
    asked = {"attach": [{"conversation": str(talk.pk)}], **({} if wait is None else {"wait": wait})}
    async with site.http.stream("POST", "/ling/events/", json=asked) as page:
        await anext(line async for line in page.aiter_lines() if '"attached"' in line)
        assert (await site.http.post(f"{url}typing/")).status_code == 204
        await sync_to_async(quiet_for)(talk)
        assert await sync_to_async(look)() == []
        assert await sync_to_async(nudged)(talk) == []
        await Conversation.objects.aupdate(typing_at=timezone.now() - timedelta(seconds=25))
        await sync_to_async(look)()  # unless the site has looked in this moment
    assert len(await sync_to_async(nudged)(talk)) == 1


@pytest.mark.slow
def test_those_that_are_due_are_found_by_an_index_however_many_there_are(workflow: Workflow) -> None:
    now = timezone.now()
    rows = [Conversation(workflow="talk", owner_key="anyone") for _ in range(MANY)]
    for row in rows[::2]:
        row.nudge_at = now + timedelta(hours=1)
    for row in rows[:200]:
        row.nudge_at = now - timedelta(seconds=1)
    Conversation.objects.bulk_create(rows, batch_size=5_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    plan = overdue()[:100].explain()
    assert "lingstream_conv_nudge" in plan and "SCAN lingstream_conversation" not in plan, plan
    assert "Seq Scan on lingstream_conversation" not in plan, plan
    assert len(Nudges().find(100)) == 100


def test_a_rollback_takes_all_of_it_back(talk: Conversation, occasion: Occasion) -> None:
    end(ask(talk))
    quiet_for(talk)
    (seen,) = Nudges().find(100)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Nudges().take(seen)
        raise ZeroDivisionError
    assert not nudged(talk) and fresh(talk).nudges == 0


def test_a_start_by_its_key_alone_is_no_nudge(talk: Conversation, occasion: Occasion, caplog: Any) -> None:
    """Whoever takes the key of a nudge to come, hears no nudge."""
    end(ask(talk))
    create_run(Start("talk", {}, f"silence:{talk.pk}:1:1"), owner_of(talk))
    quiet_for(talk)
    assert look() == [True]
    assert not nudged(talk) and "belongs to a run of another" in caplog.text
