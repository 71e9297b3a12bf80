"""Triggers that decide on each other: ``otherwise``, and ``joined`` when all that a step led to has ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lingstream.core.engine.plan import JOINED, BotPlan, Limits, Plan, TriggerPlan
from lingstream.core.exceptions import ProviderError
from lingstream.providers.scripted import ScriptedProvider
from tests.core.engine.test_workflow import LARGE, SLOW, MemoryJournal
from tests.core.support import Outcome, make_run, outcome, seen


def bot(name: str, **settings: Any) -> BotPlan:
    return BotPlan(
        name,
        **{"prompt": f"I am {name}.", "input": "{{ value }}", "root": name, "format": "text", **settings},
    )


def plan(*steps: BotPlan, triggers: tuple[TriggerPlan, ...]) -> Plan:
    return Plan("test", steps=steps, triggers=triggers, limits=Limits())


def when(target: str, condition: str = "", *, pattern: str = "", **more: Any) -> TriggerPlan:
    return TriggerPlan("first", target, pattern=pattern, condition=condition, **more)


FIRST = bot("first", format="json", root="")
ANSWERS = {"I am first": '{"kind": "question", "topic": "rain"}', "": "ok"}


class TestOtherwise:
    @pytest.mark.parametrize(
        ("triggers", "started"),
        [
            ([when("a", "value == 'question'"), when("b", otherwise=True)], "a b"),  # at topic only b does
            ([when("a", "value == 'order'"), when("b", otherwise=True)], "b b"),
            ([when("a", pattern="other"), when("b", otherwise=True)], "b b"),
            ([when("b", pattern="kind", otherwise=True)], "b"),
            ([when("a", "value == 'order'"), when("b", "value == 'rain'", otherwise=True)], "b"),
            ([when("a", "false"), when("b", otherwise=True), when("c", otherwise=True)], "b c b c"),
            ([when("a"), when("b", otherwise=True), when("c", otherwise=True)], "a a"),
            # Another event of the same field decides nothing.
            ([when("a", event="object-response"), when("b", otherwise=True)], "b b a"),
            # What fails is told as its step's failure, and nobody starts in its place.
            ([when("a", "nobody.knows"), when("b", otherwise=True)], "a a"),
            # Where it takes long to decide, the same is decided.
            ([when("a", SLOW[2:-2] + " == 2"), when("b", pattern="kind", otherwise=True)], "b"),
            ([when("a", SLOW[2:-2] + " == 1"), when("b", pattern="kind", otherwise=True)], "a a"),
        ],
    )
    async def test_starts_what_nothing_else_started(self, triggers: list[TriggerPlan], started: str) -> None:
        steps = [bot(name, optional=True) for name in "abc"]
        known = {trigger.target for trigger in triggers}
        flow = plan(FIRST, *(step for step in steps if step.name in known), triggers=tuple(triggers))
        ended = await outcome(flow, ANSWERS, input=LARGE)
        runs = [each.id.partition("#")[0] for each in ended.run.steps[1:]]
        assert " ".join(runs) == started

    async def test_keeps_the_numbers_that_were_given_while_it_took_long_to_decide(self) -> None:
        slow, fast = when("a", SLOW[2:-2] + " == 2", pattern="kind"), when("b", pattern="topic")
        otherwise = when("b", pattern="kind", otherwise=True)
        ended = await outcome(
            plan(FIRST, bot("a"), bot("b"), triggers=(slow, fast, otherwise)), ANSWERS, input=LARGE
        )
        assert [each.id for each in ended.run.steps] == ["first#1", "b#1", "b#2"]


def joined(source: str, target: str, condition: str = "", **more: Any) -> TriggerPlan:
    return TriggerPlan(source, target, JOINED, condition=condition, **more)


FAN = (
    TriggerPlan("first", "a", pattern="*", root="a/{{ match[0] }}"),
    TriggerPlan("a", "b", "response", root="b/{{ uri }}"),
)


async def run_fan(answers: Any, *more: TriggerPlan, last: BotPlan | None = None) -> Outcome:
    steps = (FIRST, bot("a", optional=True), bot("b", optional=True), last or bot("last"))
    return await outcome(plan(*steps, triggers=(*FAN, *more)), answers)


class TestJoined:
    async def test_comes_when_all_that_it_led_to_has_ended(self) -> None:
        gate = asyncio.Event()
        answers = {"I am first": '{"x": "1", "y": "2"}', "I am b": ["o", gate, "k"], "": "ok"}
        steps = (FIRST, bot("a"), bot("b"), bot("last", input="{{ value|tojson }}"))
        provider = ScriptedProvider(answers, rate=None)
        run, log = make_run(plan(*steps, triggers=(*FAN, joined("first", "last"))), provider)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: len((doc or {}).get("b", {})) == 2)
        assert not [step for step in run.steps if step.plan.name == "last"]
        gate.set()
        ended = Outcome(run, log, await task)
        assert ended.status == "finished"
        assert [step.id for step in run.steps][-1] == "last#1"
        value = provider.calls[-1].messages[-1]["content"]
        assert value == (
            '[{"step": "a", "root": "a/x", "status": "finished"}, '
            '{"step": "a", "root": "a/y", "status": "finished"}, '
            '{"step": "b", "root": "b/a\\\\/x", "status": "finished"}, '
            '{"step": "b", "root": "b/a\\\\/y", "status": "finished"}]'
        )

    @pytest.mark.parametrize(
        ("answers", "trigger", "lasts"),
        [
            # It led to nothing: at its end.
            ({"I am first": '{"n": 1}', "": "ok"}, joined("first", "last"), 1),
            # What fails does not stop it, and is counted.
            ({"I am b": [ProviderError("gone")]}, joined("first", "last", "failed == 2"), 1),
            ({"I am b": [ProviderError("gone")]}, joined("first", "last", "failed == 0"), 0),
            ({}, joined("first", "last", "failed == 0"), 1),
            # Each run of a source has its own.
            ({}, joined("a", "last", root="last/{{ uri }}"), 2),
            # Not of a source that failed.
            ({"I am a": [ProviderError("gone")]}, joined("a", "last", root="last/{{ uri }}"), 0),
            # Its pattern is matched with the source's root.
            ({}, joined("a", "last", pattern="a/x", root="last/{{ uri }}"), 1),
        ],
    )
    async def test_says_how_it_went(self, answers: Any, trigger: TriggerPlan, lasts: int) -> None:
        answers = {"I am first": '{"x": "1", "y": "2"}', **answers, "": "ok"}
        ended = await run_fan(answers, trigger)
        assert sum(step.plan.name == "last" for step in ended.run.steps) == lasts
        assert ended.status == "finished"

    async def test_does_not_wait_for_what_another_join_starts(self) -> None:
        after = bot("after", root="after")
        steps = (FIRST, bot("a"), bot("b"), bot("last", root="last/{{ uri }}"), after)
        gate = asyncio.Event()
        answers = {"I am first": '{"x": "1"}', "I am last": ["o", gate, "k"], "": "ok"}
        flow = plan(*steps, triggers=(*FAN, joined("a", "last"), joined("first", "after")))
        run, log = make_run(flow, answers)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: (doc or {}).get("after") == "ok")
        gate.set()
        assert Outcome(run, log, await task).document["last"]

    async def test_waits_for_starts_whose_texts_take_long(self) -> None:
        slow = TriggerPlan("first", "a", "response", input=SLOW)
        steps = (FIRST, bot("a"), bot("last"))
        ended = await outcome(plan(*steps, triggers=(slow, joined("first", "last"))), ANSWERS, input=LARGE)
        assert [step.id for step in ended.run.steps] == ["first#1", "a#1", "last#1"]

    async def test_of_a_start_that_comes_to_nothing_it_does_not_wait_for_ever(self) -> None:
        slow = TriggerPlan("first", "a", "response", condition=SLOW[2:-2] + " == 2")
        steps = (FIRST, bot("a"), bot("last"))
        ended = await outcome(plan(*steps, triggers=(slow, joined("first", "last"))), ANSWERS, input=LARGE)
        assert [step.id for step in ended.run.steps] == ["first#1", "last#1"]

    async def test_does_not_come_where_the_run_is_being_stopped(self) -> None:
        answers = {"I am first": '{"x": "1"}', "I am a": ["o", asyncio.Event()], "": "ok"}
        run, log = make_run(
            plan(FIRST, bot("a"), bot("b"), bot("last"), triggers=(*FAN, joined("first", "last"))), answers
        )
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: bool((doc or {}).get("a")))
        run.cancel()
        ended = Outcome(run, log, await task)
        assert (ended.status, [step.plan.name for step in run.steps]) == ("canceled", ["first", "a"])

    async def test_comes_once_more_when_the_run_is_executed_again(self) -> None:
        journal = MemoryJournal()
        answers = {"I am first": '{"x": "1", "y": "2"}', "": "ok"}
        steps = (FIRST, bot("a"), bot("b"), bot("last"))
        flow = plan(*steps, triggers=(*FAN, joined("first", "last")))
        first = await outcome(flow, answers, journal=journal)
        again = await outcome(flow, [], journal=journal, epoch=2)
        assert again.document == first.document
        assert sorted(step.id for step in again.run.steps) == sorted(step.id for step in first.run.steps)
