"""Steps of other kinds on the site: from a row to a viewer, who asks, and after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User

from lingstream import step, workflow
from lingstream.access.identity import Identity
from lingstream.core.engine import kinds, registry
from lingstream.core.engine.kinds import Note, Put, StepCall, Text
from lingstream.execution.runner import Runner as Executor
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start
from lingstream.models import BotRun, Run
from tests import site as sites
from tests.chaos.patience import within
from tests.site import Site, fold_sse, read_sse
from tests.web import Answer, web


@pytest.fixture(autouse=True)
def _own_kinds(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))
    settings.LINGSTREAM = {**settings.LINGSTREAM, "TICK": 0.02, "HEARTBEAT_EVERY": 0.05, "DRAIN": 0}


async def ended(run: Run) -> Run:
    """The run, when it has ended."""
    async with within(20):
        while not (row := await Run.objects.aget(pk=run.pk)).ended:
            await asyncio.sleep(0.02)
    return row


async def test_a_row_makes_a_request_and_viewers_see_what_is_answered(site: Site) -> None:
    async with web({"/weather/Bergen": b'{"sky": "grey", "degrees": 9}'}) as server:
        options = {"url": server.url + "/weather/{{ input.question }}"}
        await site.workflow(weather={"kind": "http", "options": options, "root": "weather", "retries": 2})
        async with site.stream("test", {"question": "Bergen"}) as response:
            events = [event async for event in read_sse(response)]
    assert fold_sse(events) == {"weather": {"sky": "grey", "degrees": 9}}
    settled = [event["data"] for event in events if event["event"] == "event"]
    assert any('"uri":"weather/sky"' in data for data in settled)
    stored = await BotRun.objects.aget()
    assert (stored.kind, stored.status, stored.result) == (
        "http",
        "finished",
        [["put", "", {"sky": "grey", "degrees": 9}]],
    )


async def test_a_visitor_is_told_no_address(site: Site) -> None:
    async with web({"/": Answer(status=503)}) as server:
        await site.workflow(ask={"kind": "http", "options": {"url": server.url + "/"}})
        async with site.stream("test") as response:
            text = (await response.aread()).decode()
    assert '"code":"http"' in text
    assert "127.0.0.1" not in text and "503" not in text
    (error,) = (await Run.objects.aget()).errors
    assert error["message"] == "127.0.0.1 answered 503"


async def test_a_function_knows_who_has_started_its_run(site: Site) -> None:
    found: list[Any] = []

    @step("who")
    def who(input: Any, call: StepCall) -> str:
        found.append((call.identity, User.objects.get(pk=call.identity.user).username))
        return "seen"

    def ann() -> User:
        user = User.objects.create(username="ann")
        user.groups.add(Group.objects.create(name="editors"))
        return user

    user = await sync_to_async(ann)()
    await site.workflow(one={"kind": "who", "root": "one"}, two={"kind": "who", "root": "two"})
    row, _ = await get_runner().start(Start("test", sites.QUESTION), Identity.of_site(user, scope="acme"))
    run = await ended(row)
    assert (run.status, run.document) == ("finished", {"one": "seen", "two": "seen"})
    assert found == [(kinds.Identity(str(user.pk), ("editors",), "acme", ""), "ann")] * 2


async def test_whoever_takes_the_run_over_asks_with_the_same_key_and_says_again_what_was_said(
    site: Site,
) -> None:
    calls: list[int] = []

    @step("say", events=["told"])
    async def say(input: Any) -> AsyncIterator[Any]:
        calls.append(1)
        yield Text('{"text": "a\x00')
        yield Put("n", [1])
        yield Note("told", {"of": "it"})
        yield Text('b"}')

    never = asyncio.Event()
    async with web({"/": [Answer([never]), b'"done"']}) as server:
        options = {"url": server.url + "/", "method": "POST", "body": "{{ value }}"}
        workflow = await site.workflow(
            say={"kind": "say", "root": "said"}, order={"kind": "http", "root": "order", "options": options}
        )
        await sync_to_async(sites.store_trigger)(workflow, "say", "order", "", event="told")
        row, _ = await get_runner().start(Start("test", sites.QUESTION), Identity.of_site())
        async with within(20):
            await server.asked()
            while not await BotRun.objects.filter(kind="say", status="finished").aexists():
                await asyncio.sleep(0.02)
        await get_runner().drain()
        heir = Executor()
        await heir.ensure_registered()
        run = await ended(row)
        await heir.aclose()
    assert (run.status, run.epoch) == ("finished", 2)
    assert run.document == {"said": {"text": "a\x00b", "n": [1]}, "order": "done"}
    assert calls == [1]
    first, second = server.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body == b'{"of": "it"}'


async def test_requests_and_threads_end_with_the_runner(site: Site) -> None:
    @step("count")
    def count(input: Any) -> int:
        return User.objects.count()

    async with web({"/": b"1"}) as server:
        options = {"url": server.url + "/"}
        await site.workflow(
            ask={"kind": "http", "options": options, "root": "a"}, count={"kind": "count", "root": "c"}
        )
        row, _ = await get_runner().start(Start("test", sites.QUESTION), Identity.of_site())
        assert (await ended(row)).document == {"a": 1, "c": 0}
        services = get_runner()._running._services
        client, threads = services.http(), list(services._threads._threads)
        assert threads and not client.is_closed
        await get_runner().aclose()
    assert client.is_closed
    assert not any(thread.is_alive() for thread in threads)


keys: list[str] = []


def choose(prompt: Any, label: str, key: str) -> None:
    """The site's choice of versions: none, but it hears for whom it is asked."""
    keys.append(key)


@pytest.mark.parametrize("owned", [True, False])
async def test_a_function_executes_another_workflow_for_the_same_person(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch, owned: bool
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "CHOOSE_VERSION": "tests.execution.test_steps.choose"}
    monkeypatch.setattr(registry, "_functions", dict(registry._functions))

    @workflow("outer")
    async def outer(run: Any) -> None:
        await run.step("workflow", {"question": "hi"}, workflow="inner", root="inner")

    await site.workflow("inner", answer="ANSWER")
    sites.answers = '{"answer": "yes"}'
    user = await User.objects.acreate(username="ann") if owned else None
    keys.clear()
    row, _ = await get_runner().start(Start("outer", None), Identity.of_site(user))
    run = await ended(row)
    assert (run.status, run.document) == ("finished", {"inner": {"answer": "yes"}})
    assert keys == [f"user:{user.pk}" if user else str(run.pk)]
