"""A runner whose event loop is another by now: each async test of a site has a loop of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from lingstream import step
from lingstream.core.engine import kinds
from lingstream.execution.runner import get_runner
from lingstream.models import Run, Runner
from lingstream.testing import OpenAIServer

from .. import site as sites
from ..conftest import _forget

BODY = json.dumps({"input": sites.QUESTION})


async def close() -> None:
    await get_runner().ensure_registered()
    await get_runner().aclose()


@pytest.fixture
def workflow(settings: Any, transactional_db: None) -> Iterator[None]:
    settings.LINGSTREAM = {"PROVIDER_KINDS": {"test": "tests.site.scripted"}, "DEFAULT_PROVIDER": "demo"}
    sites.answers = '{"answer": "yes"}'
    sites.store_workflow("test", {"answer": "A"})
    _forget()
    yield
    async_to_sync(close)()
    _forget()


def ask(slug: str = "test") -> dict[str, Any]:
    """What an async test does, from the making of its loop to the end of that."""

    async def test() -> dict[str, Any]:
        client = AsyncClient()
        url = f"/ling/workflows/{slug}/runs/"
        started = (await client.post(url, BODY, content_type="application/json")).json()
        await get_runner().wait(started["run"])
        headers = {"Authorization": f"Ling {started['token']}"}
        found: dict[str, Any] = (await client.get(f"/ling/runs/{started['run']}/", headers=headers)).json()
        return found

    return async_to_sync(test)()


def test_goes_on_in_the_next_one(workflow: None) -> None:
    for _ in range(3):
        found = ask()
        assert (found["status"], found["document"]) == ("finished", {"answer": "yes"})
    assert Run.objects.filter(status="finished").count() == 3
    assert Runner.objects.count() == 1


def test_makes_requests_and_has_threads_in_each(
    workflow: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))
    step("count")(lambda input: Run.objects.count())
    settings.LINGSTREAM = {**settings.LINGSTREAM, "ALLOW_HOSTS": ["127.0.0.1"]}
    with OpenAIServer("yes") as server:
        options = {"url": f"{server.base_url}/chat/completions", "method": "POST", "body": {}}
        http = {"kind": "http", "root": "http", "options": options}
        sites.store_workflow("steps", {"http": http, "count": {"kind": "count", "root": "count"}})
        for number in range(1, 4):
            found = ask("steps")
            assert (found["status"], found["document"]["count"]) == ("finished", number)
            assert found["document"]["http"]["choices"][0]["message"]["content"] == "yes"
        assert (len(server.requests), server.connections) == (3, 3)


def test_of_a_fault_the_test_client_raises_the_fault(workflow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: Any) -> None:
        raise ZeroDivisionError("a fault of the server")

    monkeypatch.setattr(get_runner(), "start", fail)
    with pytest.raises(ZeroDivisionError, match="a fault of the server"):
        ask()


def test_gives_up_what_the_old_one_left_in_the_middle(workflow: None) -> None:
    sites.answers = [[asyncio.Event(), "never"]]

    async def leave() -> None:
        await AsyncClient().post("/ling/workflows/test/runs/", BODY, content_type="application/json")

    async_to_sync(leave)()
    sites.answers = '{"answer": "yes"}'
    assert ask()["status"] == "finished"
    assert get_runner().running() == []
