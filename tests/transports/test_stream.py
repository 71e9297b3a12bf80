"""Streams behind Django: all of its middleware, none of its threads."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.test import AsyncClient

from lingstream.access.tokens import make_token
from lingstream.core.log.memory import MemoryLog
from lingstream.execution import disconnect
from lingstream.execution.runner import get_runner
from lingstream.hubs import get_hub
from lingstream.models import Run, Workflow
from tests import site as sites
from tests.chaos.patience import scaled
from tests.site import Site, fold_sse, lines, read_sse

ROOT = Path(__file__).parents[2]
ACCEPTS = ["text/event-stream", "application/jsonl"]


def stamping(get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> Any:
    """Middleware that adds a header and a cookie."""

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        response["X-Stamp"] = str(response.streaming)
        response.set_cookie("stamp", "1")
        return response

    return middleware


def refusing(get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> Any:
    """Middleware that has another answer."""

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        return HttpResponse("not today", status=451) if response.streaming else response

    return middleware


for each in (stamping, refusing):
    each.async_capable, each.sync_capable = True, False  # type: ignore[attr-defined]


@pytest.fixture
def middleware(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"tests.transports.test_stream.{request.param}"]


@pytest.fixture
async def fresh_site(middleware: None, transactional_db: None, fresh_runner: None) -> Any:
    """A site whose handler was made with the middleware of this test."""
    from django.core.asgi import get_asgi_application

    import lingsite.asgi
    from lingstream.asgi import application

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lingsite.asgi, "application", application(get_asgi_application()))
        async with sites.serve() as running:
            yield running


async def held(site: Site) -> asyncio.Event:
    """A workflow whose runs wait at a gate."""
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "half', gate, ' whole"}']]
    return gate


@pytest.mark.parametrize("middleware", ["stamping"], indirect=True)
@pytest.mark.parametrize("accept", ACCEPTS)
async def test_all_middleware_sees_the_head(fresh_site: Site, accept: str) -> None:
    await fresh_site.workflow(answer="A")
    sites.answers = '{"answer": "one"}'
    async with fresh_site.stream("test", accept=accept) as response:
        text = (await response.aread()).decode()
    assert response.headers["x-stamp"] == "True"
    assert response.cookies["stamp"] == "1"
    assert response.headers["x-frame-options"] == "DENY"
    assert not {"ling-stream", "content-length", "etag"} & set(response.headers)
    if accept == ACCEPTS[1]:
        assert list(lines(text))[-1]["done"]["status"] == "finished"


@pytest.mark.parametrize("middleware", ["refusing"], indirect=True)
@pytest.mark.parametrize("accept", ACCEPTS)
async def test_middleware_may_answer_instead(fresh_site: Site, accept: str) -> None:
    gate = await held(fresh_site)
    async with fresh_site.stream("test", accept=accept) as response:
        assert (response.status_code, await response.aread()) == (451, b"not today")
    assert not disconnect._viewers
    gate.set()


@pytest.mark.parametrize("path", ["one run", "many runs"])
async def test_a_stream_holds_no_thread(site: Site, path: str) -> None:
    gate = await held(site)
    started = (await site.start("test")).json()
    if path == "one run":
        headers = {"Authorization": f"Ling {started['token']}"}
        ask: dict[str, Any] = {"method": "GET", "url": started["events"], "headers": headers}
    else:
        runs = [{"run": started["run"], "token": started["token"]}]
        ask = {"method": "POST", "url": "/ling/events/", "json": {"runs": runs}}
    before = threading.active_count()
    limits = httpx.Limits(max_connections=100)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=site.base, limits=limits))
        streams = []
        for _ in range(40):
            response = await stack.enter_async_context(http.stream(**ask))
            streams.append(read_sse(response))
            await anext(streams[-1])
        during = threading.active_count()
        gate.set()
        for stream in streams:
            assert "done" in json.loads([event async for event in stream][-1]["data"])
    assert during <= before + 1, f"{during - before} more threads for 40 viewers"


async def test_a_poll_that_waits_holds_no_thread(site: Site, settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "DISCONNECT_GRACE": 30}
    gate = await held(site)
    await Workflow.objects.aupdate(on_disconnect="cancel")  # so that viewers are counted
    started = (await site.start("test")).json()
    one = {"run": started["run"], "token": started["token"]}
    async with asyncio.timeout(scaled(20)):
        while "half" not in (
            first := (await site.http.post("/ling/events/", json={"runs": [one], "wait": 5})).text
        ):
            one["after"] = list(lines(first))[-1]["id"]
    one["after"] = list(lines(first))[-1]["id"]
    before = threading.active_count()
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(base_url=site.base, limits=limits, timeout=30) as http:
        body = {"runs": [one], "wait": 30}
        waiting = [asyncio.create_task(http.post("/ling/events/", json=body)) for _ in range(40)]
        async with asyncio.timeout(scaled(20)):
            while disconnect._viewers[started["run"]] < 40:
                await asyncio.sleep(0.01)
        during = threading.active_count()
        gate.set()
        for each in waiting:
            assert "id" in next(lines((await each).text))
    assert during <= before + 1, f"{during - before} more threads for 40 polls"


@pytest.mark.parametrize("accept", [*ACCEPTS, "many runs"])
async def test_who_goes_away_is_a_viewer_no_longer(site: Site, settings: Any, accept: str) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "DISCONNECT_GRACE": 30}
    gate = await held(site)
    await Workflow.objects.aupdate(on_disconnect="cancel")
    async with AsyncExitStack() as stack:
        if accept == "many runs":
            started = (await site.start("test")).json()
            run, body = started["run"], {"runs": [{"run": started["run"], "token": started["token"]}]}
            response = await stack.enter_async_context(site.http.stream("POST", "/ling/events/", json=body))
        else:
            response = await stack.enter_async_context(site.stream("test", accept=accept))
            run = response.headers["ling-run"]
        async for text in response.aiter_text():
            if "half" in text:
                break
        assert disconnect._viewers[run] == 1
    async with asyncio.timeout(scaled(10)):
        while disconnect._viewers[run]:
            await asyncio.sleep(0.01)
    gate.set()
    await get_runner().wait(run)
    log = await get_hub().find(run)
    gc.collect()
    assert isinstance(log, MemoryLog) and not log.buffer.waiting


async def test_without_the_wrapper_a_view_streams_by_itself(site: Site) -> None:
    await site.cloud_facts()
    body = {"input": {"question": "hi"}}
    response = await AsyncClient().post(
        "/ling/workflows/cloud-facts/runs/", body, "application/json", headers={"Accept": ACCEPTS[1]}
    )
    assert "Ling-Stream" not in response.headers
    text = b"".join([part async for part in response.streaming_content]).decode()
    assert list(lines(text))[-1]["done"]["status"] == "finished"


async def test_a_client_cannot_name_what_is_streamed(site: Site) -> None:
    await site.cloud_facts()
    response = await site.http.get("/", headers={"Ling-Stream": "0" * 16})
    assert "ling-stream" not in response.headers and response.content


async def test_a_stream_that_is_resumed_has_ended(site: Site) -> None:
    await site.cloud_facts()
    async with site.stream("cloud-facts", {"question": "hi"}) as response:
        events = [event async for event in read_sse(response)]
    run = await Run.objects.aget()
    headers = {"Authorization": f"Ling {make_token(run.pk)}"}
    again = await site.http.get(f"/ling/runs/{run.pk}/events/", headers=headers)
    assert fold_sse([event async for event in read_sse(again)]) == fold_sse(events) == run.document
    assert json.loads(events[-1]["data"])["done"]["status"] == "finished"


@pytest.fixture(params=["uvicorn", "daphne"])
def unfinished(request: pytest.FixtureRequest) -> Iterator[str]:
    """A site of its own, as a process."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    target = "tests.outside.unfinished:application"
    options = {"uvicorn": [target, "--port", str(port)], "daphne": ["-p", str(port), target]}
    command = [sys.executable, "-m", request.param, *options[request.param]]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "Uvicorn running" in line or "Listening on TCP" in line:
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


async def test_a_body_breaks_off_under_each_server(unfinished: str) -> None:
    async with httpx.AsyncClient(base_url=unfinished, timeout=20) as http:
        for path in ("abort", "fail", "abort"):
            seen = b""
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                async with http.stream("GET", path) as response:
                    async for part in response.aiter_bytes():
                        seen += part
            assert (response.status_code, seen) == (200, b"first")
        assert (await http.get("whole")).text == "first"
