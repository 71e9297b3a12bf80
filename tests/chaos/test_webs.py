"""Web processes: viewers that come, go, lag or lose their server; runs that are executed in them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from typing import Any

import h11
import httpx
import pytest
import websockets

from lingstream.access.tokens import make_share
from tests.site import fold_sse, lines, read_sse

from .conftest import MakeCluster
from .harness import Cluster, Process, Viewer, reply
from .patience import PATIENCE, scaled, within
from .test_workers import ANSWER, DETAILS, FACTS, TRANSLATION, between_two_workers

PACED = {"chunk": 3, "rate": 150}


async def sse(web: Process, run: Viewer, after: str = "") -> Any:
    """The document that an SSE viewer gets."""
    async with httpx.AsyncClient(base_url=web.base, timeout=scaled(PATIENCE)) as http:
        parameters = {"token": make_share(run.run), **({"after": after} if after else {})}
        async with http.stream("GET", f"/ling/runs/{run.run}/events/", params=parameters) as response:
            return fold_sse([event async for event in read_sse(response)])


async def test_a_viewer_that_reconnects_at_every_frame_misses_nothing(cluster: MakeCluster) -> None:
    world = await cluster()
    world.says(
        ANSWER=reply(ANSWER, **PACED),
        DETAILS=reply(DETAILS, **PACED),
        TRANSLATION=reply(TRANSLATION, **PACED),
    )
    webs, _ = await asyncio.gather(world.web(count=2), world.workers())
    steady = await world.watch(webs[0], "facts")
    restless, connections = await world.viewer(steady).connect(webs[1], "1-0"), 0
    while (await restless.next()).kind != "done":
        connections += 1
        await restless.connect(webs[connections % 2])
    await world.agree(FACTS, steady, restless)
    assert connections > 5
    for seen in range(1, len(steady.frames)):
        late = world.viewer(steady)
        late.frames = steady.frames[:seen]
        await late.connect(webs[1])
        assert await late.done() == FACTS
        assert late.frames[seen].kind == "snapshot" or late.frames[seen].id > late.frames[seen - 1].id
        await late.leave()


async def test_twenty_viewers_that_join_at_random_see_the_same(cluster: MakeCluster) -> None:
    world = await cluster()
    text = "word " * 400
    world.says(ANSWER=reply(json.dumps({"answer": text}), chunk=5, rate=300))
    webs, _ = await asyncio.gather(world.web(count=2), world.workers())
    first = await world.watch(webs[0], "text")
    dice = random.Random(4)
    joins = sorted(dice.randrange(len(text)) for _ in range(20))
    sockets: list[Viewer] = []
    streams: list[asyncio.Task[Any]] = []
    while not first.frames or first.frames[-1].kind != "done":
        length = len((first.document or {}).get("answer", ""))
        while joins and joins[0] <= length:
            joins.pop(0)
            web = dice.choice(webs)
            if len(streams) < 6:
                streams.append(asyncio.create_task(sse(web, first)))
            else:
                sockets.append(await world.viewer(first).connect(web))
        await first.next()
    await world.agree({"answer": text}, first, *sockets)
    assert await asyncio.gather(*streams) == [{"answer": text}] * len(streams)
    assert len(sockets) + len(streams) == 20


async def test_viewers_that_read_slowly_cost_no_memory_and_get_all(cluster: MakeCluster) -> None:
    world = await cluster()
    # One field, written over and over: what a viewer has missed is 5 MB long, what it has to get 50 KB.
    texts = ["xy"[turn % 2] * 50_000 for turn in range(100)]
    answer = ",".join(f'"answer": "{text}"' for text in texts)
    world.says(ANSWER=reply("{" + answer + "}", chunk=2_000, rate=800))
    (web,), _ = await asyncio.gather(world.web(), world.workers())
    before = web.memory
    first = await world.start(web, "text")
    hurry = asyncio.Event()
    readers = [read(web, first, hurry) for read in (_messages_slowly, _bytes_slowly) for _ in range(12)]
    slow = [asyncio.create_task(reader) for reader in readers]
    row = await world.stored(first.run, lambda row: row["finished_at"])
    assert (row["status"], row["document"]) == ("finished", {"answer": texts[-1]}), row["errors"]
    grown = web.memory - before
    hurry.set()
    async with within(60):
        assert await asyncio.gather(*slow) == [{"answer": texts[-1]}] * len(slow)
    # Measured: 24 MB without viewers, for the log and its snapshots, 33 MB with 6 of them, 37 MB with 24. A
    # queue for each would take 5 MB and more.
    assert grown < 60_000_000, grown


async def _messages_slowly(web: Process, run: Viewer, hurry: asyncio.Event) -> Any:
    """The document of a socket that reads a message a second, and acknowledges what it has read."""
    url = web.base.replace("http", "ws") + "/ws/ling/"
    viewer = Viewer(run.run, run.token)
    origin = websockets.Origin(web.base)
    async with websockets.connect(url, origin=origin, max_size=None, max_queue=1) as viewer._socket:
        await viewer.send(type="subscribe", ack=True)
        while (frame := await viewer.next()).kind != "done":
            await viewer.send(type="ack", id=str(frame.id))
            await _pause(hurry)
    return viewer.document


async def _bytes_slowly(web: Process, run: Viewer, hurry: asyncio.Event) -> Any:
    """The document of server-sent events that are read at 1 KB/s."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # else the kernel takes megabytes in
    connection.connect(("127.0.0.1", int(web.base.rpartition(":")[2])))
    reader, writer = await asyncio.open_connection(sock=connection, limit=32_768)
    target = f"/ling/runs/{run.run}/events/?token={make_share(run.run)}"
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer, parser = bytearray(), h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "localhost")]))
    parser.send(h11.EndOfMessage())
    while type(event := parser.next_event()) is not h11.EndOfMessage:
        if type(event) is h11.Data:
            answer += event.data
        elif event is h11.NEED_DATA:
            parser.receive_data(await reader.read(65_536 if hurry.is_set() else 1024))
            await _pause(hurry)
    writer.close()
    events = answer.decode().split("\n\n")
    fields = [dict(line.split(": ", 1) for line in event.splitlines() if line[:1] != ":") for event in events]
    return fold_sse([{"event": "message", **event} for event in fields if event])


async def _pause(hurry: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await hurry.wait()


async def test_a_web_process_dies_with_viewers_attached_to_another(cluster: MakeCluster) -> None:
    world = await cluster()
    gate = asyncio.Event()
    model = world.says(ANSWER=reply('{"answer": "No. You', gate, ' would fall through."}'))
    webs, _ = await asyncio.gather(world.web(count=2), world.workers())
    mine = await world.watch(webs[0], "text")
    other = await world.viewer(mine).connect(webs[1])
    await asyncio.gather(mine.sees("No. You"), other.sees("No. You"))
    webs[0].kill()
    await webs[0].ended()
    await mine.connect(webs[1])
    gate.set()
    await world.agree(json.loads(ANSWER), mine, other)
    assert model.calls == {"ANSWER: hi": 1} and other.epochs == {1}


async def test_a_web_process_that_executes_dies_and_another_goes_on(cluster: MakeCluster) -> None:
    world = await cluster("inline")
    gate = asyncio.Event()
    model = world.says(
        ANSWER=ANSWER, DETAILS=reply(DETAILS[:20], gate, DETAILS[20:]), TRANSLATION=TRANSLATION
    )
    webs = await world.web(count=2)
    mine = await world.watch(webs[0], "facts")
    other = await world.viewer(mine).connect(webs[1])
    await other.sees("Clouds")
    await world.stored(mine.run, lambda _: world.bots(mine.run).get("translation#1") == "finished")
    webs[0].kill()
    await webs[0].ended()
    gate.set()
    await mine.connect(webs[1])
    await world.agree(FACTS, mine, other)
    assert (model.count("ANSWER"), model.count("DETAILS"), model.count("TRANSLATION")) == (1, 2, 1)


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_a_web_process_is_told_to_stop_under_load(cluster: MakeCluster, server: str) -> None:
    world = await cluster("inline", DRAIN=scaled(3))
    soon, late = asyncio.Event(), asyncio.Event()
    answers = iter(
        [reply('{"answer": "No. You', gate, ' would fall through."}') for gate in [soon, late] * 5]
    )
    model = world.says(ANSWER=lambda _: next(answers, ANSWER))
    first, second = await asyncio.gather(world.web(server), world.web(server))
    viewers = [await world.watch(first[0], "text") for _ in range(10)]
    for viewer in viewers:
        await viewer.sees("No. You")
    first[0].terminate()
    soon.set()
    await asyncio.gather(*(viewer.done() for viewer in viewers[::2]))
    await first[0].ended()
    for viewer in viewers[1::2]:
        await viewer.connect(second[0])
    await world.agree(json.loads(ANSWER), *viewers)
    assert [world.row(viewer.run)["epoch"] for viewer in viewers] == [1, 2] * 5
    assert {world.row(viewer.run)["attempts"] for viewer in viewers} == {1}
    assert model.count("ANSWER") == 15


async def test_a_queued_run_outlives_its_web_process(cluster: MakeCluster) -> None:
    world = await cluster(DEAD_AFTER=600)
    world.says(ANSWER=ANSWER)
    webs = await world.web(count=2)
    await between_two_workers(world)
    viewer = await world.start(webs[0], "text")
    webs[0].kill()
    await viewer.connect(webs[1])
    await world.workers()
    await world.agree(json.loads(ANSWER), viewer)


async def test_a_site_in_one_process_goes_on_where_it_was_killed(embedded: Cluster) -> None:
    gate = asyncio.Event()
    model = embedded.says(
        ANSWER=ANSWER, DETAILS=reply(DETAILS[:20], gate, DETAILS[20:]), TRANSLATION=TRANSLATION
    )
    (web,) = await embedded.web()
    viewer = await embedded.watch(web, "facts")
    await viewer.sees("Clouds")
    await embedded.stored(viewer.run, lambda _: embedded.bots(viewer.run).get("translation#1") == "finished")
    web.kill()
    await web.ended()
    (web,) = await embedded.web()
    await embedded.stored(viewer.run, lambda row: row["epoch"] == 2)
    await viewer.connect(web)
    gate.set()
    await embedded.agree(FACTS, viewer, await embedded.viewer(viewer).connect(web))
    assert (model.count("ANSWER"), model.count("DETAILS"), model.count("TRANSLATION")) == (1, 2, 1)
    assert viewer.epochs == {1, 2}


async def test_connections_to_the_database_do_not_grow_with_the_runs(cluster: MakeCluster) -> None:
    world = await cluster("inline")
    gate = asyncio.Event()
    world.says(ANSWER=reply('{"answer": "No. You', gate, ' would fall through."}'))
    (web,) = await world.web()
    viewers = [await world.watch(web, "text") for _ in range(40)]
    await world.server.received(40)
    clients = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
    sql = f"SELECT count(*) AS held FROM pg_stat_activity WHERE {clients}"
    async with within(10):
        while world.database.rows(sql)[0]["held"] > 4:  # the heart's, the journal's and two of the lane
            await asyncio.sleep(0.02)
    gate.set()
    await world.agree(json.loads(ANSWER), *viewers)


async def test_the_essentials_on_postgresql(cluster: MakeCluster) -> None:
    world = await cluster("inline")
    nul = {"answer": 'a\x00b "quoted" \ud83d\ude00'.encode("utf-16", "surrogatepass").decode("utf-16")}
    world.says(ANSWER=json.dumps(nul))
    (web,) = await world.web()
    url, body = "/ling/workflows/text/runs/", {"input": {"question": "a\x00b"}}
    async with httpx.AsyncClient(base_url=web.base, timeout=scaled(PATIENCE)) as http:
        async with http.stream("POST", url, json=body, headers={"Accept": "text/event-stream"}) as response:
            assert fold_sse([event async for event in read_sse(response)]) == nul
        run = response.headers["ling-run"]
        answer = await http.post(url, json=body, headers={"Accept": "application/jsonl"})
        assert list(lines(answer.text))[-1]["done"]["status"] == "finished"
        headers = {"Authorization": f"Ling {response.headers['ling-token']}"}
        state = (await http.get(f"/ling/runs/{run}/", headers=headers)).json()
        assert (state["status"], state["document"]) == ("finished", nul)
        keyed = {**body, "key": "k" * 20}
        twice = [(await http.post(url, json=keyed)).json()["run"] for _ in range(2)]
        assert twice[0] == twice[1]
        told = (await http.post(url, json={**body, "conversation": "new"})).json()
        more = await http.post(url, json={**body, "conversation": told["conversation"]})
        assert more.status_code in (202, 403)
    viewer = await world.watch(web, "text")
    await world.agree(nul, viewer)
    assert world.bots(run) == {"answer#1": "finished"}
