"""A conversation whose worker dies, while it changes under the turn that the worker was at."""

from __future__ import annotations

import asyncio
import json

import httpx

from .conftest import MakeCluster
from .harness import Viewer, reply
from .patience import PATIENCE, scaled, within
from .test_workers import ANSWER, DETAILS

TALK = {**json.loads(ANSWER), **json.loads(DETAILS)}


async def test_a_summary_that_comes_meanwhile_has_no_bot_asked_again(cluster: MakeCluster) -> None:
    """What the turn's bots remember was stored before the first of them was asked."""
    world = await cluster()
    gate = asyncio.Event()
    model = world.says(ANSWER=ANSWER, DETAILS=DETAILS)
    (web,), workers = await asyncio.gather(world.web(), world.workers(2))
    url, body = "/ling/workflows/talk/runs/", {"input": {"question": "hi"}}
    async with httpx.AsyncClient(base_url=web.base, timeout=scaled(PATIENCE)) as http:
        first = await http.post(url, json={**body, "conversation": "new"})
        http.headers["authorization"] = f"Ling-Visitor {first.headers['ling-visitor']}"
        told = first.json()
        await world.agree(TALK, await world.viewer(Viewer(told["run"], told["token"])).connect(web))
        model.answers["DETAILS"] = reply(DETAILS[:20], gate, DETAILS[20:])
        path = f"/ling/conversations/{told['conversation']}/"
        second = (await http.post(f"{path}messages/", json={"text": "more"})).json()
        viewer = await world.viewer(Viewer(second["run"], second["token"])).connect(web)
        await viewer.sees("Clouds")
        summary = json.dumps({"text": "Of clouds.", "until": told["run"]})
        world.database.rows("UPDATE lingstream_conversation SET summary = ?, seq = seq + 1", [summary])
        async with within():
            while world.bots(second["run"]) == {}:  # the first bot's answer, to be played back
                await asyncio.sleep(0.05)
        owner, _ = world.owner(second["run"], workers)
        owner.kill()
        gate.set()
        await world.agree(TALK, viewer)
        assert (model.calls["ANSWER: hi"], model.calls["ANSWER: more"]) == (1, 1)
        assert world.row(second["run"])["epoch"] == 2
        turns = (await http.get(path)).json()["turns"]
    assert [(turn["number"], turn["status"]) for turn in turns] == [(1, "finished"), (2, "finished")]
