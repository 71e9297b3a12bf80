"""Functions as step kinds: how they are found, called and judged, what they may say, how they fail."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest

from lingstream import Run, step
from lingstream.access.faults import told_error
from lingstream.core.engine import kinds, registry
from lingstream.core.engine.kinds import Identity, Note, Put, Spent, StepCall, Text, check_options, kind_of
from lingstream.core.engine.plan import Plan, StepPlan, TriggerPlan
from lingstream.core.exceptions import LingError, UsageError
from lingstream.core.provider import Usage
from lingstream.execution.lane import Lane
from lingstream.execution.services import SiteServices, leave_no_transaction
from lingstream.models import Conversation
from lingstream.steps.python import FunctionKind
from lingstream.testing import StepContract
from tests.chaos.patience import within
from tests.core.support import MemoryJournal, Outcome, make_run, outcome


@pytest.fixture(autouse=True)
def _own_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))
    monkeypatch.setattr(registry, "_functions", {})


@pytest.fixture
async def services() -> AsyncIterator[SiteServices]:
    made = SiteServices()
    yield made
    await made.aclose()


def plan(kind: str = "f", **settings: Any) -> Plan:
    """A plan of one step, checked as one that is saved."""
    made = StepPlan("f", kind, **settings)
    check_options(made)
    return Plan("test", steps=(made,))


async def executed(
    kind: str = "f", *, input: Any = None, more: dict[str, Any] | None = None, **settings: Any
) -> Outcome:
    return await outcome(plan(kind, **settings), input=input, **(more or {}))


class TestForms:
    async def test_a_plain_function_is_called_in_a_thread(self) -> None:
        @step("f")
        def f(input: Any, factor: int = 2) -> Any:
            return {"n": input * factor, "thread": threading.get_ident()}

        ended = await executed(input=3, options={"factor": "{{ 2 + 2 }}"}, root="x")
        assert ended.document["x"]["n"] == 12
        assert ended.document["x"]["thread"] != threading.get_ident()
        assert f(1)["n"] == 2, "it stays a function"

    async def test_an_async_one_is_awaited_here(self) -> None:
        @step("f")
        async def f(input: Any, *, first: str, **options: Any) -> Any:
            return {"first": first, **options, "thread": threading.get_ident()}

        ended = await executed(options={"first": "{{ 1 + 1 }}", "other": "{{ 'x' }}"})
        assert ended.document == {"first": 2, "other": "x", "thread": threading.get_ident()}

    async def test_an_async_generator_says_what_it_likes(self) -> None:
        @step("f", events=["half-done"])
        async def f(input: Any) -> AsyncIterator[Any]:
            yield "one "
            yield Note("half-done", {"of": 2})
            yield Text("two", reasoning="Hm.")
            yield Put("beside", [1])
            yield Spent(Usage(3, 4), finish="length")

        ended = await executed(format="text", root="said/text", quiet=True)
        assert ended.run.steps[0].text == "one two"
        assert ended.result.usage == Usage(3, 4)

    async def test_whatever_a_decorator_hides(self) -> None:
        def shouting(function: Any) -> Any:
            @functools.wraps(function)
            def wrapper(*args: Any, **options: Any) -> Any:
                return function(*args, **options)

            return wrapper

        @step("f")
        @shouting
        async def f(input: Any, end: str = "!") -> str:
            await asyncio.sleep(0)
            return f"{input}{end}"

        assert (await executed(input="hi", options={"end": "?"})).document == "hi?"

    @pytest.mark.parametrize("value", [0, "", False, [], {}, "text", {"a": [None]}])
    async def test_what_is_returned_is_set_at_the_root(self, value: Any) -> None:
        step("f")(lambda input: value)
        assert (await executed(root="x")).document == {"x": value}

    async def test_nothing_sets_nothing(self) -> None:
        step("f")(lambda input: None)
        ended = await executed(root="x")
        assert (ended.status, ended.document) == ("finished", {})
        assert ended.events("f#1") == [("inference-done", "x"), ("response", "x")]

    async def test_what_is_no_json_is_an_error(self) -> None:
        step("f")(lambda input: {1, 2})
        (error,) = (await executed()).errors
        assert (error["code"], "got set" in error["message"]) == ("usage", True)

    async def test_one_is_a_step_of_a_workflow_in_python(self) -> None:
        @step("double")
        def double(input: Any, times: int = 1) -> Any:
            return input * 2**times

        async def flow(run: Run) -> None:
            found = await run.step("double", 3, times=2, quiet=True)
            await run.step("double", found, root="n")

        assert (await outcome(flow)).document == {"n": 24}

    async def test_events_that_it_declares_start_others(self) -> None:
        @step("f", events=["mail-sent"])
        async def f(input: Any) -> AsyncIterator[Any]:
            yield Note("mail-sent", {"to": "ann"})

        steps = (StepPlan("f", "f"), StepPlan("next", "compute", options={"set": {"to": "value.to"}}))
        flow = Plan("test", steps=steps, triggers=(TriggerPlan("f", "next", event="mail-sent"),))
        ended = await outcome(flow)
        assert ended.document == {"to": "ann"}
        assert ("mail-sent", "") in ended.events("f#1")

    async def test_what_it_changes_of_its_input_is_its_own(self) -> None:
        tries: list[Any] = []

        @step("f")
        def f(input: Any, more: Any) -> Any:
            tries.append((list(input), list(more)))
            input.append(1)
            more.append(2)
            if len(tries) == 1:
                raise ConnectionError("away")
            return input + more

        ended = await executed(input=[0], options={"more": [0]}, retries=1)
        assert ended.document == [0, 1, 0, 2]
        assert tries == [([0], [0])] * 2


def _positional(input, /):  # type: ignore[no-untyped-def]
    return input


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (lambda: 1, {}, "“input” as the first parameter of the step 'f', got None"),
    (lambda value: 1, {}, "got value"),
    (lambda *input: 1, {}, r"got \*input"),
    (lambda *, input: 1, {}, "got input"),
    (lambda input, *rest: 1, {}, r"that have names, got \*rest"),
    (lambda input, n: 1, {"schema": {"properties": {"n": {}}}}, "to require n"),
    (lambda input, n=1: 1, {"schema": {"properties": {"m": {}}}}, "its function takes, got m"),
    (lambda input, call: 1, {"schema": {"properties": {"call": {}}}}, "its function takes, got call"),
    (lambda input, **more: 1, {"schema": {"properties": {"input": {}}}}, "its function takes, got input"),
    (lambda input, n=1: 1, {"schema": {"properties": {"n": {"type": "nothing"}}}}, "schema"),
    (lambda input, timeout=1: 1, {}, "that no step has anyway, got timeout"),
    (lambda input: 1, {"events": ["response"]}, "an event of its own"),
    (lambda input: (yield 1), {}, "async def for a step that yields"),
    ("f", {}, "expected a function"),
    (functools.partial(_positional, 1), {}, "expected a function"),
]


class TestRegistering:
    @pytest.mark.parametrize(("function", "given", "message"), REFUSED)
    def test_refuses_what_could_not_be_called(
        self, function: Any, given: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UsageError, match=message):
            step("f", **given)(function)
        assert "f" not in kinds.step_kinds()

    @pytest.mark.parametrize("slug", ["", "F", "a b", "x" * 51, "http", "bot", "compute"])
    def test_refuses_a_name_that_is_none_or_is_taken(self, slug: str) -> None:
        with pytest.raises(UsageError):
            step(slug)(lambda input: 1)

    def test_another_function_may_not_take_its_place(self) -> None:
        step("f")(_positional)
        step("f")(_positional)  # a module that is imported twice
        with pytest.raises(
            UsageError, match=r"the step kind 'f' is tests\.steps\.test_python\._positional already"
        ):
            step("f")(lambda input: 1)

    def test_what_it_says_of_itself(self) -> None:
        schema = {"properties": {"n": {"type": "integer", "title": "How many"}}}
        told = {"title": "Count", "events": ["counted"], "pure": True, "effects": True, "version": 3}
        step("f", schema=schema, **told)(lambda input, n=1: n)
        kind = kind_of("f")
        assert {name: getattr(kind, name) for name in told} == {**told, "events": ("counted",)}
        assert kind.options_schema["properties"] == schema["properties"]
        assert kind.has_effects(StepPlan("f", "f")) and kind.is_pure(StepPlan("f", "f"))

    @pytest.mark.parametrize(
        ("function", "given", "options", "fits"),
        [
            (lambda input: 1, None, {}, True),
            (lambda input: 1, None, {"n": 1}, False),
            (lambda input, n: 1, None, {"n": "{{ value }}"}, True),
            (lambda input, n: 1, None, {}, False),
            (lambda input, n=1: 1, None, {}, True),
            (lambda input, n=1, *, m=2: 1, None, {"m": [1]}, True),
            (lambda input, **more: 1, None, {"any": 1}, True),
            (lambda input, call: 1, None, {}, True),
            (lambda input, call: 1, None, {"call": 1}, False),
            (lambda input, n=1: 1, {"properties": {"n": {"type": "integer"}}}, {"n": "x"}, False),
            (lambda input, n=1, m=1: 1, {"properties": {"n": {"type": "integer"}}}, {"m": 1}, False),
            (lambda input, n: 1, {"properties": {"n": {}}, "required": ["n"]}, {"n": 1}, True),
        ],
    )
    def test_options_are_its_parameters(self, function: Any, given: Any, options: Any, fits: bool) -> None:
        step("f", schema=given)(function)
        with ExitStack() as stack:
            if not fits:
                stack.enter_context(pytest.raises(UsageError))
            check_options(StepPlan("f", "f", options=options))


class TestTheCall:
    async def test_knows_who_asks_and_what_must_not_happen_twice(self) -> None:
        calls: list[StepCall] = []

        @step("f")
        def f(input: Any, call: StepCall) -> Any:
            calls.append(call)
            if call.attempt == 1:
                raise ConnectionError("away")
            return call.identity.user

        async def who() -> Identity:
            return Identity("7", ("editors",), "acme", "")

        talk = [{"role": "user", "content": "hi"}]
        more = {"identity": who, "history": talk, "name": "run"}
        ended = await executed(input={"user": "8"}, retries=1, more=more)
        assert ended.document == "7"
        assert [call.attempt for call in calls] == [1, 2]
        assert calls[0].idempotency_key == calls[1].idempotency_key
        assert (calls[0].history, calls[0].identity.groups, calls[0].root) == (talk, ("editors",), "")

    @pytest.mark.parametrize(
        ("kind", "asks"), [("f", False), ("g", True), ("compute", False), ("http", False)]
    )
    async def test_who_asks_is_looked_up_only_where_somebody_wants_to_know(
        self, kind: str, asks: bool
    ) -> None:
        step("f")(lambda input: 1)
        step("g")(lambda input, call: 1)
        looks: list[None] = []

        async def who() -> Identity:
            looks.append(None)
            return Identity()

        options = {"compute": {"set": {"": "1"}}, "http": {"url": "http://127.0.0.1/"}}.get(kind, {})
        await executed(kind, options=options, more={"identity": who})
        assert bool(looks) is asks


class TestErrors:
    async def test_of_ours_are_the_steps(self) -> None:
        @step("f")
        def f(input: Any) -> Any:
            raise LingError("the shop at shop.internal is closed", code="shop-closed", retryable=True)

        (error,) = (await executed()).errors
        assert (error["code"], error["retryable"]) == ("shop-closed", True)
        assert "shop.internal" not in told_error(error)["message"]

    @pytest.mark.parametrize(
        "error",
        [
            ZeroDivisionError("by zero"),
            StopIteration(),
            SystemExit(1),
            KeyboardInterrupt(),
            asyncio.CancelledError(),
        ],
    )
    @pytest.mark.parametrize("site", [True, False])
    async def test_of_all_other_kinds_are_internal_and_logged(
        self, services: SiteServices, caplog: pytest.LogCaptureFixture, error: BaseException, site: bool
    ) -> None:
        @step("f")
        def f(input: Any) -> Any:
            raise error

        async with within(10):
            ended = await executed(more={"services": services} if site else {})
        assert [each["code"] for each in ended.errors] == ["internal"]
        assert "by zero" not in repr(ended.frames)
        assert "in f\n" in caplog.text and type(error).__name__ in caplog.text

    async def test_are_tried_again_where_the_step_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        tries: list[None] = []

        @step("f")
        async def f(input: Any) -> int:
            tries.append(None)
            if len(tries) < 3:
                raise ValueError("not yet")
            return len(tries)

        caplog.set_level(logging.WARNING)
        assert (await executed(retries=1)).status == "failed"
        tries.clear()
        assert (await executed(retries=2)).document == 3

    async def test_what_a_generator_may_not_say(self) -> None:
        @step("f")
        async def f(input: Any) -> AsyncIterator[Any]:
            yield 5

        (error,) = (await executed()).errors
        assert error["message"] == "expected a step to say Text, Put, Note or Spent, got int"


@pytest.mark.django_db(transaction=True)
class TestOnASite:
    async def test_a_plain_function_may_use_the_orm(self, services: SiteServices) -> None:
        @step("f")
        def f(input: Any) -> Any:
            Conversation.objects.create(title=input)
            return [row.title for row in Conversation.objects.all()]

        assert (await executed(input="Clouds", more={"services": services})).document == ["Clouds"]
        assert await Conversation.objects.acount() == 1

    async def test_an_async_one_may_not_in_the_loop(self, services: SiteServices) -> None:
        @step("f")
        async def f(input: Any) -> Any:
            return Conversation.objects.count()

        ended = await executed(more={"services": services})
        assert ended.errors[0]["code"] == "internal"

    async def test_one_that_takes_too_long_holds_its_place_and_says_nothing(
        self, services: SiteServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(services, "_threads", Lane(1, tidy=leave_no_transaction))
        gate, begun, over = threading.Event(), threading.Event(), threading.Event()

        @step("slow")
        def slow(input: Any) -> str:
            begun.set()
            gate.wait(20)
            over.set()
            return "too late"

        @step("quick")
        def quick(input: Any) -> bool:
            return over.is_set()

        async with within(10):
            ended = await executed("slow", timeout=0.1, more={"services": services})
            assert (ended.errors[0]["code"], ended.document) == ("timeout", None)
            assert begun.is_set() and not over.is_set()
            blocked = await executed("quick", timeout=0.1, more={"services": services})
            assert blocked.errors[0]["code"] == "timeout", "there is one place, and it is held"
            waiting = asyncio.create_task(executed("quick", more={"services": services}))
            gate.set()
            assert (await waiting).document is True

    async def test_a_cancel_does_not_wait_for_it(self, services: SiteServices) -> None:
        gate, begun = threading.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        @step("f")
        def f(input: Any) -> None:
            loop.call_soon_threadsafe(begun.set)
            gate.wait(20)

        run, _ = make_run(plan(), services=services)
        running = asyncio.create_task(run.execute())
        async with within(5):
            await begun.wait()
            run.cancel()
            assert (await running).status == "canceled"
        gate.set()


def _changes(input: Any, call: StepCall, times: int = 1) -> Any:
    input.append(call.attempt)
    return input * times


async def _streams(input: Any, **options: Any) -> AsyncIterator[Any]:
    yield '{"n": '
    yield Put("beside", options)
    yield f"{input}}}"


class TestContractOfAPlainFunction(StepContract):
    kind = FunctionKind("changes", _changes, None)
    input = [0]
    options = {"times": "{{ 1 + 1 }}"}
    document = [0, 1, 0, 1]


class TestContractOfAGenerator(StepContract):
    kind = FunctionKind("streams", _streams, None)
    input = 5
    options = {"any": ["{{ input }}"]}
    document = {"n": 5, "beside": {"any": [5]}}


class TestAfterACrash:
    async def test_it_is_not_called_again_unless_it_is_pure_or_has_changed(self) -> None:
        calls: list[str] = []

        def register(**given: Any) -> None:
            kinds._kinds.pop("f", None)
            step("f", **given)(lambda input: calls.append("f") or len(calls))  # type: ignore[func-returns-value]

        journal = MemoryJournal()
        register()
        assert (await executed(more={"journal": journal})).document == 1
        assert (await executed(more={"journal": journal, "epoch": 2})).document == 1
        register(version=2)
        assert (await executed(more={"journal": journal, "epoch": 3})).document == 2
        register(pure=True, version=2)
        journal = MemoryJournal()
        assert (await executed(more={"journal": journal})).document == 3
        assert (await executed(more={"journal": journal, "epoch": 2})).document == 4
        assert not journal.results
