"""A socket asks as who its session is now, and not as who it was when the socket was opened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

import pytest
import websockets
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from lingstream.access import visitors
from lingstream.access.identity import Identity, identify_socket
from lingstream.access.sessions import is_over
from lingstream.access.visitors import keep_visitor
from lingstream.models import Conversation, Run, Workflow

from .. import site as sites
from ..site import Site
from .tenants import Caller
from .test_identity import SOCKET


def delete(ann: User) -> None:
    Session.objects.all().delete()


def expire(ann: User) -> None:
    Session.objects.update(expire_date=timezone.now())


def lock(ann: User) -> None:
    User.objects.update(is_active=False)


def change_password(ann: User) -> None:
    ann.set_password("another")
    ann.save()


def remove(ann: User) -> None:
    ann.delete()


ENDS = [delete, expire, lock, change_password, remove]


def session_of(key: str | None) -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore(key)


def identity_of(user: Any, session: Any) -> Identity:
    return identify_socket({**SOCKET, "user": user, "session": session})


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create_user("ann", password="one")


@pytest.fixture
def signed_in(ann: User) -> Any:
    """The session of Ann's browser, loaded as at the handshake."""
    client = Client()
    client.force_login(ann)
    session = session_of(client.cookies["sessionid"].value)
    session.load()
    assert session.keys()
    return session


@pytest.mark.parametrize("end", [delete, lock])
async def test_who_is_signed_in_no_more_is_nobody_on_the_open_socket(
    site: Site, end: Callable[[User], None]
) -> None:
    sites.answers = '{"answer": "yes"}'
    await site.workflow("mine", answer="A")
    await Workflow.objects.aupdate(access="authenticated")
    ann = await User.objects.acreate_user("ann")
    caller = await Caller.signed_in(ann)
    async with site.socket(additional_headers={"cookie": f"sessionid={caller.session_key}"}) as socket:
        await socket.start("mine")
        other = await Run.objects.acreate(workflow="mine", owner=ann)
        await sync_to_async(end)(ann)
        for message in (
            {"type": "start", "workflow": "mine", "input": sites.QUESTION},
            {"type": "subscribe", "run": str(other.pk)},
            {"type": "cancel", "run": str(other.pk)},
        ):
            await socket.send(**message, ref=message["type"])
            while (answer := await socket.receive()).get("ref") != message["type"]:
                pass
            assert answer["error"]["code"] == "forbidden", message
    assert await Run.objects.acount() == 2


@pytest.mark.parametrize("end", ENDS)
def test_a_session_that_has_ended_signs_nobody_in(ann: User, signed_in: Any, end: Any) -> None:
    assert identity_of(ann, signed_in).owner_id == ann.pk
    assert not is_over(signed_in)
    end(ann)
    assert identity_of(ann, signed_in).owner_id is None
    assert is_over(signed_in)


def test_it_asks_only(ann: User, signed_in: Any) -> None:
    """Whom Django signs out over HTTP, with the cookie gone, no socket can tell of it."""
    change_password(ann)
    assert identity_of(ann, signed_in).session == ""
    assert Session.objects.filter(pk=signed_in.session_key).exists()


def test_rights_are_those_that_it_has_now(ann: User, signed_in: Any) -> None:
    User.objects.update(is_superuser=True)
    assert identity_of(ann, signed_in).user.is_superuser


def test_whom_no_session_signs_in_stays_who_the_site_says(ann: User, signed_in: Any) -> None:
    """By a token in a header, say; or a second factor is lacking."""
    bob = User.objects.create_user("bob")
    anonymous = AnonymousUser()
    for session in (None, session_of(None), session_of("a" * 32), signed_in):
        for user in (bob, anonymous):
            assert identity_of(user, session).user == user
    delete(ann)
    assert identity_of(bob, signed_in).user == bob


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "signed_cookies", "file"])
def test_every_engine_is_asked(ann: User, settings: Any, tmp_path: Any, engine: str) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    client = Client()
    client.force_login(ann)
    session = session_of(client.cookies["sessionid"].value)
    assert identity_of(ann, session).owner_id == ann.pk
    key = identity_of(ann, session).session
    assert key and keep_visitor(session, "v")
    now = identity_of(ann, session)
    assert (now.session, now.visitor) == (key, visitors.digest_of("v"))
    if engine != "signed_cookies":  # which ends with the cookie alone
        session_of(session.session_key).flush()
        assert is_over(session)
        assert identity_of(ann, session).owner_key == "anyone"
    lock(ann)
    assert identity_of(ann, session).owner_id is None


def changes_own_password(caller: Caller, ann: User) -> None:
    request = HttpRequest()
    request.session, request.user = session_of(caller.session_key), ann
    ann.set_password("two")
    ann.save()
    update_session_auth_hash(request, ann)
    request.session.save()
    caller.client.cookies["sessionid"] = request.session.session_key


def signs_in(caller: Caller, ann: User) -> None:
    request = HttpRequest()
    request.session = session_of(caller.session_key)
    login(request, ann, "django.contrib.auth.backends.ModelBackend")
    request.session.save()
    caller.client.cookies["sessionid"] = request.session.session_key


@pytest.mark.parametrize("moves", [signs_in, changes_own_password])
async def test_a_socket_whose_session_goes_on_under_another_key_is_closed_at_its_next_question(
    site: Site, moves: Callable[[Caller, User], None]
) -> None:
    """Whatever it asks is not done: its browser asks again, as who it is by then."""
    sites.answers = '{"answer": "yes"}'
    await site.workflow("mine", answer="A")
    ann = await User.objects.acreate_user("ann", password="one")
    caller = await (Caller.with_session() if moves is signs_in else Caller.signed_in(ann))
    talk = await Conversation.objects.acreate(workflow="mine", owner=ann)
    run = await Run.objects.acreate(workflow="mine", owner=ann, status="finished")
    asked: list[dict[str, Any]] = [
        {"type": "start", "workflow": "mine", "input": sites.QUESTION, "key": "0123456789abcdef"},
        {"type": "subscribe", "run": str(run.pk)},
        {"type": "cancel", "run": str(run.pk)},
        {"type": "attach", "conversation": str(talk.pk)},
    ]
    async with AsyncExitStack() as sockets:
        before = []
        for _ in asked:
            options = {"additional_headers": {"cookie": f"sessionid={caller.session_key}"}}
            before.append(await sockets.enter_async_context(site.socket(**options)))
            await before[-1].send(type="subscribe", run=str(run.pk))
            await before[-1].receive()
        await sync_to_async(moves)(caller, ann)
        for socket, message in zip(before, asked, strict=True):
            await socket.send(type="ping")
            await socket.send(**message)
            await socket.send(**message)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                while True:
                    assert "started" not in await socket.receive()
            assert closed.value.rcvd and closed.value.rcvd.code == 1013, message
    assert await Run.objects.acount() == 1
    async with site.socket(additional_headers={"cookie": f"sessionid={caller.session_key}"}) as socket:
        started = await socket.start("mine", key="0123456789abcdef")
        await socket.until("done")
    assert (await Run.objects.aget(pk=started["run"])).owner_id == ann.pk


async def test_a_cookie_that_names_no_session_closes_no_socket(site: Site) -> None:
    """Or who comes back with it would be sent away again and again."""
    sites.answers = '{"answer": "yes"}'
    await site.workflow("talk", answer="A")
    async with site.socket(additional_headers={"cookie": f"sessionid={'a' * 32}"}) as socket:
        assert await socket.start("talk")


async def test_who_begins_when_the_session_has_ended_is_told_a_token(site: Site) -> None:
    sites.answers = '{"answer": "yes"}'
    await site.workflow("talk", answer="A")
    caller = await Caller.signed_in(await User.objects.acreate_user("ann"))
    async with site.socket(additional_headers={"cookie": f"sessionid={caller.session_key}"}) as socket:
        await socket.send(type="ping")
        await socket.receive()
        await Session.objects.all().adelete()
        started = await socket.start("talk", conversation="new")
        assert started["visitor"]
        assert "visitor" not in await socket.start("talk", conversation=started["conversation"])
