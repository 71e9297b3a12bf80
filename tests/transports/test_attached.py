"""Word of conversations that have changed: on the socket, in the response for many runs, by polls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone

from lingstream.access.visitors import digest_of, make_visitor_token
from lingstream.core.notices import Notice
from lingstream.hubs import get_hub
from lingstream.models import Conversation
from lingstream.transports import asked, attached
from tests import site as sites
from tests.access.tenants import Caller
from tests.chaos.patience import scaled
from tests.hubs.conftest import shared_redis  # noqa: F401  # a fixture
from tests.site import Site, Socket, lines

from .test_feed import events, hub  # noqa: F401  # a fixture

URL = "/ling/conversations/"
FEED = "/ling/events/"
ME, YOU = make_visitor_token("me"), make_visitor_token("you")
MISSED = {"conversation": None, "seq": None, "kind": "attached", "run": None}


@pytest.fixture
async def talk(hub: None, site: Site) -> Site:  # noqa: F811
    """A site whose visitor has said nothing yet."""
    sites.answers = '{"answer": "yes"}'
    await site.workflow("talk", answer={"prompt": "A", "history": True})
    site.http.headers["authorization"] = f"Ling-Visitor {ME}"
    return site


@asynccontextmanager
async def socket_of(site: Site, visitor: str = ME, **options: Any) -> AsyncIterator[Socket]:
    async with site.socket(**options) as socket:
        if visitor:
            await socket.send(type="hello", visitor=visitor)
        yield socket


async def begun(site: Site) -> str:
    response = await site.http.post(URL, json={"workflow": "talk"})
    return str(response.json()["id"])


async def seq_of(conversation: str) -> int:
    return (await Conversation.objects.aget(pk=conversation)).seq


async def notice(socket: Socket) -> dict[str, Any]:
    """The next notice on a socket."""
    return dict((await socket.until("notice"))["notice"])


async def attach(socket: Socket, **what: Any) -> Any:
    await socket.send(type="attach", ref="a", **what)
    while (message := await socket.receive()).get("ref") != "a":
        pass
    return message.get("notice") or message["error"]["code"]


class TestOnASocket:
    async def test_every_change_is_told_to_every_tab(self, talk: Site) -> None:
        async with socket_of(talk) as one, socket_of(talk) as other:
            name = await begun(talk)
            assert await attach(one, conversation=name) == {
                "conversation": name,
                "seq": 0,
                "kind": "attached",
                "run": None,
            }
            assert await attach(other, all=True) == MISSED
            said = (await talk.http.post(f"{URL}{name}/messages/", json={"text": "hi"})).json()
            for socket in (one, other):
                begin, end = await notice(socket), await notice(socket)
                assert begin == {"conversation": name, "seq": 1, "kind": "turn", "run": said["run"]}
                assert end == {"conversation": name, "seq": 2, "kind": "ended", "run": said["run"]}
            for number, (change, kind) in enumerate(
                [({"title": "Of clouds"}, "change"), ({"archived": True}, "change"), ({"read": 1}, "change")],
                3,
            ):
                await talk.http.patch(f"{URL}{name}/", json=change)
                for socket in (one, other):
                    expected = {"conversation": name, "seq": number, "kind": kind, "run": None}
                    assert await notice(socket) == expected
            await talk.http.post(f"/ling/runs/{said['run']}/feedback/", json={"value": 1})
            assert (await notice(one))["kind"] == (await notice(other))["kind"] == "change"
            await talk.http.delete(f"{URL}{name}/")
            assert await notice(one) == await notice(other)
        assert await seq_of(name) == 7

    async def test_a_list_hears_of_conversations_that_begin(self, talk: Site) -> None:
        async with socket_of(talk) as socket:
            await attach(socket, all=True)
            name = await begun(talk)
            assert await notice(socket) == {"conversation": name, "seq": 0, "kind": "change", "run": None}

    async def test_nothing_is_told_to_strangers(self, talk: Site) -> None:
        name = await begun(talk)
        async with socket_of(talk, YOU) as stranger, socket_of(talk, "") as nobody, socket_of(talk) as owner:
            for socket in (stranger, nobody):
                assert await attach(socket, conversation=name) == "forbidden"
            assert await attach(nobody, all=True) == "forbidden"
            assert await attach(stranger, all=True) == MISSED
            await attach(owner, conversation=name)
            await talk.http.patch(f"{URL}{name}/", json={"title": "x"})
            await notice(owner)
            for socket in (stranger, nobody):
                await socket.send(type="ping")
                assert await socket.receive() == {"type": "pong"}

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ({}, "usage"),
            ({"conversation": 5}, "usage"),
            ({"conversation": "x" * 501}, "usage"),
            ({"conversation": "nonsense"}, "not-found"),
            ({"conversation": "00000000-0000-4000-8000-000000000000"}, "not-found"),
            ({"conversation": "00000000-0000-4000-8000-000000000000", "seq": -1}, "usage"),
            ({"conversation": "00000000-0000-4000-8000-000000000000", "seq": True}, "usage"),
            ({"all": "true"}, "usage"),
        ],
    )
    async def test_what_cannot_be_attached_to(self, talk: Site, message: Any, code: str) -> None:
        async with socket_of(talk) as socket:
            assert await attach(socket, **message) == code

    async def test_a_deleted_one_cannot_either(self, talk: Site) -> None:
        name = await begun(talk)
        await talk.http.delete(f"{URL}{name}/")
        async with socket_of(talk) as socket:
            assert await attach(socket, conversation=name) == "not-found"

    async def test_a_tenants_conversations_are_not_anothers(self, talk: Site) -> None:
        whose = {"workflow": "talk", "visitor": digest_of("me"), "scope": "other"}
        row = await Conversation.objects.acreate(**whose)
        async with socket_of(talk) as socket:
            assert await attach(socket, conversation=str(row.pk)) == "forbidden"
            await attach(socket, all=True)
            await sync_to_async(row.ask)("hi")
            await begun(talk)
            assert (await notice(socket))["conversation"] != str(row.pk)

    async def test_detached_it_hears_no_more(self, talk: Site) -> None:
        names = [await begun(talk) for _ in range(2)]
        async with socket_of(talk) as socket:
            for name in names:
                await attach(socket, conversation=name)
            await attach(socket, all=True)
            await socket.send(type="detach", all=True)
            await socket.send(type="detach", conversation=names[0])
            await socket.send(type="detach", conversation="nonsense")
            await socket.send(type="ping")
            await socket.until("type")
            for name in names:
                await talk.http.patch(f"{URL}{name}/", json={"title": "x"})
            assert (await notice(socket))["conversation"] == names[1]

    async def test_a_hello_is_attached_to_nothing(self, talk: Site) -> None:
        name = await begun(talk)
        async with socket_of(talk) as socket:
            await attach(socket, conversation=name)
            await attach(socket, all=True)
            await socket.send(type="hello", visitor=YOU)
            assert await attach(socket, conversation=name) == "forbidden"
            await talk.http.patch(f"{URL}{name}/", json={"title": "x"})
            await socket.send(type="hello", visitor=ME)
            assert (await attach(socket, conversation=name))["seq"] == 1
            await talk.http.patch(f"{URL}{name}/", json={"title": "y"})
            assert (await notice(socket))["seq"] == 2

    async def test_a_user_hears_by_the_session(self, talk: Site) -> None:
        ann = await User.objects.acreate_user("ann")
        caller = await Caller.signed_in(ann)
        row = await Conversation.objects.acreate(workflow="talk", owner=ann)
        cookie = {"cookie": f"sessionid={caller.session_key}"}
        async with socket_of(talk, "", additional_headers=cookie) as socket:
            await attach(socket, all=True)
            run = await sync_to_async(row.ask)("hi")
            told = {"conversation": str(row.pk), "seq": 1, "kind": "turn", "run": str(run.pk)}
            assert await notice(socket) == told

    async def test_it_is_attached_to_so_many(self, talk: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(attached, "MOST_ATTACHED", 2)
        names = [await begun(talk) for _ in range(3)]
        async with socket_of(talk) as socket:
            for name in names[:2] * 2:
                assert (await attach(socket, conversation=name))["seq"] == 0
            assert await attach(socket, conversation=names[2]) == "too-many"
            await socket.send(type="detach", conversation=names[0])
            assert (await attach(socket, conversation=names[2]))["seq"] == 0

    async def test_who_may_have_missed_something_is_told_to_ask(self, talk: Site) -> None:
        async with socket_of(talk) as socket:
            await attach(socket, conversation=await begun(talk))
            get_hub().notices.missed()  # type: ignore[attr-defined]
            assert await notice(socket) == MISSED


class TestInOneResponse:
    async def test_notices_come_beside_the_runs(self, talk: Site) -> None:
        name, gate = await begun(talk), asyncio.Event()
        sites.answers = [['{"answer": "half', gate, ' whole"}']]
        said = (await talk.http.post(f"{URL}{name}/messages/", json={"text": "hi"})).json()
        body = {
            "runs": [{"run": said["run"]}, {"run": "nonsense"}],
            "attach": [{"conversation": name, "seq": 0}, {"conversation": "nonsense"}, {"conversation": 7}],
            "all": True,
        }
        async with talk.http.stream("POST", FEED, json=body) as response:
            messages = events(response)
            seen: list[dict[str, Any]] = []
            while {"notice": MISSED} not in seen or "half" not in json.dumps(seen):
                seen.append(await anext(messages))
            gate.set()
            while not any(each.get("notice", {}).get("kind") == "ended" for each in seen):
                seen.append(await anext(messages))
            await talk.http.patch(f"{URL}{name}/", json={"title": "still open"})
            while not any(each.get("notice", {}).get("kind") == "change" for each in seen):
                seen.append(await anext(messages))
        present = {"conversation": name, "seq": 1, "kind": "attached", "run": None}
        assert {"notice": present} in seen
        refused = {(each.get("conversation"), each["error"]["code"]) for each in seen if "error" in each}
        assert refused == {(None, "not-found"), ("nonsense", "not-found"), (None, "usage")}
        assert any("done" in each for each in seen)

    async def test_silence_is_filled(self, talk: Site, settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "HEARTBEAT": 0.05}
        async with talk.http.stream("POST", FEED, json={"all": True}) as response:
            said = [line async for line in _some(response.aiter_lines(), 12)]
        assert said.count(": alive") > 2

    async def test_a_poll_tells_at_once_what_the_client_does_not_know(self, talk: Site) -> None:
        name = await begun(talk)
        present = {"notice": {"conversation": name, "seq": 0, "kind": "attached", "run": None}}
        assert await self._poll(talk, name) == [present]
        assert await self._poll(talk, name, seq=0, wait=0) == []
        await talk.http.patch(f"{URL}{name}/", json={"title": "x"})
        [told] = await self._poll(talk, name, seq=0)
        assert told["notice"]["seq"] == 1
        waiting = asyncio.create_task(self._poll(talk, name, seq=1))
        await _listening()
        await talk.http.patch(f"{URL}{name}/", json={"title": "y"})
        [told] = await waiting
        assert told["notice"]["seq"] == 2

    async def test_a_poll_hears_of_all_and_misses_nothing_between_two(self, talk: Site) -> None:
        async def poll(seq: int | None = None, wait: float = 20, **more: Any) -> list[Any]:
            response = await talk.http.post(FEED, json={"all": True, "seq": seq, "wait": wait, **more})
            return [each["notice"] for each in lines(response.text)]

        def all_(seq: int, kind: str = "change") -> dict[str, Any]:
            return {"conversation": None, "seq": seq, "kind": kind, "run": None}

        assert await poll() == [all_(0, "attached")]
        waiting = asyncio.create_task(poll(0))
        await _listening()
        name = await begun(talk)
        assert await waiting == [all_(1)]
        for number, change in enumerate([{"title": "x"}, {"archived": True}], 2):  # while nobody asks
            await talk.http.patch(f"{URL}{name}/", json=change)
            assert await poll(number - 1) == [all_(number)]
        assert await poll(3, 0) == []
        await Conversation.objects.acreate(workflow="talk", visitor=digest_of("you"))
        assert await poll(3, 0) == []
        await talk.http.delete(f"{URL}{name}/")
        assert await poll(3) == [all_(4)]
        await Conversation.objects.filter(pk=name).adelete()
        assert await poll(4) == [all_(0)]

    async def test_a_poll_hears_of_one_and_of_all(self, talk: Site) -> None:
        one, other = [await begun(talk) for _ in range(2)]
        known = {one: 0, None: 2}
        for name, expected in ((other, {None}), (one, {one, None})):
            await talk.http.patch(f"{URL}{name}/", json={"title": "x"})
            told: set[str | None] = set()
            while not expected <= told:  # one may come before the other
                attach = [{"conversation": one, "seq": known[one]}]
                body = {"attach": attach, "all": True, "seq": known[None], "wait": 20}
                for each in lines((await talk.http.post(FEED, json=body)).text):
                    notice = each["notice"]
                    told.add(notice["conversation"])
                    known[notice["conversation"]] = notice["seq"]
            assert told == expected

    @pytest.mark.parametrize("seq", [-1, "1", True, 2**63])
    async def test_what_is_no_number_of_changes_is_refused(self, talk: Site, seq: Any) -> None:
        response = await talk.http.post(FEED, json={"all": True, "seq": seq, "wait": 0})
        assert (response.status_code, response.json()["error"]["code"]) == (400, "usage")

    @pytest.mark.parametrize(
        "body", [{}, {"attach": []}, {"attach": {}}, {"all": False}, {"all": 1}, {"runs": [], "attach": []}]
    )
    async def test_what_asks_for_nothing_is_refused_whole(self, talk: Site, body: Any) -> None:
        response = await talk.http.post(FEED, json=body)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "usage")

    async def test_so_many_are_attached_to(self, talk: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asked, "MOST_ATTACHED", 1)
        names = [await begun(talk) for _ in range(2)]
        body = {"attach": [{"conversation": name} for name in names], "wait": 0}
        told = list(lines((await talk.http.post(FEED, json=body)).text))
        assert [each.get("notice", {}).get("conversation") for each in told] == [None, names[0]]
        assert told[0]["error"]["code"] == "too-many"

    async def test_strangers_are_refused(self, talk: Site) -> None:
        body = {"attach": [{"conversation": await begun(talk)}], "all": True, "wait": 0}
        for headers in ({"authorization": f"Ling-Visitor {YOU}"}, {"authorization": ""}):
            told = list(lines((await talk.http.post(FEED, json=body, headers=headers)).text))
            assert {each["error"]["code"] for each in told if "error" in each} == {"forbidden"}
            assert not any(each.get("notice", {}).get("conversation") for each in told)

    async def test_a_cookie_wants_a_csrf_token(self, talk: Site) -> None:
        caller = await Caller.signed_in(await User.objects.acreate_user("ann"))
        headers = {"authorization": "", "cookie": f"sessionid={caller.session_key}"}
        response = await talk.http.post(FEED, json={"all": True, "wait": 0}, headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (403, "csrf")

    async def _poll(self, site: Site, name: str, wait: float = 20, **known: int) -> list[Any]:
        body = {"attach": [{"conversation": name, **known}], "wait": wait}
        return list(lines((await site.http.post(FEED, json=body)).text))


def expire(caller: Caller) -> None:
    Session.objects.filter(pk=caller.session_key).update(expire_date=timezone.now())


@pytest.mark.parametrize("way", ["logout", "expires", "deleted"])
async def test_a_session_that_ends_ends_what_was_attached_in_it(
    talk: Site, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(attached, "_LOGOUT", 0.05)
    if way != "logout":
        monkeypatch.setattr(attached, "LOOK_EVERY", 0.1)
    ann = await User.objects.acreate_user("ann")
    caller, elsewhere = await Caller.signed_in(ann), await Caller.signed_in(ann)
    row = await Conversation.objects.acreate(workflow="talk", owner=ann)

    def cookies(caller: Caller) -> dict[str, str]:
        return {"cookie": f"sessionid={caller.session_key}"}

    csrf = {"cookie": f"sessionid={caller.session_key}; csrftoken={'a' * 32}", "x-csrftoken": "a" * 32}
    headers = {"authorization": "", **csrf}
    asked = {"attach": [{"conversation": str(row.pk)}]}
    async with (
        socket_of(talk, "", additional_headers=cookies(caller)) as socket,
        socket_of(talk, "", additional_headers=cookies(elsewhere)) as other,
        talk.http.stream("POST", FEED, json=asked, headers=headers) as response,
        talk.http.stream("GET", "/ling/notices/", headers=headers) as page,
    ):
        messages = events(response)
        assert (await anext(messages))["notice"]["kind"] == "attached"
        for each in (socket, other):
            await attach(each, conversation=str(row.pk))
        if way == "logout":
            await caller.client.alogout()
        elif way == "expires":
            await sync_to_async(expire)(caller)
        else:
            await Session.objects.filter(pk=caller.session_key).adelete()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.receive()
        assert closed.value.rcvd and closed.value.rcvd.code == 1013
        [refused] = [message async for message in messages]
        assert (refused["conversation"], refused["error"]["code"]) == (None, "forbidden")
        assert "stream-open" in "".join([line async for line in page.aiter_lines()])
        await sync_to_async(row.ask)("hi")
        assert (await notice(other))["kind"] == "turn"


async def test_who_has_gone_hears_nothing_more(talk: Site) -> None:
    """Or every page that was ever open would be told of everything, for ever."""
    name = await begun(talk)
    async with socket_of(talk) as socket:
        await attach(socket, conversation=name)
        await attach(socket, all=True)
        async with talk.http.stream("POST", FEED, json={"attach": [{"conversation": name}]}) as response:
            await anext(events(response))
            assert _topics()
    async with asyncio.timeout(scaled(10)):
        while _topics():
            await asyncio.sleep(0.01)


async def test_a_notice_of_the_database_is_published_after_the_commit_alone(talk: Site) -> None:
    name = await begun(talk)
    heard = await get_hub().notices.listen()
    heard.add(f"conversation {name}")

    def roll_back() -> None:
        from django.db import transaction

        from lingstream.conversations.turns import change, lock

        with pytest.raises(ZeroDivisionError), transaction.atomic():
            change(lock(Conversation.objects.get().pk), title="never")
            raise ZeroDivisionError
        with transaction.atomic():
            change(lock(Conversation.objects.get().pk), title="now")
            assert not heard.take()

    await sync_to_async(roll_back)()
    await heard.wait()
    assert heard.take() == [Notice(name, 1, "change")]


def _topics() -> Any:
    return get_hub().notices._topics  # type: ignore[attr-defined]


async def _listening() -> None:
    """Wait until a poll has attached itself: nobody tells of that."""
    async with asyncio.timeout(scaled(10)):
        while not _topics():
            await asyncio.sleep(0.01)


async def _some(source: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    async for each in source:
        yield each
        if not (count := count - 1):
            return
