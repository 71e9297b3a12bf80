"""The whole way, from a server that speaks the OpenAI protocol byte for byte to a viewer's document."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from lingstream.models import BotRun
from lingstream.testing import OpenAIServer, Reply
from tests import site as sites
from tests.chaos.patience import scaled
from tests.site import Site, document_of

KEY = "sk-a-key-that-must-not-be-seen-0123456789"
DOCUMENT = {"title": 'Clouds "up" high — 云', "facts": [{"n": 1.5e-7, "ok": True}, None, []], "end": ""}
TEXT = json.dumps(DOCUMENT)


@pytest.fixture
async def model(site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Returns ``serve(reply, **options)``, a context in which the default provider is that server."""
    monkeypatch.setenv("LINGSTREAM_API_KEY", KEY)

    async def point(server: OpenAIServer, **options: Any) -> None:
        settings.LINGSTREAM = {
            **settings.LINGSTREAM,
            "PROVIDER_KEYS": {"LINGSTREAM_API_KEY": [server.base_url]},
        }
        await sync_to_async(sites.store_provider)(
            kind="openai", base_url=server.base_url, key_name="LINGSTREAM_API_KEY", options=options
        )
        workflow = await site.workflow(answer="A")
        workflow.show_reasoning = True
        await workflow.asave()

    yield point


async def run_to_end(site: Site) -> tuple[list[Any], dict[str, Any]]:
    async with site.socket() as socket:
        started = await socket.start("test")
        done = await socket.until("done")
        frames = socket.frames[started["run"]]
    assert KEY not in repr(frames)
    return frames, done["done"]


REPLIES: dict[str, Reply] = {
    "plain": Reply(TEXT),
    "one byte at a time": Reply(TEXT, cut=1),
    "seven bytes at a time": Reply(TEXT, cut=7),
    "several events in a packet": Reply(TEXT, merge=5),
    "comments and CRLF": Reply(TEXT, comments=True, newline="\r\n"),
    "no space after data": Reply(TEXT, space=False),
    "no usage": Reply(TEXT, usage=None),
    "no [DONE]": Reply(TEXT, done=False),
    "reasoning": Reply(TEXT, reasoning=["First I ", "think {"]),
    "reasoning as OpenRouter": Reply(TEXT, reasoning=["First I ", "think {"], reasoning_field="reasoning"),
    "a byte order mark and CR": Reply(TEXT, bom=True, newline="\r", cut=3),
    "odd events": Reply([TEXT[:9], {"choices": []}, {"choices": [{"delta": None}]}, {}, TEXT[9:]]),
}


@pytest.mark.parametrize("name", REPLIES)
async def test_the_document_is_what_the_server_sent(site: Site, model: Any, name: str) -> None:
    reply = REPLIES[name]
    async with OpenAIServer(reply, key=KEY) as server:
        await model(server)
        frames, done = await run_to_end(site)
    assert done["status"] == "finished"
    assert document_of(frames) == DOCUMENT
    thoughts = "".join(f.body["data"] for f in frames if f.kind == "event" and f.body["event"] == "reasoning")
    assert thoughts == "".join(reply.reasoning)
    if reply.usage:
        assert done["usage"] == {"prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18}
    else:
        assert done["usage"]["estimated"] is True
    bot = await BotRun.objects.aget()
    assert (bot.output, bot.repairs) == (TEXT, [])


async def test_a_response_becomes_the_same_document(site: Site, model: Any) -> None:
    async with OpenAIServer(Reply(TEXT, reasoning=["First I ", "think {"]), key=KEY) as server:
        await model(server, api="responses")
        frames, done = await run_to_end(site)
    assert (done["status"], document_of(frames)) == ("finished", DOCUMENT)
    assert server.requests[0].route == "/v1/responses"
    assert (await BotRun.objects.aget()).reasoning == "First I think {"


HALF = TEXT[: len(TEXT) // 2]
FAILURES: dict[str, tuple[Reply, str, bool]] = {
    "error in mid-stream": (
        Reply([HALF, {"error": {"message": "overloaded", "type": "server_error"}}]),
        "provider-unavailable",
        True,
    ),
    "a finish reason that is a failure": (
        Reply([HALF, {"choices": [{"index": 0, "delta": {}, "finish_reason": "network_error"}]}]),
        "provider-unavailable",
        True,
    ),
    "connection dropped": (Reply(HALF, drop=True), "provider-disconnected", True),
    "401": (Reply(status=401), "provider-auth", False),
    "429": (Reply(status=429), "provider-rate-limit", True),
    "500": (Reply(status=500), "provider-unavailable", True),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_is_a_clear_error_frame(site: Site, model: Any, name: str) -> None:
    reply, code, retryable = FAILURES[name]
    async with OpenAIServer(reply) as server:
        await model(server, max_retries=0)
        frames, done = await run_to_end(site)
    assert done["status"] == "failed"
    (error,) = [frame.body for frame in frames if frame.kind == "error"]
    assert (error["code"], error["retryable"], error["bot"]) == (code, retryable, "answer#1")
    assert error["message"]
    bot = await BotRun.objects.aget()
    assert bot.status == "failed" and bot.error["code"] == code
    if reply.content:
        title = document_of(frames)["title"]
        assert title and DOCUMENT["title"].startswith(title)


async def test_a_key_that_the_server_repeats_stays_secret(site: Site, model: Any) -> None:
    async with OpenAIServer(TEXT, key="another") as server:
        await model(server, max_retries=0)
        _, done = await run_to_end(site)
    assert done["status"] == "failed"
    stored = [row async for row in BotRun.objects.values()]
    assert KEY not in repr(stored)


async def test_a_retry_that_succeeds_is_no_failure(site: Site, model: Any) -> None:
    async with OpenAIServer([Reply(status=500), Reply(TEXT)]) as server:
        await model(server, max_retries=1)
        frames, done = await run_to_end(site)
        assert len(server.requests) == 2
    assert (done["status"], document_of(frames)) == ("finished", DOCUMENT)


async def test_cancel_closes_the_connection_to_the_model(site: Site, model: Any) -> None:
    async with OpenAIServer(Reply(['{"answer": "half', asyncio.Event(), ' never"}'])) as server:
        await model(server)
        async with site.socket() as socket:
            started = await socket.start("test")
            while "half" not in json.dumps(await socket.receive()):
                pass
            await socket.send(type="cancel", run=started["run"])
            done = await socket.until("done")
            await asyncio.wait_for(server.requests[0].ended.wait(), scaled(10))
        assert server.requests[0].closed_early
    assert done["done"]["status"] == "canceled"
    assert done["done"]["usage"]["estimated"] is True
    assert socket.document(started["run"]) == {"answer": "half"}
