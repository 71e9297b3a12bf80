"""Visitors are known again, by their session or by a token, and a login keeps what they began."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import signing
from django.db import IntegrityError
from django.test import Client

from lingstream.access import claims, visitors
from lingstream.access.claims import claim
from lingstream.access.identity import Identity
from lingstream.access.visitors import digest_of, make_visitor_token, new_visitor, renewed, shown_visitor
from lingstream.models import Conversation, Run

from .. import site as sites
from ..site import Site
from .tenants import Caller

URL = "/ling/workflows/talk/runs/"
DAY = 86_400


@pytest.fixture
async def talk(site: Site) -> Site:
    sites.answers = '{"answer": "yes"}'
    await site.workflow("talk", answer="A")
    return site


async def post(site: Site, conversation: str, token: str = "", **headers: str) -> Any:
    if token:
        headers["authorization"] = f"Ling-Visitor {token}"
    return await site.http.post(
        URL, json={"input": sites.QUESTION, "conversation": conversation}, headers=headers
    )


async def code(response: Any) -> str:
    return "ok" if response.status_code == 202 else str(response.json()["error"]["code"])


class TestByToken:
    async def test_the_second_turn_is_let_in(self, talk: Site) -> None:
        first = await post(talk, "new")
        token, name = first.headers["ling-visitor"], first.json()["conversation"]
        assert "set-cookie" not in first.headers
        for shown, expected in (
            (token, "ok"),
            ("", "forbidden"),
            (make_visitor_token(new_visitor()), "forbidden"),
            (token + "x", "visitor"),
            (first.headers["ling-token"], "visitor"),
        ):
            assert await code(await post(talk, name, shown)) == expected
        assert await code(await post(talk, name, authorization="Ling-Visitor")) == "visitor"
        runs = [run async for run in Run.objects.filter(conversation_id=name)]
        assert {run.owner_key for run in runs} == {
            f"visitor:{digest_of(shown_visitor(f'Ling-Visitor {token}'))}"
        }

    async def test_a_visitor_begins_a_second_conversation_under_the_same_token(self, talk: Site) -> None:
        token = (await post(talk, "new")).headers["ling-visitor"]
        second = await post(talk, "new", token)
        assert "ling-visitor" not in second.headers
        assert len({talk.owner_key async for talk in Conversation.objects.all()}) == 1

    async def test_it_decides_alone(self, talk: Site) -> None:
        """A login beside it neither counts nor needs a CSRF token."""
        first = await post(talk, "new")
        caller = await Caller.signed_in(await User.objects.acreate_user("ann"))
        cookie = f"sessionid={caller.session_key}"
        more = await post(talk, first.json()["conversation"], first.headers["ling-visitor"], cookie=cookie)
        assert await code(more) == "ok"
        mine = await post(talk, "new", first.headers["ling-visitor"], cookie=cookie)
        assert (await Run.objects.aget(pk=mine.json()["run"])).owner_id is None

    async def test_a_start_whose_answer_was_lost_is_repeated(self, talk: Site) -> None:
        body = {"input": sites.QUESTION, "conversation": "new", "key": "k" * 16}
        first, again = [await talk.http.post(URL, json=body) for _ in range(2)]
        assert first.json()["run"] == again.json()["run"]
        name = first.json()["conversation"]
        assert await code(await post(talk, name, again.headers["ling-visitor"])) == "ok"
        short = await talk.http.post(URL, json={**body, "key": "k" * 15})
        assert await code(short) == "usage"

    async def test_it_opens_the_runs_too(self, talk: Site) -> None:
        first = await post(talk, "new")
        url = f"/ling/runs/{first.json()['run']}/"
        token = {"authorization": f"Ling-Visitor {first.headers['ling-visitor']}"}
        assert (await talk.http.get(url, headers=token)).status_code == 200
        assert (await talk.http.get(url)).status_code == 403

    def test_each_day_of_use_begins_the_thirty_days_anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = signing.time.time()
        at = lambda days: monkeypatch.setattr(signing.time, "time", lambda: now + days * DAY)  # noqa: E731
        header = f"Ling-Visitor {make_visitor_token('v')}"
        assert (renewed(header), renewed("Ling x"), renewed("")) == ("", "", "")
        at(29)
        fresh = f"Ling-Visitor {renewed(header)}"
        at(31)
        assert renewed(header) == ""
        with pytest.raises(Exception, match="expired"):
            shown_visitor(header)
        assert shown_visitor(fresh) == "v"

    async def test_who_comes_after_a_day_is_given_a_new_one(
        self, talk: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = await post(talk, "new")
        monkeypatch.setattr(visitors, "_RENEW_AFTER", -1)
        more = await post(talk, first.json()["conversation"], first.headers["ling-visitor"])
        assert shown_visitor(f"Ling-Visitor {more.headers['ling-visitor']}")


class TestBySession:
    async def test_the_second_turn_is_let_in_without_a_token(self, talk: Site) -> None:
        caller, other = await Caller.with_session(), await Caller.with_session()
        assert await caller.post(talk, URL, body={"input": sites.QUESTION, "conversation": "new"}) == "ok"
        name = str((await Conversation.objects.aget()).pk)
        body = {"input": sites.QUESTION, "conversation": name}
        assert await caller.post(talk, URL, body=body) == "ok"
        assert await other.post(talk, URL, body=body) == "forbidden"
        async with talk.socket(additional_headers={"cookie": f"sessionid={caller.session_key}"}) as socket:
            assert "visitor" not in await socket.start("talk", conversation=name)

    async def test_without_a_conversation_nobody_becomes_a_visitor(self, talk: Site) -> None:
        caller = await Caller.with_session()
        assert await caller.post(talk, URL, body={"input": sites.QUESTION}) == "ok"
        assert (await Run.objects.aget()).owner_key.startswith("session:")

    async def test_what_the_session_had_before_stays_its_own(self, talk: Site) -> None:
        caller = await Caller.with_session()
        keyed = {"input": sites.QUESTION, "key": "mine"}
        assert await caller.post(talk, URL, body=keyed) == "ok"
        before = await Run.objects.aget()
        assert await caller.post(talk, URL, body={"input": sites.QUESTION, "conversation": "new"}) == "ok"
        assert await caller.get(talk, f"/ling/runs/{before.pk}/") == "ok"
        assert await caller.post(talk, URL, body=keyed) == "ok"
        assert await Run.objects.acount() == 2  # the key still leads to the first

    async def test_a_socket_that_was_open_before_hears_of_it(self, talk: Site) -> None:
        caller = await Caller.with_session()
        async with talk.socket(additional_headers={"cookie": f"sessionid={caller.session_key}"}) as socket:
            await socket.send(type="ping")
            await socket.receive()
            assert await caller.post(talk, URL, body={"input": sites.QUESTION, "conversation": "new"}) == "ok"
            name = str((await Conversation.objects.aget()).pk)
            await socket.send(type="attach", conversation=name, ref=1)
            assert (await socket.receive())["notice"]["kind"] == "attached"
            assert (await socket.start("talk", conversation=name))["conversation"] == name

    async def test_a_socket_stores_it_beside_what_requests_have_stored(self, talk: Site) -> None:
        caller = await Caller.with_session()
        async with talk.socket(additional_headers={"cookie": f"sessionid={caller.session_key}"}) as socket:
            await socket.send(type="ping")
            await socket.receive()
            session = await caller.client.asession()
            await session.aset("basket", 3)
            await session.asave()
            name = (await socket.start("talk", conversation="new"))["conversation"]
        assert (await (await caller.client.asession()).aget("basket")) == 3
        assert await caller.post(talk, URL, body={"input": sites.QUESTION, "conversation": name}) == "ok"


class TestOnASocket:
    async def test_a_visitor_is_told_a_token_and_says_hello_with_it(self, talk: Site) -> None:
        async with talk.socket() as socket:
            started = await socket.start("talk", conversation="new")
            more = await socket.start("talk", conversation=started["conversation"])
            assert "visitor" not in more
        async with talk.socket() as socket:
            await socket.send(type="start", workflow="talk", input={}, conversation=started["conversation"])
            assert (await socket.until("error"))["error"]["code"] == "forbidden"
            await socket.send(type="hello", visitor=started["visitor"] + "x", ref=1)
            assert (await socket.receive())["error"]["code"] == "visitor"
            await socket.send(type="hello", visitor=started["visitor"])
            assert (await socket.start("talk", conversation=started["conversation"]))["run"]


class TestAtLogin:
    @pytest.fixture
    def ann(self, db: None) -> User:
        return User.objects.create_user("ann", password="pw")

    @pytest.fixture
    def visitor(self) -> str:
        return new_visitor()

    def browser(self, visitor: str) -> Client:
        client = Client()
        session = client.session
        session[visitors.SESSION_KEY] = visitor
        session.save()
        return client

    def test_all_that_was_the_visitors_is_the_users(self, ann: User, visitor: str) -> None:
        other = Conversation.objects.create(visitor=digest_of(new_visitor()))
        talk = Conversation.objects.create(visitor=digest_of(visitor), scope="shop")
        run = Run.objects.create(
            workflow="w", conversation=talk, visitor=digest_of(visitor), key="k", scope="shop"
        )
        client = self.browser(visitor)
        client.force_login(ann)
        for row in (talk, run):
            row.refresh_from_db()
            assert (row.owner, row.visitor, row.owner_key) == (ann, "", f"user:{ann.pk}")
        assert run.key == "k"
        other.refresh_from_db()
        assert other.owner is None
        assert client.session[visitors.SESSION_KEY] == visitor

    def test_a_key_that_the_user_has_already_is_taken_from_the_visitors(
        self, ann: User, visitor: str
    ) -> None:
        for columns in ({"owner": ann}, {"visitor": digest_of(visitor)}):
            for scope in ("", "shop"):
                Run.objects.create(workflow="w", key=f"same-{scope}", scope=scope, **columns)
                Conversation.objects.create(external_id=f"same-{scope}", scope=scope, **columns)
            Run.objects.create(workflow="w", key=f"own {[*columns]}", **columns)
            Run.objects.create(workflow="w", **columns)
        Run.objects.create(workflow="w", key="elsewhere", owner=ann, scope="other")
        Run.objects.create(workflow="w", key="elsewhere", visitor=digest_of(visitor))
        claim(ann, visitor)
        runs = Run.objects.filter(owner=ann)
        assert runs.count() == Run.objects.count() == 10
        assert sorted(runs.values_list("key", flat=True)) == [
            *[""] * 4,
            "elsewhere",
            "elsewhere",
            "own ['owner']",
            "own ['visitor']",
            "same-",
            "same-shop",
        ]
        found = Conversation.objects.filter(owner=ann).values_list("external_id", flat=True)
        assert sorted(found) == ["", "", "same-", "same-shop"]
        assert Conversation.objects.filter(external_id="same-shop").get().scope == "shop"

    def test_of_two_logins_the_first_gets_it(self, ann: User, visitor: str) -> None:
        bob = User.objects.create_user("bob")
        run = Run.objects.create(workflow="w", visitor=digest_of(visitor))
        for user in (ann, bob):
            self.browser(visitor).force_login(user)
        run.refresh_from_db()
        assert run.owner == ann

    def test_a_session_that_was_somebody_elses_login_is_not_claimed(self, ann: User, visitor: str) -> None:
        client = self.browser(visitor)
        client.force_login(User.objects.create_user("bob"))
        run = Run.objects.create(workflow="w", visitor=digest_of(visitor))
        client.force_login(ann)
        run.refresh_from_db()
        assert run.owner is None

    @pytest.mark.parametrize("fault", [IntegrityError("twice"), RuntimeError("away")])
    def test_what_cannot_be_claimed_keeps_nobody_out(
        self, ann: User, visitor: str, monkeypatch: pytest.MonkeyPatch, caplog: Any, fault: Exception
    ) -> None:
        tries = []

        def fails(*arguments: Any) -> None:
            tries.append(arguments)
            raise fault

        monkeypatch.setattr(claims, "_claim", fails)
        client = self.browser(visitor)
        client.force_login(ann)
        assert client.session["_auth_user_id"] == str(ann.pk)
        assert len(tries) == (3 if isinstance(fault, IntegrityError) else 1)
        assert "could not be claimed" in caplog.text

    async def test_the_conversation_goes_on_as_the_users(self, talk: Site) -> None:
        caller = await Caller.with_session()
        assert await caller.post(talk, URL, body={"input": sites.QUESTION, "conversation": "new"}) == "ok"
        name = str((await Conversation.objects.aget()).pk)
        ann = await User.objects.acreate_user("cat", password="pw")
        await caller.client.aforce_login(ann)
        body = {"input": sites.QUESTION, "conversation": name}
        assert await caller.post(talk, URL, body=body) == "ok"
        assert {run.owner_id async for run in Run.objects.all()} == {ann.pk}
        stranger = await Caller.signed_in(await User.objects.acreate_user("dog"))
        assert await stranger.post(talk, URL, body=body) == "forbidden"


def test_rows_hold_no_id(db: None) -> None:
    visitor = new_visitor()
    identity = Identity.of(None, "s", visitor=visitor)
    assert visitor not in str(identity.owned) and "session_key" not in identity.owned
    assert identity.owner_keys == (f"visitor:{digest_of(visitor)}", Identity.of(None, "s").owner_key)
    assert Identity.of(None, "s").unproven().owner_keys == ("anyone",)


async def test_ids_are_not_guessed(talk: Site) -> None:
    tokens = await asyncio.gather(*(post(talk, "new") for _ in range(3)))
    assert len({answer.headers["ling-visitor"] for answer in tokens}) == 3
