"""Many runs over one response: streamed, and polled for."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from lingstream.access.tokens import make_share, make_token
from lingstream.core.wire.frames import frame_from_wire
from lingstream.core.wire.socket import LONGEST
from lingstream.execution import disconnect
from lingstream.execution.runner import get_runner
from lingstream.hubs import get_hub
from lingstream.models import Run, Workflow
from tests import site as sites
from tests.chaos.patience import scaled
from tests.hubs.conftest import RedisServer, shared_redis  # noqa: F401  # a fixture
from tests.site import Site, document_of, lines

URL = "/ling/events/"
ENDED = {"workflow": "w", "status": "finished", "epoch": 1, "log_id": "1-9", "document": {"a": 1}}


@pytest.fixture(params=["memory", "redis"])
def hub(request: pytest.FixtureRequest, settings: Any) -> None:
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("shared_redis")
        options = {"HUB": "lingstream.hubs.redis.RedisHub", "HUB_OPTIONS": {"url": server.url}}
        settings.LINGSTREAM = {**settings.LINGSTREAM, **options}


class Reader:
    """What a client knows of its runs: their messages, and where each is."""

    def __init__(self, *started: dict[str, Any]) -> None:
        self.asked = {each["run"]: {"run": each["run"], "token": each["token"]} for each in started}
        self.messages: dict[str, list[dict[str, Any]]] = {run: [] for run in self.asked}

    @property
    def open(self) -> list[dict[str, Any]]:
        """The runs that have not ended, as they are asked for."""
        return [
            asked
            for run, asked in self.asked.items()
            if not any("done" in each for each in self.messages[run])
        ]

    def take(self, message: dict[str, Any]) -> None:
        self.messages[message["run"]].append(message)
        if "id" in message:
            self.asked[message["run"]]["after"] = message["id"]

    def documents(self) -> list[Any]:
        messages = copy.deepcopy(list(self.messages.values()))
        return [document_of([frame_from_wire(each) for each in those]) for those in messages]


async def events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The messages of a stream, which has nothing but data and comments."""
    assert response.status_code == 200, await response.aread()
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
        else:
            assert line in ("", ": alive"), line


def messages_of(response: httpx.Response) -> list[dict[str, Any]]:
    """The messages of a response that has ended, streamed or polled for."""
    assert response.status_code == 200, response.text
    texts = (line.removeprefix("data: ") for line in response.text.splitlines())
    return [json.loads(text) for text in texts if text.startswith("{")]


async def three(site: Site) -> tuple[list[dict[str, Any]], list[asyncio.Event]]:
    """Three runs that talk at the same time, each as far as its gates let it."""
    gates = [asyncio.Event() for _ in range(3)]
    starts = []
    for number, gate in enumerate(gates):
        await site.workflow(f"w{number}", answer=f"ANSWER {number}")
        starts.append((f"ANSWER {number}", [f'{{"answer": "half {number}', gate, ' whole"}']))
    sites.answers = dict(starts)
    await Workflow.objects.aupdate(on_disconnect="cancel")  # so that viewers are counted
    return [(await site.start(f"w{number}")).json() for number in range(3)], gates


async def test_a_stream_has_all_runs_to_their_ends(hub: None, site: Site) -> None:
    started, gates = await three(site)
    reader = Reader(*started)
    async with site.http.stream("POST", URL, json={"runs": reader.open}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["content-encoding"] == "identity"
        messages = events(response)
        while not all("half" in json.dumps(document) for document in reader.documents()):
            reader.take(await anext(messages))
        for gate, run in zip(reversed(gates), reversed(started), strict=True):
            gate.set()
            while run["run"] in {each["run"] for each in reader.open}:
                reader.take(await anext(messages))
        assert [message async for message in messages] == [], "it ends with its last run"
    assert reader.documents() == [{"answer": f"half {number} whole"} for number in range(3)]


async def test_polls_have_all_runs_to_their_ends(hub: None, site: Site) -> None:
    started, gates = await three(site)
    reader = Reader(*started)
    turns = 0
    while reader.open:
        response = await site.http.post(URL, json={"runs": reader.open, "wait": 20})
        assert response.headers["content-type"] == "application/jsonl"
        messages = list(lines(response.text))
        assert messages, "a turn came back without anything"
        for message in messages:
            reader.take(message)
        if all("half" in json.dumps(document) for document in reader.documents()):
            for gate in gates:
                gate.set()
        turns += 1
    assert turns > 1
    assert reader.documents() == [{"answer": f"half {number} whole"} for number in range(3)]


async def test_a_turn_takes_what_all_runs_have_at_once(site: Site) -> None:
    runs = [await Run.objects.acreate(**ENDED) for _ in range(30)]
    body = {"runs": [{"run": str(run.pk), "token": make_share(run.pk)} for run in runs], "wait": 20}
    messages = list(lines((await site.http.post(URL, json=body)).text))
    assert [{name for name in each if name in ("snapshot", "done")} for each in messages] == [
        {"snapshot"},
        {"done"},
    ] * 30


async def test_a_turn_waits_no_longer_than_it_is_told(site: Site) -> None:
    started, gates = await three(site)
    reader = Reader(*started)
    for _ in range(50):
        begun = time.monotonic()
        found = list(lines((await site.http.post(URL, json={"runs": reader.open, "wait": 0.3})).text))
        if not found:
            break
        for message in found:
            reader.take(message)
    assert 0.3 <= time.monotonic() - begun < scaled(5)
    for gate in gates:
        gate.set()


async def test_every_place_can_be_resumed(site: Site) -> None:
    await site.cloud_facts()
    started = (await site.start("cloud-facts", {"question": "hi"})).json()
    async with site.http.stream("POST", URL, json={"runs": Reader(started).open}) as response:
        whole = [message async for message in events(response)]
    for place in range(len(whole)):
        reader = Reader(started)
        for message in whole[:place]:
            reader.take(message)
        async with site.http.stream("POST", URL, json={"runs": reader.open}) as response:
            async for message in events(response):
                reader.take(message)
        assert reader.documents() == [(await Run.objects.aget()).document]
        assert reader.messages[started["run"]][-1] == whole[-1]


async def test_a_client_that_has_the_end_is_sent_nothing(site: Site) -> None:
    await site.cloud_facts()
    started = (await site.start("cloud-facts", {"question": "hi"})).json()
    await get_runner().wait(started["run"])
    last = (await Run.objects.aget()).log_id
    body = {"runs": [{"run": started["run"], "token": started["token"], "after": last}]}
    for wait in ({}, {"wait": 20}):
        assert (await site.http.post(URL, json={**body, **wait})).text.strip() in ("", ": alive")


@pytest.mark.parametrize("wait", [None, 20])
async def test_a_run_that_is_refused_is_told_so_and_the_others_go_on(site: Site, wait: float | None) -> None:
    mine, other = [await Run.objects.acreate(**ENDED) for _ in range(2)]
    unknown = "00000000-0000-4000-8000-000000000000"
    asked: dict[str, tuple[str | None, str]] = {
        unknown: (make_token(unknown), "not-found"),
        "no id": (make_token("no id"), "not-found"),
        str(other.pk): (make_token(mine.pk), "forbidden"),
        str(mine.pk): (make_token(mine.pk), ""),
    }
    runs = [{"run": run, "token": token} for run, (token, _) in asked.items()]
    messages = messages_of(await site.http.post(URL, json={"runs": runs, "wait": wait}))
    refused = {each["run"]: each["error"]["code"] for each in messages if "id" not in each}
    assert refused == {run: code for run, (_, code) in asked.items() if code}
    assert [each["run"] for each in messages if "done" in each] == [str(mine.pk)]


ENTRIES: dict[str, tuple[Any, str | None, str]] = {
    # an entry, the run that its refusal names, and a word of it
    "no object": ("x", None, "'x'"),
    "no id": ({}, None, "{}"),
    "an id that is none": ({"run": 7}, None, "7"),
    "a long id": ({"run": "x" * 501}, None, "expected run"),
    "a place that is none": ({"run": "x", "after": 7}, "x", "expected after"),
    "a token that is none": ({"run": "x", "token": ["x"]}, "x", "expected token"),
}


@pytest.mark.parametrize("wait", [None, 20])
@pytest.mark.parametrize(("entry", "named", "word"), ENTRIES.values(), ids=ENTRIES)
async def test_an_entry_that_cannot_be_read_is_refused_by_itself(
    site: Site, entry: Any, named: str | None, word: str, wait: float | None
) -> None:
    run = await Run.objects.acreate(**ENDED)
    good = {"run": str(run.pk), "token": make_share(run.pk)}
    for runs in ([entry, good], [good, entry]):
        refused, *followed = messages_of(await site.http.post(URL, json={"runs": runs, "wait": wait}))
        assert (refused["run"], refused["error"]["code"]) == (named, "usage")
        assert word in refused["error"]["message"]
        assert [each["run"] for each in followed if "done" in each] == [str(run.pk)]


async def test_a_run_that_is_asked_for_twice_is_followed_as_first_asked(site: Site) -> None:
    run = await Run.objects.acreate(**ENDED)
    asked = {"run": str(run.pk), "token": make_share(run.pk)}
    body = {"runs": [asked, {**asked, "token": None}], "wait": 20}
    refused, *followed = messages_of(await site.http.post(URL, json=body))
    assert refused["run"] is None, "that would be the end of the run for its client"
    assert "once" in refused["error"]["message"] and str(run.pk) in refused["error"]["message"]
    assert [each["run"] for each in followed if "done" in each] == [str(run.pk)]


@pytest.mark.parametrize("wait", [None, 20])
async def test_more_runs_than_one_response_has_are_told_of_and_the_others_followed(
    site: Site, wait: float | None
) -> None:
    rows = await Run.objects.abulk_create([Run(**ENDED) for _ in range(103)])
    runs = [{"run": str(row.pk), "token": make_share(row.pk)} for row in rows]
    refused, *followed = messages_of(await site.http.post(URL, json={"runs": runs, "wait": wait}))
    assert (refused["run"], refused["error"]["code"]) == (None, "too-many")
    assert "100 runs" in refused["error"]["message"] and "3 more" in refused["error"]["message"]
    ended = {each["run"] for each in followed if "done" in each}
    assert ended == {each["run"] for each in runs[:100]}


async def test_what_is_refused_has_a_bound(site: Site) -> None:
    response = await site.http.post(URL, json={"runs": [{}] * 50_000})
    assert len(messages_of(response)) == 101


BODIES: dict[str, tuple[Any, str]] = {
    "no object": ([], "runs"),
    "no runs": ({}, "runs"),
    "no list": ({"runs": {"run": "x"}}, "runs"),
    "an empty list": ({"runs": []}, "at least one"),
    "a wait that is none": ({"runs": [{"run": "x"}], "wait": "long"}, "expected wait"),
    "a flag": ({"runs": [{"run": "x"}], "wait": True}, "expected wait"),
    "too long a wait": ({"runs": [{"run": "x"}], "wait": 61}, "expected wait"),
    "a negative wait": ({"runs": [{"run": "x"}], "wait": -1}, "expected wait"),
}


@pytest.mark.parametrize(("body", "word"), BODIES.values(), ids=BODIES)
async def test_a_body_of_another_shape(site: Site, body: Any, word: str) -> None:
    response = await site.http.post(URL, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "usage")
    assert word in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [(b"{", 400, "bad-json"), (b"x" * 300_000, 413, "too-large"), (b"[" * 200 + b"]" * 200, 400, "too-deep")],
)
async def test_a_body_that_cannot_be_read(site: Site, content: bytes, status: int, code: str) -> None:
    response = await site.http.post(URL, content=content)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_it_is_asked_by_post(site: Site) -> None:
    response = await site.http.get(URL)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("wait", [None, 20])
async def test_a_long_document_comes_in_pieces(site: Site, wait: float | None) -> None:
    document = {"a": "x" * 3 * LONGEST, "b": [{"c": "é" * LONGEST}]}
    run = await Run.objects.acreate(**{**ENDED, "document": document})
    reader = Reader({"run": str(run.pk), "token": make_token(run.pk)})
    async with site.http.stream("POST", URL, json={"runs": reader.open, "wait": wait}) as response:
        async for line in response.aiter_lines():
            assert len(line.encode()) <= LONGEST + len("data: ")
            if "{" in line:
                reader.take(json.loads(line.removeprefix("data: ")))
    assert reader.documents() == [document]
    assert not reader.open


async def test_silence_is_filled_once_for_all_runs(site: Site, settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "HEARTBEAT": 0.2}
    started, gates = await three(site)
    comments = 0
    begun = time.monotonic()
    async with site.http.stream("POST", URL, json={"runs": Reader(*started).open}) as response:
        async for line in response.aiter_lines():
            comments += line == ": alive"
            if comments == 6:
                break
    assert time.monotonic() - begun > 0.8, "each run had a comment of its own"
    for gate in gates:
        gate.set()


async def test_where_send_does_not_wait_it_ends_and_is_resumed(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lingstream.transports.feed.send_waits", lambda: False)
    settings.LINGSTREAM = {**settings.LINGSTREAM, "VIEWER_BUDGET": 1_000}
    started, gates = await three(site)
    reader = Reader(*started)
    responses = 0
    while reader.open:
        responses += 1
        async with site.http.stream("POST", URL, json={"runs": reader.open}) as response:
            async for message in events(response):
                reader.take(message)
                gates[len(reader.open) - 1].set()
    assert responses > 1
    assert reader.documents() == [{"answer": f"half {number} whole"} for number in range(3)]


async def test_a_poll_begins_nothing_past_its_budget(site: Site, settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "VIEWER_BUDGET": 1_000}
    runs = [await Run.objects.acreate(**{**ENDED, "document": "x" * 600}) for _ in range(20)]
    reader = Reader(*[{"run": str(run.pk), "token": make_token(run.pk)} for run in runs])
    turns = 0
    while reader.open:
        turns += 1
        for message in lines((await site.http.post(URL, json={"runs": reader.open, "wait": 5})).text):
            reader.take(message)
    assert turns > 3
    assert reader.documents() == ["x" * 600] * 20


@pytest.mark.parametrize("wait", [None, 20])
async def test_a_process_that_goes_away_ends_it(site: Site, settings: Any, wait: float | None) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "DRAIN": 0.1}
    started, gates = await three(site)
    reader = Reader(*started)
    while not all("half" in json.dumps(document) for document in reader.documents()):
        for message in lines((await site.http.post(URL, json={"runs": reader.open, "wait": 20})).text):
            reader.take(message)
    asking = asyncio.create_task(site.http.post(URL, json={"runs": reader.open, "wait": wait}))
    async with asyncio.timeout(scaled(10)):
        for run in started:
            while not disconnect._viewers[run["run"]]:
                await asyncio.sleep(0.01)
    await get_runner().drain()
    await get_hub().aclose()
    async with asyncio.timeout(scaled(10)):
        assert (await asking).status_code == 200
    for gate in gates:
        gate.set()
