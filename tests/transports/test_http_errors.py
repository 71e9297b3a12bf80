"""HTTP on ordinary sites: Django's own refusals as JSON, ATOMIC_REQUESTS, WSGI, what a client accepts."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.signals import got_request_exception
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.test import AsyncRequestFactory, Client

from lingstream import urls
from lingstream.models import Run
from lingstream.transports.requests import api
from tests import site as sites
from tests.site import Site, lines

RUNS = "/ling/workflows/cloud-facts/runs/"
UNKNOWN = "/ling/runs/00000000-0000-4000-8000-000000000000/"


async def chunks(size: int) -> AsyncIterator[bytes]:
    """A body whose size no header tells."""
    for _ in range(size // 1000):
        yield b" " * 1000


@pytest.mark.parametrize(("limit", "size"), [(10_000, 20_000), (None, 300_000), (500_000, 300_000)])
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_body_past_djangos_limit_or_ours_is_too_large(
    site: Site, settings: Any, limit: int | None, size: int, accept: str
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = limit
    for body in (chunks(size), b" " * size):
        response = await site.http.post(RUNS, content=body, headers={"Accept": accept})
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too-large")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("PUT", RUNS, 405, "method"),
        ("DELETE", UNKNOWN, 405, "method"),
        ("POST", f"{UNKNOWN}events/", 405, "method"),
        ("GET", f"{UNKNOWN}cancel/", 405, "method"),
        ("GET", "/ling/runs/none/", 404, "not-found"),
        ("GET", "/ling/runs/%00%ff/events/", 404, "not-found"),
        ("POST", "/ling/runs/none/cancel/", 404, "not-found"),
        ("POST", "/ling/workflows/no%20such%20one/runs/", 404, "unknown-workflow"),
        ("POST", "/ling/workflows/%00/runs/", 400, "usage"),
    ],
)
async def test_whatever_is_asked_of_our_paths_is_answered_as_json(
    site: Site, method: str, path: str, status: int, code: str
) -> None:
    response = await site.http.request(method, path, content=b'{"input": {}}' if method == "POST" else None)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.headers["ling-protocol"] == "1"
    assert ("allow" in response.headers) == (status == 405)


RAISED: list[tuple[Exception, int, str]] = [
    (RequestDataTooBig("x"), 413, "too-large"),
    (SuspiciousOperation("x"), 400, "bad-request"),
    (BadRequest("x"), 400, "bad-request"),
    (UnreadablePostError("x"), 400, "bad-request"),
    (UnicodeDecodeError("utf-8", b"x", 0, 1, "x"), 400, "bad-request"),
    (PermissionDenied("x"), 403, "forbidden"),
    (Http404("x"), 404, "not-found"),
    (OperationalError("x"), 503, "database"),
    (InterfaceError("x"), 503, "database"),
    (DatabaseError("x"), 500, "internal"),
    (KeyError("x"), 500, "internal"),
]


@pytest.mark.parametrize(("error", "status", "code"), RAISED, ids=lambda value: type(value).__name__)
async def test_what_django_or_the_site_raises_is_json_that_names_nothing(
    error: Exception, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard = []

    def listen(**kwargs: Any) -> None:
        heard.append(kwargs["request"])

    @api("GET")
    async def view(request: HttpRequest) -> HttpResponse:
        raise error

    request = AsyncRequestFactory().get("/")
    got_request_exception.connect(listen)
    try:
        response = await view(request)
    finally:
        got_request_exception.disconnect(listen)
    told = json.loads(response.content)["error"]
    assert (response.status_code, told["code"]) == (status, code)
    assert str(error) not in told["message"].split()
    assert response.headers.get("Retry-After") == ("1" if status == 503 else None)
    assert heard == ([request] if status >= 500 else [])
    logged = [record for record in caplog.records if record.exc_info]
    assert len(logged) == (status >= 500)


async def test_a_host_that_is_not_allowed_stays_djangos_matter() -> None:
    @api("GET")
    async def view(request: HttpRequest) -> HttpResponse:
        raise DisallowedHost("x")

    with pytest.raises(DisallowedHost):
        await view(AsyncRequestFactory().get("/"))


async def test_atomic_requests_is_no_obstacle(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for pattern in urls.urlpatterns:
        assert set(connections) <= pattern.callback._non_atomic_requests
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    await site.cloud_facts()
    started = await site.start("cloud-facts")
    assert started.status_code == 202
    headers = {"Authorization": f"Ling {started.json()['token']}"}
    followed = await site.http.get(started.json()["events"], headers=headers)
    assert "event: done" in followed.text
    state = await site.http.get(started.headers["location"], headers=headers)
    assert state.json()["status"] == "finished"
    cancel = await site.http.post(f"{started.headers['location']}cancel/", headers=headers)
    assert cancel.status_code == 202
    async with site.stream("cloud-facts", accept="application/jsonl") as response:
        assert list(lines((await response.aread()).decode()))[-1]["done"]["status"] == "finished"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", RUNS), ("GET", UNKNOWN), ("GET", f"{UNKNOWN}events/"), ("POST", f"{UNKNOWN}cancel/")],
)
def test_wsgi_is_told_that_it_takes_asgi(
    transactional_db: None, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    sites.store_cloud_facts()
    with caplog.at_level(logging.ERROR):
        response = Client().generic(method, path, json.dumps({"input": sites.QUESTION}), "application/json")
    assert (response.status_code, response.json()["error"]["code"]) == (501, "asgi-required")
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("accept", "status", "kind"),
    [
        ("text/event-stream;q=0.2, application/jsonl", 200, "application/jsonl"),
        ("text/event-stream;q=0, */*", 202, "application/json"),
        ("text/event-stream;q=0.1, */*;q=0.9", 202, "application/json"),
        ("text/*", 200, "text/event-stream"),
        ("text/html", 406, "application/json"),
        ("*/*;q=0", 406, "application/json"),
    ],
)
async def test_the_answer_is_what_the_client_wants_most(
    site: Site, accept: str, status: int, kind: str
) -> None:
    await site.cloud_facts()
    async with site.stream("cloud-facts", accept=accept) as response:
        await response.aread()
    assert (response.status_code, response.headers["content-type"]) == (status, kind)
    assert await sync_to_async(Run.objects.count)() == (status != 406)
