"""Workers that die, freeze or are told to stop; each run ends once, nothing finished is asked again."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from taskiq_redis import RedisStreamBroker

from lingstream.core.ending import end_tasks
from tests.hubs.conftest import RedisServer

from .conftest import MakeCluster
from .harness import Cluster, reply
from .patience import scaled, within

ANSWER = '{"answer": "No. You would fall through."}'
DETAILS = '{"details": "Clouds are water.", "related_question": ["Why white?", "How heavy?"]}'
TRANSLATION = '{"details_cn": "云是水。"}'
FACTS = {**json.loads(ANSWER), **json.loads(DETAILS), **json.loads(TRANSLATION)}


async def test_a_worker_dies_in_the_first_bot(cluster: MakeCluster) -> None:
    world = await cluster()
    gate = asyncio.Event()
    model = world.says(ANSWER=reply('{"answer": "No. You', gate, ' would fall through."}'))
    (web,), workers = await asyncio.gather(world.web(), world.workers(2))
    first = await world.watch(web, "text")
    second = await world.viewer(first).connect(web)
    await first.sees("No. You")
    owner, _ = world.owner(first.run, workers)
    owner.kill()
    gate.set()
    await world.agree(json.loads(ANSWER), first, second)
    assert model.calls == {"ANSWER: hi": 2}
    assert first.epochs == {1, 2}


@pytest.mark.parametrize("moment", ["between", "among"])
async def test_a_worker_dies_after_the_first_bot(cluster: MakeCluster, moment: str) -> None:
    world = await cluster()
    gate = asyncio.Event()
    details = reply(gate, DETAILS) if moment == "between" else reply(DETAILS[:20], gate, DETAILS[20:])
    model = world.says(ANSWER=ANSWER, DETAILS=details, TRANSLATION=reply(gate, TRANSLATION))
    (web,), workers = await asyncio.gather(world.web(), world.workers(2))
    viewer = await world.watch(web, "facts")
    await viewer.until(lambda frame: frame.kind == "event" and frame.body["event"] == "response")
    await world.server.received(3)
    if moment == "among":
        await viewer.sees("Clouds")
    owner, _ = world.owner(viewer.run, workers)
    owner.kill()
    gate.set()
    await world.agree(FACTS, viewer, await world.viewer(viewer).connect(web))
    assert (model.count("ANSWER"), model.count("DETAILS"), model.count("TRANSLATION")) == (1, 2, 2)
    assert set(world.bots(viewer.run).values()) == {"finished"}


TEXTS = {"ANSWER": ANSWER, "DETAILS": DETAILS, "TRANSLATION": TRANSLATION}  # as they are asked for
KILLS = [(name, cut) for name, text in TEXTS.items() for cut in range(1, len(text))]
KILLS = random.Random(60).sample(KILLS, 60)


@pytest.mark.parametrize(
    ("name", "cut"), [*KILLS[:2], *(pytest.param(*kill, marks=pytest.mark.soak) for kill in KILLS[2:])]
)
async def test_a_worker_that_dies_anywhere_changes_no_answer(
    cluster: MakeCluster, name: str, cut: int
) -> None:
    world = await cluster()
    gate = asyncio.Event()
    model = world.says(**{**TEXTS, name: reply(TEXTS[name][:cut], gate, TEXTS[name][cut:])})
    (web,), workers = await asyncio.gather(world.web(), world.workers(2))
    viewer = await world.watch(web, "facts")
    await world.server.received(list(TEXTS).index(name) + 1)
    owner, _ = world.owner(viewer.run, workers)
    owner.kill()
    gate.set()
    await world.agree(FACTS, viewer, await world.viewer(viewer).connect(web))
    assert model.count(name) == 2
    assert viewer.epochs == {1, 2}


async def test_a_worker_dies_in_a_fan_out(cluster: MakeCluster) -> None:
    world = await cluster()
    topics = [f"topic {number}" for number in range(4)]
    outline = json.dumps({"outline": [{"topic": topic} for topic in topics]})
    gate = asyncio.Event()

    def write(topic: str) -> Any:
        return f"about {topic}" if topic in topics[:2] else reply("about ", gate, topic)

    model = world.says(OUTLINE=outline, TOPIC=write)
    (web,), workers = await asyncio.gather(world.web(), world.workers(2))
    viewer = await world.watch(web, "outline")
    finished = 0
    while finished < 3:
        frame = await viewer.next()
        finished += frame.kind == "event" and frame.body["event"] == "response"
    await world.server.received(5)
    owner, _ = world.owner(viewer.run, workers)
    owner.kill()
    gate.set()
    expected = {"outline": [{"topic": topic, "details": f"about {topic}"} for topic in topics]}
    await world.agree(expected, viewer)
    calls = {call.removeprefix("TOPIC: "): count for call, count in model.calls.items() if "TOPIC" in call}
    assert calls == {"topic 0": 1, "topic 1": 1, "topic 2": 2, "topic 3": 2}
    assert model.count("OUTLINE") == 1


async def test_attempts_are_bounded_and_viewers_are_told_that_it_is_lost(cluster: MakeCluster) -> None:
    world = await cluster(MAX_ATTEMPTS=2)
    model = world.says(ANSWER=reply('{"answer": "No', asyncio.Event()))
    (web,), workers = await asyncio.gather(world.web(), world.workers(3))
    viewer = await world.watch(web, "text")
    for epoch in (1, 2):
        await viewer.until(lambda frame, epoch=epoch: frame.id.epoch == epoch and frame.kind == "ops")
        await world.server.received(epoch)
        owner, workers = world.owner(viewer.run, workers)
        owner.kill()
    await viewer.done("lost")
    # As a frame of its own; or in the stored state, where the viewer asked the database before it came.
    told = [
        frame.body.get("error", frame.body) for frame in viewer.frames if frame.kind in ("error", "snapshot")
    ]
    assert "lost" in [error.get("code") for error in told]
    row = world.row(viewer.run)
    assert (row["status"], row["attempts"], row["errors"][0]["code"]) == ("lost", 2, "lost")
    assert model.calls == {"ANSWER: hi": 2}
    late = await world.viewer(viewer).connect(web)
    assert await late.done("lost") == viewer.document == row["document"]


async def test_of_two_that_believe_they_own_a_run_the_fenced_one_changes_nothing(
    cluster: MakeCluster,
) -> None:
    world = await cluster()
    gates = [asyncio.Event(), asyncio.Event()]
    texts = iter(
        [
            reply('{"answer": "the first', gates[0], ' worker"}'),
            reply('{"answer": "the ', gates[1], 'second"}'),
        ]
    )
    model = world.says(ANSWER=lambda _: next(texts))
    (web,), workers = await asyncio.gather(world.web(), world.workers(2))
    viewer = await world.watch(web, "text")
    await viewer.sees("the first")
    frozen, (other,) = world.owner(viewer.run, workers)
    frozen.pause()
    await viewer.until(lambda frame: frame.id.epoch == 2 and frame.kind == "ops")
    gates[0].set()
    frozen.resume()
    await frozen.says("goes on elsewhere")
    gates[1].set()
    await world.agree({"answer": "the second"}, viewer, await world.viewer(viewer).connect(web))
    assert world.row(viewer.run)["epoch"] == 2
    assert world.bots(viewer.run) == {"answer#1": "finished"}
    assert model.calls == {"ANSWER: hi": 2}
    assert world.database.rows("SELECT output FROM lingstream_botrun")[0]["output"] == json.dumps(
        '{"answer": "the second"}'
    )
    assert other.name == "worker"


async def test_a_run_is_cancelled_from_another_process(cluster: MakeCluster) -> None:
    world = await cluster()
    world.says(ANSWER=reply('{"answer": "No', asyncio.Event()))
    webs, _ = await asyncio.gather(world.web(count=2), world.workers())
    first = await world.watch(webs[0], "text")
    second = await world.viewer(first).connect(webs[1])
    await first.sees("No")
    await second.send(type="cancel")
    async with within(3):
        await world.server.requests[0].ended.wait()
    assert world.server.requests[0].closed_early
    await world.agree({"answer": "No"}, first, second, status="canceled")
    assert world.row(first.run)["usage"]["completion_tokens"] > 0


async def between_two_workers(world: Cluster) -> None:
    """The last worker has gone, and is expected back."""
    (worker,) = await world.workers()
    worker.terminate()
    await worker.ended()


async def test_a_run_that_waits_for_a_worker_can_be_cancelled_and_says_so(cluster: MakeCluster) -> None:
    world = await cluster(DEAD_AFTER=600)
    webs = await world.web(count=2)
    await between_two_workers(world)
    first = await world.watch(webs[0], "text")
    second = await world.viewer(first).connect(webs[1])
    await second.send(type="cancel")
    await world.agree(None, first, second, status="canceled")
    assert world.model.calls == {}


async def test_a_worker_that_is_told_to_stop_hands_its_runs_on(cluster: MakeCluster) -> None:
    world = await cluster(DRAIN=0.5)
    gate = asyncio.Event()
    model = world.says(ANSWER=reply('{"answer": "No. You', gate, ' would fall through."}'))
    (web,), workers = await asyncio.gather(world.web(), world.workers(2))
    viewers = [await world.watch(web, "text") for _ in range(6)]
    for viewer in viewers:
        await viewer.sees("No. You")
    owner, _ = world.owner(viewers[0].run, workers)
    owner.terminate()
    assert await owner.ended() == 0
    gate.set()
    await world.agree(json.loads(ANSWER), *viewers)
    assert {world.row(viewer.run)["attempts"] for viewer in viewers} == {1}
    assert model.count("ANSWER") == 6 + sum(world.row(viewer.run)["epoch"] == 2 for viewer in viewers)


async def test_a_worker_that_is_told_to_stop_lets_runs_end(cluster: MakeCluster) -> None:
    world = await cluster(DRAIN=scaled(20))
    gate = asyncio.Event()
    model = world.says(ANSWER=reply('{"answer": "No. You', gate, ' would fall through."}'))
    (web,), (worker,) = await asyncio.gather(world.web(), world.workers(1))
    viewer = await world.watch(web, "text")
    await viewer.sees("No. You")
    worker.terminate()
    await worker.says("draining 1 runs")
    gate.set()
    assert await worker.ended() == 0
    await world.agree(json.loads(ANSWER), viewer)
    assert model.calls == {"ANSWER: hi": 1}


@pytest.mark.parametrize("broker", ["deaf_once", "deaf"])
async def test_a_worker_that_is_told_to_stop_does_so_whatever_its_broker_does(
    cluster: MakeCluster, broker: str
) -> None:
    world = await cluster(BROKER=f"tests.chaos.broker.{broker}")
    world.says(ANSWER=ANSWER)
    (web,), (worker,) = await asyncio.gather(world.web(), world.workers(1))
    viewer = await world.watch(web, "text")
    await world.agree(json.loads(ANSWER), viewer)
    worker.terminate()
    assert await worker.ended() == 0
    left = [line for line in worker.lines if "which 3 cancels did not end" in line]
    assert bool(left) == (broker == "deaf"), worker.output
    (row,) = world.database.rows("SELECT stopped_at FROM lingstream_runner WHERE kind = 'worker'")
    assert row["stopped_at"]


async def test_a_listener_of_the_real_broker_ends_whenever_it_is_cancelled(redis_server: RedisServer) -> None:
    """redis-py loses one cancel of fifteen here, on Python 3.11."""
    dice = random.Random(8)
    for _ in range(60):
        broker = RedisStreamBroker(redis_server.url, xread_block=1)
        await broker.startup()
        listening = asyncio.create_task(_all(broker))
        await asyncio.sleep(dice.uniform(0.005, 0.02))
        assert await end_tasks(listening, within=0.3, tries=10) == set()
        assert listening.cancelled()
        await broker.shutdown()


async def _all(broker: RedisStreamBroker) -> None:
    async for _ in broker.listen():
        pass
