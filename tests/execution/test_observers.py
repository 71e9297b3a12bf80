"""Observers: what they hear, of whom, and what they cannot break."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lingstream.core.engine.observers import Observer, Observers
from lingstream.core.engine.plan import BotPlan, Plan, ProviderPlan
from lingstream.core.exceptions import ProviderError
from lingstream.providers.scripted import ScriptedProvider
from lingstream.testing.log_contract import PATIENCE

from .. import site as sites
from ..core.engine.test_workflow import MemoryJournal
from ..core.support import outcome
from ..site import Site, read_sse

ASKED = Plan("test", steps=(BotPlan("one", format="text"),), providers=(ProviderPlan(),))

heard: list[tuple[Any, ...]] = []


class Heard(Observer):
    """Writes down all it hears; named by the settings of a test."""

    def run_started(self, run: Any) -> None:
        heard.append(("run_started", run.workflow, run.epoch))

    def run_ended(self, run: Any, status: str) -> None:
        heard.append(("run_ended", status))

    def step_started(self, run: Any, step: Any) -> None:
        heard.append(("step_started", step.id, step.status))

    def first_chunk(self, run: Any, step: Any) -> None:
        heard.append(("first_chunk", step.id))

    def step_ended(self, run: Any, step: Any) -> None:
        heard.append(("step_ended", step.id, step.status, step.usage.completion_tokens))

    def provider_error(self, run: Any, step: Any, error: Exception) -> None:
        heard.append(("provider_error", step.id, str(error)))

    def claimed(self, run_id: str, epoch: int) -> None:
        heard.append(("claimed", epoch))

    def viewer_opened(self, run_id: str) -> None:
        heard.append(("viewer_opened", run_id))

    def viewer_closed(self, run_id: str, seconds: float) -> None:
        heard.append(("viewer_closed", run_id, 0 <= seconds < PATIENCE))


class Broken(Heard):
    """Fails at everything."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.fixture(autouse=True)
def silence() -> None:
    heard.clear()


async def test_a_run_its_steps_and_the_first_word_of_a_model() -> None:
    await outcome(ASKED, "yes", observers=Observers([Heard()]))
    assert heard == [
        ("run_started", "test", 1),
        ("step_started", "one#1", "running"),
        ("first_chunk", "one#1"),
        ("step_ended", "one#1", "finished", 1),
        ("run_ended", "finished"),
    ]


async def test_what_is_played_back_has_no_first_chunk() -> None:
    journal = MemoryJournal()
    await outcome(ASKED, "yes", journal=journal)
    await outcome(ASKED, [], journal=journal, epoch=2, observers=Observers([Heard()]))
    assert [each[0] for each in heard] == ["run_started", "step_started", "step_ended", "run_ended"]


async def test_a_provider_that_fails() -> None:
    provider = ScriptedProvider([["y", ProviderError("away", code="provider-timeout")]], rate=None)
    await outcome(ASKED, provider, observers=Observers([Heard()]))
    assert heard[2:] == [
        ("first_chunk", "one#1"),
        ("provider_error", "one#1", "away"),
        ("step_ended", "one#1", "failed", 1),
        ("run_ended", "failed"),
    ]


async def test_one_that_fails_is_logged_and_the_others_hear(caplog: pytest.LogCaptureFixture) -> None:
    ended = await outcome(ASKED, "yes", observers=Observers([Broken(), Heard()]))
    assert ended.status == "finished"
    assert len(heard) == 5
    assert "the observer Broken failed" in caplog.text


@pytest.mark.django_db(transaction=True)
async def test_those_of_the_settings_hear_of_runs_and_viewers(site: Site, settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "OBSERVERS": [f"{__name__}.Heard"]}
    await site.workflow(answer="A")
    sites.answers = '{"answer": "yes"}'
    started = await site.start("test")
    run, token = started.json()["run"], started.json()["token"]
    headers = {"Authorization": f"Ling {token}"}
    events = [
        event async for event in read_sse(await site.http.get(f"/ling/runs/{run}/events/", headers=headers))
    ]
    assert events[-1]["event"] == "done"
    async with asyncio.timeout(PATIENCE):
        while ("viewer_closed", run, True) not in heard:
            await asyncio.sleep(0.01)
    assert {each[0] for each in heard} >= {"run_started", "step_started", "run_ended", "viewer_opened"}


def test_the_example_of_the_docs_counts() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    example = next(part for part in page.split("```python\n") if "Observer)" in part).split("```")[0]
    names: dict[str, Any] = {}
    exec(example, names)
    asyncio.run(outcome(ASKED, "yes", observers=Observers([names["Tokens"]()])))
    assert sum(names["Tokens"].written.values()) == 1
