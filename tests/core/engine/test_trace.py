"""What a run's step runs did and when, as its result has it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lingstream import Run, workflow
from lingstream.core.engine.plan import BotPlan, Plan, ProviderPlan, StepPlan, TriggerPlan
from lingstream.core.engine.trace import trace_of
from tests.core.support import MemoryJournal, outcome

INNER = Plan(
    "inner",
    steps=(
        BotPlan("answer", prompt="I am answer.", input="{{ input }}"),
        BotPlan("note", prompt="I am note.", root="note", format="text"),
    ),
    triggers=(TriggerPlan("answer", "note", pattern="text"),),
)
PLAN = Plan(
    "outer",
    steps=(
        StepPlan("shout", "compute", input="{{ input }}", root="loud", options={"from": "input|upper"}),
        StepPlan("ask", "workflow", root="asked", options={"workflow": "inner"}),
    ),
    triggers=(TriggerPlan("shout", "ask", event="response"),),
    workflows={"inner": INNER},
)
ANSWERS = {"I am answer": '{"text": "No.", n: 1}', "I am note": "noted"}


async def trace(**more: Any) -> dict[str, dict[str, Any]]:
    ended = await outcome(PLAN, ANSWERS, input="why?", **more)
    assert ended.status == "finished", ended.result
    return {entry["id"]: entry for entry in ended.result.trace}


async def test_all_kinds_are_in_it_with_what_started_them() -> None:
    found = await trace()
    assert {name: (entry["kind"], entry["root"]) for name, entry in found.items()} == {
        "shout#1": ("compute", "loud"),
        "ask#1": ("workflow", "asked"),
        "ask.answer#1": ("bot", "asked"),
        "ask.note#1": ("bot", "asked/note"),
    }
    assert {name: (entry["source"], entry["event"]) for name, entry in found.items()} == {
        "shout#1": ("", ""),
        "ask#1": ("shout#1", "response"),
        "ask.answer#1": ("ask#1", ""),
        "ask.note#1": ("ask.answer#1", "string-response"),
    }


async def test_a_function_is_asked_which_field_it_was_at() -> None:
    def note(run: Run, name: str) -> Any:
        return run.bot("I am note.", name=name, root=name, format="text").chat("go")

    async def later(run: Run) -> None:
        await asyncio.sleep(0)
        note(run, "later")

    async def flow(run: Run) -> None:
        answer = run.bot("I am answer.", name="answer")
        answer.on("string-response", lambda field: note(run, "heard"))
        answer.on("response", lambda field: later(run))
        async for _field in answer.chat("why?").fields("text"):
            note(run, "seen")
            await run.step("workflow", "why?", workflow="inner", root="inside")
        async for _field in answer.fields("text"):
            break
        for _ in range(3):  # in which the loop closes what was left
            await asyncio.sleep(0)
        note(run, "last")

    workflow("outer")(flow)
    plan = Plan("outer", python=True, providers=(ProviderPlan(),), workflows={"inner": INNER})
    ended = await outcome(plan, ANSWERS)
    assert ended.status == "finished", ended.result
    assert {entry["id"]: (entry["source"], entry["event"]) for entry in ended.result.trace} == {
        "answer#1": ("", ""),
        "heard#1": ("answer#1", "string-response"),
        "seen#1": ("answer#1", "string-response"),
        "workflow#1": ("answer#1", "string-response"),
        "workflow.answer#1": ("workflow#1", ""),
        "workflow.note#1": ("workflow.answer#1", "string-response"),
        "later#1": ("answer#1", "response"),
        "last#1": ("", ""),
    }


async def test_times_follow_one_another_and_repairs_are_counted() -> None:
    found = await trace()
    for entry in found.values():
        assert entry["status"] == "finished"
        assert 0 <= entry["start"] <= (entry["first"] or entry["start"]) <= entry["end"]
    answer = found["ask.answer#1"]
    assert answer["first"] is not None
    assert answer["repairs"] == 1
    assert answer["tokens"][0] > 0


async def test_what_is_played_back_after_a_crash_says_nothing_for_the_first_time() -> None:
    journal = MemoryJournal()
    await trace(journal=journal)
    again = await trace(journal=journal, epoch=2)
    assert [entry["first"] for entry in again.values() if entry["kind"] == "bot"] == [None, None]


async def test_a_step_whose_templates_fail_ends_when_it_begins() -> None:
    plan = Plan("broken", steps=(BotPlan("one", input="{{ nobody.home }}"),))
    (entry,) = (await outcome(plan, {})).result.trace
    assert entry["status"] == "failed"
    assert entry["start"] == entry["end"]


async def test_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingstream.core.engine.trace._MOST", 2)
    assert [*await trace()] == ["shout#1", "ask#1"]
    assert trace_of([], 0.0) == ()
