"""What bots remember: the path to their turn, within a budget, and its summary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import lingstream
from lingstream.conversations import history
from lingstream.conversations.history import History
from lingstream.conversations.messages import message_of
from lingstream.core.engine.chat import NO_CHAT, Chat
from lingstream.core.provider import estimated_tokens
from lingstream.execution.memory import history_of
from lingstream.execution.runner import get_runner
from lingstream.hubs import get_hub
from lingstream.models import BotRun, Conversation, Run, Runner
from tests import site as sites
from tests.execution.test_start import ended
from tests.site import QUESTION, Site

chat = NO_CHAT


@pytest.fixture(autouse=True)
def chatting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the workflow be talked to as a test says."""
    monkeypatch.setattr(history, "chat_of", lambda slug: chat)

    def say(**fields: Any) -> None:
        monkeypatch.setitem(globals(), "chat", replace(NO_CHAT, **fields))

    say()
    return say


class Talk:
    """A conversation that grows by a turn at a time."""

    def __init__(self) -> None:
        self.row = Conversation.objects.create()
        self.last: Run | None = None
        self.count = 0

    def turn(self, question: str = "", answer: Any = "", **columns: Any) -> Run:
        """Store a turn behind the last one."""
        self.count += 1
        self.last = Run.objects.create(
            **{
                "workflow": "test",
                "conversation": self.row,
                "number": self.count,
                "parent": self.last,
                "status": "finished",
                "input": {"question": question},
                "document": {"answer": answer} if isinstance(answer, str) else answer,
                **columns,
            }
        )
        return self.last

    def now(self, parent: Run | None = None) -> Run:
        """A run that is about to begin behind a turn, the last one unless told otherwise."""
        return Run(workflow="test", conversation=self.row, parent=parent or self.last)

    def remembered(self, parent: Run | None = None) -> list[str]:
        """What it is told, with the initial of who said it."""
        return [f"{each['role'][0]}: {each['content']}" for each in history_of(self.now(parent))]


@pytest.fixture
def talk(db: None) -> Talk:
    return Talk()


def test_is_the_path_and_nothing_beside_it(talk: Talk) -> None:
    first = talk.turn("q1", "a1")
    beside = talk.turn("q2", "a2")
    talk.last = first
    talk.turn("q3", "a3")
    assert talk.remembered() == ["u: q1", "a: a1", "u: q3", "a: a3"]
    assert talk.remembered(beside) == ["u: q1", "a: a1", "u: q2", "a: a2"]
    assert history_of(Run(workflow="test", conversation=talk.row)) == []
    assert history_of(Run(workflow="test")) == []


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, ["u: q", "a: a"]),
        ({"status": "canceled"}, ["u: q", "a: a"]),
        ({"status": "canceled", "document": None}, ["u: q"]),
        ({"status": "canceled", "document": {}}, ["u: q"]),
        ({"status": "failed"}, ["u: q"]),
        ({"status": "lost"}, ["u: q"]),
        ({"status": "running"}, ["u: q"]),
        ({"hidden": True}, []),
        ({"cause": "code"}, ["a: a"]),
        ({"cause": "edit"}, ["u: q", "a: a"]),
        ({"cause": "regenerate"}, ["u: q", "a: a"]),
        ({"message": message_of("typed")}, ["u: typed", "a: a"]),
        ({"input": {"question": "q", "lang": "en"}}, ["u: q", "a: a"]),
        ({"input": {"asked": "q"}}, ["u: q", "a: a"]),
        ({"input": {"asked": "q", "n": 1}}, ['u: {"asked": "q", "n": 1}', "a: a"]),
        ({"input": "q"}, ["u: q", "a: a"]),
        ({"document": {"answer": "a", "links": ["b"]}}, ["u: q", "a: a"]),
        ({"document": {"other": "a", "more": 1}}, ["u: q", 'a: {"other": "a", "more": 1}']),
        ({"document": ["a"]}, ["u: q", 'a: ["a"]']),
        ({"document": {"answer": ""}}, ["u: q"]),
    ],
)
def test_of_a_turn_it_is_what_was_said(talk: Talk, columns: Any, expected: list[str]) -> None:
    talk.turn("q", "a", **columns)
    assert talk.remembered() == expected


def test_its_places_are_the_chats(talk: Talk, chatting: Any) -> None:
    chatting(input_uri="ask/text", answer_uri="said/0")
    talk.turn("", {"said": ["a"], "answer": "x"}, input={"ask": {"text": "q"}, "question": "x"})
    assert talk.remembered() == ["u: q", "a: a"]


def test_neighbours_of_one_role_are_one_message(talk: Talk) -> None:
    talk.turn("q1", status="failed")
    talk.turn("q2", "a2")
    talk.turn("", "a3", cause="code")
    talk.turn("q4", "a4")
    assert talk.remembered() == ["u: q1\n\nq2", "a: a2\n\na3", "u: q4", "a: a4"]


class TestTheGreeting:
    @pytest.fixture(autouse=True)
    def greeted(self, chatting: Any) -> None:
        chatting(greeting={"en": "Hello!", "zh": "你好！"})

    @pytest.mark.parametrize(("language", "said"), [("", "Hello!"), ("de", "Hello!"), ("zh-hans", "你好！")])
    def test_is_the_bots_first_word(self, talk: Talk, language: str, said: str) -> None:
        first = Run(workflow="test", conversation=talk.row, language=language)
        assert history_of(first) == [{"role": "assistant", "content": said}]
        talk.turn("q1", "a1", language=language)
        talk.turn("q2", "a2", language="en")
        assert talk.remembered() == [f"a: {said}", "u: q1", "a: a1", "u: q2", "a: a2"]

    def test_is_joined_with_what_the_bot_begins_with(self, talk: Talk) -> None:
        talk.turn("", "a1", cause="greeting")
        assert talk.remembered() == ["a: Hello!\n\na1"]

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"history_tokens": 4}, ["a: Hello!", "u: q1", "a: a1", "u: q2", "a: a2"]),
            ({"history_tokens": 3}, ["u: q1", "a: a1", "u: q2", "a: a2"]),
            ({"history_tokens": 1}, ["u: q2", "a: a2"]),
            ({"history_tokens": 0}, []),
        ],
    )
    def test_goes_before_the_first_turn_does(
        self, talk: Talk, chatting: Any, fields: Any, expected: list[str]
    ) -> None:
        talk.turn("q1", "a1")
        talk.turn("q2", "a2")
        chatting(greeting="Hello!", **fields)
        assert talk.remembered() == expected

    def test_is_what_its_summary_stands_for(self, talk: Talk, chatting: Any) -> None:
        first = talk.turn("q1", "a1")
        talk.turn("q2", "a2")
        Conversation.objects.update(summary={"text": "S", "until": str(first.pk)})
        chatting(greeting="Hello!", summarize=True)
        assert talk.remembered()[1:] == ["u: q2", "a: a2"]

    def test_is_no_matter_of_runs_that_are_no_turns(self, talk: Talk) -> None:
        assert history_of(Run(workflow="test", conversation=talk.row, cause="title")) == []
        assert history_of(Run(workflow="test")) == []


class TestTheBudget:
    @pytest.mark.parametrize(
        ("tokens", "expected"),
        [
            (100, ["u: q1", "a: a1", "u: q2", "a: 云云", "u: q3", "a: a3"]),
            (5, ["u: q1", "a: a1", "u: q2", "a: 云云", "u: q3", "a: a3"]),
            (4, ["u: q2", "a: 云云", "u: q3", "a: a3"]),
            (3, ["u: q3", "a: a3"]),
            (1, ["u: q3", "a: a3"]),
            (0, []),
        ],
    )
    def test_is_spent_on_the_newest_turns(
        self, talk: Talk, chatting: Any, tokens: int, expected: list[str]
    ) -> None:
        for number, answer in (("1", "a1"), ("2", "云云"), ("3", "a3")):  # 1, 3 and 1 tokens
            talk.turn(f"q{number}", answer)
        chatting(history_tokens=tokens)
        assert talk.remembered() == expected

    def test_cuts_the_newest_where_it_alone_is_too_long(self, talk: Talk, chatting: Any) -> None:
        talk.turn("q" * 400, "a" * 1200)
        chatting(history_tokens=100)
        assert talk.remembered() == ["u: " + "q" * 100, "a: " + "a" * 300]

    @pytest.mark.parametrize(
        ("asked", "usage", "told"),
        [
            ("a" * 4_000, {"prompt_tokens": 2_000}, 100),  # twice as many as are estimated
            ("a" * 4_000, {"prompt_tokens": 500}, 400),
            ("a" * 4_000, {"prompt_tokens": 90_000}, 100),
            ("a" * 4_000, {"prompt_tokens": 1}, 400),
            ("a" * 4_000, {"prompt_tokens": 2_000, "estimated": True}, 200),
            ("a" * 4_000, {}, 200),
            ("a" * 400, {"prompt_tokens": 200}, 200),  # too few to tell
            ([{"type": "image_url", "image_url": {}}], {"prompt_tokens": 9_000}, 200),
        ],
    )
    def test_is_counted_as_the_model_has_counted_before(
        self, talk: Talk, chatting: Any, asked: Any, usage: dict[str, Any], told: int
    ) -> None:
        call = {"step": "answer", "instance": "answer#1", "status": "finished"}
        messages = [{"role": "user", "content": asked}]
        BotRun.objects.create(run=talk.turn("hi"), messages=messages, usage=usage, **call)
        talk.turn("q" * 4_000)
        chatting(history_tokens=200)
        assert talk.remembered() == ["u: " + "q" * 4 * told]

    def test_reads_no_more_than_it_has_room_for(self, talk: Talk, chatting: Any, monkeypatch: Any) -> None:
        for number in range(60):
            talk.turn(f"q{number}", "a" * 40)
        chatting(history_tokens=100)
        read = []
        answer = history._answer
        monkeypatch.setattr(history, "_answer", lambda run, chat: read.append(run.pk) or answer(run, chat))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            found = History().recall(talk.now())
        assert (len(found), len(read), len(queries)) == (18, 10, 3)

    def test_a_memory_of_the_sites_may_count_turns(self, talk: Talk) -> None:
        for number in range(5):
            talk.turn(f"q{number}", "a")

        class Short(History):
            turns = 2

        class Blank(History):
            turns = 0

        assert [each["content"] for each in Short().recall(talk.now())] == ["q3", "a", "q4", "a"]
        assert Blank().recall(talk.now()) == []


@pytest.mark.parametrize(
    ("contents", "tokens"),
    [
        ((), 0),
        (("abcd",), 1),
        (("abcde",), 2),
        (("ab", "cd"), 1),
        (("云海",), 2),
        (("云a",), 2),
        (([{"type": "text", "text": "abcd"}],), 1),
        (([{"type": "text", "text": "abcd"}, {"type": "image_url", "image_url": {"url": "data:…"}}],), 801),
    ],
)
def test_tokens_are_estimated(contents: Any, tokens: int) -> None:
    assert estimated_tokens(*contents) == tokens


class TestTheSummary:
    @pytest.fixture(autouse=True)
    def long(self, talk: Talk, chatting: Any) -> None:
        chatting(summarize=True)
        self.turns = [talk.turn(f"q{number}", f"a{number}") for number in range(4)]

    def sums_up(self, talk: Talk, until: Any) -> None:
        Conversation.objects.filter(pk=talk.row.pk).update(summary={"text": "S", "until": str(until)})

    def test_stands_for_what_it_tells(self, talk: Talk) -> None:
        self.sums_up(talk, self.turns[1].pk)
        summed, *rest = talk.remembered()
        assert summed.startswith("s: ") and summed.endswith("\nS")
        assert rest == ["u: q2", "a: a2", "u: q3", "a: a3"]

    def test_of_another_path_is_none(self, talk: Talk) -> None:
        self.sums_up(talk, self.turns[3].pk)
        assert talk.remembered(self.turns[1]) == ["u: q0", "a: a0", "u: q1", "a: a1"]
        self.sums_up(talk, uuid4())
        assert len(talk.remembered()) == 8

    def test_is_not_asked_for_where_there_shall_be_none(self, talk: Talk, chatting: Any) -> None:
        self.sums_up(talk, self.turns[1].pk)
        chatting()
        assert len(talk.remembered()) == 8

    def test_counts(self, talk: Talk, chatting: Any) -> None:
        self.sums_up(talk, self.turns[1].pk)
        chatting(summarize=True, history_tokens=2)  # it has one of them
        assert talk.remembered()[1:] == ["u: q3", "a: a3"]


class TestAfterACrash:
    async def test_what_it_was_is_told_again_whatever_became_of_the_conversation(
        self, site: Site, settings: Any, chatting: Any
    ) -> None:
        """Or a summary that was written meanwhile would have every bot asked, and paid for, again."""
        settings.LINGSTREAM = {**settings.LINGSTREAM, "TICK": 0.02}
        chatting(summarize=True)
        sites.answers = '{"answer": "yes"}'
        await site.workflow(answer={"prompt": "A", "history": True})
        first = await lingstream.astart("test", QUESTION, conversation="new")
        await ended(str(first.pk))
        run = await lingstream.astart("test", QUESTION, conversation=first.conversation)
        await ended(str(run.pk))
        await get_runner().wait(str(run.pk))
        summary = {"text": "S", "until": str(first.pk)}
        await Conversation.objects.aupdate(summary=summary, leaf=first)
        dead = await Runner.objects.acreate(stopped_at=timezone.now())
        get_hub().drop(str(run.pk))
        sites.answers = []
        await Run.objects.filter(pk=run.pk).aupdate(status="running", runner=dead, finished_at=None)
        get_runner().look()
        row = await ended(str(run.pk))
        assert (row.status, row.epoch) == ("finished", 2)
        bot = await BotRun.objects.aget(run=run)
        assert [message["content"] for message in bot.messages] == ["A", "hi", "yes", "hi"]


def test_a_chat_says_what_is_possible() -> None:
    for wrong in (
        {"attachments": "some"},
        {"on_abort": "maybe"},
        {"history_tokens": -1},
        {"max_size": 2_500_001},
        {"input_uri": "a//b"},
    ):
        with pytest.raises(lingstream.core.exceptions.UsageError):
            Chat(**wrong)  # type: ignore[arg-type]
