"""A failed run writes one record, whatever failed and whoever ended it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from django.utils import timezone, translation

from lingstream.access.identity import Identity
from lingstream.access.tokens import make_token
from lingstream.core.exceptions import ProviderError
from lingstream.core.provider import Chunk
from lingstream.execution import ownership
from lingstream.execution.failures import report
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start
from lingstream.execution.storage import in_database
from lingstream.hubs import get_hub
from lingstream.models import BotRun, Run, Runner
from lingstream.models.phrases import shown_error
from lingstream.providers.openai.failures import from_status
from tests import site as sites
from tests.chaos.patience import within
from tests.site import Site


def records(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if record.name == "lingstream.runs"]


async def run_to_its_end(site: Site, slug: str = "test") -> Run:
    row, _ = await get_runner().start(Start(slug, sites.QUESTION), Identity.of(None, None))
    await get_runner().wait(str(row.pk))
    return await Run.objects.aget(pk=row.pk)


@pytest.mark.parametrize(
    ("answer", "code", "level"),
    [
        ([ProviderError("no such model", code="provider-refused")], "provider-refused", "ERROR"),
        ([ProviderError("too busy", code="provider-busy", retryable=True)], "provider-busy", "WARNING"),
        (["Sorry, no."], "no-json", "WARNING"),
        ([RuntimeError("secret detail")], "internal", "ERROR"),
        (['{"answer": 1}'], "schema", "WARNING"),
    ],
)
async def test_of_a_bot(
    site: Site, caplog: pytest.LogCaptureFixture, answer: list[Any], code: str, level: str
) -> None:
    sites.answers = [answer]
    schema = {"type": "object", "properties": {"answer": {"type": "object"}}}
    await site.workflow(answer={"schema": schema})
    run = await run_to_its_end(site)
    assert run.status == "failed"
    (record,) = records(caplog)
    assert (record.run, record.workflow, record.step, record.code) == (str(run.pk), "test", "answer", code)
    assert record.levelname == level
    text = record.getMessage()
    assert text.startswith(f"run {run.pk} of test failed at the step answer: {code}: ")
    assert "secret" not in text


async def test_all_errors_are_kept_and_counted(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    sites.answers = {"one": [ProviderError("no one")], "two": ["Sorry"], "": [ProviderError("no three")]}
    await site.workflow(one={"root": "1", "optional": True}, two={"root": "2"}, three={"root": "3"})
    run = await run_to_its_end(site)
    kept = [(error["bot"], error["code"]) for error in run.errors]
    assert sorted(kept[:2]) == [("three#1", "provider"), ("two#1", "no-json")]
    assert kept[2:] == [("one#1", "provider")], "it was optional"
    (record,) = records(caplog)
    assert record.getMessage().endswith("(and 2 more)")
    assert record.step == kept[0][0].partition("#")[0]


@pytest.mark.parametrize(
    ("answer", "changes", "said"),
    [
        (["Sorry, no."], {}, "应为 JSON，实际为不含 JSON 的文本（10 个字符）"),
        ([RuntimeError("secret")], {}, "步骤因服务器故障而失败；详情见其日志"),
        (
            ['{"answer": 1}'],
            {"schema": {"properties": {"answer": {"type": "object"}}}},
            "输出在 'answer' 处不符合其模式：1 ",
        ),
        ([from_status(401, "who are you?")], {}, "模型服务器应答 401：who are you?"),
        (["{}"], {"input": "{{ input.none }}"}, "第 1 行：“dict object”没有属性“none”"),
    ],
)
async def test_what_is_stored_can_be_said_in_the_readers_language(
    site: Site, answer: list[Any], changes: dict[str, Any], said: str
) -> None:
    sites.answers = [answer]
    await site.workflow(answer=changes)
    run = await run_to_its_end(site)
    (error,) = run.errors
    with translation.override("zh-hans"):
        assert said in shown_error(error)["message"]
    assert "phrase" not in shown_error(error)
    called = [bot.error async for bot in BotRun.objects.all()]  # a template fails before its bot is called
    assert called in ([], [{name: error[name] for name in error if name != "bot"}])


@pytest.mark.parametrize("end", ["finished", "canceled"])
async def test_no_other_end_writes_one(site: Site, caplog: pytest.LogCaptureFixture, end: str) -> None:
    answer = "{}" if end == "finished" else ["{", asyncio.Event()]
    sites.answers = {"bad": [ProviderError("gone")], "": answer}
    await site.workflow(good={}, bad={"optional": True, "root": "b"})
    row, _ = await get_runner().start(Start("test", sites.QUESTION), Identity.of(None, None))
    if end == "canceled":
        await get_runner().cancel(row)
    await get_runner().wait(str(row.pk))
    assert (await Run.objects.aget(pk=row.pk)).status == end
    assert records(caplog) == []


async def test_of_a_run_that_its_own_execution_could_not_end(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.workflow(answer="Go.")

    def broken(run: Run) -> Any:
        raise KeyError("a plan of another shape")

    monkeypatch.setattr("lingstream.execution.running.plan_of", broken)
    run = await run_to_its_end(site)
    (record,) = records(caplog)
    assert (run.status, record.code, record.step, record.levelname) == ("failed", "internal", "", "ERROR")


async def test_of_a_lost_run(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    dead = await Runner.objects.acreate(stopped_at=timezone.now())
    run = await Run.objects.acreate(workflow="test", status="running", attempts=3, epoch=3, runner=dead)
    await get_runner().ensure_registered()
    await in_database(ownership.lose, get_runner().id, 15.0, attempts=3)
    async with within(10):
        while not records(caplog):  # the runner itself may have been first
            await asyncio.sleep(0.01)
    (record,) = records(caplog)
    assert (record.code, record.run) == ("lost", str(run.pk))
    assert "lost" in record.getMessage()


def test_a_model_servers_words_stay_on_one_line_and_short(caplog: pytest.LogCaptureFixture) -> None:
    run = Run(workflow="test")
    message = "bad\n2026-01-01 ERROR forged\x1b[2J" + "x" * 5_000
    with caplog.at_level(logging.WARNING):
        report(run, "failed", [{"code": "provider", "message": message, "retryable": False}])
    text = records(caplog)[0].getMessage()
    assert text.isprintable()
    assert len(text) < 700


async def test_a_cut_answer_is_stored_with_its_finish_and_played_back_as_cut(site: Site) -> None:
    sites.answers = [['{"answer": "hal', Chunk(finish="length")]]
    await site.workflow(answer="Go.")
    run = await run_to_its_end(site)
    assert (run.status, run.document) == ("finished", {"answer": "hal"})
    assert (await BotRun.objects.aget(run=run)).finish == "length"
    dead = await Runner.objects.acreate(stopped_at=timezone.now())
    get_hub().drop(str(run.pk))  # before anybody looks for whom it belongs to
    await Run.objects.filter(pk=run.pk).aupdate(
        status="running", runner=dead, document=None, finished_at=None
    )
    get_runner().look()
    async with within(10):
        while (log := await get_hub().find(str(run.pk))) is None or not log.ended:
            await asyncio.sleep(0.01)
    assert log.state.bots["answer#1"]["cut"] == ["answer", ""]
    assert log.state.bots["answer#1"]["finish"] == "length"
    assert json.dumps(log.state.document.value) == '{"answer": "hal"}'


async def test_who_comes_when_the_log_is_gone_is_told_why_it_failed(site: Site) -> None:
    sites.answers = [["Sorry, no."]]
    await site.workflow(answer="Go.")
    run = await run_to_its_end(site)
    get_hub().drop(str(run.pk))
    headers = {"Authorization": f"Ling {make_token(run.pk)}"}
    async with site.http.stream("GET", f"/ling/runs/{run.pk}/events/", headers=headers) as response:
        events = [event async for event in sites.read_sse(response)]
    snapshot = json.loads(events[0]["data"])["snapshot"]
    assert snapshot["status"] == "failed"
    assert (snapshot["error"]["code"], set(snapshot["error"])) == (
        "no-json",
        {"code", "message", "retryable"},
    )
