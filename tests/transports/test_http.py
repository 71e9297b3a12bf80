"""HTTP: start, follow, ask, cancel; who may; what bad input is told."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.test import AsyncClient

from lingstream.models import BotRun, Run, Workflow
from tests import site as sites
from tests.chaos.patience import scaled
from tests.site import Site, fold_sse, lines, read_sse

CLOUD = {"answer": "No. You would fall through.", "details": "Clouds are water."}
CLOUD = {**CLOUD, "related_question": ["Why white?", "How heavy?"], "details_cn": "云是水。"}


async def test_a_post_streams_the_run_as_sse(site: Site) -> None:
    await site.cloud_facts()
    async with site.stream("cloud-facts", {"question": "hi"}) as response:
        events = [event async for event in read_sse(response)]
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["ling-protocol"] == "1"
    assert response.headers["content-encoding"] == "identity"
    run = response.headers["ling-run"]
    assert response.headers["location"] == f"/ling/runs/{run}/"
    assert fold_sse(events) == CLOUD
    kinds = [event["event"] for event in events]
    assert kinds[0] == "snapshot" and kinds[-1] == "done" and kinds.count("done") == 1
    assert json.loads(events[1]["data"])["event"] == "started"
    assert all("id" in event for event in events)


async def test_a_post_streams_the_run_as_json_lines(site: Site) -> None:
    await site.cloud_facts()
    async with site.stream("cloud-facts", {"question": "hi"}, "application/jsonl") as response:
        items = list(lines((await response.aread()).decode()))
    assert response.headers["content-type"] == "application/jsonl"
    assert {"uri": "", "value": {}} in items
    assert "".join(item.get("delta", "") for item in items if item.get("uri") == "details_cn") == "云是水。"
    assert items[-1]["done"]["status"] == "finished"


async def test_a_post_without_a_stream_is_answered_with_202_and_where_to_look(site: Site) -> None:
    await site.cloud_facts()
    response = await site.start("cloud-facts", {"question": "hi"})
    started = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/ling/runs/{started['run']}/"
    headers = {"Authorization": f"Ling {started['token']}"}
    async with site.http.stream("GET", started["events"], headers=headers) as events:
        document = fold_sse([event async for event in read_sse(events)])
    assert document == CLOUD
    state = (await site.http.get(response.headers["location"], headers=headers)).json()
    assert (state["status"], state["document"]) == ("finished", CLOUD)


async def test_a_run_and_its_bots_are_stored(site: Site) -> None:
    await site.cloud_facts()
    async with site.stream("cloud-facts", {"question": "hi"}) as response:
        await response.aread()
    run = await Run.objects.aget(pk=response.headers["ling-run"])
    assert (run.status, run.document, run.input) == ("finished", CLOUD, {"question": "hi"})
    assert run.plan["steps"][0]["prompt"] == "ANSWER"
    bots = {bot.instance: bot async for bot in BotRun.objects.filter(run=run)}
    assert set(bots) == {"answer#1", "details#1", "translation#1"}
    assert bots["answer#1"].output == sites.ANSWER
    assert bots["details#1"].messages == [
        {"role": "system", "content": "DETAILS"},
        {"role": "user", "content": "No. You would fall through."},
    ]
    assert run.usage["completion_tokens"] == sum(bot.usage["completion_tokens"] for bot in bots.values())


async def test_two_viewers_see_the_same_and_a_late_one_starts_with_a_snapshot(site: Site) -> None:
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "first half,', gate, ' second half"}']]
    async with site.stream("test") as first:
        events = read_sse(first)
        seen = []
        async for event in events:
            seen.append(event)
            if "first half" in event["data"]:
                break
        url, headers = (
            f"{first.headers['location']}events/",
            {"Authorization": f"Ling {first.headers['ling-token']}"},
        )
        async with site.http.stream("GET", url, headers=headers) as second:
            late = read_sse(second)
            opening = await anext(late)
            assert opening["event"] == "snapshot"
            assert json.loads(opening["data"])["snapshot"]["document"] == {"answer": "first half,"}
            gate.set()
            seen += [event async for event in events]
            other = [opening, *[event async for event in late]]
    assert fold_sse(seen) == fold_sse(other) == {"answer": "first half, second half"}
    assert seen[-1] == other[-1]


async def test_every_place_of_a_stream_can_be_resumed(site: Site) -> None:
    await site.cloud_facts()
    async with site.stream("cloud-facts", {"question": "hi"}) as response:
        events = [event async for event in read_sse(response)]
    url = f"{response.headers['location']}events/"
    headers = {"Authorization": f"Ling {response.headers['ling-token']}"}
    for position, event in enumerate(events[:-1], 1):
        resumed = await site.http.get(url, headers={**headers, "Last-Event-ID": event["id"]})
        tail = [item async for item in read_sse(resumed)]
        assert fold_sse(events[:position] + tail) == CLOUD
        if "+" in event["id"]:
            assert tail[0]["event"] == "snapshot"
    last = events[-1]["id"]
    assert (await site.http.get(url, headers={**headers, "Last-Event-ID": last})).status_code == 204
    assert (await site.http.get(f"{url}?after={last}", headers=headers)).status_code == 204
    assert (await site.http.get(f"{url}?after=nonsense", headers=headers)).status_code == 200


async def test_the_database_answers_when_the_log_is_gone(site: Site) -> None:
    await site.cloud_facts()
    async with site.stream("cloud-facts", {"question": "hi"}) as response:
        events = [event async for event in read_sse(response)]
    sites_hub = __import__("lingstream.hubs", fromlist=["get_hub"]).get_hub()
    sites_hub.drop(response.headers["ling-run"])
    headers = {"Authorization": f"Ling {response.headers['ling-token']}"}
    url = f"{response.headers['location']}events/"
    answer = await site.http.get(url, headers=headers)
    stored = [event async for event in read_sse(answer)]
    assert [event["event"] for event in stored] == ["snapshot", "done"]
    assert fold_sse(stored) == CLOUD
    assert stored[-1]["id"] == events[-1]["id"]
    assert json.loads(stored[-1]["data"])["done"] == json.loads(events[-1]["data"])["done"]
    assert (await site.http.get(f"{url}?after={stored[-1]['id']}", headers=headers)).status_code == 204


async def test_cancel_keeps_what_came_and_stops_the_model(site: Site) -> None:
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "half', asyncio.Event(), ' never"}']]
    async with site.stream("test") as response:
        headers = {"Authorization": f"Ling {response.headers['ling-token']}"}
        seen = []
        async for event in read_sse(response):
            seen.append(event)
            if '"half"' in event["data"]:
                canceled = await site.http.post(f"{response.headers['location']}cancel/", headers=headers)
                assert canceled.status_code == 202
    assert json.loads(seen[-1]["data"])["done"]["status"] == "canceled"
    assert fold_sse(seen) == {"answer": "half"}
    state = (await site.http.get(response.headers["location"], headers=headers)).json()
    assert (state["status"], state["document"]) == ("canceled", {"answer": "half"})
    bot = await BotRun.objects.aget()
    assert (bot.status, bot.output) == ("canceled", '{"answer": "half')
    assert bot.usage["estimated"] is True
    again = await site.http.post(f"{response.headers['location']}cancel/", headers=headers)
    assert again.json()["status"] == "canceled"


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


BAD_STARTS: list[tuple[str, Any, int, str]] = [
    ("nope", {"input": {}}, 404, "unknown-workflow"),
    ("cloud-facts", {"input": {}}, 400, "invalid-input"),
    ("cloud-facts", {"input": {"question": 5}}, 400, "invalid-input"),
    ("cloud-facts", {}, 400, "usage"),
    ("cloud-facts", [1], 400, "usage"),
    ("cloud-facts", {"input": {"question": "x"}, "key": 7}, 400, "usage"),
    ("cloud-facts", {"input": {"question": "x"}, "key": "short"}, 400, "usage"),
    ("cloud-facts", {"input": {"question": "x"}, "conversation": "zzz"}, 404, "not-found"),
    ("cloud-facts", b"{", 400, "bad-json"),
    ("cloud-facts", b"\xff\xfe", 400, "bad-json"),
    ("cloud-facts", b"[" * 100_000, 400, "too-deep"),
    ("cloud-facts", b'{"input": ' + b"[" * 1000 + b"]" * 1000 + b"}", 400, "too-deep"),
    ("cloud-facts", {"input": {"question": "x", "more": nested(101)}}, 400, "too-deep"),
    ("cloud-facts", b" " * 300_000, 413, "too-large"),
]


HOSTILE_INPUTS: dict[str, tuple[Any, Any]] = {
    "29 characters that go back": ({"pattern": r"^(\w+\s?)*$"}, "a" * 28 + "!"),
    "objects that have to be unique": (
        {"items": {}, "uniqueItems": True, "maxItems": 10},
        [{"a": number} for number in range(18_000)],
    ),
    "integers of 20 digits that have to be unique": (
        {"uniqueItems": True, "maxItems": 10},
        [2**63 + number for number in range(11_000)],
    ),
    "20,000 objects, all wrong": ({"items": {"required": ["b"]}}, [{"a": n} for n in range(18_000)]),
}


@pytest.mark.parametrize("name", HOSTILE_INPUTS)
async def test_no_input_holds_the_others_up(site: Site, name: str) -> None:
    schema, value = HOSTILE_INPUTS[name]
    workflow = await site.workflow("asked", a="ANSWER")
    workflow.input_schema = {"properties": {"q": schema}}
    await workflow.asave()
    began = time.process_time()
    answer = await site.start("asked", {"q": value})
    assert time.process_time() - began < 3
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid-input")
    assert "'q" in answer.json()["error"]["message"]


async def test_a_stored_schema_that_cannot_be_used_is_told_to_the_staff_at_start(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = await site.workflow("old", a={"prompt": "ANSWER", "schema": {"pattern": "(?=a)"}})
    answer = await site.start("old", {"question": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "(?=a)" in caplog.text and "(?=a)" not in answer.text
    caplog.clear()
    await workflow.steps.aupdate(schema=None)
    await Workflow.objects.filter(pk=workflow.pk).aupdate(input_schema={"$ref": "http://127.0.0.1:1/x"})
    answer = await site.start("old", {"question": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "input schema" in caplog.text


@pytest.mark.parametrize(("slug", "body", "status", "code"), BAD_STARTS)
async def test_a_bad_start_is_told_what_is_wrong(
    site: Site, slug: str, body: Any, status: int, code: str
) -> None:
    await site.cloud_facts()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    for accept in ("application/json", "text/event-stream"):
        response = await site.http.post(
            f"/ling/workflows/{slug}/runs/", content=content, headers={"Accept": accept}
        )
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        assert response.json()["error"]["message"]
    assert not await Run.objects.aexists()


async def test_a_provider_without_its_key_is_an_error_frame(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LINGSTREAM_API_KEY", raising=False)
    settings.LINGSTREAM = {
        **settings.LINGSTREAM,
        "PROVIDER_KEYS": {"LINGSTREAM_API_KEY": ["https://api.example.com"]},
    }
    await sync_to_async(sites.store_provider)(
        kind="openai", base_url="https://api.example.com/v1", key_name="LINGSTREAM_API_KEY"
    )
    await site.workflow(answer="A")
    async with site.stream("test") as response:
        events = [event async for event in read_sse(response)]
    fault = next(json.loads(event["data"])["error"] for event in events if event["event"] == "fault")
    assert (fault["code"], fault["bot"]) == ("internal", "answer#1")
    stored = (await Run.objects.aget()).errors[0]
    assert stored["code"] == "key-missing" and "LINGSTREAM_API_KEY" in stored["message"]
    assert json.loads(events[-1]["data"])["done"]["status"] == "failed"


async def test_wrong_methods_and_unknown_runs(site: Site) -> None:
    response = await site.http.get("/ling/workflows/x/runs/")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    unknown = "00000000-0000-4000-8000-000000000000"
    for method, url in [("GET", ""), ("GET", "events/"), ("POST", "cancel/")]:
        response = await site.http.request(method, f"/ling/runs/{unknown}/{url}")
        assert (response.status_code, response.json()["error"]["code"]) == (404, "not-found")


async def test_a_run_opens_to_its_owner_its_session_a_permission_and_its_token(site: Site) -> None:
    await site.cloud_facts()
    owner = await User.objects.acreate_user("owner", password="pw")
    stranger = await User.objects.acreate_user("stranger", password="pw")
    auditor = await User.objects.acreate_user("auditor", password="pw")
    await auditor.user_permissions.aadd(await Permission.objects.aget(codename="view_run"))
    clients = {}
    for user in (owner, stranger, auditor):
        clients[user.username] = AsyncClient()
        await clients[user.username].aforce_login(user)
    body = {"input": {"question": "hi"}}
    started = await clients["owner"].post("/ling/workflows/cloud-facts/runs/", body, "application/json")
    url, token = started.headers["Location"], started.headers["Ling-Token"]
    share = started.headers["Ling-Share"]
    assert (await Run.objects.aget()).owner_id == owner.pk
    assert (await clients["owner"].get(url)).status_code == 200
    assert (await clients["auditor"].get(url)).status_code == 200
    assert (await clients["auditor"].post(f"{url}cancel/")).status_code == 403
    for path in (url, f"{url}events/"):
        refused = await clients["stranger"].get(path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert (await clients["stranger"].post(f"{url}cancel/")).status_code == 403
    assert (await AsyncClient().get(url)).status_code == 403
    assert (await AsyncClient().get(f"{url}?token={share}")).status_code == 200
    assert (await AsyncClient().get(f"{url}?token={token}")).status_code == 403
    assert (await AsyncClient().get(url, headers={"Authorization": f"Ling {token}"})).status_code == 200
    assert (await AsyncClient().get(f"{url}?token={share}x")).status_code == 403
    other = await clients["owner"].post("/ling/workflows/cloud-facts/runs/", body, "application/json")
    assert (await AsyncClient().get(f"{url}?token={other.headers['Ling-Share']}")).status_code == 403


async def test_a_session_opens_what_it_started(site: Site) -> None:
    await site.cloud_facts()
    client, other = AsyncClient(), AsyncClient()
    for one in (client, other):
        session = await one.asession()
        await session.aset("visited", True)
        await session.asave()
        one.cookies["sessionid"] = session.session_key
    started = await client.post(
        "/ling/workflows/cloud-facts/runs/", {"input": {"question": "hi"}}, "application/json"
    )
    assert (await client.get(started.headers["Location"])).status_code == 200
    assert (await other.get(started.headers["Location"])).status_code == 403
    run = await Run.objects.aget()
    assert run.session_key and run.session_key not in {client.cookies["sessionid"].value}


async def test_csrf_is_asked_of_cookies_and_of_nothing_else(site: Site) -> None:
    await site.cloud_facts()
    user = await User.objects.acreate_user("ann", password="pw")
    client = AsyncClient(enforce_csrf_checks=True)
    await client.aforce_login(user)
    url, body = "/ling/workflows/cloud-facts/runs/", {"input": {"question": "hi"}}
    refused = await client.post(url, body, "application/json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "csrf")
    client.cookies["csrftoken"] = "a" * 32
    started = await client.post(url, body, "application/json", headers={"X-CSRFToken": "a" * 32})
    assert started.status_code == 202
    cancel = f"{started.headers['Location']}cancel/"
    del client.cookies["csrftoken"]
    assert (await client.post(cancel)).status_code == 403
    by_token = await client.post(cancel, headers={"Authorization": f"Ling {started.headers['Ling-Token']}"})
    assert by_token.status_code == 202
    anonymous = AsyncClient(enforce_csrf_checks=True)
    assert (await anonymous.post(url, body, "application/json")).status_code == 202


@pytest.mark.parametrize("access", ["authenticated", "permission"])
async def test_who_may_start_is_the_workflows_choice(site: Site, access: str) -> None:
    await site.cloud_facts()
    await Workflow.objects.aupdate(access=access)
    body = {"input": {"question": "hi"}}
    url = "/ling/workflows/cloud-facts/runs/"
    assert (await AsyncClient().post(url, body, "application/json")).status_code == 403
    user = await User.objects.acreate_user("ann", password="pw")
    client = AsyncClient()
    await client.aforce_login(user)
    first = await client.post(url, body, "application/json")
    assert first.status_code == (202 if access == "authenticated" else 403)
    await user.user_permissions.aadd(await Permission.objects.aget(codename="start_workflow"))
    assert (await client.post(url, body, "application/json")).status_code == 202


async def test_the_same_key_is_the_same_run(site: Site) -> None:
    await site.cloud_facts()
    key = "0f8fad5b-d9cb-469f-a165-70867728950e"
    first = await site.start("cloud-facts", {"question": "hi"}, key=key)
    second = await site.start("cloud-facts", {"question": "hi"}, key=key)
    assert first.json()["run"] == second.json()["run"]
    other = await site.start("cloud-facts", {"question": "something else"}, key=key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "key-reused")
    assert await Run.objects.acount() == 1


async def test_a_conversation_has_one_owner_and_a_history(site: Site) -> None:
    await site.workflow(answer={"prompt": "A", "history": True})
    sites.answers = ['{"answer": "one"}', '{"answer": "two"}']
    user = await User.objects.acreate_user("ann", password="pw")
    client = AsyncClient()
    await client.aforce_login(user)
    url = "/ling/workflows/test/runs/"
    first = await client.post(url, {"input": {"question": "q1"}, "conversation": "new"}, "application/json")
    conversation = first.json()["conversation"]
    await _ended(first.json()["run"])
    body = {"input": {"question": "q2"}, "conversation": conversation}
    second = await client.post(url, body, "application/json")
    await _ended(second.json()["run"])
    bot = await BotRun.objects.aget(run_id=second.json()["run"])
    assert [message["content"] for message in bot.messages] == ["A", "q1", "one", "q2"]
    stranger = AsyncClient()
    refused = await stranger.post(url, body, "application/json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


async def test_disconnect_is_not_cancel(site: Site) -> None:
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "half', gate, ' and whole"}']]
    async with site.stream("test") as response:
        async for event in read_sse(response):
            if "half" in event["data"]:
                break
    gate.set()
    await _ended(response.headers["ling-run"])
    run = await Run.objects.aget()
    assert (run.status, run.document) == ("finished", {"answer": "half and whole"})


async def test_too_many_runs_are_busy(site: Site, settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "MAX_RUNS": 1}
    gate = asyncio.Event()
    await site.workflow(answer="A")
    sites.answers = [['{"answer": "', gate, '"}'], "{}"]
    first = await site.start("test", {"question": "x"})
    busy = await site.start("test", {"question": "x"})
    assert (busy.status_code, busy.json()["error"]["code"], busy.headers["retry-after"]) == (503, "busy", "1")
    gate.set()
    await _ended(first.json()["run"])


async def _ended(run: str) -> None:
    """Wait for the end of a run, also of one that the runner has yet to take."""
    from lingstream.execution.runner import get_runner

    async with asyncio.timeout(scaled(20)):
        while not (await Run.objects.aget(pk=run)).ended:
            await get_runner().wait(run)
            await asyncio.sleep(0.01)
