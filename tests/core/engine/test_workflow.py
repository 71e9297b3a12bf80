"""The engine: triggers, limits, cancel, replay, and workflows written in Python."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import pytest

from lingstream.core.engine import group, registry
from lingstream.core.engine.journal import Call, CallResult
from lingstream.core.engine.plan import BotPlan, Limits, Plan, ProviderPlan, TriggerPlan
from lingstream.core.engine.registry import workflow
from lingstream.core.engine.run import Run, RunResult
from lingstream.core.exceptions import ConflictError, Fenced, LimitExceeded, ProviderError, UsageError
from lingstream.core.log.memory import MemoryLog
from lingstream.core.log.state import empty_snapshot
from lingstream.core.provider import Chunk, Usage
from lingstream.providers.scripted import ScriptedProvider
from tests.core.support import MemoryJournal, Outcome, frames_of, make_run, outcome, seen


def bot(name: str, **settings: Any) -> BotPlan:
    """A step that is asked its own name, so that a script can tell who asks."""
    return BotPlan(name, **{"prompt": f"I am {name}.", "input": "{{ value }}", **settings})


def plan(*steps: BotPlan, triggers: tuple[TriggerPlan, ...] = (), **limits: Any) -> Plan:
    return Plan("test", steps=steps, triggers=triggers, limits=Limits(**limits))


def asked(provider: ScriptedProvider) -> list[str]:
    """What each call's user message was."""
    return [str(call.messages[-1]["content"]) for call in provider.calls]


OUTLINE = plan(
    bot("outline"),
    bot("details", format="text", input="{{ input }}: {{ value }}"),
    triggers=(
        TriggerPlan("outline", "details", pattern="outline/*/topic", root="outline/{{ match[0] }}/details"),
    ),
)


class TestTriggers:
    async def test_write_a_list_of_their_own_whoever_answers_first(self) -> None:
        first = asyncio.Event()
        results = plan(
            bot("outline"),
            bot("details", format="text"),
            triggers=(
                TriggerPlan(
                    "outline",
                    "details",
                    pattern="topics/*",
                    condition="value != 'left out'",
                    root="results/{{ match[0] }}",
                ),
            ),
        )
        answers = {
            "I am outline": '{"topics": ["one", "left out", "three"]}',
            "one": [first, "about 1"],
            "three": "about 3",
        }
        run, log = make_run(results, ScriptedProvider(answers, rate=None))
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: doc and doc.get("results") == [None, None, "about 3"])
        first.set()
        ended = Outcome(run, log, await task)
        assert (ended.status, ended.document["results"]) == ("finished", ["about 1", None, "about 3"])

    async def test_start_one_bot_per_element_while_the_list_is_still_growing(self) -> None:
        one, two = asyncio.Event(), asyncio.Event()
        outline = [
            '{"outline": [{"topic": "first"},',
            one,
            ' {"topic": "second"}, ',
            two,
            '{"topic": "third"}], "end": true}',
        ]
        answers = {"I am outline": outline, "first": ["about ", "1"], "second": "about 2", "third": "about 3"}
        provider = ScriptedProvider(answers, rate=None, chunk=(1, 3))
        run, log = make_run(OUTLINE, provider, input="clouds")
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: doc == {"outline": [{"topic": "first", "details": "about 1"}]})
        one.set()
        await seen(
            log, lambda doc: len(doc["outline"]) == 2 and doc["outline"][1].get("details") == "about 2"
        )
        assert "end" not in run.document
        two.set()
        ended = Outcome(run, log, await task)
        assert ended.document == {
            "outline": [
                {"topic": "first", "details": "about 1"},
                {"topic": "second", "details": "about 2"},
                {"topic": "third", "details": "about 3"},
            ],
            "end": True,
        }
        assert [each.root for each in run.steps] == ["", *(f"outline/{n}/details" for n in range(3))]
        assert [each.id for each in run.steps] == ["outline#1", "details#1", "details#2", "details#3"]
        assert asked(provider)[1:] == ["clouds: first", "clouds: second", "clouds: third"]
        assert ended.status == "finished"

    async def test_two_bots_write_side_by_side(self) -> None:
        here, there = asyncio.Event(), asyncio.Event()
        flow = plan(
            bot("answer"),
            bot("details"),
            bot("translation"),
            triggers=(
                TriggerPlan("answer", "details", pattern="answer"),
                TriggerPlan("answer", "translation", pattern="answer"),
            ),
        )
        answers = {
            "I am answer": '{"answer": "No."}',
            "I am details": ['{"details": "A cl', here, 'oud"}'],
            "I am translation": ['{"details_cn": "云', there, '"}'],
        }
        run, log = make_run(flow, answers)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: doc == {"answer": "No.", "details": "A cl", "details_cn": "云"})
        here.set()
        there.set()
        assert (await task).document == {"answer": "No.", "details": "A cloud", "details_cn": "云"}

    @pytest.mark.parametrize(
        ("event", "uri", "value"),
        [
            ("string-response", "r/a", "x"),
            ("object-response", "r/o", {"b": [1]}),
            ("inference-done", "r", {"a": "x", "o": {"b": [1]}}),
            ("response", "r", {"a": "x", "o": {"b": [1]}}),
        ],
    )
    async def test_on_every_event(self, event: Any, uri: str, value: Any) -> None:
        flow = plan(
            bot("first", root="r"),
            bot("second", root="s", input="{{ uri }} {{ value }}"),
            triggers=(TriggerPlan("first", "second", event, uri),),
        )
        provider = ScriptedProvider({"I am first": '{"a": "x", "o": {"b": [1]}}', "": "{}"}, rate=None)
        await outcome(flow, provider)
        written = value if isinstance(value, str) else json.dumps(value)
        assert asked(provider)[1:] == [f"{uri} {written}"]

    async def test_on_an_error(self) -> None:
        flow = plan(
            bot("first", optional=True),
            bot("fallback", root="fallback"),
            triggers=(TriggerPlan("first", "fallback", "error"),),
        )
        ended = await outcome(flow, {"I am first": [ProviderError("gone")], "gone": '{"a": 1}'})
        assert ended.document == {"fallback": {"a": 1}}
        assert ended.status == "finished"

    async def test_numbers_trigger_nothing(self) -> None:
        flow = plan(bot("first"), bot("second"), triggers=(TriggerPlan("first", "second", pattern="*"),))
        assert len((await outcome(flow, '{"n": 1, "t": true, "x": null}')).run.steps) == 1

    async def test_an_empty_pattern_fits_everything(self) -> None:
        flow = plan(
            bot("first"),
            bot("second", quiet=True),
            triggers=(TriggerPlan("first", "second", "object-response"),),
        )
        ended = await outcome(flow, {"I am first": '{"a": {}, "b": [{}]}', "": "{}"})
        assert len(ended.run.steps) == 1 + 4

    async def test_of_quiet_bots_and_hidden_fields_fire(self) -> None:
        for hiding in ({"quiet": True}, {"only": ("other",)}, {"exclude": ("secret",)}):
            flow = plan(
                bot("first", **hiding),
                bot("second"),
                triggers=(TriggerPlan("first", "second", pattern="secret"),),
            )
            ended = await outcome(flow, {"I am first": '{"secret": "x"}', "I am second": '{"shown": 1}'})
            assert ended.document == {"shown": 1}

    async def test_keys_of_the_model_are_one_segment_each(self) -> None:
        """What a model writes cannot lead a bot elsewhere."""
        flow = plan(
            bot("first"),
            bot("second", format="text"),
            triggers=(TriggerPlan("first", "second", pattern="topics/*", root="notes/{{ match[0] }}"),),
        )
        answers = {"I am first": '{"topics": {"../a/b": "x", "*": "y", "": "z"}}', "": "note"}
        ended = await outcome(flow, answers)
        assert ended.document["notes"] == {"../a/b": "note", "*": "note", "": "note"}

    async def test_see_the_document_and_the_input(self) -> None:
        flow = plan(
            bot("first", input="{{ input.q }}"),
            bot("second", root="s", input="{{ document.a }} {{ input.q }} {{ match|length }}"),
            triggers=(TriggerPlan("first", "second", "response"),),
        )
        provider = ScriptedProvider({"I am first": '{"a": "x"}', "": "{}"}, rate=None)
        await outcome(flow, provider, input={"q": "why"})
        assert asked(provider) == ["why", "x why 0"]

    async def test_may_override_input_and_root(self) -> None:
        flow = plan(
            bot("first"),
            bot("second", root="mine", input="mine"),
            triggers=(
                TriggerPlan("first", "second", "response"),
                TriggerPlan("first", "second", "response", input="theirs", root="theirs"),
                TriggerPlan("first", "second", "response", input="theirs", root=""),
            ),
        )
        provider = ScriptedProvider({"I am first": "{}", "": "{}"}, rate=None)
        ended = await outcome(flow, provider)
        assert [each.root for each in ended.run.steps[1:]] == ["mine", "theirs", ""]
        assert asked(provider)[1:] == ["mine", "theirs", "theirs"]


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "fires"),
        [
            ("", True),
            ("value|length > 3", True),
            ("value == 'other'", False),
            ("match[0] == 'a' and input == 'q'", True),
        ],
    )
    async def test_decide(self, condition: str, fires: bool) -> None:
        trigger = TriggerPlan("first", "second", pattern="*", condition=condition)
        flow = plan(bot("first", input="{{ input }}"), bot("second", root="s"), triggers=(trigger,))
        ended = await outcome(flow, {"I am first": '{"a": "text"}', "": "{}"}, input="q")
        assert (len(ended.run.steps) == 2) is fires

    async def test_that_fail_are_the_targets_failure(self) -> None:
        trigger = TriggerPlan("first", "second", pattern="*", condition="nobody.knows")
        flow = plan(bot("first"), bot("second"), triggers=(trigger,))
        ended = await outcome(flow, {"I am first": '{"a": "text", "b": 1}'})
        assert ended.document == {"a": "text", "b": 1}
        assert [(error["code"], error["bot"]) for error in ended.errors] == [("template", "second#1")]
        assert ended.status == "failed"

    async def test_do_not_count_against_the_limits_where_they_do_not_hold(self) -> None:
        trigger = TriggerPlan("first", "first", "response", condition="false")
        flow = plan(bot("first"), triggers=(TriggerPlan("x", "first"), trigger), depth=0)
        assert flow.entry_steps == ()
        flow = plan(
            bot("first"),
            bot("second"),
            triggers=(TriggerPlan("first", "second", condition="false"),),
            depth=0,
        )
        assert (await outcome(flow, '{"a": "x"}')).status == "finished"


class TestTemplateErrors:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"prompt": "{{ nobody }}"},
            {"input": "{{ value.nothing }}"},
            {"root": "{{ value }}{{ document }}"},
            {"root": "a//b"},
            {"root": "a/"},
        ],
    )
    async def test_are_the_failure_of_the_bot_that_was_to_start(self, wrong: dict[str, Any]) -> None:
        flow = plan(
            bot("first"),
            bot("second", **wrong),
            bot("third", root="third", input="x"),
            triggers=(
                TriggerPlan("first", "second", pattern="a"),
                TriggerPlan("first", "third", pattern="a"),
            ),
        )
        ended = await outcome(flow, {"I am first": '{"a": "x", "b": 1}', "": "{}"})
        assert ended.document == {"a": "x", "b": 1, "third": {}}
        assert [error["bot"] for error in ended.errors] == ["second#1"]
        assert ended.status_of("second#1") == "failed"
        assert ended.status == "failed"

    async def test_can_be_answered_by_a_trigger(self) -> None:
        flow = plan(
            bot("first", prompt="{{ nobody }}", optional=True),
            bot("second", root="s"),
            triggers=(TriggerPlan("first", "second", "error"),),
        )
        ended = await outcome(flow, '{"a": 1}')
        assert ended.document == {"s": {"a": 1}}
        assert ended.status == "finished"


class TestLimits:
    """They end the whole run, and say so."""

    def check(self, ended: Outcome, message: str) -> None:
        assert ended.status == "failed"
        limits = [error for error in ended.errors if error["code"] == "limit"]
        assert len(limits) == 1
        assert message in limits[0]["message"]
        assert "bot" not in limits[0]
        assert limits[0] in ended.result.errors

    async def test_bots(self) -> None:
        endless = TriggerPlan("first", "second", pattern="*")
        flow = plan(bot("first"), bot("second", quiet=True), triggers=(endless,), bots=3)
        names = ", ".join(f'"k{n}": "v"' for n in range(9))
        ended = await outcome(flow, {"I am first": "{" + names + "}", "": [asyncio.Event()]})
        self.check(ended, "more than 3 bots")
        assert len(ended.run.steps) == 3
        assert "canceled" in {each.status for each in ended.run.steps}

    async def test_depth(self) -> None:
        again = TriggerPlan("loop", "loop", "response")
        start = TriggerPlan("first", "loop", "response")
        flow = plan(bot("first"), bot("loop", root="r", input="x"), triggers=(start, again), depth=4)
        ended = await outcome(flow, "{}")
        self.check(ended, "more than 4 triggers")
        assert len(ended.run.steps) == 1 + 4

    async def test_depth_of_errors_that_answer_errors(self) -> None:
        again = TriggerPlan("loop", "loop", "error", condition="nobody.knows")
        flow = plan(
            bot("first"), bot("loop"), triggers=(TriggerPlan("first", "loop", "response"), again), depth=4
        )
        ended = await outcome(flow, {"I am first": "{}", "I am loop": [ProviderError("gone")]})
        self.check(ended, "more than 4 triggers")

    async def test_characters(self) -> None:
        ended = await outcome(plan(bot("first"), characters=100), '{"a": "' + "x" * 1000 + '"}')
        self.check(ended, "more than 100 characters")
        assert 80 < len(ended.document["a"]) < 100

    async def test_characters_of_all_bots_together(self) -> None:
        flow = plan(bot("first", root="a"), bot("second", root="b"), characters=100)
        self.check(await outcome(flow, '{"a": "' + "x" * 60 + '"}'), "more than 100 characters")

    async def test_seconds(self) -> None:
        provider = ScriptedProvider([['{"a": "half', asyncio.Event()]], rate=None)
        ended = await outcome(plan(bot("first"), seconds=0.5), provider)
        self.check(ended, "more than 0.5 seconds")
        assert ended.document == {"a": "half"}
        assert provider.calls[0].closed_early

    async def test_in_python(self) -> None:
        async def many(run: Run) -> None:
            for number in range(9):
                run.bot(root=str(number)).chat("go")

        self.check(await outcome(many, "{}", limits=Limits(bots=4)), "more than 4 bots")

    async def test_in_a_callback(self) -> None:
        async def many(run: Run) -> None:
            run.bot().on("string-response", lambda field: run.bot(quiet=True).chat("go")).chat("go")

        ended = await outcome(many, '{"a": "x", "b": "y"}', limits=Limits(bots=2))
        self.check(ended, "more than 2 bots")

    async def test_a_workflow_cannot_talk_its_way_past_them(self) -> None:
        async def stubborn(run: Run) -> None:
            while True:
                with contextlib.suppress(UsageError):
                    await run.bot(quiet=True).chat("go")

        self.check(await outcome(stubborn, "{}", limits=Limits(bots=5)), "more than 5 bots")


class TestFailures:
    async def test_siblings_go_on(self) -> None:
        gate = asyncio.Event()
        flow = plan(bot("good", root="g"), bot("bad", root="b"))
        answers = {"I am good": ['{"a": ', gate, "1}"], "I am bad": ['{"x": "half', ProviderError("gone")]}
        run, log = make_run(flow, answers)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: doc is not None and doc.get("b") == {"x": "half"})
        gate.set()
        ended = Outcome(run, log, await task)
        assert ended.document == {"g": {"a": 1}, "b": {"x": "half"}}
        assert ended.status == "failed"
        assert ended.result.errors == (
            {"code": "provider", "message": "gone", "retryable": False, "bot": "bad#1"},
        )

    async def test_are_all_kept_those_of_optional_bots_last(self) -> None:
        steps = [bot(name, root=name, optional=name == "one") for name in ("one", "two", "three")]
        answers = {name: [ProviderError(f"no {name}")] for name in ("one", "two", "three")}
        ended = await outcome(plan(*steps), answers)
        assert [error["message"] for error in ended.errors] == ["no one", "no two", "no three"]
        assert [error["bot"] for error in ended.result.errors] == ["two#1", "three#1", "one#1"]

    async def test_are_kept_up_to_a_bound(self) -> None:
        async def many(run: Run) -> None:
            for _ in range(150):
                run.bot(optional=True).chat("go")

        ended = await outcome(many, {"": [ProviderError("gone")]}, limits=Limits(bots=150))
        assert (len(ended.errors), len(ended.result.errors)) == (150, 100)

    async def test_of_two_kinds_at_once_are_both_told(self, caplog: pytest.LogCaptureFixture) -> None:
        async def both(run: Run) -> None:
            async def break_down() -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    raise KeyError("secret detail")

            run.spawn(break_down())
            await asyncio.sleep(0)
            raise UsageError("first")

        ended = await outcome(both)
        assert [error["code"] for error in ended.result.errors] == ["usage", "internal"]
        assert "secret detail" in caplog.text
        assert "secret" not in str(ended.errors)

    async def test_of_a_site_without_a_provider_says_what_to_do(self) -> None:
        async def ask(run: Run) -> None:
            run.bot().chat("go")

        run, _ = make_run(ask)
        run.plan = replace(run.plan, providers=())
        (error,) = (await run.execute()).errors
        assert error["code"] == "no-provider"
        assert "add one in the admin under Providers" in error["message"]

    async def test_of_the_function(self, caplog: pytest.LogCaptureFixture) -> None:
        async def broken(run: Run) -> None:
            run.set("a", 1)
            raise KeyError("secret detail")

        with caplog.at_level(logging.ERROR, "lingstream"):
            ended = await outcome(broken)
        assert ended.status == "failed"
        assert ended.document == {"a": 1}
        assert [error["code"] for error in ended.errors] == ["internal"]
        assert "secret" not in str(ended.errors)
        assert "secret detail" in caplog.text

    async def test_of_ours_in_the_function_are_told_as_they_are(self) -> None:
        async def wrong(run: Run) -> None:
            run.bot(provider="nobody")

        ended = await outcome(wrong)
        assert ended.errors[0]["code"] == "usage"
        assert "expected one of the providers default, got 'nobody'" in ended.errors[0]["message"]

    async def test_of_a_bot_that_the_function_does_not_catch(self) -> None:
        gate = asyncio.Event()

        async def two(run: Run) -> None:
            run.bot(name="good", root="g").chat("good")
            bad = run.bot(name="bad").chat("bad")
            try:
                await bad
            finally:
                gate.set()

        ended = await outcome(two, {"good": ['{"a": ', gate, "1}"], "bad": [ProviderError("gone")]})
        assert ended.document == {"g": {"a": 1}}
        assert [error["code"] for error in ended.errors] == ["provider"]

    async def test_of_bots_in_a_task_group_of_the_function(self) -> None:
        async def two(run: Run) -> None:
            run.bot(name="good", root="g").chat("good")
            async with asyncio.TaskGroup() as group:
                for name in ("bad", "worse"):
                    group.create_task(run.bot(name=name).chat("bad").result())

        ended = await outcome(two, {"good": '{"a": 1}', "bad": [ProviderError("gone")]})
        assert ended.document == {"g": {"a": 1}}
        assert {error["code"] for error in ended.errors} == {"provider"}
        assert all("bot" in error for error in ended.errors)

    async def test_that_are_caught_still_fail_the_run_unless_the_bot_was_optional(self) -> None:
        async def caught(run: Run) -> None:
            bad = run.bot(optional=run.input).chat("go")
            with pytest.raises(ProviderError):
                await bad

        for optional, status in ((True, "finished"), (False, "failed")):
            assert (await outcome(caught, [[ProviderError("gone")]], input=optional)).status == status

    async def test_of_an_unknown_function(self) -> None:
        run, log = make_run(Plan("nobody", python=True))
        assert (await run.execute()).status == "failed"
        assert log.ended


class TestPython:
    async def test_lings_readme(self) -> None:
        """Ling's README example: an answer, then details and a translation of it, side by side."""

        async def cloud_facts(run: Run) -> None:
            answer = run.bot("Answer.", name="answer").chat(run.input)
            async for field in answer.fields("answer"):
                run.bot("Give details.", root="details", format="text").chat(field.value)
                run.bot("Translate.", root="answer_cn", format="text").chat(field.value)
            await answer
            run.set("state/outline", True)
            run.send_event("outlined", {"fields": 3})

        answers = {"Answer": '{"answer": "No.", "ok": true}', "details": "Clouds are.", "Translate": "不"}
        ended = await outcome(cloud_facts, answers, input="Can I lie on a cloud?")
        assert ended.document == {
            "answer": "No.",
            "ok": True,
            "details": "Clouds are.",
            "answer_cn": "不",
            "state": {"outline": True},
        }
        assert ended.events() == [("started", None), ("outlined", None)]

    async def test_set_refuses_what_is_no_json(self) -> None:
        async def wrong(run: Run) -> None:
            for value in (object(), float("nan"), {1, 2}, b"x"):
                with pytest.raises(UsageError, match="expected JSON data"):
                    run.set("a", value)
                with pytest.raises(UsageError, match="expected JSON data"):
                    run.send_event("a", value)

        ended = await outcome(wrong)
        assert (ended.status, ended.document) == ("finished", None)

    async def test_set_keeps_nothing_of_the_callers(self) -> None:
        async def change(run: Run) -> None:
            value = {"list": [1]}
            run.set("a", value)
            run.send_event("told", value)
            value["list"].append(2)

        ended = await outcome(change)
        assert ended.document == {"a": {"list": [1]}}
        assert ended.frames[-2].body["data"] == {"list": [1]}

    async def test_set_does_not_write_where_a_bot_is_writing(self) -> None:
        gate = asyncio.Event()

        async def both(run: Run) -> None:
            answer = run.bot().chat("go")
            async for _ in answer.fields("a"):
                with pytest.raises(ConflictError):
                    run.set("b", 1)
                gate.set()
            run.set("b", 1)

        ended = await outcome(both, [['{"a": "x", "b": "y', gate, '"}']])
        assert ended.document == {"a": "x", "b": 1}

    async def test_a_bot_can_take_its_step_from_the_admin(self) -> None:
        async def stepped(run: Run) -> None:
            await run.bot(step="answer", variables={"tone": "kind"}).chat("hi")

        workflow("stepped")(stepped)
        step = BotPlan("answer", prompt="Be {{ tone }} {{ often }}", variables={"tone": "?", "often": 2})
        provider = ScriptedProvider("{}", rate=None)
        ended = await outcome(Plan("stepped", python=True, steps=(step,)), provider)
        assert ended.status == "finished"
        assert provider.calls[0].messages[0]["content"] == "Be kind 2"

    async def test_the_default_model_is_the_providers(self) -> None:
        async def ask(run: Run) -> None:
            await run.bot(provider="other").chat("1")
            await run.bot(model="mine").chat("2")

        workflow("ask")(ask)
        providers = (ProviderPlan("default", model="small"), ProviderPlan("other", model="big"))
        provider = ScriptedProvider("{}", rate=None)
        await outcome(Plan("ask", python=True, providers=providers), provider)
        assert [call.options.model for call in provider.calls] == ["big", "mine"]

    def test_a_slug_belongs_to_one_function(self) -> None:
        async def one(run: Run) -> None: ...

        async def other(run: Run) -> None: ...

        assert workflow("slug")(one) is one
        assert workflow("slug")(one) is one  # reloaded
        with pytest.raises(UsageError, match=r"is .*one already"):
            workflow("slug")(other)
        with pytest.raises(UsageError, match="async function"):
            workflow("sync")(lambda run: None)  # type: ignore[arg-type,return-value]
        assert registry.function_of("slug") is one


class TestCancel:
    async def test_ends_all_bots_and_keeps_what_came(self) -> None:
        flow = plan(bot("one", root="a"), bot("two", root="b"))
        provider = ScriptedProvider({"": ['{"x": "half', asyncio.Event()]}, rate=None)
        run, log = make_run(flow, provider)
        task = asyncio.create_task(run.execute())
        half = {"x": "half"}
        await seen(log, lambda doc: doc == {"a": half, "b": half})
        run.cancel()
        run.cancel()
        ended = Outcome(run, log, await task)
        assert (ended.status, ended.document) == ("canceled", {"a": half, "b": half})
        assert [call.closed_early for call in provider.calls] == [True, True]
        assert ended.errors == []
        assert not task.cancelling()

    async def test_before_it_began(self) -> None:
        provider = ScriptedProvider("{}", rate=None)
        run, log = make_run(plan(bot("one")), provider)
        run.cancel()
        ended = Outcome(run, log, await run.execute())
        assert ended.status == "canceled"
        assert provider.calls == []

    async def test_reaches_a_function_that_waits_for_something_else(self) -> None:
        waiting = asyncio.Event()

        async def wait(run: Run) -> None:
            run.set("a", 1)
            waiting.set()
            await asyncio.Event().wait()

        run, log = make_run(wait)
        task = asyncio.create_task(run.execute())
        await waiting.wait()
        run.cancel()
        assert Outcome(run, log, await task).status == "canceled"

    async def test_that_comes_too_late_does_not_keep_the_log_from_ending(self) -> None:
        """Stop is pressed while the result is being stored."""
        storing, stored = asyncio.Event(), asyncio.Event()

        async def end(result: RunResult) -> None:
            storing.set()
            await stored.wait()

        run, log = make_run(plan(bot("one")), '{"a": 1}', end=end)
        task = asyncio.create_task(run.execute())
        await storing.wait()
        run.cancel()
        await asyncio.sleep(0)
        stored.set()
        assert Outcome(run, log, await task).status == "finished"

    async def test_while_the_end_of_a_cancelled_run_is_being_stored(self) -> None:
        storing, stored = asyncio.Event(), asyncio.Event()

        async def end(result: RunResult) -> None:
            storing.set()
            await stored.wait()

        run, log = make_run(plan(bot("one")), [[asyncio.Event()]], end=end)
        task = asyncio.create_task(run.execute())
        await asyncio.sleep(0)
        run.cancel()
        await storing.wait()
        run.cancel()
        stored.set()
        assert Outcome(run, log, await task).status == "canceled"

    async def test_from_outside_leaves_the_log_open_for_who_takes_over(self) -> None:
        run, log = make_run(plan(bot("one")), [['{"a": "half', asyncio.Event()]])
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: doc == {"a": "half"})
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not log.ended


class Breaking:
    """A journal and a provider of which one breaks when it is cleaned up."""

    def __init__(self, where: str) -> None:
        self.where = where

    async def stream(self, messages: Any, options: Any) -> AsyncGenerator[Chunk, None]:
        try:
            yield Chunk('{"a": "half')
            await asyncio.Event().wait()
        finally:
            if self.where == "provider":
                raise RuntimeError("clean-up failed")

    async def aclose(self) -> None: ...

    def recorded(self, call: Call) -> CallResult | None:
        return None

    async def finish(self, call: Call, result: CallResult) -> None:
        if self.where == "journal":
            raise RuntimeError("clean-up failed")


async def breaking(where: str, **limits: Any) -> tuple[Run, MemoryLog, list[RunResult]]:
    """A run whose clean-up will fail, once a bot is at work."""
    stored: list[RunResult] = []

    async def end(result: RunResult) -> None:
        stored.append(result)

    async def work(run: Run) -> None:
        run.bot().chat("go")
        if where == "function":
            try:
                await asyncio.Event().wait()
            finally:
                raise RuntimeError("clean-up failed")

    parts = Breaking(where)
    run, log = make_run(work, parts, journal=parts, end=end, limits=Limits(**limits))
    return run, log, stored


CLEAN_UPS = pytest.mark.parametrize("where", ["function", "provider", "journal"])


class TestCleanUp:
    """What fails while a run is stopped does not change how the run ends."""

    @CLEAN_UPS
    async def test_from_outside_leaves_the_run_to_others(self, where: str) -> None:
        run, log, stored = await breaking(where)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: doc == {"a": "half"})
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (log.ended, stored) == (False, [])
        assert [frame.kind for frame in frames_of(log) if frame.kind == "error"] == []

    @CLEAN_UPS
    async def test_when_the_time_is_up_the_limit_is_what_is_told(self, where: str) -> None:
        run, log, _ = await breaking(where, seconds=0.05)
        ended = Outcome(run, log, await run.execute())
        assert (ended.status, [error["code"] for error in ended.result.errors]) == ("failed", ["limit"])

    @CLEAN_UPS
    async def test_of_a_canceled_run_leaves_it_canceled(self, where: str) -> None:
        run, log, stored = await breaking(where)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: doc == {"a": "half"})
        run.cancel()
        assert Outcome(run, log, await task).status == "canceled"
        assert [result.status for result in stored] == ["canceled"]

    @pytest.mark.parametrize("stop", ["cancel", "time", "leave"])
    async def test_that_never_ends_is_not_waited_for(
        self, stop: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(group, "CLEAN_UP", 0.05)
        gate = asyncio.Event()

        async def stubborn(run: Run) -> None:
            run.set("a", 1)
            while not gate.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await gate.wait()

        run, log = make_run(stubborn, limits=Limits(seconds=0.5 if stop == "time" else 600))
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: doc == {"a": 1})
        if stop == "leave":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not log.ended
        else:
            run.cancel() if stop == "cancel" else None
            ended = Outcome(run, log, await task)
            assert ended.status == ("canceled" if stop == "cancel" else "failed")
            assert [error["code"] for error in ended.errors] == (["limit"] if stop == "time" else [])
        assert "a clean-up took more than" in caplog.text
        gate.set()
        worker = run._work._worker
        assert worker
        await asyncio.wait([worker])

    async def test_that_takes_its_time_is_waited_for(self) -> None:
        gate, cleaned = asyncio.Event(), asyncio.Event()

        async def slow(run: Run) -> None:
            run.set("a", 1)
            try:
                await asyncio.Event().wait()
            finally:
                await gate.wait()
                cleaned.set()

        run, log = make_run(slow)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: doc == {"a": 1})
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned.is_set()


class TestEnd:
    async def test_the_result_is_stored_before_done_is_said(self) -> None:
        stored: list[Any] = []

        async def end(result: RunResult) -> None:
            stored.append((result, log.ended))

        run, log = make_run(plan(bot("one")), [['{"a": 1}', Chunk(usage=Usage(3, 4))]], end=end)
        result = await run.execute()
        assert stored == [(result, False)]
        assert result._replace(trace=()) == RunResult("finished", {"a": 1}, Usage(3, 4))

    async def test_who_cannot_store_it_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        async def end(result: RunResult) -> None:
            raise OSError("disk full")

        ended = await outcome(plan(bot("one")), '{"a": 1}', end=end)
        assert [error["code"] for error in ended.errors] == ["not-stored"]
        assert "disk full" in caplog.text

    async def test_who_lost_the_run_says_nothing(self) -> None:
        async def end(result: RunResult) -> None:
            raise Fenced("the database says that another runner has it")

        run, log = make_run(plan(bot("one")), '{"a": 1}', end=end)
        with pytest.raises(Fenced):
            await run.execute()
        assert not log.ended

    async def test_a_writer_that_was_fenced_stops_at_once(self) -> None:
        gate = asyncio.Event()
        provider = ScriptedProvider([['{"a": "half', gate, ' and more"}', asyncio.Event()]], rate=None)
        ends: list[RunResult] = []

        async def end(result: RunResult) -> None:
            ends.append(result)

        run, log = make_run(plan(bot("one")), provider, end=end)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: doc == {"a": "half"})
        await log.open(2, empty_snapshot())
        gate.set()
        with pytest.raises(Fenced):
            await task
        assert log.state.document.value is None
        assert provider.calls[0].ended.is_set()
        assert ends == []


class TestReplay:
    async def test_calls_no_model_again_and_gives_the_same_document(self) -> None:
        journal = MemoryJournal()
        answers = {"I am outline": '{"outline": [{"topic": "first"}, {"topic": "second"}]}', "": "text"}
        provider = ScriptedProvider(answers, rate=None)
        before = await outcome(OUTLINE, provider, input="q", journal=journal)
        assert len(provider.calls) == 3
        again = await outcome(OUTLINE, provider, input="q", journal=journal, epoch=2)
        assert len(provider.calls) == 3
        assert again.result._replace(trace=()) == before.result._replace(trace=())
        assert again.done == before.done
        assert {frame.id.epoch for frame in again.frames} == {2}

    async def test_calls_only_what_had_not_finished(self) -> None:
        journal, gate = MemoryJournal(), asyncio.Event()
        outline = '{"outline": [{"topic": "first"}, {"topic": "second"}]}'
        provider = ScriptedProvider(
            {"I am outline": outline, "first": "about 1", "second": ["about", gate]}, rate=None
        )
        run, log = make_run(OUTLINE, provider, input="q", journal=journal)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda doc: doc and str(doc).count("about") == 2 and len(journal.results) == 2)
        task.cancel()  # the process dies: nothing more is stored
        await asyncio.wait([task])
        journal.results = {
            key: result for key, result in journal.results.items() if result.status == "finished"
        }
        gate.set()
        again = await outcome(OUTLINE, provider, input="q", journal=journal, epoch=2)
        assert [each.closed_early for each in provider.calls] == [False, False, True, False]
        assert again.document["outline"] == [
            {"topic": "first", "details": "about 1"},
            {"topic": "second", "details": "about"},
        ]
        assert again.status == "finished"

    async def test_equal_calls_are_told_apart(self) -> None:
        async def twice(run: Run) -> None:
            run.set("first", (await run.bot(quiet=True).chat("same"))["n"])
            run.set("second", (await run.bot(quiet=True).chat("same"))["n"])

        journal = MemoryJournal()
        before = await outcome(twice, ['{"n": 1}', '{"n": 2}'], journal=journal)
        assert before.document == {"first": 1, "second": 2}
        again = await outcome_again(twice, journal)
        assert again.document == before.document

    async def test_tells_the_same_thoughts_once(self) -> None:
        journal = MemoryJournal()
        answer = [Chunk(reasoning="Hm."), "<think>Really?</think>", '{"a": 1}', Chunk(usage=Usage(3, 4))]
        flow = plan(bot("one", show_reasoning=True))
        before = await outcome(flow, [answer], journal=journal)
        assert before.texts("reasoning", "one#1") == "Hm.Really?"
        again = await outcome(flow, [], journal=journal, epoch=2)
        snapshot = again.frames[0].body
        said = snapshot["reasoning"].get("one#1", "") + again.texts("reasoning", "one#1")
        assert said == "Hm.Really?"
        assert again.result.usage == Usage(3, 4)

    async def test_a_failed_call_is_made_again(self) -> None:
        journal = MemoryJournal()
        flow = plan(bot("one"))
        assert (await outcome(flow, [[ProviderError("gone")]], journal=journal)).status == "failed"
        again = await outcome(flow, ['{"a": 1}'], journal=journal, epoch=2)
        assert (again.status, again.document) == ("finished", {"a": 1})

    async def test_another_question_is_another_call(self) -> None:
        journal = MemoryJournal()
        flow = plan(bot("one", input="{{ input }}"))
        await outcome(flow, '{"a": 1}', input="q", journal=journal)
        provider = ScriptedProvider('{"a": 2}', rate=None)
        assert (await outcome(flow, provider, input="other", journal=journal, epoch=2)).document == {"a": 2}
        assert len(provider.calls) == 1

    async def test_the_journal_knows_what_was_asked_and_answered(self) -> None:
        journal = MemoryJournal()
        await outcome(plan(bot("one")), [["Sure: {'a': 1,}", Chunk(usage=Usage(3, 4))]], journal=journal)
        ((key, result),) = journal.results.items()
        assert (key[0], key[1], key[3]) == ("one", "", 1)
        assert result.output == "Sure: {'a': 1,}"
        assert result.usage == Usage(3, 4)
        assert {"kind", "uri", "offset"} == set(result.repairs[0])


async def outcome_again(function: Callable[[Run], Any], journal: MemoryJournal) -> Outcome:
    """Execute a workflow again with a model that must not be asked."""
    return await outcome(function, [], journal=journal, epoch=2)


class TestPlan:
    def test_is_stored_and_read_back(self) -> None:
        flow = plan(
            bot("one", only=("a",), exclude=("b",), schema={"type": "object"}, params={"top_p": 1}),
            bot("two", provider=ProviderPlan("other", options={"x": [1]})),
            triggers=(TriggerPlan("one", "two", root=""),),
            bots=3,
        )
        stored = json.loads(json.dumps(flow.to_json()))
        assert Plan.from_json(stored) == flow

    @pytest.mark.parametrize(
        "change", [{"steps": [{}]}, {"limits": {"x": 1}}, {"workflow": None, "steps": None}]
    )
    def test_of_another_shape_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match="expected a stored plan"):
            Plan.from_json({**plan().to_json(), **change})

    def test_an_unknown_step_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"expected one of the steps one, got 'two'"):
            plan(bot("one")).step("two")

    async def test_a_limit_is_an_error_of_its_own(self) -> None:
        assert LimitExceeded("x").to_wire() == {"code": "limit", "message": "x", "retryable": False}


LARGE = {"tags": [f"tag-{n}" for n in range(2_000)], "known": [f"gat-{n}" for n in range(2_000)] + ["tag-7"]}
SLOW = "{{ input.tags|select('in', input.known)|list|length }}"  # about 0.2 s: too long for the event loop


class TestTemplatesThatTakeLong:
    async def lag(self) -> float:
        """The longest time that another task had to wait for its turn, in CPU of this thread."""
        longest = 0.0
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                before = time.thread_time()
                await asyncio.sleep(0.001)
                longest = max(longest, time.thread_time() - before)
        return longest

    @pytest.mark.parametrize(
        "flow",
        [
            plan(bot("one", format="text", input=SLOW)),
            plan(bot("one", format="text", prompt=SLOW)),
            plan(
                bot("two"),
                bot("one", format="text", root="more"),
                triggers=(TriggerPlan("two", "one", pattern="a", input=SLOW),),
            ),
            plan(
                bot("two"),
                bot("one", format="text", root="more"),
                triggers=(TriggerPlan("two", "one", pattern="a", condition=SLOW[2:-2] + " == 1", input="1"),),
            ),
        ],
        ids=["input", "prompt", "trigger", "condition"],
    )
    async def test_leave_the_loop_and_start_the_bot_all_the_same(self, flow: Plan) -> None:
        provider = ScriptedProvider({"I am two": '{"a": "b"}', "": "yes"}, rate=None)
        watching = asyncio.create_task(self.lag())
        await asyncio.sleep(0)
        ended = await outcome(flow, provider, input=LARGE)
        watching.cancel()
        assert await watching < 0.1
        assert ended.status == "finished"
        said = [message["content"] for message in provider.calls[-1].messages]
        assert "1" in said

    async def test_in_python_are_rendered_before_the_model_is_asked(self) -> None:
        provider = ScriptedProvider("yes", rate=None)

        async def flow(run: Run) -> None:
            await run.bot(SLOW, variables={}, format="text").chat("go")

        ended = await outcome(flow, provider, input=LARGE)
        assert ended.document == "yes"
        assert provider.calls[0].messages[0] == {"role": "system", "content": "1"}

    @pytest.mark.parametrize("python", [True, False])
    async def test_past_the_limit_fail_their_bot(self, python: bool) -> None:
        source = "{% for n in range(99999) %}{{ range(99999)|sum }}{% endfor %}"

        async def function(run: Run) -> None:
            await run.bot(source, variables={}, format="text").chat("go")

        ended = await outcome(function if python else plan(bot("one", prompt=source)), "yes", input="x")
        assert ended.status == "failed"
        assert [error["code"] for error in ended.errors] == ["template"]
        assert len(ended.run.steps) == 1

    async def test_are_replayed_before_the_epoch_opens(self) -> None:
        flow = plan(bot("one", format="text", input=SLOW))
        journal = MemoryJournal()
        await outcome(flow, "yes", input=LARGE, journal=journal)
        again = ScriptedProvider([], rate=None)
        ended = await outcome(flow, again, input=LARGE, journal=journal, epoch=2)
        assert (ended.status, ended.document, again.calls) == ("finished", "yes", [])

    async def test_what_one_source_starts_keeps_its_order_and_its_numbers(self) -> None:
        """The first item's input takes long, the second's is there at once: it had overtaken the first."""
        slow = "{% if match[0] == '0' %}" + SLOW + "{% endif %}{{ value }}"
        flow = plan(
            bot("list", root="list"),
            bot("item", format="text", input=slow, root="items/{{ match[0] }}"),
            triggers=(TriggerPlan("list", "item", pattern="list/*"),),
        )
        provider = ScriptedProvider({"I am list": '["a", "b", "c"]', "": "yes"}, rate=None)
        ended = await outcome(flow, provider, input=LARGE)
        assert asked(provider)[1:] == ["1a", "b", "c"]
        items = [each for each in ended.run.steps if each.plan.name == "item"]
        assert [(each.id, each.root) for each in items] == [
            ("item#1", "items/0"),
            ("item#2", "items/1"),
            ("item#3", "items/2"),
        ]


class Purse:
    """A meter that a site could have: so many calls, and what they took."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.settled: list[tuple[str, int]] = []

    def begin(self, plan: BotPlan, depth: int) -> None: ...

    def charge(self, characters: int) -> None: ...

    async def reserve(self, call: Call) -> None:
        if not self.calls:
            raise LimitExceeded("the budget is spent")
        self.calls -= 1

    def settle(self, call: Call, usage: Usage) -> None:
        self.settled.append((call.instance, usage.completion_tokens))


class TestMeter:
    async def test_is_asked_before_a_model_and_told_what_it_took(self) -> None:
        purse = Purse(2)
        flow = plan(bot("one", format="text", root="a"), bot("two", format="text", root="b"))
        said = {"one": ["yes", Chunk(usage=Usage(3, 4))], "two": ["no", Chunk(usage=Usage(5, 6))]}
        ended = await outcome(flow, said, meter=purse)
        assert ended.status == "finished"
        assert sorted(purse.settled) == [("one#1", 4), ("two#1", 6)]

    async def test_that_has_nothing_left_ends_the_run_before_the_model_is_asked(self) -> None:
        purse, provider = Purse(0), ScriptedProvider("yes", rate=None)
        ended = await outcome(plan(bot("one", format="text")), provider, meter=purse)
        assert [error["code"] for error in ended.errors] == ["limit"]
        assert (provider.calls, purse.settled) == ([], [])

    async def test_is_not_asked_for_what_is_played_back(self) -> None:
        flow, journal = plan(bot("one", format="text")), MemoryJournal()
        await outcome(flow, "yes", journal=journal)
        purse = Purse(0)
        ended = await outcome(flow, [], journal=journal, epoch=2, meter=purse)
        assert (ended.status, purse.settled) == ("finished", [])


class TestOnce:
    async def test_is_done_once_however_often_the_run_is_executed(self) -> None:
        asked: list[str] = []

        async def rate(currency: str) -> dict[str, Any]:
            asked.append(currency)
            return {"rate": len(asked)}

        async def flow(run: Run) -> None:
            first = await run.once("rate", rate, "EUR")
            await run.bot(format="text", root="said").chat(f"{first['rate']}")
            others = [await run.once("rate", rate, currency) for currency in ("USD", "EUR")]
            run.set("rates", [first, *others])

        journal = MemoryJournal()
        before = await outcome(flow, "yes", journal=journal)
        again = await outcome_again(flow, journal)
        assert asked == ["EUR", "USD", "EUR"]
        assert (
            before.document
            == again.document
            == {
                "said": "yes",
                "rates": [{"rate": 1}, {"rate": 2}, {"rate": 3}],
            }
        )

    async def test_that_fails_is_done_again(self) -> None:
        tries: list[int] = []

        async def shaky() -> str:
            tries.append(len(tries))
            if len(tries) == 1:
                raise ConnectionError("away")
            return "here"

        async def flow(run: Run) -> None:
            run.set("", await run.once("shaky", shaky))

        journal = MemoryJournal()
        ended = await outcome(flow, journal=journal)
        assert (ended.status, [error["code"] for error in ended.errors]) == ("failed", ["internal"])
        assert (await outcome_again(flow, journal)).document == "here"

    async def test_gives_what_json_has_the_first_time_too(self) -> None:
        async def pair() -> Any:
            return {"pair": (1, 2)}

        async def flow(run: Run) -> None:
            run.set("", await run.once("pair", pair))

        assert (await outcome(flow)).document == {"pair": [1, 2]}

    async def test_leaves_the_work_of_a_lost_run_undone(self) -> None:
        done: list[str] = []

        async def act() -> None:
            done.append("act")

        async def flow(run: Run) -> None:
            await run.once("act", act)

        run, log = make_run(flow, epoch=2)
        await log.open(3, empty_snapshot())
        with pytest.raises(Fenced):
            await run.execute()
        assert done == []

    @pytest.mark.parametrize(
        ("name", "function", "arguments", "said"),
        [
            ("n", lambda: 1, (), "async function"),
            ("n", asyncio.sleep, (0, object()), "JSON data"),
            ("n", asyncio.sleep, ({1}, 0), "JSON data"),
            ("", asyncio.sleep, (0,), "1 to 200 characters"),
            ("n" * 201, asyncio.sleep, (0,), "1 to 200 characters"),
        ],
    )
    async def test_refuses_what_it_cannot_keep(
        self, name: str, function: Any, arguments: tuple[Any, ...], said: str
    ) -> None:
        async def flow(run: Run) -> None:
            with pytest.raises(UsageError, match=said):
                await run.once(name, function, *arguments)

        assert (await outcome(flow)).status == "finished"
