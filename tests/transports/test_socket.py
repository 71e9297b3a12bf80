"""The WebSocket: many runs on one socket, commands while runs stream, bad messages answered."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets

from lingstream.core.document.canonical import crc32
from lingstream.models import Run
from tests import site as sites
from tests.site import Site, document_of

CLOUD = {
    "answer": "No. You would fall through.",
    "details": "Clouds are water.",
    "related_question": ["Why white?", "How heavy?"],
    "details_cn": "云是水。",
}


async def test_many_runs_on_one_socket(site: Site) -> None:
    await site.cloud_facts()
    async with site.socket(subprotocols=["lingstream.v1"]) as socket:
        assert socket.connection.subprotocol == "lingstream.v1"
        runs = []
        for number in range(5):
            started = await socket.start("cloud-facts", {"question": "hi"}, ref=f"r{number}")
            runs.append(started["run"])
        ended = set()
        while ended != set(runs):
            ended |= {run for run, frames in socket.frames.items() if frames[-1].kind == "done"}
            if ended != set(runs):
                await socket.receive()
    for run in runs:
        frames = socket.frames[run]
        assert document_of(frames) == CLOUD
        assert (frames[0].kind, frames[1].body["event"]) == ("snapshot", "started")
        assert frames[-1].body["crc32"] == crc32(CLOUD)
        places = [frame.id for frame in frames]
        assert places == sorted(set(places))


async def test_the_reference_comes_back_with_the_answer(site: Site) -> None:
    await site.cloud_facts()
    async with site.socket() as socket:
        await socket.send(
            type="start", workflow="cloud-facts", input={"question": "x"}, ref={"any": ["json"]}
        )
        assert (await socket.receive())["ref"] == {"any": ["json"]}


async def test_commands_are_answered_while_a_run_streams(site: Site) -> None:
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "half', asyncio.Event(), ' never"}']]
    async with site.socket() as socket:
        started = await socket.start("test")
        await socket.send(type="ping", ref=1)
        await socket.until("type")
        while "half" not in str(socket.frames.get(started["run"])):  # it may have come before the pong
            await socket.receive()
        await socket.send(type="cancel", run=started["run"])
        done = await socket.until("done")
    assert done["done"]["status"] == "canceled"
    assert socket.document(started["run"]) == {"answer": "half"}


async def test_a_second_socket_follows_with_the_token_and_cancels(site: Site) -> None:
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "half', asyncio.Event(), ' never"}']]
    async with site.socket() as first, site.socket() as second:
        started = await first.start("test")
        run = started["run"]
        await second.send(type="subscribe", run=run, ref=7)
        assert (await second.receive())["error"]["code"] == "forbidden"
        await second.send(type="cancel", run=run)
        assert (await second.receive())["error"]["code"] == "forbidden"
        await second.send(type="subscribe", run=run, token=started["token"])
        assert "snapshot" in await second.receive()
        await second.send(type="cancel", run=run)
        done = await second.until("done")
        assert done == await first.until("done")
    assert first.document(run) == second.document(run)


async def test_a_lost_connection_resumes_where_it_was(site: Site) -> None:
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "one ', gate, 'two"}']]
    async with site.socket() as socket:
        started = await socket.start("test")
        while "one" not in json.dumps(await socket.receive()):
            pass
        frames = socket.frames[started["run"]]
    gate.set()
    async with site.socket() as socket:
        after = str(frames[-1].id)
        await socket.send(type="subscribe", run=started["run"], after=after, token=started["token"])
        await socket.until("done")
    tail = socket.frames[started["run"]]
    assert tail[0].kind == "ops"
    assert document_of(frames + tail) == {"answer": "one two"}


async def test_unsubscribe_stops_the_frames_and_not_the_run(site: Site) -> None:
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "one ', gate, 'two"}']]
    async with site.socket() as socket:
        started = await socket.start("test")
        while "one" not in json.dumps(await socket.receive()):
            pass
        await socket.send(type="unsubscribe", run=started["run"])
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}
        gate.set()
        await socket.send(type="subscribe", run=started["run"])
        done = await socket.until("done")
    assert done["done"]["status"] == "finished"
    assert (await Run.objects.aget()).document == {"answer": "one two"}


BAD_MESSAGES: list[tuple[Any, str]] = [
    ("{", "bad-json"),
    ("[]", "bad-message"),
    ("5", "bad-message"),
    ('"start"', "bad-message"),
    (b"\x00\xff", "bad-json"),
    ({}, "bad-message"),
    ({"type": "explode"}, "bad-message"),
    ({"type": ["start"]}, "bad-message"),
    ({"type": "start"}, "usage"),
    ({"type": "start", "workflow": 5, "input": {}}, "usage"),
    ({"type": "start", "workflow": "nope", "input": {}}, "unknown-workflow"),
    ({"type": "start", "workflow": "cloud-facts", "input": {}}, "invalid-input"),
    ({"type": "start", "workflow": "cloud-facts", "input": {"question": "x"}, "key": "k"}, "usage"),
    ({"type": "subscribe"}, "not-found"),
    ({"type": "subscribe", "run": 5}, "bad-message"),
    ({"type": "subscribe", "run": "nonsense"}, "not-found"),
    ({"type": "subscribe", "run": "00000000-0000-4000-8000-000000000000", "after": 7}, "not-found"),
    ({"type": "cancel", "run": "00000000-0000-4000-8000-000000000000"}, "not-found"),
    ({"type": "cancel", "run": {}}, "bad-message"),
    ("[" * 1000 + "]" * 1000, "too-deep"),
    ('{"type": "start", "workflow": "cloud-facts", "input": ' + "[" * 101 + "]" * 101 + "}", "too-deep"),
]


async def test_a_bad_message_is_answered_and_the_socket_stays_open(site: Site) -> None:
    await site.cloud_facts()
    async with site.socket() as socket:
        for message, code in BAD_MESSAGES:
            await socket.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))
            answer = await socket.receive()
            assert answer["error"]["code"] == code, message
            assert answer["error"]["message"]
            assert "id" not in answer
        await socket.start("cloud-facts", {"question": "still alive"})
        assert (await socket.until("done"))["done"]["status"] == "finished"


LONG = "x" * 300_000
UNREADABLE: list[tuple[str | bytes, Any, str]] = [
    ('{"ref": 7, "type": "start", "input": "' + LONG + '"}', 7, "too-large"),
    ('{"ref":"a\\"b","type":"' + LONG + '"}', 'a"b', "too-large"),
    (b' {"ref": "bytes", "type": "' + LONG.encode() + b'"}', "bytes", "too-large"),
    ('{"ref": "7", "type": "start", "input": ' + "[" * 101 + "]" * 101 + "}", "7", "too-deep"),
    ('{"ref": "7", "type": "start", "input": "\\ud800"}', "7", "bad-json"),
    ('{"ref": "7", "type": ', "7", "bad-json"),
]


async def test_what_cannot_be_read_is_answered_with_the_ref_that_it_begins_with(site: Site) -> None:
    async with site.socket() as socket:
        for message, ref, code in UNREADABLE:
            await socket.connection.send(message)
            answer = await socket.receive()
            assert (answer["error"]["code"], answer["ref"]) == (code, ref), message[:60]


@pytest.mark.parametrize(
    "head", ["", '{"type": "start", "ref": 7, "input": "', '{"ref": {"a": 1}, "input": "']
)
async def test_a_message_too_long_to_be_read_without_its_ref_ends_the_socket(site: Site, head: str) -> None:
    async with site.socket() as socket:
        await socket.connection.send(head + LONG)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.receive()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    assert "262144 bytes" in closed.value.rcvd.reason


async def test_another_origin_is_refused(site: Site) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus):
        async with site.socket(origin="https://evil.example"):
            pass


async def test_a_socket_that_goes_away_leaves_the_run(site: Site) -> None:
    from lingstream.execution.runner import get_runner

    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "one ', gate, 'two"}']]
    async with site.socket() as socket:
        started = await socket.start("test")
        while "one" not in json.dumps(await socket.receive()):
            pass
    gate.set()
    await get_runner().wait(started["run"])
    assert (await Run.objects.aget()).status == "finished"
