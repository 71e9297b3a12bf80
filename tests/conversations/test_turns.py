"""Turns as rows, against a model of a few lines: in any order, and by several at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from lingstream.conversations import turns
from lingstream.conversations.asking import again, edited, said
from lingstream.conversations.messages import message_of
from lingstream.conversations.reading import with_turns
from lingstream.conversations.showing import chat_for
from lingstream.conversations.speech import owner_of
from lingstream.conversations.turns import Turn
from lingstream.core.exceptions import LingError, NotFound, UsageError
from lingstream.execution.start import Start, create_run
from lingstream.models import Conversation, Run
from tests import site as sites


@pytest.fixture
def workflow(transactional_db: None) -> None:
    sites.store_workflow("talk", {"answer": "A"})


@pytest.fixture
def talk(workflow: None) -> Conversation:
    return Conversation.objects.create(workflow="talk", owner=User.objects.create(username="ann"))


def stored(start: Start, talk: Conversation) -> Run:
    return create_run(start, owner_of(talk))[0]


def fresh(talk: Conversation) -> Conversation:
    return Conversation.objects.get(pk=talk.pk)


class Model:
    """What a conversation should be: parents by turn, and the turn that is shown last."""

    def __init__(self) -> None:
        self.parents: dict[UUID, UUID | None] = {}
        self.numbers: dict[UUID, int] = {}
        self.leaf: UUID | None = None
        self.count = self.changes = 0

    def add(self, turn: UUID, parent: UUID | None) -> None:
        self.count += 1
        self.changes += 1
        self.parents[turn], self.numbers[turn], self.leaf = parent, self.count, turn

    def switch(self, turn: UUID) -> None:
        self.changes += 1
        below = [other for other in self.parents if turn in self.way(other)]
        self.leaf = max(below, key=self.numbers.__getitem__)

    def delete(self, turn: UUID) -> None:
        del self.parents[turn], self.numbers[turn]
        self.parents = {each: parent if parent != turn else None for each, parent in self.parents.items()}
        if self.leaf == turn:
            self.leaf = None

    def way(self, turn: UUID | None) -> list[UUID]:
        return [] if turn is None else [*self.way(self.parents[turn]), turn]

    @property
    def shown(self) -> list[UUID]:
        return self.way(self.leaf or max(self.numbers, key=self.numbers.__getitem__, default=None))


@pytest.mark.parametrize("seed", range(8))
def test_in_any_order(talk: Conversation, seed: int) -> None:
    dice, model = random.Random(seed), Model()
    for step in range(40):
        turn = dice.choice(list(model.parents)) if model.parents else None
        row = fresh(talk)
        what = dice.choice(["say", "say", "after", "edit", "again", "switch", "delete"])
        if turn is None or what == "say":
            parent = model.shown[-1] if model.parents else None
            model.add(stored(said(row, message_of(str(step))), talk).pk, parent)
        elif what == "after":
            model.add(stored(said(row, message_of(str(step)), parent=turn), talk).pk, turn)
        elif what == "edit":
            start = edited(row, turns.turn_of(row, turn), message_of(f"e{step}"))
            model.add(stored(start, talk).pk, model.parents[turn])
        elif what == "again":
            start = again(row, turns.turn_of(row, turn))
            model.add(stored(start, talk).pk, model.parents[turn])
        elif what == "switch":
            with transaction.atomic():
                turns.switch(turns.lock(talk.pk), turn)
            model.switch(turn)
        else:
            Run.objects.filter(pk=turn).delete()
            model.delete(turn)
        row = fresh(talk)
        assert (row.count, row.leaf_id, row.seq) == (model.count, model.leaf, model.changes)
        assert [run.pk for run in row.turns()] == model.shown
        found = Run.objects.filter(conversation=talk).values_list("pk", "parent_id", "number")
        assert {pk: (parent, number) for pk, parent, number in found} == {
            pk: (parent, model.numbers[pk]) for pk, parent in model.parents.items()
        }


def at_once(*calls: Callable[[], Any]) -> list[BaseException]:
    """Call each in a thread with a connection of its own; return what they raised."""
    faults: list[BaseException] = []

    def work(call: Callable[[], Any]) -> None:
        try:
            call()
        except BaseException as error:
            faults.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


def test_by_several_at_once(talk: Conversation) -> None:
    first = stored(said(talk, message_of("first")), talk)
    each = 6

    def acts(seed: int) -> Callable[[], None]:
        def act() -> None:
            dice = random.Random(seed)
            for step in range(each):
                row = fresh(talk)
                turn = turns.turn_of(row, dice.choice(row.turns()).pk)
                stored(
                    dice.choice(
                        [
                            said(row, message_of(f"{seed} {step}")),
                            edited(row, turn, message_of(f"{seed} {step}")),
                            again(row, turn),
                        ]
                    ),
                    talk,
                )

        return act

    assert at_once(*(acts(seed) for seed in range(4))) == []
    row = fresh(talk)
    runs = list(Run.objects.filter(conversation=talk).select_related("parent").order_by("number"))
    assert [run.number for run in runs] == list(range(1, 4 * each + 2))
    assert (row.count, row.leaf_id, row.seq) == (len(runs), runs[-1].pk, len(runs))
    assert all(run.parent is None or run.parent.number < run.number for run in runs)
    assert runs[0] == first


def test_of_two_with_one_key_there_is_one_turn(talk: Conversation) -> None:
    start = said(talk, message_of("hi"), key="k")
    assert at_once(*(lambda: stored(start, talk) for _ in range(4))) == []
    assert (Run.objects.count(), fresh(talk).count) == (1, 1)


def test_those_shown_are_those_shown_now(talk: Conversation) -> None:
    first = stored(said(talk, message_of("one")), talk)
    old = fresh(talk)
    second = stored(said(talk, message_of("two")), talk)
    assert old.turns() == talk.turns() == [first, second]


class TestATurn:
    def test_is_the_message_as_input(self, talk: Conversation) -> None:
        run = stored(said(talk, {**message_of("hi"), "id": "m1"}, input={"lang": "en"}), talk)
        run.refresh_from_db()
        assert run.input == {"lang": "en", "question": "hi"}
        assert (run.cause, run.message_id, run.number, run.parent) == ("user", "m1", 1, None)
        assert run.message == {"parts": [{"type": "text", "text": "hi"}], "id": "m1"}
        assert (run.owner_key, run.conversation) == (talk.owner_key, talk)

    def test_again_is_the_same_and_edited_is_another(self, talk: Conversation) -> None:
        first = stored(said(talk, message_of("one")), talk)
        second = stored(said(talk, message_of("two"), input={"lang": "en"}), talk)
        twice = stored(again(talk, second), talk)
        other = stored(edited(talk, second, message_of("2")), talk)
        assert [run.parent_id for run in (first, second, twice, other)] == [None, *[first.pk] * 3]
        assert [run.cause for run in (second, twice, other)] == ["user", "regenerate", "edit"]
        assert twice.input == second.input == {"lang": "en", "question": "two"}
        assert other.input == {"lang": "en", "question": "2"}

    def test_that_the_bot_began_stays_the_bots(self, talk: Conversation) -> None:
        start = Start("talk", {"about": "x"}, "", str(talk.pk), Turn(Run.Cause.CODE))
        first = stored(start, talk)
        assert stored(again(talk, first), talk).cause == "code"
        with pytest.raises(UsageError, match="that the bot began"):
            edited(talk, first, message_of("x"))

    def test_of_another_conversation_is_none_of_this_one(self, talk: Conversation) -> None:
        other = Conversation.objects.create(workflow="talk", owner=talk.owner)
        turn = stored(said(other, message_of("hi")), other)
        for name in (turn.pk, str(turn.pk), uuid4(), "nonsense"):
            with pytest.raises(NotFound, match="no turn"):
                turns.turn_of(talk, name)
        for parent in (turn.pk, uuid4()):
            with pytest.raises(NotFound, match="no turn"):
                stored(said(talk, message_of("hi"), parent=parent), talk)
        with pytest.raises(NotFound, match="no turn"), transaction.atomic():
            turns.switch(turns.lock(talk.pk), turn.pk)
        assert fresh(talk).count == 0

    def test_quiet_work_is_none(self, talk: Conversation) -> None:
        turn = stored(said(talk, message_of("hi")), talk)
        quiet = stored(Start("talk", {}, "", str(talk.pk), Turn(Run.Cause.TITLE)), talk)
        assert (quiet.number, quiet.parent, quiet.hidden) == (0, None, True)
        row = fresh(talk)
        assert (row.count, row.leaf) == (1, turn)
        with pytest.raises(NotFound):
            turns.turn_of(talk, quiet.pk)

    def test_needs_a_workflow(self, workflow: None) -> None:
        with pytest.raises(UsageError, match="which workflow is talked to"):
            said(Conversation.objects.create(), message_of("hi"))

    def test_of_a_conversation_that_was_deleted_is_refused(self, talk: Conversation) -> None:
        turns.change(talk, deleted_at=talk.created_at)
        with pytest.raises(NotFound, match="no conversation"):
            stored(said(talk, message_of("hi")), talk)
        with pytest.raises(NotFound, match="no conversation"):
            turns.find(talk.pk)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({}, ""),
            ({"text": "other"}, "key-reused"),
            ({"id": "other"}, "key-reused"),
            ({"again": True}, "key-reused"),
            ({"elsewhere": True}, "key-reused"),
        ],
    )
    def test_under_a_key_is_the_same_or_refused(self, talk: Conversation, change: Any, code: str) -> None:
        first = stored(said(talk, {**message_of("hi"), "id": "1"}, key="k"), talk)
        where = talk
        if "elsewhere" in change:
            where = Conversation.objects.create(workflow="talk", owner=talk.owner)
        message = {**message_of(change.get("text", "hi")), "id": change.get("id", "1")}
        start = again(talk, first, key="k") if "again" in change else said(where, message, key="k")
        if code:
            with pytest.raises(LingError) as raised:
                stored(start, where)
            assert raised.value.code == code
        else:
            assert stored(start, where) == first
        assert Run.objects.count() == 1


def test_a_run_that_names_a_conversation_is_a_turn_of_it(workflow: None) -> None:
    ann = User.objects.create(username="ann")
    identity = owner_of(Conversation(owner=ann))
    first, _ = create_run(Start("talk", {"question": "1"}, conversation="new"), identity)
    name = str(first.conversation_id)
    second, _ = create_run(Start("talk", {"question": "2"}, conversation=name), identity)
    row = Conversation.objects.get()
    assert (row.workflow, row.count, row.leaf, second.parent) == ("talk", 2, second, first)


def _by_the_api(talk: Conversation) -> dict[str, Any]:
    return with_turns(turns.find(talk.pk), owner_of(talk), 10**9, 50)


def _by_the_page(talk: Conversation) -> dict[str, Any]:
    shown = chat_for(RequestFactory().get("/"), owner_of(talk), "talk", turns.find(talk.pk))
    assert shown.known is not None
    return dict(shown.known)


def _before(number: int, act: Callable[[], object]) -> Callable[..., Any]:
    """A wrapper of queries that acts once, before one of them."""
    left = number

    def wrapper(execute: Callable[..., Any], *query: Any) -> Any:
        nonlocal left
        left -= 1
        if left == -1:
            act()
        return execute(*query)

    return wrapper


@pytest.mark.parametrize("read", [_by_the_api, _by_the_page])
def test_what_is_read_has_every_turn_that_its_seq_counts(
    talk: Conversation, read: Callable[[Conversation], dict[str, Any]]
) -> None:
    """Else nobody asks for that turn: a page shows it when it ends, or when the next one begins."""
    with CaptureQueriesContext(connection) as queries:
        read(talk)
    for number in range(len(queries)):
        say = partial(lambda text: stored(said(fresh(talk), message_of(text)), talk), str(number))
        with connection.execute_wrapper(_before(number, say)):
            told = read(talk)
        assert fresh(talk).seq == number + 1
        assert len(told["turns"]) >= told["seq"], f"before query {number}"
