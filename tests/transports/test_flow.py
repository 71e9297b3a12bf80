"""Viewers that do not read: what they may cost, and that they lose nothing by it."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from functools import partial
from typing import Any, Literal
from uuid import uuid4

import pytest
import websockets

from lingstream.access.tokens import make_token
from lingstream.core.document.ops import Set
from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.log.state import empty_snapshot
from lingstream.core.wire.socket import SocketMessages
from lingstream.execution.runner import get_runner
from lingstream.hubs.redis.log import RedisLog
from lingstream.hubs.redis.streams import Keys
from lingstream.models import Run
from lingstream.transports import flow, viewer
from lingstream.transports.flow import Budget, Credits, Turn
from lingstream.transports.socket import LingConsumer
from tests import site as sites
from tests.chaos.patience import within
from tests.site import Site, Socket, document_of, fold_sse, read_sse

PIECE = "x" * 10_000


class TestCredits:
    async def test_room_until_the_bound_and_again_after_an_ack(self) -> None:
        credits = Credits(100)
        for seq in (1, 2, 3):
            await credits.room()
            credits.sent("run", FrameId(1, seq), 40)
        waiting = asyncio.ensure_future(credits.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        credits.ack("run", "1-1")
        await waiting

    async def test_an_ack_of_one_run_says_that_all_before_it_was_read(self) -> None:
        credits = Credits(100)
        credits.sent("ended, and never acknowledged", FrameId(1, 9), 90)
        credits.sent("run", FrameId(1, 1), 20)
        credits.sent("other", FrameId(1, 1), 20)
        assert credits.spent
        credits.ack("nobody", "1-9")
        assert credits.spent
        credits.ack("run", "1-1")
        await credits.room()
        assert [name for name, *_ in credits._sent] == ["other"]

    @pytest.mark.parametrize("odd", ["", "nonsense", "1-0", "0-99", "1-1+2"])
    async def test_an_odd_ack_changes_nothing(self, odd: str) -> None:
        credits = Credits(100)
        credits.sent("run", FrameId(1, 1), 100)
        credits.ack("run", odd)
        waiting = asyncio.ensure_future(credits.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        credits.ack("run", "2-1")  # a later epoch: all before it is read, or will never be
        await waiting


async def test_turns_are_taken_one_after_the_other_and_only_with_room() -> None:
    lock, credits = asyncio.Lock(), Credits(100)
    first, second, free = Turn(lock, credits), Turn(lock, credits), Turn(lock, None)
    await first.take()
    waiting = asyncio.ensure_future(second.take())
    await asyncio.sleep(0)
    credits.sent("run", FrameId(1, 1), 100)
    first.end()
    await free.take()  # who needs no credits is not held up by who waits for them
    free.end()
    assert not waiting.done()
    credits.ack("run", "1-1")
    await waiting
    second.end()
    second.end()
    assert not lock.locked()


class _Lock(asyncio.Lock):
    """Tells when somebody asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def acquire(self) -> Literal[True]:
        self.asked.set()
        return await super().acquire()


class _RedisSite:
    """What a log in Redis and its viewer need of the hub."""

    shared = True
    log: RedisLog

    async def find(self, run: str, *, running: bool = False) -> RedisLog:
        return self.log

    def set_watched(self, *told: Any) -> None:
        pass

    def current(self, log: RedisLog) -> RedisLog:
        return log

    def follow(self, log: RedisLog) -> None:
        pass


async def test_who_has_nothing_to_say_any_more_when_its_turn_comes_lets_the_others_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redis was away for a moment, while another run was sent to a slow client."""
    hub: Any = _RedisSite()
    monkeypatch.setattr(viewer, "get_hub", lambda: hub)
    run = Run(pk=uuid4(), workflow="w", status="running", epoch=1)
    log = hub.log = RedisLog(hub, str(run.pk), Keys.of("p", str(run.pk)), max_frames=100, ttl=60)
    log.receive(Frame(FrameId(1, 1), "snapshot", empty_snapshot()))
    lock = _Lock()
    async with aclosing(viewer.Viewer(run, turn=Turn(lock, None))) as follower, within(10):
        await anext(follower)
        following = asyncio.ensure_future(anext(follower))
        await lock.acquire()
        lock.asked.clear()
        log.set_resumable(False)
        await lock.asked.wait()
        log.set_resumable(True)
        lock.release()
        await lock.acquire()
        assert not following.done()
        lock.release()
        log.receive(Frame(FrameId(1, 2), "ops", [Set("", {})]))
        assert [frame.id for frame in await following] == [FrameId(1, 2)]


def test_a_budget_ends_and_none_never_does() -> None:
    budget, unbounded = Budget(10), Budget(None)
    assert [budget.spend(4) for _ in range(3)] == [True, True, False]
    assert all(unbounded.spend(1 << 40) for _ in range(3))


async def test_who_does_not_acknowledge_is_not_sent_more_and_then_gets_it_merged(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Credits.__init__, "__defaults__", (50_000,))
    gates = [asyncio.Event() for _ in range(6)]
    await site.workflow(answer="A")
    gated = [part for gate in gates for part in (gate, PIECE)]
    sites.answers = [['{"answer": "', *gated, *[PIECE] * 94, '"}']]
    async with site.socket() as socket:
        started = await socket.start("test", ack=True)
        run = started["run"]
        for gate in gates[:5]:
            gate.set()
            while PIECE not in json.dumps(await socket.receive()):
                pass
        gates[5].set()
        await get_runner().wait(run)
        await socket.send(type="ping", ref="here")
        assert await socket.receive() == {"type": "pong", "ref": "here"}, "it was sent more without an ack"
        while socket.frames[run][-1].kind != "done":
            await socket.send(type="ack", run=run, id=str(socket.frames[run][-1].id))
            await socket.receive()
    assert document_of(socket.frames[run]) == {"answer": PIECE * 100}
    assert len(socket.frames[run]) < 100, "what came meanwhile was not merged"


async def test_where_send_does_not_wait_a_response_ends_and_resumes_by_id(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lingstream.transports.response.send_waits", lambda: False)
    settings.LINGSTREAM = {**settings.LINGSTREAM, "VIEWER_BUDGET": 60_000}
    await site.workflow(answer="A")
    gates = [asyncio.Event() for _ in range(30)]
    sites.answers = [['{"answer": "', *[part for gate in gates for part in (gate, PIECE)], '"}']]
    events: list[dict[str, str]] = []
    responses = 0
    async with site.stream("test") as response:
        location, token = response.headers["location"], response.headers["ling-token"]
        for gate in gates:
            gate.set()
        events += [event async for event in read_sse(response)]
    while events[-1]["event"] != "done":
        responses += 1
        headers = {"Authorization": f"Ling {token}", "Last-Event-ID": events[-1]["id"]}
        events += [
            event async for event in read_sse(await site.http.get(f"{location}events/", headers=headers))
        ]
    assert responses >= 1
    assert fold_sse(events) == {"answer": PIECE * 30}


async def test_where_send_does_not_wait_a_socket_without_acks_is_closed(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lingstream.transports.socket.send_waits", lambda: False)
    settings.LINGSTREAM = {**settings.LINGSTREAM, "VIEWER_BUDGET": 60_000}
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "', *[PIECE] * 30, '"}']]
    async with site.socket() as socket:
        started = await socket.start("test")
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            while True:
                await socket.receive()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013
    frames = socket.frames[started["run"]]
    async with site.socket() as socket:
        after = str(frames[-1].id)
        await socket.send(type="subscribe", run=started["run"], after=after, token=started["token"], ack=True)
        await socket.until("done")
    assert document_of(frames + socket.frames[started["run"]]) == {"answer": PIECE * 30}


async def test_subscribing_again_and_again_gets_no_fresh_credits(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is the socket's: one that is never read is sent the credits and one batch, once."""
    monkeypatch.setattr(Credits.__init__, "__defaults__", (50_000,))
    sent = 0
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "', *[PIECE] * 10, '"}']]
    other = json.loads((await site.start("test")).text)
    await get_runner().wait(other["run"])
    async with site.socket() as socket:
        started = await socket.start("test", ack=True)
        await get_runner().wait(started["run"])
        for _ in range(100):
            for run, token in ((other["run"], other["token"]), (started["run"], started["token"])):
                await socket.send(type="subscribe", run=run, token=token, ack=True)
        await socket.send(type="ping", ref="here")
        while (message := await socket.receive()).get("ref") != "here":
            sent += len(json.dumps(message))
    assert sent < 50_000 + 2 * 110_000, f"{sent} bytes for a socket that acknowledges nothing"


class Held:
    """Sockets whose frames go in small parts, each of which may be held up behind the third one."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.gate = asyncio.Event()
        self.reached = asyncio.Event()
        self.consumers: list[LingConsumer] = []
        patch.setattr(Credits.__init__, "__defaults__", (3_000,))
        patch.setattr(SocketMessages.__init__, "__kwdefaults__", {"longest": 4_000})
        connect, held = LingConsumer.connect, self

        async def held_up(self: LingConsumer) -> None:
            held.consumers.append(self)
            await connect(self)
            self._send_frame = partial(held._send, self._send_frame)

        patch.setattr(LingConsumer, "connect", held_up)

    async def _send(self, send: Any, message: Any) -> None:
        await send(message)
        if "+3" in message["text"][:100]:
            self.reached.set()
            await self.gate.wait()


async def answered(socket: Socket) -> None:
    """Return when what was sent has been read."""
    await socket.send(type="ping", ref="here")
    while (await socket.receive()).get("ref") != "here":
        pass


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)


@pytest.mark.parametrize("leave", ["unsubscribe", "subscribe"])
async def test_who_leaves_a_run_inside_a_frame_gets_the_rest_of_it_and_can_acknowledge_that(
    site: Site, held: Held, leave: str
) -> None:
    """Or its credits were taken for ever: no client acknowledges a place inside a frame."""
    runs = [
        await Run.objects.acreate(workflow="test", status="finished", document="x" * 40_000) for _ in "ab"
    ]
    long, other = ({"run": str(run.pk), "token": make_token(run.pk), "ack": True} for run in runs)
    async with site.socket() as socket:
        await socket.send(type="subscribe", **long)
        await held.reached.wait()
        await socket.send(type=leave, **{**long, "ack": False})
        await socket.send(type="subscribe", **other)
        await answered(socket)
        held.gate.set()
        async with within():
            while "done" not in (message := await socket.receive()) or message["run"] != other["run"]:
                if "+" not in message.get("id", "+"):
                    await socket.send(type="ack", run=message["run"], id=message["id"])
    assert socket.document(long["run"]) == "x" * 40_000


async def test_leaving_inside_a_frame_gets_no_fresh_credits(site: Site, held: Held) -> None:
    held.gate.set()
    run = await Run.objects.acreate(workflow="test", status="finished", document="x" * 40_000)
    name, sent = str(run.pk), 0
    async with site.socket() as socket:
        for _ in range(50):
            await socket.send(type="subscribe", run=name, token=make_token(run.pk), ack=True)
            await socket.send(type="unsubscribe", run=name)
        await socket.send(type="ping", ref="here")
        while (message := await socket.receive()).get("ref") != "here":
            sent += len(json.dumps(message))
    assert sent < 3_000 + 50_000, f"{sent} bytes for a socket that acknowledges nothing"


async def test_a_socket_that_goes_inside_a_frame_leaves_nothing_behind(site: Site, held: Held) -> None:
    run = await Run.objects.acreate(workflow="test", status="finished", document="x" * 40_000)
    async with site.socket() as socket:
        await socket.send(type="subscribe", run=str(run.pk), token=make_token(run.pk), ack=True)
        await held.reached.wait()
        await socket.send(type="unsubscribe", run=str(run.pk))
        await answered(socket)
    async with within():
        while not (held.consumers[0]._leaving or pytest.fail("it was not left")).done():
            await asyncio.sleep(0.01)


async def test_who_reads_on_without_acks_waits_for_none_of_who_began_with_them(
    site: Site, held: Held
) -> None:
    held.gate.set()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "', *["x" * 1_000] * 40, '"}']]
    async with site.socket() as socket:
        started = await socket.start("test", ack=True)
        run = started["run"]
        await get_runner().wait(run)
        await socket.send(type="unsubscribe", run=run)
        await answered(socket)
        assert held.consumers[0]._credits.spent
        await socket.send(type="subscribe", run=run)
        await socket.until("done")
    assert socket.document(run) == {"answer": "x" * 40_000}


async def test_answers_that_are_not_read_are_bounded_too(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lingstream.transports.socket.send_waits", lambda: False)
    settings.LINGSTREAM = {**settings.LINGSTREAM, "VIEWER_BUDGET": 2_000}
    async with site.socket() as socket:
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            for _ in range(200):
                await socket.send(type="explode")
            while True:
                await socket.receive()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013


async def test_a_socket_remembers_nothing_of_runs_that_it_followed(site: Site) -> None:
    seen: list[Any] = []
    connect = LingConsumer.connect

    async def remembered(self: Any) -> None:
        seen.append(self)
        await connect(self)

    await site.workflow(answer="A")
    sites.answers = '{"answer": "one"}'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LingConsumer, "connect", remembered)
        async with site.socket() as socket:
            for number in range(20):
                started = await socket.start("test", ack=True)
                if number % 2:
                    await socket.send(type="unsubscribe", run=started["run"])
                done = await socket.until("done") if not number % 2 else None
                if done:
                    await socket.send(type="ack", run=started["run"], id=done["id"])
                await get_runner().wait(started["run"])
            await socket.send(type="ping", ref="here")
            while (await socket.receive()).get("ref") != "here":
                pass
            (consumer,) = seen
            assert not consumer._viewers
            assert len(consumer._credits._sent) < 30, "what was acknowledged is still counted"


def test_uvicorns_send_waits_and_daphnes_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reactor:
        running = True

    assert flow.send_waits()
    monkeypatch.setitem(flow.sys.modules, "twisted.internet.reactor", Reactor)
    assert not flow.send_waits()
