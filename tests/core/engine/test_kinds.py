"""Step kinds: what they may say, how often they are tried, how they are played back, and their names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lingstream.core.engine import kinds
from lingstream.core.engine.kinds import (
    Note,
    Put,
    Services,
    Spent,
    StepCall,
    StepKind,
    Text,
    check_event,
    check_options,
    events_of,
    kind_of,
    register_kind,
)
from lingstream.core.engine.observers import Observer, Observers
from lingstream.core.engine.plan import EVENTS, Limits, Plan, StepPlan, TriggerPlan
from lingstream.core.engine.run import Run
from lingstream.core.exceptions import (
    LimitExceeded,
    LingError,
    RateLimited,
    RequestFailure,
    UsageError,
)
from lingstream.core.provider import Chunk, Usage
from tests.core.support import MemoryJournal, Outcome, make_run, outcome, seen

Work = Callable[[StepCall], AsyncIterator[Any]]


class Saying(StepKind):
    """A kind that says what a function yields."""

    def __init__(self, work: Work, kind: str = "say", **told: Any) -> None:
        self.kind = kind
        self.work = work
        for name, value in told.items():
            setattr(self, name, value)

    def run(self, call: StepCall) -> AsyncIterator[Any]:
        return self.work(call)


def say(*said: Any, **told: Any) -> StepKind:
    """Make the kind ``say``, which says this; an exception in it is raised, and an event waited for."""

    async def work(call: StepCall) -> AsyncIterator[Any]:
        for each in said:
            if isinstance(each, BaseException):
                raise each
            if isinstance(each, asyncio.Event):
                await each.wait()
            else:
                yield each

    return register_kind(Saying(work, **told))


def plan(**settings: Any) -> Plan:
    limits = settings.pop("limits", Limits())
    return Plan("test", steps=(StepPlan("s", "say", **settings),), limits=limits)


async def said(*each: Any, more: dict[str, Any] | None = None, **settings: Any) -> Outcome:
    """What comes of a step that says this."""
    say(*each)
    return await outcome(plan(**settings), **(more or {}))


class TestText:
    @pytest.mark.parametrize(
        ("format", "document"),
        [("json", {"a": "云 is"}), ("text", '{"a": "云 is"}')],
    )
    async def test_goes_through_the_steps_format(self, format: Any, document: Any) -> None:
        ended = await said(Text('{"a": "云'), Text(' is"}'), format=format, root="x")
        assert ended.document == {"x": document}
        assert ended.run.steps[0].text == '{"a": "云 is"}'

    async def test_is_judged_by_the_steps_schema(self) -> None:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
        ended = await said(Text('{"n": "many"}'), schema=schema)
        assert ended.errors[0]["code"] == "schema"

    async def test_that_is_no_json_where_json_is_wanted(self) -> None:
        ended = await said(Text("sorry"))
        assert ended.errors[0]["code"] == "no-json"

    async def test_reasoning_is_beside_it(self) -> None:
        ended = await said(Text("", "Hm."), Text("yes", ""), format="text", show_reasoning=True)
        assert ended.document == "yes"
        assert ended.texts("reasoning", "s#1") == "Hm."

    async def test_a_chunk_of_a_model_will_do(self) -> None:
        ended = await said(Chunk("yes", usage=Usage(1, 2), finish="stop"), format="text")
        assert (ended.document, ended.result.usage) == ("yes", Usage(1, 2))


class TestPut:
    async def test_is_written_below_the_root_and_settled_children_first(self) -> None:
        ended = await said(Put("b", {"x": "1", "n": [True, {"y": ""}], "z": 5}), root="a")
        assert ended.document == {"a": {"b": {"x": "1", "n": [True, {"y": ""}], "z": 5}}}
        assert ended.events("s#1") == [
            ("string-response", "a/b/x"),
            ("string-response", "a/b/n/1/y"),
            ("object-response", "a/b/n/1"),
            ("object-response", "a/b/n"),
            ("object-response", "a/b"),
            ("inference-done", "a"),
            ("response", "a"),
        ]

    @pytest.mark.parametrize(
        "value", [None, True, 0, -1.5, 10**30, "", "text", [], {}, [[]], {"": {"/": "\0"}}]
    )
    async def test_takes_any_json(self, value: Any) -> None:
        ended = await said(Put("", value), root="x")
        assert ended.document == {"x": value}
        assert ended.run.steps[0].value == value

    @pytest.mark.parametrize("value", [{1, 2}, float("nan"), object(), {"a": b"x"}])
    async def test_takes_nothing_else(self, value: Any) -> None:
        for each in (Put("x", value), Note("own", value)):
            ended = await said(each)
            assert ended.errors[0]["code"] == "usage"
            assert "expected JSON data from a step" in ended.errors[0]["message"]

    async def test_of_what_cannot_be_a_uri(self) -> None:
        assert (await said(Put("a//b", 1))).errors[0]["code"] == "uri"

    async def test_several_make_one_value(self) -> None:
        ended = await said(Put("a", 1), Put("b/c", [1]), Put("b/c/1", 2), Put("a", {"d": 3}), Put("a/d", 4))
        assert ended.document == ended.run.steps[0].value == {"a": {"d": 4}, "b": {"c": [1, 2]}}

    async def test_beside_text(self) -> None:
        ended = await said(Text('{"a": "x'), Put("b", 1), Text('y", "c": 2}'), root="r")
        assert ended.document == {"r": {"a": "xy", "b": 1, "c": 2}}
        assert ended.run.steps[0].value == {"a": "xy", "b": 1, "c": 2}

    async def test_what_is_filtered_is_not_sent_and_starts_all_the_same(self) -> None:
        say(Put("", {"shown": "yes", "hidden": "no"}))
        steps = (
            StepPlan("s", "say", root="r", only=("shown",)),
            StepPlan("t", "compute", root="t", options={"set": {"": "value"}}),
        )
        flow = Plan("test", steps=steps, triggers=(TriggerPlan("s", "t", pattern="r/hidden"),))
        ended = await outcome(flow)
        assert ended.document == {"r": {"shown": "yes"}, "t": "no"}

    async def test_of_a_quiet_step_is_for_who_waits(self) -> None:
        async def flow(run: Run) -> None:
            step = run.step("say", quiet=True)
            found = [(field.uri, field.value) async for field in step.fields("n/*")]
            run.set("", [await step, found])

        say(Put("n", [1, "x"]))
        ended = await outcome(flow)
        assert ended.document == [{"n": [1, "x"]}, [["n/0", 1], ["n/1", "x"]]]
        assert ended.events("say#1") == []

    async def test_what_somebody_else_is_writing_is_a_conflict(self) -> None:
        gate = asyncio.Event()
        say(Text("half"), gate)
        register_kind(Saying(_puts, "put"))
        steps = (
            StepPlan("s", "say", root="a", format="text"),
            StepPlan("p", "put", root="a", optional=True),
        )
        run, log = make_run(Plan("test", steps=steps))
        running = asyncio.create_task(run.execute())
        await seen(log, lambda document: document == {"a": "half"})
        gate.set()
        result = await running
        assert [(error["code"], error["bot"]) for error in result.errors] == [("conflict", "p#1")]

    async def test_a_long_one_is_written_while_others_go_on(self) -> None:
        """Each of its pieces is a turn of the loop: a run that has fewer turns to take ends before."""
        say(Put("", ["x" * 1_000] * 5_000))
        ended: list[str] = []

        async def pieces(call: StepCall) -> AsyncIterator[Any]:
            for number in range(20):
                await asyncio.sleep(0)
                yield Put(f"n{number}", number)

        register_kind(Saying(pieces, "pieces"))

        async def execute(flow: Plan, name: str) -> Outcome:
            found = await outcome(flow)
            ended.append(name)
            return found

        limits = Limits(characters=10_000_000)
        long, short = await asyncio.gather(
            execute(plan(limits=limits), "long"),
            execute(Plan("test", steps=(StepPlan("p", "pieces"),)), "short"),
        )
        assert ended == ["short", "long"]
        assert (len(long.document), short.document["n19"]) == (5_000, 19)


async def _puts(call: StepCall) -> AsyncIterator[Any]:
    yield Put("", "mine")


class TestNote:
    async def test_is_an_event_of_its_own(self) -> None:
        say(Note("mail-sent", {"to": ["ann"]}), Note("mail-sent"), events=("mail-sent",))
        steps = (
            StepPlan("s", "say", root="r"),
            StepPlan("t", "compute", root="t", options={"set": {"": "value.to[0]"}}),
        )
        trigger = TriggerPlan("s", "t", event="mail-sent", condition="value")
        ended = await outcome(Plan("test", steps=steps, triggers=(trigger,)))
        assert ended.document == {"t": "ann"}
        bodies = [frame.body for frame in ended.frames if frame.kind == "event"]
        notes = [body for body in bodies if body["event"] == "mail-sent"]
        assert notes[0] == {
            "event": "mail-sent",
            "bot": "s#1",
            "step": "s",
            "root": "r",
            "uri": "r",
            "data": {"to": ["ann"]},
        }
        assert notes[1]["data"] is None

    async def test_of_any_name_is_no_end_of_the_step(self) -> None:
        say(Note("ended"), Note("replaced"), Put("", 1))
        steps = (
            StepPlan("first", "compute", root="first", options={"set": {"": "'text'"}}),
            StepPlan("s", "say", root="s"),
            StepPlan("all", "compute", root="all", options={"set": {"": "value|length"}}),
        )
        triggers = (TriggerPlan("first", "s"), TriggerPlan("first", "all", event="joined"))
        ended = await outcome(Plan("test", steps=steps, triggers=triggers))
        assert ended.document == {"first": "text", "s": 1, "all": 1}

    async def test_is_heard_in_python_where_the_kind_declares_it(self) -> None:
        say(Note("half", 1), Note("other", 2), events=("half",))
        heard: list[Any] = []

        async def flow(run: Run) -> None:
            step = run.step("say").on("half", lambda field: heard.append(field.value))
            with pytest.raises(UsageError, match="expected one of the events"):
                step.on("other", heard.append)

        await outcome(flow)
        assert heard == [1]

    @pytest.mark.parametrize(
        "event", [*EVENTS, "joined", "reasoning", "preamble", "started", "done", "", "No", "a b", "x" * 51, 5]
    )
    async def test_none_of_ours_and_no_odd_ones(self, event: Any) -> None:
        with pytest.raises(UsageError):
            check_event(event)
        ended = await said(Note(event))
        assert (ended.status, ended.errors[0]["code"]) == ("failed", "usage")

    async def test_and_put_count_as_characters(self) -> None:
        for each in (Put("x", "a" * 100), Note("own", "a" * 100), Text('"' + "a" * 100)):
            ended = await said(each, limits=Limits(characters=100))
            assert (ended.status, ended.errors[0]["code"]) == ("failed", "limit")


class TestSpent:
    @pytest.mark.parametrize(
        ("finish", "told"), [("length", "length"), ("stop", None), (None, None), ("<odd>", "other")]
    )
    async def test_is_the_accounts(self, finish: str | None, told: str | None) -> None:
        ended = await said(Put("", 1), Spent(Usage(3, 4), finish))
        assert ended.result.usage == Usage(3, 4)
        bodies = [frame.body for frame in ended.frames if frame.kind == "event"]
        done = next(body for body in bodies if body["event"] == "inference-done")
        assert done.get("data") == ({"finish": told} if told else None)

    async def test_text_that_was_cut_off_is_closed_as_cut(self) -> None:
        ended = await said(Text('{"a": "x'), Spent(finish="length"))
        assert ended.document == {"a": "x"}
        assert ("string-response", "a") in ended.events("s#1")
        assert any(frame.body.get("cut") for frame in ended.frames if frame.kind == "event")

    @pytest.mark.parametrize("said_instead", ["text", 5, None, {"put": 1}, ("", 1)])
    async def test_there_is_nothing_else_to_say(self, said_instead: Any) -> None:
        ended = await said(said_instead)
        assert ended.errors[0]["message"].startswith("expected a step to say Text, Put, Note or Spent, got ")


class TestTries:
    """What happens by the first try's end; the second would succeed."""

    @pytest.mark.parametrize(
        ("before", "error", "retries", "tries"),
        [
            ((), LingError("away", retryable=True), 1, 2),
            ((), LingError("away", retryable=True), 0, 1),
            ((), LingError("wrong"), 1, 1),
            ((), ConnectionError("away"), 1, 2),
            ((), TimeoutError("its own"), 1, 2),
            ((), RateLimited("too often", retry_after=0), 1, 2),
            ((), RequestFailure("503", retryable=True, retry_after=0), 1, 2),
            ((), RequestFailure("404"), 1, 1),
            ((), LimitExceeded("too much"), 1, 1),
            ((Text('{"a": "'),), LingError("away", retryable=True), 5, 1),
            ((Put("a", 1),), LingError("away", retryable=True), 5, 1),
            ((Note("own"),), LingError("away", retryable=True), 5, 1),
            ((Spent(Usage(1, 1)),), LingError("away", retryable=True), 5, 1),
        ],
    )
    async def test_are_made_again_only_before_anything_was_said(
        self,
        monkeypatch: pytest.MonkeyPatch,
        before: tuple[Any, ...],
        error: Exception,
        retries: int,
        tries: int,
    ) -> None:
        monkeypatch.setattr("lingstream.core.engine.calls._PAUSE", 0.001)
        calls: list[StepCall] = []

        async def work(call: StepCall) -> AsyncIterator[Any]:
            calls.append(call)
            if call.attempt == 1:
                for each in before:
                    yield each
                raise error
            yield Put("", "done")

        register_kind(Saying(work))
        ended = await outcome(plan(retries=retries), name="r")
        assert [call.attempt for call in calls] == list(range(1, tries + 1))
        assert ended.status == ("finished" if tries == 2 else "failed")
        assert len({call.idempotency_key for call in calls}) == 1

    async def test_wait_longer_each_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pauses: list[float] = []

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        say(ConnectionError("away"))
        monkeypatch.setattr("lingstream.core.engine.calls.asyncio.sleep", sleep)
        await outcome(plan(retries=5))
        expected = (0.5, 1.0, 2.0, 4.0, 8.0)
        assert len(pauses) == 5
        assert all(most / 2 <= pause <= most for pause, most in zip(pauses, expected, strict=True))

    async def test_each_has_its_time(self) -> None:
        calls: list[int] = []
        closed: list[int] = []

        async def work(call: StepCall) -> AsyncIterator[Any]:
            calls.append(call.attempt)
            try:
                if call.attempt == 1:
                    await asyncio.Event().wait()
                yield Put("", call.attempt)
            finally:
                closed.append(call.attempt)

        register_kind(Saying(work))
        assert (await outcome(plan(timeout=0.5, retries=1))).document == 2
        assert calls == closed == [1, 2]
        calls.clear()
        (error,) = (await outcome(plan(timeout=0.05))).errors
        assert error == {
            "code": "timeout",
            "message": "s#1 took more than 0.05 seconds",
            "retryable": True,
            "bot": "s#1",
        }

    async def test_a_time_out_after_something_was_said_keeps_it(self) -> None:
        ended = await said(Text('{"a": "half'), asyncio.Event(), timeout=0.5, retries=3)
        assert (ended.document, ended.errors[0]["code"]) == ({"a": "half"}, "timeout")

    async def test_a_kinds_own_time_out_is_its_fault(self) -> None:
        ended = await said(TimeoutError("its own"), timeout=30)
        assert ended.errors[0]["code"] == "internal"


class Counting(Observer):
    """Counts beginnings."""

    def __init__(self) -> None:
        self.first_chunks = 0

    def first_chunk(self, run: Any, step: Any) -> None:
        self.first_chunks += 1


class TestReplay:
    async def test_says_again_what_was_said_and_does_nothing(self) -> None:
        calls: list[int] = []

        async def work(call: StepCall) -> AsyncIterator[Any]:
            calls.append(call.attempt)
            yield Text('{"text": "on')
            yield Put("put", {"n": [1]})
            yield Note("own", "first")
            yield Text('e", "more": 2}')
            yield Put("put/n/1", "two")
            yield Note("own", "second")
            yield Spent(Usage(5, 6), "length")

        register_kind(Saying(work, events=("own",)))
        steps = (
            StepPlan("s", "say", root="r"),
            StepPlan("t", "compute", root="heard/{{ value }}", options={"set": {"": "uri"}}),
        )
        flow = Plan("test", steps=steps, triggers=(TriggerPlan("s", "t", event="own"),))
        journal, observer = MemoryJournal(), Counting()
        before = await outcome(flow, journal=journal, observers=Observers([observer]))
        assert before.document == {
            "r": {"text": "one", "more": 2, "put": {"n": [1, "two"]}},
            "heard": {"first": "r", "second": "r"},
        }
        again = await outcome(flow, journal=journal, epoch=2, observers=Observers([observer]))
        assert calls == [1]
        assert again.result._replace(trace=()) == before.result._replace(trace=())  # which has times
        assert again.run.steps[0].value == before.run.steps[0].value
        assert observer.first_chunks == 1 + 2 * 2  # of the step once, of what is pure each time

    async def test_of_a_long_put(self) -> None:
        say(Put("", ["x" * 1_000] * 100))
        journal = MemoryJournal()
        before = await outcome(plan(), journal=journal)
        say(LingError("it was done already"))
        again = await outcome(plan(), journal=journal, epoch=2)
        assert again.document == before.document == ["x" * 1_000] * 100

    async def test_what_failed_or_was_cut_off_is_done_again(self) -> None:
        journal = MemoryJournal()
        say(Put("a", 1), LingError("away"))
        assert (await outcome(plan(), journal=journal)).status == "failed"
        say(Put("a", 2))
        assert (await outcome(plan(), journal=journal, epoch=2)).document == {"a": 2}

    async def test_what_is_pure_is_done_again_and_not_kept(self) -> None:
        calls: list[int] = []

        async def work(call: StepCall) -> AsyncIterator[Any]:
            calls.append(1)
            yield Put("", call.input)

        register_kind(Saying(work, pure=True))
        journal = MemoryJournal()
        for epoch in (1, 2):
            ended = await outcome(plan(), input=5, journal=journal, epoch=epoch)
            assert ended.document == 5
        assert (len(calls), journal.results) == (2, {})

    async def test_what_is_pure_and_fails_is_kept_as_a_failure(self) -> None:
        journal = MemoryJournal()
        say(LingError("no"), pure=True)
        await outcome(plan(), journal=journal)
        assert [result.status for result in journal.results.values()] == ["failed"]

    @pytest.mark.parametrize("change", ["input", "options", "version", "step", "root"])
    async def test_other_calls_are_made(self, change: str) -> None:
        calls: list[StepCall] = []

        async def work(call: StepCall) -> AsyncIterator[Any]:
            calls.append(call)
            yield Put("", 1)

        anything = {"options_schema": {"type": "object"}}
        register_kind(Saying(work, **anything))
        journal, settings = MemoryJournal(), dict[str, Any](input="{{ input }}", options={"a": 1})
        await outcome(plan(**settings), input=1, journal=journal, name="r")
        if change == "version":
            kinds._kinds.pop("say")
            register_kind(Saying(work, version=2, **anything))
        settings |= {"options": {"a": 2}} if change == "options" else {}
        settings |= {"root": "x"} if change == "root" else {}
        name = "other" if change == "step" else "s"
        flow = Plan("test", steps=(StepPlan(name, "say", **settings),))
        value = 2 if change == "input" else 1
        await outcome(flow, input=value, journal=journal, epoch=2, name="r")
        assert len({call.idempotency_key for call in calls}) == 2


class TestInPython:
    async def test_a_step_is_started_at_once_and_waited_for(self) -> None:
        say(Put("a", 1))

        async def flow(run: Run) -> None:
            steps = [run.step("say", root=f"steps/{root}", name="n") for root in "xy"]
            assert [step.id for step in steps] == ["n#1", "n#2"]
            run.set("values", [await step for step in steps])

        ended = await outcome(flow)
        assert ended.document == {"steps": {"x": {"a": 1}, "y": {"a": 1}}, "values": [{"a": 1}, {"a": 1}]}

    async def test_input_and_options_go_as_they_are(self) -> None:
        async def work(call: StepCall) -> AsyncIterator[Any]:
            yield Put("", [call.input, dict(call.options), call.plan.timeout, call.root])

        register_kind(Saying(work, options_schema={"type": "object"}))

        async def flow(run: Run) -> None:
            await run.step("say", {"a": "{{ b }}"}, root="x", timeout=5, template="{{ value }}")

        options = {"template": "{{ value }}"}
        assert (await outcome(flow)).document == {"x": [{"a": "{{ b }}"}, options, 5, "x"]}

    @pytest.mark.parametrize(
        ("arguments", "options", "message"),
        [
            (("nothing",), {}, "expected a step kind among bot, "),
            (("bot",), {}, "call run.bot"),
            (("say", object()), {}, "expected JSON data"),
            (("say",), {"extra": 1}, "expected no options of say, got extra"),
            (("compute",), {"set": {}}, "the option 'set'"),
            (("compute",), {"set": {"a": object()}}, "expected JSON data"),
            (("say",), {"root": "a//b"}, ""),
        ],
    )
    async def test_what_makes_no_sense_is_the_callers_mistake(
        self, arguments: Any, options: Any, message: str
    ) -> None:
        say(Put("", 1))

        async def flow(run: Run) -> None:
            with pytest.raises(UsageError) as caught:
                run.step(*arguments, **options)
            assert message in caught.value.message
            assert not run.steps

        assert (await outcome(flow)).status == "finished"

    async def test_a_failure_is_raised_where_it_is_waited_for(self) -> None:
        say(LingError("closed", code="shop-closed"))

        async def flow(run: Run) -> None:
            with pytest.raises(LingError, match="closed"):
                await run.step("say", optional=True)

        assert (await outcome(flow)).status == "finished"

    async def test_steps_count_as_bots_do(self) -> None:
        say(Put("", 1))

        async def flow(run: Run) -> None:
            for _ in range(3):
                await run.step("say")

        ended = await outcome(flow, limits=Limits(bots=2))
        assert (ended.status, ended.errors[0]["code"]) == ("failed", "limit")


class TestNames:
    async def test_a_kind_that_nobody_knows_fails_its_step(self) -> None:
        steps = (StepPlan("s", "strange"), StepPlan("t", "compute", options={"set": {"a": "1"}}))
        ended = await outcome(Plan("test", steps=steps))
        assert [(error["code"], error["bot"]) for error in ended.errors] == [("unknown-kind", "s#1")]
        assert ended.document == {"a": 1}
        for ask in (kind_of, lambda name: check_options(StepPlan("s", name))):
            with pytest.raises(UsageError, match=r"expected a step kind among bot, (.*, )?compute, "):
                ask("strange")
        assert events_of("strange") == EVENTS

    @pytest.mark.parametrize("kind", ["", "A", "a_b", "1a", "a" * 51, 5])
    def test_that_are_none(self, kind: Any) -> None:
        with pytest.raises(UsageError, match="expected a name like send-mail"):
            register_kind(Saying(_puts, kind))

    def test_options_that_every_step_has_are_refused(self) -> None:
        schema = {"type": "object", "properties": {"root": {}, "url": {}, "timeout": {}}}
        with pytest.raises(UsageError, match="that no step has anyway, got root, timeout"):
            register_kind(Saying(_puts, options_schema=schema))

    def test_events_of_ours_are_refused(self) -> None:
        with pytest.raises(UsageError, match="an event of its own"):
            register_kind(Saying(_puts, events=("done",)))
        assert "say" not in kinds.step_kinds()

    def test_are_taken_once(self) -> None:
        class Other(Saying):
            pass

        first = register_kind(Saying(_puts))
        again = register_kind(Saying(_puts))  # a module that is imported twice
        assert first is not again and kind_of("say") is again
        with pytest.raises(
            UsageError, match=r"the step kind 'say' is tests\.core\.engine\.test_kinds\.Saying"
        ):
            register_kind(Other(_puts))

    def test_its_events_are_those_of_all_and_its_own(self) -> None:
        register_kind(Saying(_puts, events=("mail-sent",)))
        assert events_of("say") == (*EVENTS, "mail-sent")


class TestServices:
    async def test_without_a_site(self) -> None:
        services = Services(lambda plan: None)  # type: ignore[arg-type,return-value]
        assert await services.database(max, 1, 2) == 2
        with pytest.raises(UsageError, match="expected a site"):
            services.http()

    async def test_a_kind_that_says_nothing_of_itself_has_no_effects_and_is_not_pure(self) -> None:
        kind, step = Saying(_puts), StepPlan("s", "say")
        assert (kind.has_effects(step), kind.is_pure(step), kind.asks_who) == (False, False, True)


class TestRunsThatMayNotAct:
    """What has effects only says what it would do."""

    async def outcome(self, **told: Any) -> Outcome:
        say(Put("", {"sent": True}), **told)
        register_kind(Saying(_puts, "then"))
        steps = (
            StepPlan("s", "say", input="{{ input }}", root="s", options={"to": "{{ input }}"}),
            StepPlan("then", "then", root="then"),
        )
        triggers = (TriggerPlan("s", "then", event="response"),)
        return await outcome(Plan("test", steps=steps, triggers=triggers, acts=False), input="Ada")

    async def test_it_tells_its_input_and_options_and_those_behind_it_start(self) -> None:
        ended = await self.outcome(effects=True)
        assert (ended.status, ended.document) == ("finished", {"then": "mine"})
        told = [
            frame.body["data"] for frame in ended.frames if frame.kind == "event" and "data" in frame.body
        ]
        assert told[1:] == [{"kind": "say", "input": "Ada", "options": {"to": "Ada"}}]

    async def test_what_has_none_is_done(self) -> None:
        assert (await self.outcome()).document == {"s": {"sent": True}, "then": "mine"}
