"""A database that is away: every call is answered, and what runs goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.db.backends.sqlite3.base import DatabaseWrapper

from lingstream.execution.runner import get_runner
from tests import site as sites
from tests.site import Site, fold_sse, read_sse

ERRORS = [OperationalError("connection refused"), InterfaceError("connection already closed")]
UNKNOWN = "00000000-0000-4000-8000-000000000000"
START = "/ling/workflows/test/runs/"
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/ling/workflows/test/runs/", {"json": {"input": {}}}),
    (
        "POST",
        "/ling/workflows/test/runs/",
        {"json": {"input": {}}, "headers": {"Accept": "text/event-stream"}},
    ),
    (
        "POST",
        "/ling/workflows/test/runs/",
        {"json": {"input": {}}, "headers": {"Accept": "application/jsonl"}},
    ),
    ("GET", f"/ling/runs/{UNKNOWN}/", {}),
    ("GET", f"/ling/runs/{UNKNOWN}/events/", {}),
    ("POST", f"/ling/runs/{UNKNOWN}/cancel/", {}),
]
MESSAGES: list[dict[str, Any]] = [
    {"type": "start", "workflow": "test", "input": {}},
    {"type": "subscribe", "run": UNKNOWN},
    {"type": "cancel", "run": UNKNOWN},
]


@contextmanager
def away(error: Exception) -> Iterator[None]:
    """No thread gets a connection, nor can use the one that it has."""

    def refuse(*_: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseWrapper, "ensure_connection", refuse)
        yield


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("method", "path", "more"), CALLS, ids=lambda value: str(value)[:60])
async def test_every_request_is_answered_503_as_json(
    site: Site, error: Exception, method: str, path: str, more: dict[str, Any]
) -> None:
    await site.workflow(answer="A")
    with away(error):
        response = await site.http.request(method, path, **more)
    assert (response.status_code, response.headers["content-type"]) == (503, "application/json")
    assert response.headers["retry-after"] == "1"
    fault = response.json()["error"]
    assert (fault["code"], fault["retryable"]) == ("database", True)
    assert str(error) not in fault["message"]


async def test_socket_messages_are_answered_and_the_socket_stays_open(site: Site) -> None:
    await site.workflow(answer="A")
    sites.answers = '{"answer": "one"}'
    async with site.socket() as socket:
        with away(ERRORS[0]):
            for number, message in enumerate(MESSAGES):
                await socket.send(**message, ref=number)
                answer = await socket.receive()
                assert (answer["ref"], answer["error"]["code"]) == (number, "database")
                assert answer["error"]["retryable"] is True
        await socket.start("test")
        assert (await socket.until("done"))["done"]["status"] == "finished"


async def test_viewers_of_a_running_run_go_on(site: Site) -> None:
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "one ', gate, 'two"}']]
    async with site.stream("test") as response, site.socket() as socket:
        run, token = response.headers["ling-run"], response.headers["ling-token"]
        await socket.send(type="subscribe", run=run, token=token)
        while "one" not in json.dumps(await socket.receive()):
            pass
        with away(ERRORS[0]):
            gate.set()
            while "two" not in json.dumps(await socket.receive()):
                pass
        await socket.until("done")
        events = [event async for event in read_sse(response)]
    assert fold_sse(events) == socket.document(run) == {"answer": "one two"}
    await get_runner().wait(run)
