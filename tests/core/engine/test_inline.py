"""The kind ``workflow``: another workflow inside a run, below the root of a step."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from lingstream.core.engine.events import FIELD_EVENTS
from lingstream.core.engine.kinds import Services
from lingstream.core.engine.plan import JOINED, BotPlan, Limits, Plan, ProviderPlan, StepPlan, TriggerPlan
from lingstream.core.engine.registry import workflow
from lingstream.core.engine.run import Run
from lingstream.core.exceptions import ProviderError, UsageError
from lingstream.providers.scripted import ScriptedProvider
from tests.core.engine.test_workflow import MemoryJournal
from tests.core.support import Outcome, make_run, outcome, seen


def bot(name: str, **settings: Any) -> BotPlan:
    return BotPlan(name, **{"prompt": f"I am {name}.", "input": "{{ value }}", **settings})


#: An answer, and below it a note on it.
INNER = Plan(
    "inner",
    steps=(bot("answer", input="{{ input.question }}"), bot("note", root="note", format="text")),
    triggers=(TriggerPlan("answer", "note", pattern="text"),),
)
ANSWERS = {"I am answer": '{"text": "No.", "n": 1}', "I am note": "noted"}


def step(name: str = "ask", *, to: str = "inner", **settings: Any) -> StepPlan:
    given = {"input": "{{ {'question': value} }}", "root": name, "options": {"workflow": to}, **settings}
    return StepPlan(name, "workflow", **given)


def plan(*steps: StepPlan, triggers: Any = (), inner: Plan = INNER, **limits: Any) -> Plan:
    return Plan(
        "outer", steps=steps, triggers=triggers, workflows={inner.workflow: inner}, limits=Limits(**limits)
    )


DOCUMENT = {"text": "No.", "n": 1, "note": "noted"}


class TestInside:
    async def test_writes_below_the_root_of_its_step(self) -> None:
        ended = await outcome(plan(step(input="{{ {'question': input} }}")), ANSWERS, input="why?")
        assert ended.status == "finished"
        assert ended.document == {"ask": DOCUMENT}
        assert ended.result.usage == ended.run.usage
        assert ended.result.usage.prompt_tokens > 0

    async def test_names_and_uris_are_its_own_inside_and_whole_outside(self) -> None:
        ended = await outcome(plan(step(input="{{ {'question': input} }}")), ANSWERS, input="why?")
        assert ended.events("ask.answer#1") == [
            ("string-response", "ask/text"),
            ("object-response", "ask"),
            ("inference-done", "ask"),
            ("response", "ask"),
        ]
        assert ended.events("ask.note#1") == [
            ("string-response", "ask/note"),
            ("inference-done", "ask/note"),
            ("response", "ask/note"),
        ]
        assert ended.events("ask#1") == [("inference-done", "ask"), ("response", "ask")]
        assert ended.events() == [("started", None)]

    async def test_each_run_of_it_has_a_place_of_its_own(self) -> None:
        flow = plan(
            bot("list"),
            step(root="out/k{{ match[0] }}"),
            triggers=(TriggerPlan("list", "ask", pattern="items/*"),),
        )
        answers = {**ANSWERS, "I am list": '{"items": ["a", "b"]}'}
        provider = ScriptedProvider(answers, rate=None)
        ended = await outcome(flow, provider)
        assert ended.document == {"items": ["a", "b"], "out": {"k0": DOCUMENT, "k1": DOCUMENT}}
        assert sorted(ended.run.place.numbers) == ["ask", "ask.answer", "ask.note", "list"]
        asked = [call.messages[-1]["content"] for call in provider.calls]
        assert sorted(asked[1:]) == ["No.", "No.", "a", "b"]

    async def test_what_settles_inside_starts_the_next_step_outside_at_once(self) -> None:
        gate = asyncio.Event()
        flow = plan(
            step(),
            bot("after", root="after", format="text"),
            triggers=(TriggerPlan("ask", "after", pattern="ask/text"),),
        )
        answers = {"I am answer": ['{"text": "No.", "n": ', gate, "1}"], "I am": "ok"}
        run, log = make_run(flow, answers)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: (doc or {}).get("after") == "ok")
        gate.set()
        assert Outcome(run, log, await task).status == "finished"

    async def test_joins_when_all_inside_is_over(self) -> None:
        flow = plan(
            step(),
            bot("after", root="after", format="text", input="{{ value }}"),
            triggers=(TriggerPlan("ask", "after", JOINED),),
        )
        ended = await outcome(flow, {**ANSWERS, "I am after": "done"})
        assert ended.document == {"ask": DOCUMENT, "after": "done"}

    async def test_a_join_inside_tells_of_names_as_they_are_inside(self) -> None:
        inner = replace(
            INNER,
            steps=(*INNER.steps, bot("last", root="last", format="text")),
            triggers=(*INNER.triggers, TriggerPlan("answer", "last", JOINED, input="{{ value[0].step }}")),
        )
        provider = ScriptedProvider({**ANSWERS, "I am last": "ok"}, rate=None)
        await outcome(plan(step(), inner=inner), provider)
        assert provider.calls[-1].messages[-1]["content"] == "note"

    @pytest.mark.parametrize(
        ("settings", "shown", "events"),
        [
            ({"only": ("text",)}, {"ask": {"text": "No."}}, {"ask/text", "ask"}),
            ({"exclude": ("note",)}, {"ask": {"text": "No.", "n": 1}}, {"ask/text", "ask"}),
            ({"quiet": True}, None, set()),
        ],
    )
    async def test_what_its_step_does_not_send_is_not_sent(
        self, settings: Any, shown: Any, events: set[str]
    ) -> None:
        ended = await outcome(plan(step(**settings)), ANSWERS)
        assert ended.document == shown
        told = ended.events("ask.answer#1") + ended.events("ask.note#1")
        assert {uri for name, uri in told if name in FIELD_EVENTS} == events

    async def test_inside_another_one(self) -> None:
        outer = replace(INNER, workflow="middle", steps=(step("deep", root="deep"),), triggers=())
        flow = replace(plan(step(to="middle")), workflows={"middle": outer, "inner": INNER})
        ended = await outcome(flow, ANSWERS)
        assert ended.document == {"ask": {"deep": DOCUMENT}}
        assert ended.events("ask.deep.note#1")[0] == ("string-response", "ask/deep/note")

    async def test_in_python(self) -> None:
        async def inner(run: Run) -> None:
            text = await run.bot("I am answer.", name="answer").chat(run.input["question"])
            run.set("said", f"{text['text']} {run.document['n']}")
            run.send_event("half", {"x": 1})
            await run.bot("I am note.", root="note", format="text").chat("go")

        workflow("inner")(inner)
        function = Plan("inner", python=True, providers=(ProviderPlan(),))
        ended = await outcome(plan(step(), inner=function), ANSWERS)
        assert ended.document == {"ask": {**DOCUMENT, "said": "No. 1"}}
        assert ("half", None) in ended.events()
        assert ended.events("ask.bot#1")[0] == ("string-response", "ask/note")


class TestFromPython:
    async def test_its_plan_is_stored_when_it_is_asked_for(self) -> None:
        asked: list[str] = []

        class Site(Services):
            async def workflow(self, slug: str) -> dict[str, Any]:
                asked.append(slug)
                return INNER.to_json()

        async def flow(run: Run) -> None:
            value = await run.step("workflow", {"question": "why?"}, root="x", workflow="inner")
            run.set("same", value == DOCUMENT)

        journal = MemoryJournal()
        for epoch, answers in ((1, ANSWERS), (2, [])):
            run, log = make_run(flow, answers, journal=journal, epoch=epoch)
            provider = ScriptedProvider(answers, rate=None)
            run.services = Site(lambda _, known=provider: known)  # type: ignore[misc]
            ended = Outcome(run, log, await run.execute())
            assert ended.document == {"x": DOCUMENT, "same": True}
        assert asked == ["inner"]

    async def test_one_that_there_is_not(self) -> None:
        async def flow(run: Run) -> None:
            await run.step("workflow", None, workflow="other")

        (error,) = (await outcome(flow)).errors
        assert (error["bot"], error["code"]) == ("workflow#1", "usage")

    async def test_one_that_calls_itself_meets_the_limit(self) -> None:
        async def flow(run: Run) -> None:
            await run.step("workflow", None, workflow="test")

        class Site(Services):
            async def workflow(self, slug: str) -> dict[str, Any]:
                return Plan("test", python=True, providers=(ProviderPlan(),)).to_json()

        run, log = make_run(flow)
        run.services = Site(lambda _: ScriptedProvider([], rate=None))
        ended = Outcome(run, log, await run.execute())
        assert ended.status == "failed"
        assert {error["code"] for error in ended.errors} == {"limit"}
        assert "more than 8 triggers" in ended.errors[0]["message"]


class TestFailures:
    async def test_of_a_step_inside_are_its_own_and_its_siblings_go_on(self) -> None:
        flow = plan(step(), bot("other", root="other", format="text"))
        ended = await outcome(flow, {"I am answer": [ProviderError("gone")], "I am other": "fine"})
        assert ended.status == "failed"
        assert ended.document == {"other": "fine"}
        assert [(error["bot"], error["message"]) for error in ended.errors] == [
            ("ask.answer#1", "gone"),
            ("ask#1", "gone"),
        ]

    @pytest.mark.parametrize("where", ["inside", "outside"])
    async def test_of_what_is_optional_is_not_why_the_run_has_failed(self, where: str) -> None:
        inner = replace(INNER, steps=(bot("answer", optional=where == "inside"), INNER.steps[1]))
        last = bot("last", format="text", root="last")
        flow = plan(step(optional=where == "outside"), last, inner=inner)
        first = asyncio.Event()
        said = {"I am answer": [ProviderError("gone")], "I am last": ["a", first, ProviderError("down")]}
        run, log = make_run(flow, said)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda _: bool(run.errors))
        first.set()
        ended = Outcome(run, log, await task)
        assert ended.status == "failed"
        assert ended.result.errors[0]["bot"] == "last#1"

    @pytest.mark.parametrize("where", ["inside", "outside"])
    async def test_of_what_is_optional_fails_nothing(self, where: str) -> None:
        inner = replace(INNER, steps=(bot("answer", optional=where == "inside"), INNER.steps[1]))
        flow = plan(step(optional=where == "outside"), inner=inner)
        ended = await outcome(flow, {"I am answer": [ProviderError("gone")]})
        assert ended.status == "finished"

    async def test_of_its_function(self) -> None:
        async def inner(run: Run) -> None:
            raise UsageError("expected another question")

        workflow("inner")(inner)
        ended = await outcome(plan(step(), inner=Plan("inner", python=True)))
        assert [(error["bot"], error["message"]) for error in ended.errors] == [
            ("ask#1", "expected another question")
        ]

    async def test_input_that_does_not_fit(self) -> None:
        schema = {"type": "object", "properties": {"question": {"type": "string"}}}
        ended = await outcome(plan(step(input="{{ 1 }}"), inner=replace(INNER, input_schema=schema)), ANSWERS)
        assert [(error["bot"], error["code"]) for error in ended.errors] == [("ask#1", "invalid-input")]

    async def test_its_time_out(self) -> None:
        provider = ScriptedProvider({"I am answer": ['{"text": "N', asyncio.Event()]}, rate=None)
        ended = await outcome(plan(step(timeout=0.2)), provider)
        assert [(error["bot"], error["code"]) for error in ended.errors] == [("ask#1", "timeout")]
        assert provider.calls[0].closed_early
        assert ended.document == {"ask": {"text": "N"}}

    async def test_limits_are_those_of_the_whole_run(self) -> None:
        ended = await outcome(plan(step(), bots=2), ANSWERS)
        assert ended.status == "failed"
        assert "more than 2 bots" in ended.errors[-1]["message"]

    async def test_a_cancel_reaches_it(self) -> None:
        provider = ScriptedProvider({"I am answer": ['{"text": "No', asyncio.Event()]}, rate=None)
        run, log = make_run(plan(step()), provider)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: (doc or {}).get("ask") == {"text": "No"})
        run.cancel()
        ended = Outcome(run, log, await task)
        assert (ended.status, provider.calls[0].closed_early) == ("canceled", True)


class TestAgain:
    async def test_is_played_back_and_not_asked_again(self) -> None:
        journal = MemoryJournal()
        flow = plan(
            bot("list"),
            step(root="out/k{{ match[0] }}"),
            triggers=(TriggerPlan("list", "ask", pattern="items/*"),),
        )
        answers = {**ANSWERS, "I am list": '{"items": ["a", "b"]}'}
        first = await outcome(flow, answers, journal=journal)
        again = await outcome(flow, [], journal=journal, epoch=2)
        assert again.document == first.document
        assert {key[:2] for key in journal.results} == {
            ("list", ""),
            ("ask.answer", "out/k0"),
            ("ask.answer", "out/k1"),
            ("ask.note", "out/k0/note"),
            ("ask.note", "out/k1/note"),
        }

    async def test_only_what_had_not_finished_is_asked_and_the_snapshot_has_the_rest(self) -> None:
        journal = MemoryJournal()
        await outcome(plan(step()), {**ANSWERS, "I am note": [ProviderError("gone")]}, journal=journal)
        provider = ScriptedProvider(ANSWERS, rate=None)
        again = await outcome(plan(step()), provider, journal=journal, epoch=2)
        assert again.document == {"ask": DOCUMENT}
        assert again.frames[0].body["document"] == {"ask": {"text": "No.", "n": 1}}
        assert len(provider.calls) == 1


class TestWhatViewersSee:
    @pytest.mark.parametrize("shown", [False, True])
    async def test_thoughts_inside_are_shown_as_the_workflow_says_that_was_started(self, shown: bool) -> None:
        inner = replace(INNER, steps=(bot("answer", show_reasoning=True),), triggers=())
        flow = replace(plan(step(), inner=inner), show_reasoning=shown)
        ended = await outcome(flow, {"I am answer": '<think>secret</think>{"text": "No."}'})
        assert ("reasoning" in [name for name, _ in ended.events("ask.answer#1")]) is shown

    async def test_one_that_stops_itself_has_not_finished(self) -> None:
        async def inner(run: Run) -> None:
            run.cancel()
            await asyncio.sleep(0)

        workflow("inner")(inner)
        ended = await outcome(plan(step(), inner=Plan("inner", python=True)))
        assert (ended.status, [error["code"] for error in ended.errors]) == ("failed", ["canceled"])


@pytest.mark.parametrize("epoch", [1, 2])
async def test_what_was_started_when_a_limit_ended_the_run_is_not_waited_for(epoch: int) -> None:
    inner = replace(INNER, steps=(bot("answer"), bot("note", root="note", format="text")), triggers=())
    ended = await outcome(plan(step(), bots=2, inner=inner), ANSWERS, epoch=epoch)
    assert (ended.status, ended.errors[-1]["code"]) == ("failed", "limit")


class TestWhereNothingMayAct:
    """A workflow inside is executed, and holds back what it would do; a function's cannot be held back."""

    async def test_steps_inside_are_held_back_as_well(self) -> None:
        send = StepPlan("send", "http", input="", options={"method": "POST", "url": "https://a.example/"})
        inner = replace(INNER, steps=(*INNER.steps, send))
        flow = replace(plan(step(input="{{ {'question': input} }}"), inner=inner), acts=False)
        ended = await outcome(flow, ANSWERS, input="why?")
        assert (ended.status, ended.document) == ("finished", {"ask": DOCUMENT})
        assert ("withheld", "ask") in ended.events("ask.send#1")

    @pytest.mark.parametrize("acts", [True, False])
    async def test_a_function_is_not_called(self, acts: bool) -> None:
        calls = []

        @workflow("inner")
        async def function(run: Run) -> None:
            calls.append(run.input)

        flow = replace(plan(step(input="{{ input }}"), inner=Plan("inner", python=True)), acts=acts)
        ended = await outcome(flow, input="why?")
        assert (ended.status, calls) == ("finished", ["why?"] if acts else [])
        assert (("withheld", "ask") in ended.events("ask#1")) is not acts
