"""A model server that goes silent behind the document: what its run and its step say afterwards."""

from __future__ import annotations

import asyncio

from asgiref.sync import sync_to_async

from lingstream.access.identity import Identity
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start
from lingstream.models import BotRun, Run
from lingstream.testing import OpenAIServer, Reply
from tests import site as sites
from tests.chaos.patience import within
from tests.site import Site

DOCUMENT = '{"answer": "No."}'


async def test_the_run_ends_and_lists_that_its_answer_did_not(site: Site) -> None:
    silent = Reply([DOCUMENT, asyncio.Event()])
    async with OpenAIServer(silent) as server, within():
        await sync_to_async(sites.store_provider)(kind="openai", base_url=server.base_url)
        await site.workflow(answer={"options": {"trailing_seconds": 0.05}})
        row, _ = await get_runner().start(Start("test", sites.QUESTION), Identity.of(None, None))
        await get_runner().wait(str(row.pk))
        request = await server.received()
        await request.ended.wait()
        assert request.closed_early
    run, step = await Run.objects.aget(pk=row.pk), await BotRun.objects.aget(run=row)
    assert (run.status, run.document, run.errors) == ("finished", {"answer": "No."}, [])
    assert (step.status, step.output, step.finish, step.error) == ("finished", DOCUMENT, "", None)
    assert step.repairs == [{"kind": "trailing", "uri": "", "offset": len(DOCUMENT)}]
    assert run.repaired == run.trace[0]["repairs"] == 1
    assert run.usage["estimated"]
    assert run.completion_tokens > 0
