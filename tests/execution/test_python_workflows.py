"""Workflows in Python, on the site: found, started, stored like the others."""

from __future__ import annotations

from asgiref.sync import sync_to_async

from lingstream.execution.storage import plan_of
from lingstream.models import BotRun, Run
from tests import site as sites
from tests.site import Site, fold_sse, read_sse


async def test_the_demos_function_fills_the_same_document(site: Site) -> None:
    await sync_to_async(sites.store_provider)()
    sites.answers = {"in Chinese": sites.TRANSLATION, "Expand": sites.DETAILS, "Answer": sites.ANSWER}
    async with site.stream("cloud-facts-python") as response:
        events = [event async for event in read_sse(response)]
    document = fold_sse(events)
    assert document["answer"] == "No. You would fall through."
    assert (document["details"], document["details_cn"]) == ("Clouds are water.", "云是水。")
    assert {bot.instance async for bot in BotRun.objects.all()} == {"answer#1", "details#1", "translation#1"}
    assert plan_of(await Run.objects.aget()).python


async def test_a_function_gets_its_prompts_and_limits_from_a_row_with_its_slug(site: Site) -> None:
    await site.workflow("cloud-facts-python", answer="unused")
    sites.answers = {"": '{"answer": 5}'}
    async with site.stream("cloud-facts-python") as response:
        events = [event async for event in read_sse(response)]
    assert fold_sse(events) == {"answer": 5}
    run = await Run.objects.aget()
    assert [step["name"] for step in run.plan["steps"]] == ["answer"]


async def test_input_that_the_function_does_not_expect_fails_the_run_without_a_traceback(site: Site) -> None:
    await sync_to_async(sites.store_provider)()
    async with site.stream("cloud-facts-python", {"wrong": 1}) as response:
        text = (await response.aread()).decode()
    assert '"code":"internal"' in text and "KeyError" not in text
    assert (await Run.objects.aget()).status == "failed"
