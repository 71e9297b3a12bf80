"""Ownership of runs: one conditional UPDATE decides, whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from lingstream.core.engine import kinds
from lingstream.execution import ownership
from lingstream.models import BotRun, Conversation, Run, Runner

pytestmark = pytest.mark.django_db


def runner(silent: float = 0, **fields: object) -> UUID:
    beat = timezone.now() - timedelta(seconds=silent)
    return Runner.objects.create(pk=uuid4(), heartbeat_at=beat, **fields).pk


def running(owner: UUID | None, **fields: object) -> Run:
    defaults = {"workflow": "x", "status": Run.Status.RUNNING, "epoch": 1, "attempts": 1, "runner_id": owner}
    return Run.objects.create(**{**defaults, **fields})


def claim(me: UUID, most: int = 10) -> list[Run]:
    return ownership.claim(me, 10, attempts=3, most=most)


def test_a_queued_run_is_taken_once() -> None:
    run = Run.objects.create(workflow="x")
    first, second = runner(), runner()
    (taken,) = claim(first)
    assert (taken.pk, taken.status, taken.epoch, taken.attempts) == (run.pk, "running", 1, 1)
    assert taken.runner_id == first and taken.started_at
    assert claim(second) == []


@pytest.mark.parametrize(
    ("owner", "expected"),
    [("alive", False), ("silent", True), ("stopped", True), ("nobody", True)],
)
def test_a_running_run_is_taken_from_the_dead(owner: str, expected: bool) -> None:
    owners = {
        "alive": lambda: runner(),
        "silent": lambda: runner(silent=60),
        "stopped": lambda: runner(stopped_at=timezone.now()),
        "nobody": lambda: None,
    }
    run = running(owners[owner]())
    taken = claim(runner())
    assert bool(taken) is expected
    if expected:
        assert (taken[0].pk, taken[0].epoch, taken[0].attempts) == (run.pk, 2, 2)


@pytest.mark.parametrize(
    ("owner", "expected"),
    [("alive", False), ("silent", False), ("stopped", True), ("nobody", True), ("queued", True)],
)
def test_who_may_not_judge_takes_what_was_left_and_nothing_from_the_silent(
    owner: str, expected: bool
) -> None:
    owners = {
        "alive": lambda: runner(),
        "silent": lambda: runner(silent=60),
        "stopped": lambda: runner(stopped_at=timezone.now()),
    }
    run = running(owners.get(owner, lambda: None)(), attempts=2)
    if owner == "queued":
        Run.objects.filter(pk=run.pk).update(status="queued", epoch=0, attempts=0)
    assert bool(ownership.claim(runner(), 10, attempts=3, most=8, takeover=False)) is expected
    Run.objects.filter(pk=run.pk).update(attempts=3, runner=owners.get(owner, lambda: None)())
    lost = ownership.lose(runner(), 10, attempts=3, takeover=False)
    assert bool(lost) is expected


def test_ended_runs_are_left_alone() -> None:
    for status in ("finished", "failed", "canceled", "lost"):
        running(None, status=status)
    assert claim(runner()) == []


def test_no_more_than_asked_for_and_the_oldest_first() -> None:
    now = timezone.now()
    runs = [Run.objects.create(workflow="x", created_at=now - timedelta(seconds=age)) for age in (1, 3, 2)]
    assert [run.pk for run in claim(runner(), most=2)] == [runs[1].pk, runs[2].pk]


def test_attempts_are_bounded_and_then_the_run_is_lost() -> None:
    run = running(None, epoch=3, attempts=3)
    used = {"prompt_tokens": 50, "completion_tokens": 9}
    BotRun.objects.create(run=run, step="a", status="finished", usage=used)
    BotRun.objects.create(run=run, step="b", status="failed", usage=used)
    me = runner()
    assert claim(me) == []
    (lost,) = ownership.lose(me, 10, attempts=3)
    assert (lost.prompt_tokens, lost.completion_tokens, lost.usage["total_tokens"]) == (50, 9, 59)
    assert (lost.pk, lost.status, lost.epoch) == (run.pk, "lost", 4)
    assert lost.errors[0]["code"] == "lost"
    assert lost.errors[0]["phrase"]["values"] == {"times": 3}
    assert ownership.lose(me, 10, attempts=3) == []


def test_a_conversation_goes_one_turn_after_the_other_whatever_a_clock_says() -> None:
    conversation = Conversation.objects.create()
    ahead = timezone.now() + timedelta(hours=1)
    first, second = (
        Run.objects.create(workflow="x", conversation=conversation, number=number, created_at=created)
        for number, created in ((1, ahead), (2, timezone.now()))
    )
    other = Run.objects.create(workflow="x")
    me = runner()
    assert {run.pk for run in claim(me)} == {first.pk, other.pk}
    assert claim(me) == []
    Run.objects.filter(pk=first.pk).update(status="finished")
    assert [run.pk for run in claim(me)] == [second.pk]


def test_runs_of_before_turns_were_numbered_go_by_their_beginning() -> None:
    conversation = Conversation.objects.create()
    now = timezone.now()
    second, first = (
        Run.objects.create(workflow="x", conversation=conversation, created_at=now - timedelta(seconds=age))
        for age in (1, 2)
    )
    numbered = Run.objects.create(workflow="x", conversation=conversation, number=1)
    me = runner()
    for run in (first, second, numbered):
        assert [taken.pk for taken in claim(me)] == [run.pk]
        Run.objects.filter(pk=run.pk).update(status="finished")


@pytest.mark.parametrize("cause", ["title", "summary"])
def test_what_is_no_turn_passes_beside_the_turns(cause: str) -> None:
    conversation = Conversation.objects.create()
    quiet = Run.objects.create(workflow="x", conversation=conversation, cause=cause, hidden=True)
    first, second = (Run.objects.create(workflow="x", conversation=conversation, number=n) for n in (1, 2))
    me = runner()
    assert {run.pk for run in claim(me)} == {quiet.pk, first.pk}
    Run.objects.filter(pk=first.pk).update(status="finished")
    assert [run.pk for run in claim(me)] == [second.pk]
    assert ownership.interrupt(conversation) == [second]
    Run.objects.filter(pk=second.pk).update(status="finished")
    assert not ownership.is_busy(conversation)


def test_who_signs_off_leaves_its_runs() -> None:
    owner = runner()
    run = running(owner)
    assert claim(runner()) == []
    ownership.sign_off(owner)
    assert [taken.pk for taken in claim(runner())] == [run.pk]


def test_who_signs_off_has_not_used_up_an_attempt() -> None:
    owner = runner()
    run = running(owner, attempts=3)
    ownership.sign_off(owner)
    assert [taken.attempts for taken in claim(runner())] == [3]
    run.refresh_from_db()
    assert (run.status, run.epoch) == ("running", 2)


@pytest.mark.parametrize(
    ("status", "owner", "ago", "expected"),
    [
        ("canceled", "nobody", 1, True),
        ("canceled", "nobody", 600, False),
        ("finished", "silent", 60, True),
        ("finished", "silent", 200, False),
        ("finished", "alive", 1, False),
        ("running", "silent", 1, False),
    ],
)
def test_ended_runs_whose_log_may_not_say_so(status: str, owner: str, ago: float, expected: bool) -> None:
    owners = {"nobody": lambda: None, "silent": lambda: runner(silent=60), "alive": lambda: runner()}
    run = running(owners[owner](), status=status, finished_at=timezone.now() - timedelta(seconds=ago))
    found = ownership.orphans(10, within=300)
    assert bool(found) is expected
    for orphan in found:
        me, other = runner(), runner()
        assert ownership.adopt(orphan, me, epoch=True)
        assert not ownership.adopt(orphan, other, epoch=True)
        run.refresh_from_db()
        assert (run.runner_id, run.epoch, run.log_id) == (me, 2, "2-2")
        assert ownership.orphans(10, within=300) == []


def test_a_runner_gives_up_what_it_does_not_execute() -> None:
    me, other = runner(), runner()
    mine, foreign, again = running(me), running(other), running(me, epoch=2)
    assert ownership.owned(me) == {str(mine.pk): 1, str(again.pk): 2}
    ownership.release(me, [(str(run.pk), 1) for run in (mine, foreign, again)])
    assert ownership.owned(me) == {str(again.pk): 2}, "it has taken that one again meanwhile"
    assert ownership.owned(other) == {str(foreign.pk): 1}


def test_a_runner_hears_which_of_its_runs_are_its_own_no_more() -> None:
    me, other = runner(), runner()
    runs = {
        "mine": running(me),
        "ended": running(me, status="finished"),
        "another's": running(other, epoch=2),
        "mine again": running(me, epoch=3),
        "lost": running(other, status="lost", epoch=2),
    }
    names = {str(run.pk): name for name, run in runs.items()}
    deleted = str(uuid4())
    asked = [*((pk, 1) for pk in names), (deleted, 1)]
    assert {names.get(pk, "deleted") for pk, _ in ownership.taken(me, asked)} == {
        "another's",
        "mine again",
        "lost",
        "deleted",
    }
    assert ownership.taken(me, []) == []


def test_no_attempt_is_counted_where_the_earlier_owner_lives_after_all() -> None:
    frozen, other = runner(silent=60), runner()
    run = running(frozen)
    (taken,) = claim(other)
    assert (taken.epoch, taken.attempts) == (2, 2)
    ownership.forgive(frozen, [(str(run.pk), 1)])
    run.refresh_from_db()
    assert (run.epoch, run.attempts, run.runner_id) == (2, 1, other)
    ownership.forgive(other, [(str(run.pk), 2)])
    run.refresh_from_db()
    assert run.attempts == 1, "it is the owner's"


def test_cancel_reaches_the_owner_or_ends_what_nobody_owns() -> None:
    me = runner()
    mine, queued = running(me), Run.objects.create(workflow="x")
    for run in (mine, queued):
        ownership.request_cancel(run)
    assert ownership.cancel_requests(me) == [str(mine.pk)]
    queued.refresh_from_db()
    assert queued.status == "canceled"


@pytest.mark.django_db(transaction=True)
def test_of_many_that_claim_at_once_each_run_goes_to_one() -> None:
    runs = [Run.objects.create(workflow="x") for _ in range(20)]
    runners = [runner() for _ in range(4)]
    start = Barrier(len(runners))
    taken: dict[UUID, list[UUID]] = {}

    def take(me: UUID) -> None:
        start.wait()
        try:
            taken[me] = [run.pk for run in claim(me, most=20)]
        finally:
            connection.close()

    threads = [Thread(target=take, args=(me,)) for me in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [pk for pks in taken.values() for pk in pks]
    assert sorted(everything) == sorted(run.pk for run in runs)
    assert set(Run.objects.values_list("epoch", flat=True)) == {1}


@pytest.mark.parametrize(
    ("fields", "waits"),
    [
        ({"kinds": ""}, False),
        ({"kinds": "compute workflow"}, False),
        ({"kinds": "compute later-kind"}, True),
        ({"kinds": "@later-function"}, True),
        ({"plan_version": 3}, False),
        ({"plan_version": 4}, True),
    ],
)
def test_what_needs_more_than_this_process_knows_is_left_to_others(fields: Any, waits: bool) -> None:
    run = Run.objects.create(workflow="x", **fields)
    after = [Run.objects.create(workflow="x") for _ in range(2)]
    taken = claim(runner(), most=2)
    assert [each.pk for each in taken] == ([row.pk for row in after] if waits else [run.pk, after[0].pk])
    run.refresh_from_db()
    assert run.status == ("queued" if waits else "running")


def test_what_many_runs_need_and_nobody_knows_hides_none_that_can_be_executed() -> None:
    for number in range(20):
        Run.objects.create(workflow="x", kinds=f"later-{number}")
    mine = Run.objects.create(workflow="x")
    assert [run.pk for run in claim(runner(), most=3)] == [mine.pk]


def test_what_nobody_could_for_an_hour_is_taken_to_say_so() -> None:
    run = Run.objects.create(workflow="x", kinds="gone-kind", created_at=timezone.now() - timedelta(hours=2))
    assert [taken.pk for taken in claim(runner())] == [run.pk]


def test_a_kind_that_comes_later_is_known_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_kinds", dict(kinds.step_kinds()))
    run = Run.objects.create(workflow="x", kinds="late")
    assert claim(runner()) == []

    class Late(kinds.StepKind):
        kind = "late"

        async def run(self, call: kinds.StepCall) -> AsyncIterator[kinds.Said]:
            yield kinds.Put("", 1)

    kinds.register_kind(Late())
    assert [taken.pk for taken in claim(runner())] == [run.pk]
