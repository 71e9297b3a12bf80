"""Who has a conversation open: rows of all processes, and what comes of the first and the last of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db.models import Q
from django.utils import timezone

from lingstream.access.visitors import digest_of, make_visitor_token
from lingstream.conversations import attending
from lingstream.conversations.audience import among
from lingstream.conversations.presence import Leaving, is_kept, keep
from lingstream.models import Conversation, Occasion, Presence, Run, Runner, Workflow
from lingstream.transports import attached as attachments
from lingstream.transports import tabs
from tests import site as sites
from tests.chaos.patience import scaled
from tests.site import Site, Socket, store_workflow

KINDS = ("connected", "disconnected")
FEED = "/ling/events/"


@pytest.fixture
def talk(transactional_db: None, settings: Any) -> Conversation:
    """A conversation whose bot speaks when somebody comes or goes; a web process lives."""
    settings.LINGSTREAM = {**settings.LINGSTREAM, "DISCONNECT_GRACE": 30, "DEAD_AFTER": 15}
    runner(heartbeat_at=-3600)  # lives, however slow the test is
    workflow = store_workflow("talk", {"answer": "A"})
    for kind in KINDS:
        Occasion.objects.create(workflow=workflow, kind=kind, name=kind)
    return Conversation.objects.create(workflow="talk", visitor=digest_of("me"))


def runner(**since: float) -> Any:
    """A process; ``heartbeat_at`` and so on: seconds ago."""
    now = timezone.now()
    times = {name: now - timedelta(seconds=seconds) for name, seconds in since.items()}
    return Runner.objects.create(pk=uuid4(), **times).pk


def said(talk: Conversation) -> list[str]:
    """The names of the occasions on which the bot has begun."""
    return [run.input["occasion"]["name"] for run in Run.objects.filter(conversation=talk).order_by("number")]


def look(*, expect: int) -> None:
    """What the timer does."""
    found = Leaving().find(100)
    assert len(found) == expect
    for each in found:
        assert Leaving().take(each)
        assert not Leaving().take(each)


def is_there(talk: Conversation) -> bool:
    there = Conversation.objects.filter(among("present"), pk=talk.pk).exists()
    assert there != Conversation.objects.filter(among("absent"), pk=talk.pk).exists()
    return there


class TestRows:
    def test_the_first_tab_of_all_comes_and_the_last_one_leaves(self, talk: Conversation) -> None:
        one, two = runner(), runner()
        assert not is_there(talk)
        keep(talk, one, 1)
        keep(talk, two, 1)
        keep(talk, one, 2)
        assert said(talk) == ["connected"] and is_there(talk)
        keep(talk, one, 0, ago=60)
        look(expect=0)
        keep(talk, two, 0, ago=5)
        look(expect=0)
        assert is_there(talk)
        keep(talk, two, 0, ago=31)
        assert not is_there(talk)
        look(expect=1)
        assert said(talk) == ["connected", "disconnected"] and not Presence.objects.exists()
        keep(talk, two, 1)
        assert said(talk) == ["connected", "disconnected", "connected"]

    def test_who_comes_back_in_time_has_not_left(self, talk: Conversation) -> None:
        one, two = runner(), runner()
        keep(talk, one, 1)
        keep(talk, one, 0, ago=5)
        keep(talk, two, 1)
        look(expect=0)
        assert said(talk) == ["connected"]

    @pytest.mark.parametrize(
        ("since", "there"),
        [
            ({}, True),
            ({"heartbeat_at": 5}, True),
            ({"heartbeat_at": 31}, False),
            ({"stopped_at": 5}, True),
            ({"stopped_at": 31}, False),
        ],
    )
    def test_a_row_lives_as_long_as_its_process(
        self, talk: Conversation, since: dict[str, float], there: bool
    ) -> None:
        keep(talk, runner(**since), 3)
        assert is_there(talk) is there
        look(expect=0 if there else 1)
        assert said(talk) == ["connected", "disconnected"][: 1 if there else 2]

    def test_a_process_is_dead_after_dead_after(self, talk: Conversation, settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "DISCONNECT_GRACE": 1, "DEAD_AFTER": 60}
        keep(talk, runner(heartbeat_at=50), 1)
        look(expect=0)

    def test_what_is_deleted_is_nobodys(self, talk: Conversation) -> None:
        one, pk = runner(), talk.pk
        keep(talk, one, 1)
        Conversation.objects.update(deleted_at=timezone.now())
        keep(talk, one, 0, ago=31)
        look(expect=1)
        Conversation.objects.all().delete()
        keep(Conversation(pk=pk, workflow="talk"), one, 1)
        assert not Presence.objects.exists()

    def test_ends_with_its_process_or_its_conversation(self, talk: Conversation) -> None:
        keep(talk, runner(), 1)
        Runner.objects.all().delete()
        assert not Presence.objects.exists()

    @pytest.mark.parametrize(
        ("change", "kept"),
        [
            ({}, True),
            ({"kind": "signal", "audience": "any"}, False),
            ({"kind": "signal", "audience": ""}, False),
            ({"kind": "schedule", "audience": ""}, True),
            ({"kind": "signal", "audience": "present"}, True),
            ({"kind": "signal", "audience": "absent"}, True),
            ({"enabled": False}, False),
        ],
    )
    def test_they_are_kept_where_an_occasion_asks(self, talk: Conversation, change: Any, kept: bool) -> None:
        Occasion.objects.update(**change) if change else None
        assert is_kept("talk") is kept
        assert not is_kept("other") and not is_kept("")


async def attached(socket: Socket, talk: Conversation) -> None:
    await socket.send(type="hello", visitor=make_visitor_token("me"))
    await socket.send(type="attach", conversation=str(talk.pk))
    await socket.until("notice")


async def stored(condition: Q, **counted: int) -> None:
    """Wait for rows: nobody tells of them."""
    async with asyncio.timeout(scaled(30)):
        while await Presence.objects.filter(condition).acount() != counted["rows"]:
            await asyncio.sleep(0.01)


async def bot_began(count: int) -> list[str]:
    async with asyncio.timeout(scaled(30)):
        while await Run.objects.acount() < count:
            await asyncio.sleep(0.01)
    return [run.input["occasion"]["name"] async for run in Run.objects.order_by("number")]


@pytest.fixture
def quick(talk: Conversation, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabs, "_LINGER", 0.05)
    short = {"DISCONNECT_GRACE": 0.1, "DEAD_AFTER": 5.0, "HEARTBEAT_EVERY": 0.1, "TICK": 0.05}
    settings.LINGSTREAM = {**settings.LINGSTREAM, **short}
    sites.answers = '{"answer": "yes"}'


class TestTabs:
    async def test_come_and_go(self, talk: Conversation, quick: None, site: Site) -> None:
        async with site.socket() as one, site.socket() as two:
            await attached(one, talk)
            await attached(two, talk)
            await stored(Q(tabs=2), rows=1)
            assert await bot_began(1) == ["connected"]
            await two.send(type="detach", conversation=str(talk.pk))
            await stored(Q(tabs=1), rows=1)
        assert await bot_began(2) == ["connected", "disconnected"]
        await stored(Q(), rows=0)

    async def test_are_those_of_polls_too(
        self, talk: Conversation, quick: None, site: Site, settings: Any
    ) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "DISCONNECT_GRACE": 3.0}
        body = {"attach": [{"conversation": str(talk.pk), "seq": 10**9}], "wait": 0.1}
        headers = {"authorization": f"Ling-Visitor {make_visitor_token('me')}"}
        for _ in range(5):
            await site.http.post(FEED, json=body, headers=headers)
        assert await bot_began(2) == ["connected", "disconnected"]

    async def test_are_greeted(self, talk: Conversation, quick: None, site: Site) -> None:
        await sync_to_async(_greeting_only)()
        async with site.socket() as one, site.socket() as two:
            await attached(one, talk)
            await attached(two, talk)
            assert await bot_began(1) == ["hello"]
        assert await Presence.objects.acount() == 0


def _greeting_only() -> None:
    Occasion.objects.all().delete()
    Occasion.objects.create(workflow=Workflow.objects.get(), kind="greeting", name="hello")


class TestTyping:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        """Let enough time have passed."""

        def pass_by() -> None:
            for module in (attending, attachments):
                monkeypatch.setattr(module, "TYPING_EVERY", timedelta(seconds=-1))

        return pass_by

    async def test_is_stored_now_and_then(
        self, talk: Conversation, quick: None, site: Site, clock: Callable[[], None]
    ) -> None:
        async with site.socket() as socket:
            await socket.send(type="typing", conversation=str(talk.pk), ref=1)
            assert (await socket.receive())["error"]["code"] == "forbidden"
            await attached(socket, talk)
            times = [await self._typed(socket, talk) for _ in range(2)]
            assert times[0] == times[1] is not None
            clock()
            assert await self._typed(socket, talk) > times[0]

    async def test_at_a_page_without_a_socket_is_stored_as_often(
        self, talk: Conversation, site: Site, clock: Callable[[], None]
    ) -> None:
        headers = {"authorization": f"Ling-Visitor {make_visitor_token('me')}"}
        times = []
        for _ in range(3):
            response = await site.http.post(f"/ling/conversations/{talk.pk}/typing/", headers=headers)
            assert (response.status_code, response.content) == (204, b"")
            times.append((await Conversation.objects.aget()).typing_at)
            if len(times) == 2:
                clock()
        assert times[0] == times[1] < times[2]
        assert (await Conversation.objects.aget()).seq == 0, "nobody else is told"

    async def _typed(self, socket: Socket, talk: Conversation) -> Any:
        await socket.send(type="typing", conversation=str(talk.pk))
        await socket.send(type="ping")
        await socket.until("type")
        return (await Conversation.objects.aget()).typing_at
