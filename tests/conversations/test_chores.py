"""Titles and summaries: written beside the turns, kept once, and never in a person's way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from lingstream.conversations import chores
from lingstream.conversations.chores import after_turn
from lingstream.core.engine.chat import Chat as EngineChat
from lingstream.core.exceptions import ConfigurationError
from lingstream.execution.runner import get_runner
from lingstream.execution.storage import in_database
from lingstream.models import BotRun, Chat, Conversation, Provider, Run
from tests import site as sites
from tests.execution.test_start import ended
from tests.site import Site

QUIET = {"titles": False, "summarize": False}


@pytest.fixture
async def talk(site: Site, settings: Any) -> Conversation:
    """A conversation whose workflow wants neither, until a test says so."""
    settings.LINGSTREAM = {**settings.LINGSTREAM, "TICK": 0.02}
    sites.answers = {
        "The title of it": "no",
        "Give the conv": '"Clouds and you"\nmore',
        "Sum up": "S",
        "ANSWER": '{"answer": "yes"}',
    }
    workflow = await site.workflow("talk", answer={"prompt": "ANSWER", "history": True})
    await Chat.objects.acreate(workflow=workflow, **QUIET)
    ann = await User.objects.acreate_user("ann")
    return await Conversation.objects.acreate(workflow="talk", owner=ann)


async def wants(**fields: Any) -> None:
    await Chat.objects.aupdate(**fields)


async def ask(talk: Conversation, text: str) -> Run:
    """Ask, and return when what follows the end has been seen to."""
    run = await talk.aask(text)
    await ended(str(run.pk))
    await get_runner().wait(str(run.pk))
    async for quiet in Run.objects.filter(conversation=talk, number=0):
        await ended(str(quiet.pk))
        await get_runner().wait(str(quiet.pk))
    return await ended(str(run.pk))


async def fresh(talk: Conversation) -> Conversation:
    return await Conversation.objects.aget(pk=talk.pk)


async def quiet(talk: Conversation, cause: str) -> list[Run]:
    return [run async for run in Run.objects.filter(conversation=talk, cause=cause).order_by("created_at")]


class TestATitle:
    async def test_is_given_after_the_first_turn_and_no_more(self, talk: Conversation) -> None:
        await wants(titles=True)
        await ask(talk, "Can I lie on a cloud?")
        row = await fresh(talk)
        assert (row.title, row.title_by) == ("Clouds and you", "auto")
        (run,) = await quiet(talk, "title")
        assert (run.number, run.hidden, run.owner_key, run.workflow) == (0, True, talk.owner_key, "talk")
        bot = await BotRun.objects.aget(run=run)
        assert bot.messages[1]["content"] == "User: Can I lie on a cloud?\n\nAssistant: yes"
        assert (row.count, row.seq) == (1, 3)  # the turn, its end, the title
        await ask(talk, "And on two?")
        assert len(await quiet(talk, "title")) == 1
        assert [turn.number for turn in await (await fresh(talk)).aturns()] == [1, 2]

    async def test_is_about_what_a_person_says_and_waits_for_it(self, talk: Conversation) -> None:
        await wants(titles=True)
        run = await talk.asay("talk", {"question": "Greet."})
        await ended(str(run.pk))
        await get_runner().wait(str(run.pk))
        assert await quiet(talk, "title") == []
        await ask(talk, "Can I lie on a cloud?")
        bot = await BotRun.objects.aget(run__cause="title")
        assert bot.messages[1]["content"] == "User: Can I lie on a cloud?\n\nAssistant: yes"

    async def test_is_given_by_the_chats_helper(self, talk: Conversation) -> None:
        cheap = await Provider.objects.acreate(name="cheap", kind="test", default_model="small")
        await wants(titles=True, helper=cheap)
        await ask(talk, "hi")
        (run,) = await quiet(talk, "title")
        bot = await BotRun.objects.aget(run=run)
        assert (bot.provider, bot.model, (await fresh(talk)).title) == ("cheap", "small", "Clouds and you")

    async def test_by_a_helper_that_is_none_is_not_given(self, talk: Conversation) -> None:
        turn = await ask(talk, "hi")
        with pytest.raises(ConfigurationError, match="needs the provider 'gone'"):
            await in_database(chores.queue_title, talk, turn, EngineChat(helper="gone"))

    @pytest.mark.parametrize("columns", [{"title": "Mine", "title_by": "user"}, {"title": "Old"}])
    async def test_of_its_owners_own_stays(self, talk: Conversation, columns: Any) -> None:
        await wants(titles=True)
        await Conversation.objects.aupdate(**columns)
        await ask(talk, "hi")
        assert (await fresh(talk)).title == columns["title"] and not await quiet(talk, "title")

    async def test_that_its_owner_gives_meanwhile_stays(self, talk: Conversation) -> None:
        await wants(titles=True)
        await ask(talk, "hi")
        (run,) = await quiet(talk, "title")
        await Conversation.objects.aupdate(title="Mine", title_by="user")
        assert await in_database(after_turn, run.pk) == []
        assert (await fresh(talk)).title == "Mine"

    async def test_that_nobody_lived_to_keep_is_kept_with_the_next_turn(self, talk: Conversation) -> None:
        await wants(titles=True)
        await ask(talk, "hi")
        await Conversation.objects.aupdate(title="", title_by="")
        await ask(talk, "more")
        assert (await fresh(talk)).title == "Clouds and you"
        assert len(await quiet(talk, "title")) == 1

    async def test_is_written_by_the_prompt_of_that_name(self, talk: Conversation) -> None:
        await wants(titles=True)
        await sync_to_async(sites.store_prompt)("chat-title", "The title of it")
        await ask(talk, "hi")
        assert (await fresh(talk)).title == "no"
        bot = await BotRun.objects.aget(run__cause="title")
        assert (bot.prompt_version, bot.messages[0]["content"]) == ("chat-title v1", "The title of it")

    async def test_that_fails_is_in_nobodys_way(self, talk: Conversation) -> None:
        del sites.answers["Give the conv"]
        await wants(titles=True)
        assert (await ask(talk, "hi")).status == "finished"
        assert (await ask(talk, "more")).status == "finished"
        (run,) = await quiet(talk, "title")
        assert (run.status, (await fresh(talk)).title) == ("failed", "")

    async def test_holds_up_no_turn(self, talk: Conversation) -> None:
        gate = asyncio.Event()
        sites.answers["Give the conv"] = ["Clo", gate, "uds"]
        await wants(titles=True)
        run = await talk.aask("hi")
        await ended(str(run.pk))
        more = await talk.aask("more")
        assert (await ended(str(more.pk))).status == "finished"
        (title,) = await quiet(talk, "title")
        assert not title.ended
        gate.set()
        await ended(str(title.pk))

    async def test_needs_a_chat_that_wants_one(self, talk: Conversation) -> None:
        await ask(talk, "hi")
        await Chat.objects.all().adelete()
        await ask(talk, "hi")
        assert not await Run.objects.filter(number=0).aexists()

    @pytest.mark.parametrize(
        ("written", "title"),
        [
            ("Clouds", "Clouds"),
            ('  "Clouds" \nWhy not', "Clouds"),
            ("## **Clouds**", "Clouds"),
            ("«Облака»", "Облака"),
            ("“云”", "云"),
            ("a\x00b\u202ec", "abc"),
            ("x" * 300, "x" * 99 + "…"),
        ],
    )
    def test_is_one_line_of_text(self, written: str, title: str) -> None:
        assert chores._title(written) == title


class TestASummary:
    async def test_is_written_when_the_rest_is_too_long_and_told_from_then_on(
        self, talk: Conversation
    ) -> None:
        await wants(summarize=True, history_tokens=100)
        first = await ask(talk, "q" * 200)  # 51 tokens with the answer, 153 after the third
        second = await ask(talk, "r" * 200)
        assert not await quiet(talk, "summary")
        third = await ask(talk, "s" * 200)
        (run,) = await quiet(talk, "summary")
        assert run.key == f"summary:{talk.pk}:{third.pk}"
        text = run.input["text"]
        assert "User: qqq" in text and "User: rrr" in text and "sss" not in text
        row = await fresh(talk)
        assert row.summary == {"text": "S", "until": str(second.pk)}
        fourth = await ask(talk, "t")
        bot = await BotRun.objects.aget(run=fourth)
        told = [message["content"] for message in bot.messages]
        assert told[0] == "ANSWER" and told[1].endswith("S") and told[2:] == ["s" * 200, "yes", "t"]
        assert first.context == [] and second.context

    async def test_goes_on_from_the_one_before(self, talk: Conversation) -> None:
        await wants(summarize=True, history_tokens=100)
        for letter in "qrstu":
            await ask(talk, letter * 200)
        one, two = await quiet(talk, "summary")
        assert "summed up: S" not in one.input["text"] and "summed up: S" in two.input["text"]
        assert "qqq" not in two.input["text"] and "ttt" in two.input["text"]

    async def test_of_no_history_is_none(self, talk: Conversation) -> None:
        await wants(summarize=True, history_tokens=0)
        for letter in "qrs":
            await ask(talk, letter * 200)
        assert not await quiet(talk, "summary")


async def test_without_a_provider_turns_go_on(talk: Conversation, monkeypatch: Any, caplog: Any) -> None:
    await wants(titles=True)
    monkeypatch.setattr(chores, "load_provider_plans", tuple)
    assert (await ask(talk, "hi")).status == "finished"
    assert "needs a provider" in caplog.text


async def test_of_a_deleted_conversation_there_is_nothing_to_do(talk: Conversation) -> None:
    run = await ask(talk, "hi")
    await wants(titles=True)
    await Conversation.objects.aupdate(deleted_at=run.finished_at)
    assert await in_database(after_turn, run.pk) == []


async def test_of_a_run_that_has_not_ended_neither(talk: Conversation) -> None:
    await wants(titles=True)
    run = await Run.objects.acreate(workflow="talk", conversation=talk, number=1, status="running")
    assert await in_database(after_turn, run.pk) == []
