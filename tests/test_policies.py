"""What a workflow does with runs of a busy conversation, and when its viewers leave."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient

from lingstream.execution.runner import get_runner
from lingstream.models import Chat, Run, Workflow

from . import site as sites
from .site import Site, read_sse

URL = "/ling/workflows/test/runs/"
SSE = "text/event-stream"


async def busy(site: Site, policy: str, gate: asyncio.Event) -> tuple[AsyncClient, dict[str, Any]]:
    """A conversation whose first run waits at ``gate``."""
    await site.workflow(answer="A")
    await Workflow.objects.aupdate(when_busy=policy)
    sites.answers = [['{"answer": "one', gate, '"}'], '{"answer": "two"}']
    client = AsyncClient()
    await client.aforce_login(await User.objects.acreate_user("ann", password="pw"))
    response = await client.post(URL, {"input": sites.QUESTION, "conversation": "new"}, "application/json")
    return client, response.json()


async def ask(client: AsyncClient, conversation: str) -> Any:
    return await client.post(URL, {"input": sites.QUESTION, "conversation": conversation}, "application/json")


async def test_a_run_waits_for_the_one_before_it(site: Site) -> None:
    gate = asyncio.Event()
    client, first = await busy(site, "enqueue", gate)
    second = (await ask(client, first["conversation"])).json()
    assert (await Run.objects.aget(pk=second["run"])).status == "queued"
    async with site.socket() as socket:
        await socket.send(type="subscribe", run=second["run"], token=second["token"])
        gate.set()
        await socket.until("done")
    assert socket.document(second["run"]) == {"answer": "two"}
    first_run, second_run = [run async for run in Run.objects.order_by("created_at")]
    assert (first_run.document, second_run.document) == ({"answer": "one"}, {"answer": "two"})
    assert second_run.started_at > first_run.finished_at


async def test_a_run_that_may_not_wait_is_refused(site: Site) -> None:
    gate = asyncio.Event()
    client, first = await busy(site, "reject", gate)
    refused = await ask(client, first["conversation"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conversation-busy")
    gate.set()
    await get_runner().wait(first["run"])
    assert (await ask(client, first["conversation"])).status_code == 202


async def test_a_run_interrupts_the_one_before_it(site: Site) -> None:
    client, first = await busy(site, "interrupt", asyncio.Event())
    second = (await ask(client, first["conversation"])).json()
    async with site.socket() as socket:
        await socket.send(type="subscribe", run=second["run"], token=second["token"])
        await socket.until("done")
    statuses = {str(run.pk): run.status async for run in Run.objects.all()}
    assert statuses == {first["run"]: "canceled", second["run"]: "finished"}


async def test_a_queued_run_can_be_canceled_before_it_starts(site: Site) -> None:
    gate = asyncio.Event()
    client, first = await busy(site, "enqueue", gate)
    second = (await ask(client, first["conversation"])).json()
    async with site.socket() as socket:
        await socket.send(type="subscribe", run=second["run"], token=second["token"])
        await socket.send(type="cancel", run=second["run"])
        done = await socket.until("done")
    assert done["done"]["status"] == "canceled"
    gate.set()
    await get_runner().wait(first["run"])
    assert (await Run.objects.aget(pk=second["run"])).status == "canceled"


@pytest.mark.parametrize("policy", ["continue", "cancel"])
async def test_when_the_sender_of_a_message_closes_its_answer(site: Site, policy: str) -> None:
    gate = asyncio.Event()
    sites.answers = [['{"answer": "one', gate, '"}']]
    await Chat.objects.acreate(workflow=await site.workflow(answer="A"), on_abort=policy, titles=False)
    begun = await site.http.post("/ling/conversations/", json={"workflow": "test"})
    headers = {
        "Authorization": f"Ling-Visitor {begun.headers['ling-visitor']}",
        "Accept": "text/event-stream",
    }
    url = f"/ling/conversations/{begun.json()['id']}/messages/"
    async with site.socket() as watching:
        async with site.http.stream("POST", url, json={"text": "hi"}, headers=headers) as response:
            run, token = response.headers["ling-run"], response.headers["ling-token"]
            more = f"/ling/runs/{run}/events/?token={response.headers['ling-share']}"
            async with site.http.stream("GET", more) as watched:
                await anext(read_sse(watched))  # who only watches may go
            await watching.send(type="subscribe", run=run, token=token)
            await watching.until("snapshot")
            async for event in read_sse(response):
                if "one" in event["data"]:
                    break
        if policy == "continue":
            gate.set()
        done = await watching.until("done")
    assert done["done"]["status"] == {"continue": "finished", "cancel": "canceled"}[policy]


@pytest.mark.parametrize("policy", ["continue", "cancel"])
@pytest.mark.parametrize("way", ["streams", "closes"])
async def test_when_who_started_a_turn_leaves_it(site: Site, policy: str, way: str) -> None:
    gate = asyncio.Event()
    sites.answers = [['{"answer": "one', gate, '"}']]
    await Chat.objects.acreate(workflow=await site.workflow(answer="A"), on_abort=policy, titles=False)
    body = {"input": sites.QUESTION, "conversation": "new"}

    async def watch(run: str, token: str) -> None:
        await watching.send(type="subscribe", run=run, token=token)
        while "one" not in json.dumps(await watching.receive()):
            pass

    async with site.socket() as watching:
        if way == "streams":
            async with site.http.stream("POST", URL, json=body, headers={"Accept": SSE}) as response:
                await watch(response.headers["ling-run"], response.headers["ling-token"])
        else:
            async with site.socket() as leaving:
                started = await leaving.start("test", conversation="new")
                await watch(started["run"], started["token"])
                await leaving.send(type="unsubscribe", run=started["run"])  # to begin again: nobody leaves
                await leaving.send(type="subscribe", run=started["run"])
                await leaving.until("snapshot")
        if policy == "continue":
            gate.set()
        done = await watching.until("done")
    assert done["done"]["status"] == {"continue": "finished", "cancel": "canceled"}[policy]


@pytest.mark.parametrize("policy", ["continue", "cancel"])
async def test_when_the_last_viewer_has_left(site: Site, settings: Any, policy: str) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "DISCONNECT_GRACE": 0.05}
    gate = asyncio.Event()
    await site.workflow(answer="A")
    await Workflow.objects.aupdate(on_disconnect=policy)
    sites.answers = [['{"answer": "one', gate, '"}']]
    async with site.socket() as first, site.socket() as second:
        started = await first.start("test")
        await second.send(type="subscribe", run=started["run"], token=started["token"])
        await second.until("snapshot")
        while "one" not in json.dumps(await first.receive()):
            pass
    if policy == "continue":
        gate.set()
    await get_runner().wait(started["run"])
    expected = {"continue": "finished", "cancel": "canceled"}
    assert (await Run.objects.aget()).status == expected[policy]
