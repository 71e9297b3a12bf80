"""Notices by django-eventstream, the real one: what an EventSource gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import RequestFactory
from django_eventstream.views import get_listener_manager

from lingstream.hubs import get_hub
from lingstream.models import Conversation
from lingstream.transports import eventstream
from tests.access.tenants import Caller
from tests.chaos.patience import scaled
from tests.hubs.conftest import shared_redis  # noqa: F401  # a fixture
from tests.site import Site, read_sse

from .test_attached import MISSED, URL, YOU, begun, talk  # noqa: F401  # a fixture
from .test_feed import hub  # noqa: F401  # a fixture

NOTICES = "/ling/notices/"


async def opened(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The events behind the one that says that the stream is open."""
    assert response.status_code == 200, await response.aread()
    assert response.headers["content-type"] == "text/event-stream"
    events = read_sse(response)
    assert (await anext(events))["event"] == "stream-open"
    return events


async def told(events: AsyncIterator[dict[str, str]]) -> Any:
    event = await anext(events)
    assert event["event"] == "notice" and "id" not in event
    return json.loads(event["data"])


async def test_every_page_of_a_person_hears_of_every_conversation_once(talk: Site) -> None:  # noqa: F811
    async with talk.http.stream("GET", NOTICES) as one, talk.http.stream("GET", NOTICES) as two:
        pages = [await opened(one), await opened(two)]
        name = await begun(talk)
        await talk.http.patch(f"{URL}{name}/", json={"title": "Of clouds"})
        for page in pages:
            for seq in (0, 1):
                notice = {"conversation": name, "seq": seq, "kind": "change", "run": None}
                assert await told(page) == notice
        get_hub().notices.missed()  # type: ignore[attr-defined]
        assert await told(pages[0]) == MISSED


async def test_strangers_hear_nothing(talk: Site) -> None:  # noqa: F811
    stranger = {"authorization": f"Ling-Visitor {YOU}"}
    async with talk.http.stream("GET", NOTICES, headers=stranger) as response:
        page = await opened(response)
        await begun(talk)
        name = (await talk.http.post(URL, json={"workflow": "talk"}, headers=stranger)).json()["id"]
        assert (await told(page))["conversation"] == name
    response = await talk.http.get(NOTICES, headers={"authorization": ""})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")


async def test_a_user_hears_by_the_session(talk: Site) -> None:  # noqa: F811
    ann = await User.objects.acreate_user("ann")
    caller = await Caller.signed_in(ann)
    row = await Conversation.objects.acreate(workflow="talk", owner=ann)
    headers = {"authorization": "", "cookie": f"sessionid={caller.session_key}"}
    async with talk.http.stream("GET", NOTICES, headers=headers) as response:
        page = await opened(response)
        run = await sync_to_async(row.ask)("hi")
        assert await told(page) == {
            "conversation": str(row.pk),
            "seq": 1,
            "kind": "turn",
            "run": str(run.pk),
        }


async def test_who_has_gone_leaves_nothing(talk: Site) -> None:  # noqa: F811
    async with talk.http.stream("GET", NOTICES) as response:
        await opened(response)
        assert eventstream._carriers and get_listener_manager().listeners_by_channel
    async with asyncio.timeout(scaled(10)):
        while eventstream._carriers or get_listener_manager().listeners_by_channel:
            await asyncio.sleep(0.01)


async def test_it_ends_with_its_process(talk: Site) -> None:  # noqa: F811
    async with talk.http.stream("GET", NOTICES) as response:
        page = await opened(response)
        await get_hub().aclose()
        async with asyncio.timeout(scaled(10)):
            assert [event async for event in page] == []


async def test_a_site_without_the_package_has_none(
    talk: Site,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eventstream, "_is_there", lambda: False)
    response = await talk.http.get(NOTICES)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not-found")


def test_another_endpoint_gives_out_none_of_ours(rf: RequestFactory) -> None:
    ours = eventstream.channel_of("owner user:1")
    manager = eventstream.NoticeChannels()
    asked = rf.get("/events/", {"channel": [ours, "news"]})
    assert manager.get_channels_for_request(asked, {}) == {"news"}
    assert manager.get_channels_for_request(asked, {"channels": [ours, "more"]}) == {"more"}
    assert manager.can_read_channel(None, ours) and not manager.can_read_channel(None, "news")
    assert not manager.is_channel_reliable(ours) and manager.is_channel_reliable("news")
    assert "user" not in ours and ours != eventstream.channel_of("owner user:2")
