"""Pages of other origins that a chat lists: they are let in, as nobody or as a visitor, and no others are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import websockets
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from lingstream.access import origins
from lingstream.access.visitors import SESSION_KEY
from lingstream.core.engine.chat import Chat as CoreChat
from lingstream.core.engine.origins import admits, check_origin
from lingstream.core.exceptions import UsageError
from lingstream.models import Chat, Run

from .. import site as sites
from ..site import Site
from .tenants import Caller

URL = "/ling/workflows/talk/runs/"
SHOP = "https://shop.example"


@pytest.fixture(autouse=True)
def _fresh_list(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(origins, "_FRESH", 0)
    yield
    origins._kept = (float("-inf"), ())


@pytest.fixture
async def talk(site: Site) -> Site:
    sites.answers = '{"answer": "yes"}'
    workflow = await site.workflow("talk", answer="A")
    await Chat.objects.acreate(workflow=workflow, origins=[SHOP, "https://*.example.org"])
    return site


@pytest.mark.parametrize(
    ("pattern", "origin", "expected"),
    [
        (SHOP, SHOP, True),
        (SHOP, "https://shop.example:8443", False),
        (SHOP, "http://shop.example", False),
        (SHOP, "https://shop.example.evil.test", False),
        ("http://localhost:3000", "http://localhost:3000", True),
        ("https://*.example.org", "https://a.example.org", True),
        ("https://*.example.org", "https://a.b.example.org", True),
        ("https://*.example.org", "https://example.org", False),
        ("https://*.example.org", "https://evilexample.org", False),
        ("https://*.example.org", "https://.example.org", False),
        ("https://*.example.org", "https://evil.test/.example.org", False),
        ("https://*.example.org", "https://evil.test#.example.org", False),
        ("https://*.example.org", "https://a.example.org:444", False),
        ("https://*.example.org:444", "https://a.example.org:444", True),
        ("https://*.example.org", "http://a.example.org", False),
        ("https://*.example.org", "null", False),
    ],
)
def test_a_pattern_admits_its_pages_and_no_others(pattern: str, origin: str, expected: bool) -> None:
    check_origin(pattern)
    assert admits(pattern, origin) is expected


@pytest.mark.parametrize(
    "pattern",
    ["*", "https://*", "https://*.com", "null", "", "shop.example", "https://shop.example/", "https://Shop.example",
     "ftp://shop.example", "https://user@shop.example", "https://shop..example", "https://-a.example",
     "https://a.*.example", "https://shop.example:", "javascript:0", "https://shop.example\n",
     "https://" + "a" * 400, "https://shop.example; script-src *"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        check_origin(pattern)
    with pytest.raises(UsageError):
        CoreChat(origins=(pattern,))
    with pytest.raises(ValidationError):
        Chat(origins=[pattern]).clean_fields(exclude=["workflow"])


@pytest.mark.parametrize(
    ("origin", "expected"),
    [(SHOP, SHOP), ("https://a.example.org", "https://a.example.org"), ("https://other.example", None)],
)
async def test_a_listed_page_reads_answers_and_errors(talk: Site, origin: str, expected: str | None) -> None:
    headers = {"Origin": origin}
    asked = await talk.http.options(URL, headers={**headers, "Access-Control-Request-Method": "POST"})
    started = await talk.http.post(
        URL, json={"input": sites.QUESTION, "conversation": "new"}, headers=headers
    )
    fault = await talk.http.get("/ling/runs/none/", headers=headers)
    assert (asked.status_code, started.status_code, fault.status_code) == (204, 202, 404)
    for response in (asked, started, fault):
        assert response.headers.get("access-control-allow-origin") == expected
        assert "access-control-allow-credentials" not in response.headers
        assert "Origin" in response.headers["vary"]
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    if expected:
        assert "Ling-Visitor" in started.headers["access-control-expose-headers"]


async def test_a_stream_is_read_too(talk: Site) -> None:
    headers = {"Origin": SHOP, "Accept": "application/jsonl"}
    response = await talk.http.post(URL, json={"input": sites.QUESTION}, headers=headers)
    assert response.headers["access-control-allow-origin"] == SHOP
    assert '"done"' in response.text


async def test_a_cookie_speaks_for_no_listed_page(talk: Site) -> None:
    ann = await User.objects.acreate_user("ann")
    cookie = {"Cookie": f"sessionid={(await Caller.signed_in(ann)).session_key}"}
    started = await talk.http.post(URL, json={"input": sites.QUESTION}, headers={"Origin": SHOP, **cookie})
    run = await Run.objects.aget(pk=started.json()["run"])
    assert run.owner_id is None
    run.owner = ann
    await run.asave()
    url = f"/ling/runs/{run.pk}/"
    assert (await talk.http.get(url, headers=cookie)).status_code == 200
    assert (await talk.http.get(url, headers={"Origin": SHOP, **cookie})).status_code == 403


async def test_so_it_is_on_a_socket(talk: Site) -> None:
    ann = await User.objects.acreate_user("ann")
    cookie = {"Cookie": f"sessionid={(await Caller.signed_in(ann)).session_key}"}
    for origin, owner in ((talk.base, ann.pk), (SHOP, None)):
        async with talk.socket(origin=origin, additional_headers=cookie) as socket:
            started = await socket.start("talk")
            assert (await Run.objects.aget(pk=started["run"])).owner_id == owner


async def test_sockets_of_other_pages_are_refused(talk: Site, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    with pytest.raises(websockets.InvalidStatus):
        async with talk.socket(origin="https://other.example"):
            pass


async def test_ones_own_pages_are_not_foreign_behind_a_proxy(talk: Site, settings: Any) -> None:
    settings.USE_X_FORWARDED_HOST, settings.ALLOWED_HOSTS = True, ["*"]
    ann = await User.objects.acreate_user("ann")
    cookie = {"Cookie": f"sessionid={(await Caller.signed_in(ann)).session_key}"}
    run = await Run.objects.acreate(workflow="talk", owner=ann)
    for host, status in (("shop.example", 200), ("app.example", 403)):
        headers = {"Origin": SHOP, "X-Forwarded-Host": host, **cookie}
        assert (await talk.http.get(f"/ling/runs/{run.pk}/", headers=headers)).status_code == status


async def test_a_listed_page_makes_nobody_another_visitor(talk: Site) -> None:
    caller = await Caller.with_session()
    cookie = {"Cookie": f"sessionid={caller.session_key}"}
    await talk.http.get("/ling/chat/talk/", headers={"Origin": SHOP, **cookie})
    assert SESSION_KEY not in await sync_to_async(dict)(await caller.client.asession())


async def test_a_row_decides_in_place_of_code(talk: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins, "registered", lambda: {"talk": None, "code": None})
    declared = {
        "talk": CoreChat(origins=("https://old.example",)),
        "code": CoreChat(origins=["https://new.example"]),
    }
    monkeypatch.setattr(origins, "declared", lambda slug: type("Declared", (), {"chat": declared[slug]}))
    assert "https://new.example" in await sync_to_async(origins.listed_origins)()
    assert "https://old.example" not in await sync_to_async(origins.listed_origins)()


class TestLimits:
    async def test_a_message_that_is_too_long_is_refused(self, talk: Site) -> None:
        await Chat.objects.aupdate(longest=5)
        begun = await talk.http.post("/ling/conversations/", json={"workflow": "talk"})
        shown = {"Authorization": f"Ling-Visitor {begun.headers['Ling-Visitor']}"}
        url = f"/ling/conversations/{begun.json()['id']}/messages/"
        for text, status in (("12345", 202), ("123456", 413)):
            answer = await talk.http.post(url, json={"text": text}, headers=shown)
            assert answer.status_code == status, answer.text
        assert "up to 5 characters, got 6" in answer.json()["error"]["message"]

    async def test_a_chat_is_bounded_by_its_own_rate(self, talk: Site, settings: Any) -> None:
        throttle = "lingstream.access.throttle.CacheThrottle"
        settings.LINGSTREAM = {**settings.LINGSTREAM, "THROTTLE": throttle}
        await Chat.objects.aupdate(rate="2/d")
        codes = []
        for _ in range(3):
            answer = await talk.http.post(URL, json={"input": sites.QUESTION, "conversation": "new"})
            codes.append(answer.status_code)
        assert codes == [202, 202, 429] and int(answer.headers["Retry-After"]) > 60
        alone = await talk.http.post(URL, json={"input": sites.QUESTION})
        assert alone.status_code == 202  # no turn of a chat
