"""What a client may send, mutated, to a real site: each is answered, and nobody else's run is lost by it."""

from __future__ import annotations

import asyncio
import json
import random

from tests import fuzz
from tests import site as sites
from tests.site import Site

ODD = [case.text for _, case in zip(range(60), fuzz.mutations("message", random.Random(1)), strict=False)]
ODD += [case.text for case in fuzz.stored().values() if case.target == "message"]


async def test_a_socket_answers_whatever_it_gets_and_goes_on_with_its_run(site: Site) -> None:
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "half', gate, ' more"}']]
    async with site.socket() as socket:
        run = (await socket.start("test"))["run"]
        for number, text in enumerate(ODD):
            await socket.connection.send(text.encode("utf-8", "replace").decode())
            await socket.send(type="ping", ref=f"ping {number}")
            while (message := await socket.receive()).get("ref") != f"ping {number}":
                fault = message.get("error")
                assert fault is None or (fault["code"] and fault["code"] != "internal"), (text, fault)
        gate.set()
        await socket.until("done", run)
        assert socket.document(run) == {"answer": "half more"}


async def test_a_request_for_many_runs_is_answered_whatever_it_asks(site: Site) -> None:
    for text in ODD:
        try:
            if isinstance(data := json.loads(text), dict) and data.get("all") is not True:
                text = json.dumps({**data, "wait": 0} if data.get("wait") is None else data)
        except (ValueError, RecursionError):
            pass
        answer = await site.http.post(
            "/ling/events/",
            content=text.encode("utf-8", "replace"),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 200 or answer.json()["error"]["code"] not in ("", "internal"), text
        assert answer.status_code < 500, text
