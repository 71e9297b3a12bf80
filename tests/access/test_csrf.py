"""CSRF: asked of every request that a cookie speaks for, and of no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import AsyncClient

from lingstream.access.tokens import make_token
from lingstream.models import Run

from .. import site as sites
from ..site import Site

TOKEN = "a" * 32
SENT = {"cookie": f"csrftoken={TOKEN}", "x-csrftoken": TOKEN}


class RememberMe:
    """A login by another cookie than the session's, as sites and packages have them."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        scheme = request.headers.get("authorization", "").partition(" ")[0]
        if "remember" in request.COOKIES or scheme in ("Bearer", "Basic"):
            request.user = User.objects.get(username="ann")
        return self.get_response(request)


CASES: list[tuple[dict[str, str], str, str]] = [
    # headers, and the answer to a start and to a cancel with the run's token
    ({}, "ok", "ok"),
    ({"cookie": "other=1"}, "ok", "ok"),
    ({"cookie": "sessionid=unknown"}, "csrf", "ok"),
    ({"cookie": "remember=ann"}, "csrf", "ok"),
    ({"cookie": "remember=ann", "authorization": "Ling nonsense"}, "csrf", "ok"),
    ({"cookie": "remember=ann", "authorization": "Basic x"}, "csrf", "ok"),
    ({"authorization": "Basic x"}, "csrf", "ok"),
    ({"authorization": "Bearer x"}, "ok", "ok"),
    ({"cookie": f"remember=ann; csrftoken={TOKEN}", "x-csrftoken": TOKEN}, "ok", "ok"),
    ({"cookie": f"remember=ann; csrftoken={TOKEN}"}, "csrf", "ok"),
    ({"cookie": f"remember=ann; csrftoken={TOKEN}", "x-csrftoken": "b" * 32}, "csrf", "ok"),
]


@pytest.mark.parametrize(("headers", "start", "cancel"), CASES)
async def test_who_is_asked(
    site: Site, settings: Any, headers: dict[str, str], start: str, cancel: str
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.RememberMe"]
    from lingsite.asgi import django_app

    await User.objects.acreate_user("ann", password="pw")
    await site.workflow(a="A")
    sites.answers = '{"a": "b"}'
    before = django_app._middleware_chain
    django_app.load_middleware(is_async=True)
    try:
        response = await site.http.post(
            "/ling/workflows/test/runs/", json={"input": sites.QUESTION}, headers=headers
        )
        assert _code(response) == start
        run = await Run.objects.acreate(workflow="w", status="finished", owner=await User.objects.aget())
        url = f"/ling/runs/{run.pk}/cancel/"
        token = {"authorization": f"Ling {make_token(run.pk)}"}
        assert _code(await site.http.post(url, headers={**headers, **token})) == cancel
        if "remember" in headers.get("cookie", ""):
            # A token that opens nothing is no more than none: without a CSRF token the login does not count.
            shows = headers.get("authorization", "").startswith("Ling")
            assert _code(await site.http.post(url, headers=headers)) == ("forbidden" if shows else start)
        for shown in (None, make_token(run.pk)):
            body = {"runs": [{"run": str(run.pk), "token": shown}], "wait": 1}
            response = await site.http.post("/ling/events/", json=body, headers=headers)
            csrf = start == "csrf" and not shown
            assert response.status_code == (403 if csrf else 200), response.text
    finally:
        django_app._middleware_chain = before


@pytest.mark.parametrize("wait", [None, 1])
async def test_of_many_runs_those_with_tokens_need_no_proof(site: Site, wait: float | None) -> None:
    ended = {"workflow": "w", "status": "finished", "epoch": 1, "log_id": "1-9", "document": {}}
    bare, shown, wrong = [await Run.objects.acreate(**ended) for _ in range(3)]
    asked = [(bare, None), (shown, make_token(shown.pk)), (wrong, make_token(bare.pk))]
    body = {"runs": [{"run": str(run.pk), "token": token} for run, token in asked], "wait": wait}
    response = await site.http.post("/ling/events/", json=body, headers={"cookie": "sessionid=unknown"})
    lines = [line.removeprefix("data: ") for line in response.text.splitlines()]
    messages = [json.loads(line) for line in lines if line.startswith("{")]
    refused = {each["run"]: each["error"]["code"] for each in messages if "error" in each}
    assert refused == {str(bare.pk): "csrf", str(wrong.pk): "forbidden"}
    assert [each["run"] for each in messages if "done" in each] == [str(shown.pk)]


PROVED = {"cookie": f"sessionid=unknown; csrftoken={TOKEN}", "x-csrftoken": TOKEN}
REASONS: list[tuple[dict[str, str], str, str]] = [
    # headers, and a word of what the visitor is told and of what staff find in the log
    ({"cookie": "sessionid=unknown"}, "allow this site's cookies", "lingstream_script"),
    ({**PROVED, "x-csrftoken": ""}, "X-Csrftoken, got none", "pass it on"),
    ({**PROVED, "x-csrftoken": "b" * 32}, "reload the page", "incorrect"),
    ({**PROVED, "origin": "https://shop.example"}, "open the page anew", "proxy_set_header Host"),
    ({**PROVED, "origin": "https://127.0.0.1"}, "open the page anew", "SECURE_PROXY_SSL_HEADER"),
]


@pytest.mark.parametrize(("headers", "told", "logged"), REASONS)
async def test_what_is_missing_is_said(
    site: Site, caplog: pytest.LogCaptureFixture, headers: dict[str, str], told: str, logged: str
) -> None:
    origin = headers.get("origin")
    if origin == "https://127.0.0.1":
        headers = {**headers, "origin": site.base.replace("http:", "https:")}
    response = await site.http.post("/ling/workflows/test/runs/", json={}, headers=headers)
    assert (response.status_code, _code(response)) == (403, "csrf")
    message = response.json()["error"]["message"]
    assert told in message
    assert logged in caplog.text
    assert "CSRF_TRUSTED_ORIGINS" not in message and (origin is None) == ("CSRF_TRUSTED" not in caplog.text)


def _code(response: Any) -> str:
    return "ok" if response.status_code == 202 else str(response.json()["error"]["code"])


async def test_a_token_that_is_kept_in_the_session(site: Site, settings: Any) -> None:
    settings.CSRF_USE_SESSIONS = True
    await site.workflow(a="A")
    sites.answers = '{"a": "b"}'
    client = AsyncClient()
    session = await client.asession()
    await session.aset("_csrftoken", TOKEN)
    await session.asave()
    url, body = "/ling/workflows/test/runs/", {"input": sites.QUESTION}
    cookie = {"cookie": f"sessionid={session.session_key}"}
    assert _code(await site.http.post(url, json=body, headers=cookie)) == "csrf"
    assert _code(await site.http.post(url, json=body, headers={**cookie, "x-csrftoken": TOKEN})) == "ok"
