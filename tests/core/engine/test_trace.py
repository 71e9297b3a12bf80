"""What a run's step runs did and when, as its result has it."""

from __future__ import annotations

from typing import Any

import pytest

from lingstream.core.engine.plan import BotPlan, Plan, StepPlan, TriggerPlan
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
