"""A bot that says nothing after all is not seen, and not waited for."""

from __future__ import annotations

from typing import Any

import pytest

import lingstream
from lingstream.conversations import occasions
from lingstream.conversations.listing import _unread
from lingstream.core.engine import registry
from lingstream.execution.storage import in_database
from lingstream.models import Chat, Conversation, Occasion, Run
from tests import site as sites
from tests.execution.test_start import ended
from tests.site import Site

SAYS = [
    # in Python: what it does, and whether that is seen
    ("declines", False),
    ("declines when it has written", False),
    ("speaks", True),
]


@pytest.fixture
async def talk(site: Site, monkeypatch: pytest.MonkeyPatch) -> Conversation:
    monkeypatch.setattr(registry, "_functions", {})
    monkeypatch.setattr(registry, "_declared", {})
    await in_database(sites.store_provider)
    return await Conversation.objects.acreate(workflow="python", visitor="a" * 40)


def declare(how: str) -> None:
    @lingstream.workflow("python", access="anyone")
    async def function(run: Any) -> None:
        if how != "declines":
            run.set("answer", "hello")
        if how != "speaks":
            run.decline()


async def greet(talk: Conversation) -> Run:
    (run,) = await in_database(occasions.attached, talk)
    return await ended(str(run.pk))


@pytest.mark.parametrize(("how", "seen"), SAYS)
async def test_in_python(talk: Conversation, how: str, seen: bool) -> None:
    declare(how)
    await Occasion.objects.acreate(slug="python", kind="greeting", name="greeting")
    run = await greet(talk)
    assert (run.status, run.hidden) == ("finished", not seen)
    assert await talk.aturns() == ([run] if seen else [])
    row = await Conversation.objects.aget(pk=talk.pk)
    assert (await in_database(_unread, [row]))[talk.pk] == int(seen)


@pytest.mark.parametrize(("document", "seen"), [('{"say": false}', False), ('{"say": true}', True)])
async def test_by_its_document(site: Site, talk: Conversation, document: str, seen: bool) -> None:
    sites.answers = document
    workflow = await site.workflow("talk", answer="A")
    await Conversation.objects.aupdate(workflow="talk")
    await Occasion.objects.acreate(workflow=workflow, kind="greeting", name="greeting")
    assert (await greet(talk)).hidden is not seen


async def test_a_person_is_answered_with_nothing_and_sees_it(talk: Conversation) -> None:
    declare("declines")
    run = await ended(str((await talk.aask("hi")).pk))
    assert (run.hidden, await talk.aturns()) == (False, [run])


async def test_one_that_fails_before_it_says_anything_is_not_seen(site: Site, talk: Conversation) -> None:
    sites.answers = {"nobody": "asks"}
    workflow = await site.workflow("talk", answer="A")
    await Conversation.objects.aupdate(workflow="talk")
    await Occasion.objects.acreate(workflow=workflow, kind="greeting", name="greeting")
    run = await greet(talk)
    assert (run.status, run.hidden) == ("failed", True)


async def test_a_conversation_shows_its_greeting_and_keeps_its_time_zone(site: Site) -> None:
    workflow = await site.workflow("talk", answer="A")
    await Chat.objects.acreate(workflow=workflow, greeting={"en": "Hello!", "zh": "你好！"})
    asked = {"workflow": "talk", "timezone": "Europe/Berlin"}
    response = await site.http.post("/ling/conversations/", json=asked)
    talk = response.json()
    assert (talk["greeting"], talk["timezone"]) == ("Hello!", "Europe/Berlin")
    headers = {"Authorization": f"Ling-Visitor {response.headers['Ling-Visitor']}"}
    url = f"/ling/conversations/{talk['id']}/"
    for zone, status in (("Asia/Kathmandu", 200), ("", 200), ("Mars/Olympus", 400), (7, 400)):
        changed = await site.http.patch(url, json={"timezone": zone}, headers=headers)
        assert changed.status_code == status, changed.text
    assert lingstream.Chat(greeting={"en": "a", "zh": "b"}).greeting_in("zh-hans") == "b"
    assert (
        lingstream.Chat(greeting="c").greeting_in("de") == "c" and lingstream.Chat().greeting_in("de") == ""
    )
    assert (await site.http.post("/ling/conversations/", json={**asked, "timezone": "x"})).status_code == 400
