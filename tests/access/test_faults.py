"""What strangers are told of errors: a code and a sentence, on every way to a viewer."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.core.asgi import get_asgi_application
from django.utils.translation import override

from lingstream.access.faults import told, told_error, told_frame
from lingstream.access.identity import Identity
from lingstream.access.permissions import check_start
from lingstream.access.throttle import check_throttle
from lingstream.asgi import application
from lingstream.core.exceptions import (
    AccessError,
    ConfigurationError,
    InternalError,
    LingError,
    ProviderError,
    RateLimited,
    UsageError,
)
from lingstream.core.log.frames import Frame, FrameId
from lingstream.execution.runner import get_runner
from lingstream.models import BotRun, Prompt, Run, Step, Workflow
from lingstream.providers.scripted import ScriptedProvider
from lingstream.transports.viewer import Viewer, beginning

from .. import site as sites
from ..site import Site

# What only the site's staff may read: key and provider names, a model server's words, step names, addresses.
SECRETS = ("SECRET_KEY_NAME", "secret-provider", "secret.example", "secret-step", "secret words")
STATES = [
    ("key-missing", "internal"),
    ("no-provider", "internal"),
    ("usage", "internal"),
    ("template", "internal"),
    ("provider-address", "internal"),
    ("provider-auth", "provider-auth"),
    ("provider-timeout", "provider-timeout"),
    ("http", "http"),
    ("address", "internal"),
    ("timeout", "timeout"),
    ("limit", "limit"),
    ("a-code-of-tomorrow", "a-code-of-tomorrow"),
]


@pytest.mark.parametrize(("code", "shown"), STATES)
def test_of_an_error_in_a_run_only_the_code_is_passed_on(code: str, shown: str) -> None:
    body = {"code": code, "message": " ".join(SECRETS), "retryable": True, "bot": "a#1", "detail": SECRETS[0]}
    found = told_error(body)
    assert (found["code"], found["retryable"], found["bot"]) == (shown, True, "a#1")
    assert found["message"] and not any(secret in json.dumps(found) for secret in SECRETS)
    frame = told_frame(Frame(FrameId(1, 2), "error", body))
    assert frame.body == found
    bots = {"a#1": {"status": "failed", "error": body}, "b#1": {"status": "running"}}
    snapshot = {"document": {}, "reasoning": {}, "status": "running", "bots": bots, "error": body}
    shown_snapshot = told_frame(Frame(FrameId(1, 1), "snapshot", snapshot)).body
    assert shown_snapshot["error"] == shown_snapshot["bots"]["a#1"]["error"] == found
    assert shown_snapshot["bots"]["b#1"] == {"status": "running"}
    assert bots["a#1"]["error"] is body


def test_a_senders_own_mistake_is_told_whole_and_the_sites_is_not() -> None:
    assert told(UsageError('expected an "input"'))["message"] == 'expected an "input"'
    for fault in (ConfigurationError(SECRETS[0]), UsageError(SECRETS[0], code="invalid-schema")):
        assert told(fault)["code"] == "internal"
        assert SECRETS[0] not in json.dumps(told(fault))


FAULTS = [
    ProviderError("secret words of secret.example", code="provider-auth"),
    LingError("secret-provider has secret words", code="provider-unavailable", retryable=True),
    ConfigurationError("SECRET_KEY_NAME is not set for secret-provider", code="key-missing"),
]


class Failing(ScriptedProvider):
    """A model that fails with a text for staff."""

    def __init__(self, error: LingError) -> None:
        super().__init__("", rate=None)
        self._error = error

    def stream(self, messages: Any, options: Any) -> Any:
        raise self._error


TIMED_OUT = "模型回答超时"


def test_sentences_are_in_the_readers_language() -> None:
    body = {"code": "provider-timeout", "message": SECRETS[0]}
    with override("zh-hans"):
        assert told_error(body)["message"] == TIMED_OUT
        assert told(ConfigurationError(SECRETS[0]))["message"] == told(InternalError("this"))["message"]
    assert told_error(body)["message"] == "the model took too long to answer"


@pytest.mark.django_db
def test_a_refusal_is_told_in_the_language_of_who_reads_it_and_not_of_who_made_it(bounds: Any) -> None:
    bounds(STARTS_PER_ADDRESS="1/d")
    workflow = Workflow(slug="test", access="authenticated")
    visitor = Identity(AnonymousUser(), address="192.0.2.7")
    with pytest.raises(AccessError) as stranger:
        check_start("test", workflow, visitor)
    with pytest.raises(RateLimited) as often:
        for _time in range(3):
            check_throttle("test", visitor)
    with override("zh-hans"):
        assert told(stranger.value)["message"] == "登录后才能启动此工作流"
        assert "后重试" in told(often.value)["message"]
    assert str(often.value).startswith("expected up to ")


async def test_on_every_way_to_a_viewer(
    transactional_db: None, fresh_runner: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the browser asks, which is what the site's own pages do: no middleware of Django's sees a socket."""
    late = ProviderError("slow", code="provider-timeout")
    monkeypatch.setattr(sites, "scripted", lambda plan, key: Failing(late))
    reads = {"Accept-Language": "zh-hans,en;q=0.5"}
    async with sites.serve(application(get_asgi_application())) as site:
        await site.workflow(answer="A")
        async with site.socket(additional_headers=reads) as socket:
            await socket.start("test")
            assert TIMED_OUT in str(await socket.until("error"))
        site.http.headers.update(reads)
        async with site.stream("test") as response:
            assert TIMED_OUT in (await response.aread()).decode()
        long = {"input": {"question": "x" * 20_001}, "conversation": "new"}
        refused = await site.http.post("/ling/workflows/test/runs/", json=long)
        assert refused.json()["error"]["message"] == "消息最多 20000 个字符，实际为 20001 个"
    run = await Run.objects.afirst()
    assert run and run.language == "zh-hans" and run.errors[0]["message"] == "slow"


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: error.code)
async def test_no_way_to_a_viewer_tells_more(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: LingError
) -> None:
    await site.workflow(answer="A")
    monkeypatch.setattr(sites, "scripted", lambda plan, key: Failing(error))
    texts = []
    for accept in ("text/event-stream", "application/jsonl"):
        async with site.stream("test", accept=accept) as response:
            texts.append((await response.aread()).decode())
    headers = {"Authorization": f"Ling {response.headers['ling-token']}"}
    url = response.headers["location"]
    for path in ("", "events/", "events/?after=1-1"):
        texts.append((await site.http.get(url + path, headers=headers)).text)
    async with site.socket() as socket:
        started = await socket.start("test")
        await socket.until("done")
        await socket.send(type="subscribe", run=started["run"])
        await socket.until("done")
        texts.append("".join(map(repr, socket.frames[started["run"]])))
    for text in texts:
        assert not any(secret in text for secret in SECRETS), text
        assert ("internal" if isinstance(error, ConfigurationError) else error.code) in text
    bot = await BotRun.objects.afirst()
    run = await Run.objects.afirst()
    assert bot is not None and run is not None
    assert bot.error["message"] == run.errors[0]["message"] == error.message
    async with aclosing(Viewer(run, beginning(), whole=True)) as viewer:
        staff = [frame async for batch in viewer for frame in batch]
    assert [frame.body["message"] for frame in staff if frame.kind == "error"] == [error.message]


def no_provider() -> None:
    sites.Provider.objects.all().delete()


def no_model() -> None:
    sites.store_provider(kind="openai", base_url="https://secret.example/v1", default_model="")


def no_label() -> None:
    Step.objects.update(label="no-such-label", name="secret-step")
    Prompt.objects.update(slug="secret-words")


def no_steps() -> None:
    Step.objects.all().delete()


@pytest.mark.parametrize("break_", [no_provider, no_model, no_label, no_steps])
async def test_a_start_that_the_site_cannot_serve(
    site: Site, caplog: pytest.LogCaptureFixture, break_: Any
) -> None:
    await site.workflow(secret="A")
    await sync_to_async(break_)()
    code = break_.__name__.replace("_", "-")
    for accept in ("application/json", "text/event-stream"):
        response = await site.http.post(
            "/ling/workflows/test/runs/", json={"input": {}}, headers={"Accept": accept}
        )
        assert (response.status_code, response.json()["error"]["code"]) == (500, "internal")
        assert not any(secret in response.text for secret in (*SECRETS, "DEFAULT_PROVIDER", code))
    async with site.socket() as socket:
        await socket.send(type="start", workflow="test", input={}, ref=1)
        answer = await socket.receive()
    assert answer["error"]["code"] == "internal"
    assert code in caplog.text


async def test_reasoning_is_for_workflows_that_show_it(site: Site) -> None:
    for shown in (False, True):
        workflow = await site.workflow(f"shown-{shown}".lower(), answer="A")
        assert workflow.show_reasoning is False
        workflow.show_reasoning = shown
        await workflow.asave()
        sites.answers = '<think>secret words</think>{"answer": "x"}'
        async with site.stream(workflow.slug) as response:
            text = (await response.aread()).decode()
        await get_runner().wait(response.headers["ling-run"])
        assert ("secret words" in text) is shown
        assert '"answer"' in text
