"""Responses in the dialects of an app outside the package, through Django and the ASGI wrapper."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from lingstream.core.document.ops import fold, from_wire
from lingstream.core.wire.dialect import names
from lingstream.models import Run
from tests import site as sites
from tests.site import Site, fold_sse, lines, read_sse

RUNS = "/ling/workflows/test/runs/"
BODY = {"input": sites.QUESTION}
ANSWER = {"answer": "No. You would fall through."}


async def started(site: Site) -> tuple[str, dict[str, str]]:
    """The events of a run that has ended, and the header that opens them."""
    async with site.stream("test") as response:
        await response.aread()
    headers = {"Authorization": f"Ling {response.headers['ling-token']}"}
    return f"{response.headers['location']}events/", headers


@pytest.fixture
async def asked(site: Site) -> Site:
    await site.workflow(answer="A")
    sites.answers = sites.ANSWER
    return site


class TestADialectOfAnApp:
    @pytest.mark.parametrize(
        ("query", "accept"),
        [("?dialect=announced", "*/*"), ("?dialect=announced", "text/html"), ("", "application/x-announced")],
    )
    async def test_is_streamed_at_a_start(self, asked: Site, query: str, accept: str) -> None:
        response = await asked.http.post(RUNS + query, json=BODY, headers={"Accept": accept})
        run = response.headers["ling-run"]
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/x-announced; charset=utf-8"
        assert (response.headers["x-announced"], response.headers["location"]) == ("1", f"/ling/runs/{run}/")
        begin, *messages, end = response.text.splitlines()
        assert (begin, end) == (f"run {run}", "end finished")
        announced = list(zip(messages[::2], map(json.loads, messages[1::2]), strict=True))
        assert (announced[0][0], announced[-1][0]) == ("snapshot", "done")
        assert sum(kind == "ops" for kind, _ in announced) > 1
        document: Any = None
        for kind, data in announced:
            if kind == "snapshot":
                document = data["document"]
            elif kind == "ops":
                document = fold(document, from_wire(data))
        assert document == ANSWER

    async def test_begins_at_once_and_fills_the_silence(self, asked: Site, settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "HEARTBEAT": 0.05}
        gate = asyncio.Event()
        sites.answers = [[gate, sites.ANSWER]]
        async with asked.http.stream("POST", f"{RUNS}?dialect=announced", json=BODY) as response:
            texts = response.aiter_lines()
            assert (await anext(texts)).startswith("run ")
            assert await anext(texts) == "snapshot"
            async for text in texts:
                if text == "patience":
                    break
            gate.set()
            assert [text async for text in texts][-1] == "end finished"

    async def test_fills_its_own_silence_while_the_run_talks(self, asked: Site, settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "HEARTBEAT": 0.5}
        gates = [asyncio.Event() for _ in range(200)]
        sites.answers = [['{"answer": "', *[part for gate in gates for part in (gate, "piece ")], '"}']]

        async def talk() -> None:
            for gate in gates:
                gate.set()
                await asyncio.sleep(0.01)

        async with asked.http.stream("POST", f"{RUNS}?dialect=mute", json=BODY) as response:
            talking = asyncio.create_task(talk())
            _, *rest = [text async for text in response.aiter_lines()]
            await talking
        assert set(rest) == {"patience", "end more"}

    async def test_gets_the_whole_where_it_cannot_resume(self, asked: Site) -> None:
        url, headers = await started(asked)
        run = await Run.objects.aget()
        for query, more in [("", {}), ("", {"Last-Event-ID": run.log_id}), (f"&after={run.log_id}", {})]:
            response = await asked.http.get(f"{url}?dialect=announced{query}", headers={**headers, **more})
            messages = response.text.splitlines()
            assert (messages[1], json.loads(messages[2])["document"]) == ("snapshot", ANSWER)
            assert messages[-1] == "end finished"

    async def test_cannot_have_its_stream_held_back(self, asked: Site) -> None:
        response = await asked.http.post(f"{RUNS}?dialect=announced", json=BODY)
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"

    async def test_is_told_where_its_response_ends_before_the_run(
        self, asked: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lingstream.transports.response.send_waits", lambda: False)
        settings.LINGSTREAM = {**settings.LINGSTREAM, "VIEWER_BUDGET": 1}
        response = await asked.http.post(f"{RUNS}?dialect=announced", json=BODY)
        assert response.text.splitlines()[-1] == "end more"

    async def test_may_end_its_response(self, asked: Site) -> None:
        response = await asked.http.post(f"{RUNS}?dialect=leaving", json=BODY)
        assert response.text.startswith("snapshot\n") and response.text.endswith("\nbye\n")

    @pytest.mark.parametrize(
        ("name", "last", "logged"),
        [
            ("aborting", "bye", ""),
            ("faulty", "event", "ValueError: a fault of this app"),
            ("fileless", "event", "FileNotFoundError: a file of this app"),
        ],
    )
    async def test_may_leave_it_unfinished(
        self, asked: Site, name: str, last: str, logged: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        gate, seen = asyncio.Event(), []
        sites.answers = [[gate, sites.ANSWER]]
        with pytest.raises(httpx.RemoteProtocolError):
            async with asked.http.stream("POST", f"{RUNS}?dialect={name}", json=BODY) as response:
                async for text in response.aiter_lines():
                    seen.append(text)
                    if text == "event":
                        gate.set()
        assert (seen[0], seen[-1]) == ("snapshot", last)
        assert ("a stream broke off" in caplog.text) == bool(logged) and logged in caplog.text


async def test_the_documentations_dialect(asked: Site) -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)\n```\n", page, re.DOTALL)
    if "one-text" not in names():
        exec(compile(example, "docs/protocol.md", "exec"), {})
    response = await asked.http.post(f"{RUNS}?dialect=one-text", json=BODY)
    run = response.headers["ling-run"]
    assert (response.headers["content-type"], response.headers["x-one-text"]) == ("text/event-stream", "1")
    *events, last = [event["data"] async for event in read_sse(response)]
    messages = [json.loads(data) for data in events]
    assert (messages[0], messages[1], last) == ({"type": "start", "run": run}, {"type": "reset"}, "[DONE]")
    assert messages[-1] == {"type": "stop", "status": "finished"}
    last_reset = max(place for place, message in enumerate(messages) if message["type"] == "reset")
    assert "".join(message.get("text", "") for message in messages[last_reset:]) == ANSWER["answer"]
    headers = {"Authorization": f"Ling {response.headers['ling-token']}"}
    url = f"{response.headers['location']}events/?dialect=one-text"
    again = [event["data"] async for event in read_sse(await asked.http.get(url, headers=headers))]
    assert json.loads(again[2]) == {"type": "text", "text": ANSWER["answer"]}


class TestAsking:
    @pytest.mark.parametrize("name", ["", "nope", "SSE", "x" * 5_000, "%0d%0a"])
    async def test_for_a_dialect_that_there_is_not_starts_nothing(self, asked: Site, name: str) -> None:
        response = await asked.http.post(f"{RUNS}?dialect={name}", json=BODY)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (406, "unknown-dialect")
        assert "expected a dialect among sse, jsonl, announced, " in error["message"]
        assert not await Run.objects.aexists()
        unknown = "00000000-0000-4000-8000-000000000000"
        response = await asked.http.get(f"/ling/runs/{unknown}/events/?dialect={name}")
        assert (response.status_code, response.json()["error"]["code"]) == (406, "unknown-dialect")

    @pytest.mark.parametrize("accept", ["*/*", "application/json", "application/jsonl", "text/html"])
    async def test_by_name_goes_before_accept(self, asked: Site, accept: str) -> None:
        async with asked.http.stream(
            "POST", f"{RUNS}?dialect=sse", json=BODY, headers={"Accept": accept}
        ) as response:
            assert response.headers["content-type"] == "text/event-stream"
            assert fold_sse([event async for event in read_sse(response)]) == ANSWER

    async def test_for_events_as_json_lines(self, asked: Site) -> None:
        url, headers = await started(asked)
        response = await asked.http.get(f"{url}?dialect=jsonl", headers=headers)
        assert response.headers["content-type"] == "application/jsonl"
        items = list(lines(response.text))
        assert (items[0]["snapshot"]["document"], items[-1]["done"]["status"]) == (ANSWER, "finished")

    @pytest.mark.parametrize("after", ["garbage%0adata:%20{}", "1-2%0a", "1-1%2B1"])
    async def test_nothing_of_a_strange_place_gets_into_the_stream(self, asked: Site, after: str) -> None:
        url, headers = await started(asked)
        response = await asked.http.get(f"{url}?after={after}", headers=headers)
        events = [event async for event in read_sse(response)]
        assert [event["event"] for event in events] == ["snapshot", "done"]
        assert "garbage" not in response.text
