"""Who locks conversations and runs, on two connections to PostgreSQL: nobody waits in a circle."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.db import connection, transaction

from lingstream.access.claims import claim
from lingstream.access.identity import Identity
from lingstream.access.visitors import digest_of
from lingstream.conversations import turns
from lingstream.conversations.opinions import give_feedback
from lingstream.core.engine.run import RunResult
from lingstream.core.provider import Usage
from lingstream.execution import ownership, retention
from lingstream.execution.away import AWAY
from lingstream.execution.journal import Write, result_of, store
from lingstream.execution.lane import DatabaseThread
from lingstream.models import Attachment, BotRun, Conversation, Feedback, Run
from lingstream.models.locks import locked
from tests.chaos.patience import scaled

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite locks no rows"),
]
LOW, HIGH = (UUID(int=number) for number in (1, 2))
VISITOR = {"visitor": digest_of("me")}


class World:
    """Two conversations of a visitor, the higher key stored first: each with a turn, and one that runs."""

    def __init__(self) -> None:
        self.user = User.objects.create(username="ann")
        for key in (HIGH, LOW):
            talk = Conversation.objects.create(pk=key, workflow="w", count=2, **VISITOR)
            first = self._run(talk, key.int, number=1, status="finished")
            self._run(talk, key.int + 10, number=2, status="running", epoch=1, parent=first)
            Conversation.objects.filter(pk=key).update(leaf=first)
            Attachment.objects.create(conversation=talk, run=first, name="a", size=1, **VISITOR)
            Feedback.objects.create(run=first, value=1, **VISITOR)

    @property
    def first(self) -> Run:
        return Run.objects.get(pk=LOW)

    @property
    def running(self) -> list[Run]:
        return [Run.objects.get(pk=UUID(int=key.int + 10)) for key in (HIGH, LOW)]

    def _run(self, talk: Conversation, key: int, **columns: Any) -> Run:
        run = Run.objects.create(pk=UUID(int=key), workflow="w", conversation=talk, **VISITOR, **columns)
        BotRun.objects.create(run=run, step="answer", instance="answer#1")
        return run


class Other:
    """Somebody on a connection of his own."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self._pid = 0
        self._begun = Event()
        self._thread = Thread(target=self._act, args=(action,))
        self._thread.start()
        assert self._begun.wait(scaled(30))

    def waits_or_ends(self) -> None:
        """Return when it waits for a lock, or is done."""
        until = time.monotonic() + scaled(30)
        with connection.cursor() as cursor:
            while self._thread.is_alive() and time.monotonic() < until:
                cursor.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", [self._pid])
                if cursor.fetchone() == ("Lock",):
                    return
                self._thread.join(0.01)
        assert not self._thread.is_alive(), "it neither waits nor ends"

    def ends(self) -> None:
        self._thread.join(scaled(30))
        assert not self._thread.is_alive() and self.error is None, self.error

    def _act(self, action: Callable[[], object]) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                (self._pid,) = cursor.fetchone()
            self._begun.set()
            action()
        except BaseException as error:
            self.error = error
        finally:
            connection.close()


def cancels_in_a_transaction(world: World) -> None:
    """As an action of the admin does on a site with ATOMIC_REQUESTS."""
    Run.objects.update(status="queued")
    with transaction.atomic():
        ownership.request_cancel(Run.objects.get(pk=UUID(int=LOW.int + 10)))


def says_what_it_thinks(world: World) -> None:
    give_feedback(str(LOW), Identity.of(None, None, visitor="me"), None, {"value": -1})


def stores_ends(world: World) -> None:
    result = RunResult("finished", {}, Usage())
    store([Write(run, 1, columns=result_of(result, "1-3")) for run in world.running])


def prunes(world: World) -> None:
    retention.delete_batch(Run.objects.filter(pk__in=[LOW, HIGH]))


def forgets(world: World) -> None:
    retention.delete_conversations(Conversation.objects.order_by("-pk"))


def deletes_in_the_admin(world: World) -> None:
    site._registry[Run].delete_queryset(None, Run.objects.order_by("-pk"))  # type: ignore[arg-type]


def logs_in(world: World) -> None:
    claim(world.user, "me")


def claims(world: World) -> None:
    ownership.claim(uuid4(), 15, attempts=3, most=8)


def loses(world: World) -> None:
    ownership.lose(uuid4(), 15, attempts=0)


def loses_what_is_no_turn(world: World) -> None:
    Run.objects.update(conversation=None, parent=None)
    loses(world)


@pytest.mark.parametrize(
    "action",
    [
        cancels_in_a_transaction,
        says_what_it_thinks,
        stores_ends,
        prunes,
        forgets,
        deletes_in_the_admin,
        logs_in,
    ],
)
def test_a_new_turn_and_another_one_do_not_wait_for_each_other(action: Callable[[World], None]) -> None:
    world = World()
    with transaction.atomic():
        talk = turns.lock(LOW)
        other = Other(lambda: action(world))
        other.waits_or_ends()
        ownership.interrupt(talk)
        run = Run.objects.create(workflow="w", **turns.place(talk, turns.Turn()), conversation=talk)
        assert run.parent_id == LOW
        turns.add(talk, run)
    other.ends()


@pytest.mark.parametrize("model", [Conversation, Run])
@pytest.mark.parametrize("action", [stores_ends, forgets, deletes_in_the_admin, logs_in])
def test_several_are_taken_in_the_order_of_their_keys(
    action: Callable[[World], None], model: type[Any]
) -> None:
    """Who waits for the lowest has no other yet."""
    world = World()
    rows = model.objects.order_by("pk")
    if model is Run and action is stores_ends:
        rows = rows.filter(status="running")
    lowest, *others = rows.values_list("pk", flat=True)
    with transaction.atomic():
        list(locked(model.objects.filter(pk=lowest)))
        other = Other(lambda: action(world))
        other.waits_or_ends()
        list(model.objects.select_for_update(nowait=True, of=("self",)).filter(pk__in=others))
    other.ends()


def test_pruning_leaves_a_conversation_that_somebody_is_at_for_the_next_time() -> None:
    world = World()
    with transaction.atomic():
        turns.lock(LOW)
        other = Other(lambda: prunes(world))
        other.ends()
    assert set(Run.objects.values_list("pk", flat=True)) & {LOW, HIGH} == {LOW}
    prunes(world)
    assert not Run.objects.filter(pk__in=[LOW, HIGH]).exists()


@pytest.mark.parametrize("action", [stores_ends, claims, loses, loses_what_is_no_turn, prunes, forgets])
def test_a_process_that_stands_still_keeps_no_lock(action: Callable[[World], None], settings: Any) -> None:
    """Stopped, swapped out or cut off, in a transaction of one of its own threads."""
    settings.LINGSTREAM = {**settings.LINGSTREAM, "DEAD_AFTER": 0.5}
    world = World()
    still, goes_on = Event(), Event()
    errors: list[BaseException] = []

    def stand_still(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith(("UPDATE", "DELETE")) and connection.in_atomic_block and not still.is_set():
            still.set()
            assert goes_on.wait(scaled(60))
        return execute(sql, *rest)

    def work() -> None:
        try:
            with connection.execute_wrapper(stand_still):
                action(world)
        except BaseException as error:
            errors.append(error)

    thread = DatabaseThread("a thread of the runner's", work)
    try:
        assert still.wait(scaled(30)), errors
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{scaled(30):.0f}s'")
            assert len(locked(Run.objects.order_by("pk"), whole=True)) == 4
            assert len(locked(Conversation.objects.order_by("pk"), whole=True)) == 2
    finally:
        goes_on.set()
        thread.join(scaled(30))
    assert [isinstance(error, AWAY) for error in errors] == [True], errors  # it tries again
