"""A NUL in what a request brings: PostgreSQL has none in its text, and who sends one is told so."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection

from lingstream.access.signatures import signature
from lingstream.knowledge.models import Collection, Source
from lingstream.models import Chat, Conversation, Occasion, Run
from tests import site as sites
from tests.access.tenants import Caller
from tests.site import Site

NUL = "\x00"
KEY = "a" * 32
SESSION = r'sessionid="\000aaaaaaaa"'


class World:
    """What there is to ask about, and Ann, whose it is."""

    talk: Conversation
    run: Run
    hook: Occasion
    sources: dict[str, Source]

    def __init__(self, site: Site, caller: Caller) -> None:
        self.site = site
        self.cookies = f"sessionid={caller.session_key}; csrftoken={KEY}"
        self.sources = {}

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        headers = {"cookie": self.cookies, "x-csrftoken": KEY, **more.pop("headers", {})}
        return await self.site.http.request(method, f"/ling/{path}", json=body, headers=headers, **more)

    async def signed(self, secret: str, path: str, body: bytes, **headers: str) -> httpx.Response:
        headers["ling-signature"] = signature(secret, int(time.time()), body)
        return await self.site.http.post(f"/ling/{path}", content=body, headers=headers)


@pytest.fixture
async def world(site: Site) -> World:
    cache.clear()
    sites.answers = '{"answer": "yes"}'
    workflow = await site.workflow("talk", answer="A")
    ann = await User.objects.acreate_superuser("ann")
    world = World(site, await Caller.signed_in(ann))
    await Chat.objects.acreate(workflow=workflow, origins=["https://example.com"])
    world.talk = await Conversation.objects.acreate(workflow="talk", owner=ann, count=1)
    world.run = await Run.objects.acreate(
        workflow="talk", owner=ann, conversation=world.talk, number=1, status="finished"
    )
    world.hook = await Occasion.objects.acreate(workflow=workflow, kind="webhook", name="shop", input="x")
    collection = await Collection.objects.acreate(slug="help", access="anyone")
    for kind in ("webhook", "upload"):
        world.sources[kind] = await Source.objects.acreate(slug=kind, collection=collection, kind=kind)
    return world


def get(path: str) -> Any:
    return lambda world: world.ask("GET", path)


def post(path: str, body: Any = None, method: str = "POST", **more: Any) -> Any:
    def ask(world: World) -> Awaitable[httpx.Response]:
        names = {"talk": str(world.talk.pk), "run": str(world.run.pk)}
        return world.ask(method, path.format(**names), body, **more)

    return ask


def form(path: str, **fields: str) -> Any:
    def ask(world: World) -> Awaitable[httpx.Response]:
        data = {"csrfmiddlewaretoken": KEY, **fields}
        return world.ask("POST", path.format(talk=world.talk.pk), data=data)

    return ask


def multipart(*parts: bytes) -> bytes:
    return (
        b"".join(b"--x\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--x--\r\n"
    )


def hooked(**data: Any) -> Any:
    return lambda world: world.signed(
        world.hook.secret(), f"hooks/{world.hook.pk}/", json.dumps(data).encode()
    )


def sent(**data: Any) -> Any:
    source = "knowledge/sources/webhook/"
    return lambda world: world.signed(world.sources["webhook"].secret(), source, json.dumps(data).encode())


def filed(*parts: bytes) -> Any:
    kind = {"content-type": "multipart/form-data; boundary=x"}
    source = "knowledge/sources/upload/files/"
    return lambda world: world.signed(world.sources["upload"].secret(), source, multipart(*parts), **kind)


def file(name: bytes, kind: bytes) -> bytes:
    return b'name="file"; filename="' + name + b'"\r\nContent-Type: ' + kind + b"\r\n\r\nclouds"


ASKED: dict[str, Callable[[World], Awaitable[httpx.Response]]] = {
    "session": post("conversations/", method="GET", headers={"cookie": SESSION}),
    "session of a page": post("chat/talk/", method="GET", headers={"cookie": SESSION}),
    "start: slug": post("workflows/%00/runs/", {"input": 1}),
    "start: key": post("workflows/talk/runs/", {"input": 1, "key": NUL}),
    "start: conversation": post("workflows/talk/runs/", {"input": 1, "conversation": NUL}),
    "start: dialect": post("workflows/talk/runs/?dialect=%00", {"input": 1}),
    "run: id": get("runs/%00/"),
    "run: token": get("runs/%00/?token=%00"),
    "events: after": post("runs/{run}/events/?after=%00", method="GET"),
    "feed: run": post("events/", {"runs": [{"run": NUL, "after": NUL, "token": NUL}], "wait": 0}),
    "feed: conversation": post("events/", {"attach": [{"conversation": NUL}], "wait": 0}),
    "feedback: uri": post("runs/{run}/feedback/", {"value": 1, "uri": NUL}),
    "feedback: reason": post("runs/{run}/feedback/", {"value": 1, "reason": NUL}),
    "feedback: comment": post("runs/{run}/feedback/", {"value": 1, "comment": NUL}),
    "attachment": get("attachments/%00/"),
    "attachments": post("attachments/?conversation=%00"),
    "chat: slug": get("chat/%00/"),
    "chat: conversation": get("chat/talk/%00/"),
    "chat: words": get("chat/talk/?q=%00"),
    "chat: list": get("chat/talk/?after=%00&archived=%00&before=%00"),
    "chat: text": form("chat/talk/", text=f"hi{NUL}", key=NUL),
    "chat: title": form("chat/talk/{talk}/", rename="1", title=NUL),
    "chat: turn": form("chat/talk/{talk}/", edit=NUL, text=NUL),
    "chat: leaf": form("chat/talk/{talk}/", switch=NUL),
    "chat: opinion": form("chat/talk/{talk}/", judge=f"1 {NUL}"),
    "embed: slug": get("embed/%00/"),
    "embed: language": get("embed/talk/?lang=%00"),
    "embed: visitor": post("embed/%00/visitor/", {"user": NUL}),
    "embed: who": post("embed/talk/visitor/", {"user": NUL}),
    "conversations: words": get("conversations/?q=%00"),
    "conversations: workflow": get("conversations/?workflow=%00"),
    "conversations: begun": post("conversations/", {"workflow": NUL}),
    "conversations: external id": post("conversations/", {"workflow": "talk", "external_id": NUL}),
    "conversations: zone": post("conversations/", {"workflow": "talk", "timezone": NUL}),
    "conversations: data": post("conversations/", {"workflow": "talk", "data": {NUL: NUL}}),
    "conversation: title": post("conversations/{talk}/", {"title": NUL}, "PATCH"),
    "conversation: leaf": post("conversations/{talk}/", {"leaf": NUL}, "PATCH"),
    "messages: text": post("conversations/{talk}/messages/", {"text": NUL}),
    "messages: id": post("conversations/{talk}/messages/", {"text": "hi", "id": NUL}),
    "messages: parent": post("conversations/{talk}/messages/", {"text": "hi", "parent": NUL}),
    "messages: key": post("conversations/{talk}/messages/", {"text": "hi", "key": NUL}),
    "messages: input": post("conversations/{talk}/messages/", {"text": "hi", "input": {NUL: NUL}}),
    "messages: file": post(
        "conversations/{talk}/messages/",
        content=multipart(
            b'name="text"\r\n\r\nhi\x00', b'name="id"\r\n\r\n\x00', file(b"\x00", b"text/plain\x00")
        ),
        headers={"content-type": "multipart/form-data; boundary=x"},
    ),
    "export": post("conversations/{talk}/export/?format=%00", method="GET"),
    "hook": lambda world: world.signed(world.hook.secret(), "hooks/%00/", b"{}"),
    "hook: external id": hooked(external_id=NUL),
    "hook: conversation": hooked(conversation=NUL),
    "source: slug": lambda world: world.signed("", "knowledge/sources/%00/", b"{}"),
    "source: key": sent(documents=[{"key": NUL, "text": "x"}]),
    "source: text": sent(documents=[{"key": "a", "text": NUL, "title": NUL, "metadata": {NUL: NUL}}]),
    "source: url": sent(documents=[{"key": "a", "text": "x", "url": f"https://a/{NUL}", "language": NUL}]),
    "source: gone": sent(gone=[NUL]),
    "source: keys": sent(keys=[NUL]),
    "files: slug": lambda world: world.signed("", "knowledge/sources/%00/files/", b"{}"),
    "files: slug of a person's": post("knowledge/sources/%00/files/", content=b""),
    "files: gone": filed(b'name="gone"\r\n\r\n\x00'),
    "files: name": filed(file(b"a\x00.md", b"text/markdown")),
    "files: kind": filed(file(b"a.md", b"text/mark\x00down")),
    "citations": get("knowledge/runs/%00/citations/"),
}


async def test_it_is_no_fault_of_the_server(world: World) -> None:
    answers = {name: await ask(world) for name, ask in ASKED.items()}
    assert {name: each.text for name, each in answers.items() if each.status_code >= 500} == {}
    if connection.vendor == "postgresql":
        for name in ("conversations: words", "hook: external id", "files: slug"):
            error = answers[name].json()["error"]
            assert (answers[name].status_code, error["code"]) == (400, "bad-request")
            assert error["message"] == "expected text without NUL characters"


async def test_nor_is_it_on_the_socket(world: World) -> None:
    asked: list[dict[str, Any]] = [
        {"type": NUL},
        {"type": "start", "workflow": NUL, "input": 1},
        {"type": "start", "workflow": "talk", "input": 1, "key": NUL},
        {"type": "start", "workflow": "talk", "input": 1, "conversation": NUL},
        {"type": "subscribe", "run": NUL},
        {"type": "subscribe", "run": str(world.run.pk), "after": NUL, "token": NUL},
        {"type": "cancel", "run": NUL, "token": NUL},
        {"type": "attach", "conversation": NUL},
        {"type": "typing", "conversation": NUL},
        {"type": "hello", "visitor": NUL},
    ]
    async with world.site.socket(additional_headers={"cookie": world.cookies}) as socket:
        for number, message in enumerate(asked):
            await socket.send(**message, ref=number)
            await socket.send(type="ping", ref="here")
            while (answer := await socket.receive()).get("ref") != "here":
                assert answer.get("error", {}).get("code") != "internal", message
