"""Bots: their events and their order, what they write, how they fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import fold
from lingstream.core.engine.bot import Field
from lingstream.core.engine.kinds import Services
from lingstream.core.engine.plan import BotPlan, Limits, MessagePlan, Plan, ProviderPlan
from lingstream.core.engine.registry import workflow
from lingstream.core.engine.run import Run
from lingstream.core.exceptions import ConflictError, LingError, ProviderError, UsageError
from lingstream.core.provider import ChatOptions, Chunk, Message, Usage
from lingstream.providers.scripted import ScriptedProvider
from tests.chaos.patience import scaled
from tests.core.support import ALL, Deaf, frames_of, make_run, outcome, seen

ARTICLE = '{"title": "Clouds", "tags": ["soft", "wet"], "body": {"text": "Water."}, "score": 1, "ok": true}'


def plan(**settings: Any) -> Plan:
    """A plan of one bot that is asked the run's input."""
    limits = settings.pop("limits", Limits())
    return Plan("test", steps=(BotPlan("bot", **{"input": "{{ input }}", **settings}),), limits=limits)


class TestEvents:
    async def test_come_in_lings_order(self) -> None:
        ended = await outcome(plan(), ARTICLE, input="go")
        assert ended.events("bot#1") == [
            ("string-response", "title"),
            ("string-response", "tags/0"),
            ("string-response", "tags/1"),
            ("object-response", "tags"),
            ("string-response", "body/text"),
            ("object-response", "body"),
            ("object-response", ""),
            ("inference-done", ""),
            ("response", ""),
        ]
        assert ended.events() == [("started", None)]
        assert ended.status == "finished"

    async def test_name_the_bot_and_carry_no_value(self) -> None:
        ended = await outcome(plan(root="article"), '{"title": "Clouds"}', input="go")
        assert next(frame.body for frame in ended.frames if "uri" in frame.body) == {
            "event": "string-response",
            "bot": "bot#1",
            "step": "bot",
            "root": "article",
            "uri": "article/title",
        }

    @pytest.mark.parametrize("chunk", [(1, 1), (2, 5), (1000, 1000)])
    async def test_follow_the_ops_that_they_speak_of(self, chunk: tuple[int, int]) -> None:
        provider = ScriptedProvider(ARTICLE, rate=None, chunk=chunk)
        ended = await outcome(plan(), provider, input="go")
        document: Any = None
        for frame in ended.frames:
            if frame.kind == "ops":
                for op in frame.body:
                    document = fold(document, op)
            elif frame.kind == "event" and frame.body["event"].endswith("-response"):
                found = jsonuri.get(document, frame.body["uri"])
                assert found == jsonuri.get(ended.document, frame.body["uri"])

    async def test_tell_why_a_model_stopped_early(self) -> None:
        ended = await outcome(plan(), [['{"a": "x', Chunk(finish="length")]], input="go")
        bodies = [frame.body for frame in ended.frames if frame.kind == "event"]
        done = next(body for body in bodies if body["event"] == "inference-done")
        assert done["data"] == {"finish": "length"}
        assert ended.document == {"a": "x"}

    async def test_reasoning_and_preamble_are_beside_the_document(self) -> None:
        answer = [
            Chunk(reasoning="Hm, "),
            Chunk(reasoning="clouds."),
            "<think>Really?</think>",
            'Sure: {"a": "b"}',
        ]
        ended = await outcome(plan(show_reasoning=True), [answer], input="go")
        assert ended.document == {"a": "b"}
        assert ended.texts("reasoning", "bot#1") == "Hm, clouds.Really?"
        assert ended.texts("preamble", "bot#1").strip() == "Sure:"
        assert "reasoning" not in dict(ended.events())

    async def test_reasoning_is_kept_from_viewers_unless_it_shall_be_shown(self) -> None:
        answer = [Chunk(reasoning="Hm, "), "<think>Really?</think>", 'Sure: {"a": "b"}']
        ended = await outcome(plan(), [answer], input="go")
        assert ended.document == {"a": "b"}
        assert ended.texts("reasoning", "bot#1") == ""
        assert ended.texts("preamble", "bot#1").strip() == "Sure:"
        assert not any("Hm" in repr(frame) or "Really" in repr(frame) for frame in ended.frames)


class TestWhatIsWritten:
    async def test_text_goes_to_the_root_as_it_is(self) -> None:
        ended = await outcome(plan(root="answer", format="text"), '{"not": "parsed"}', input="go")
        assert ended.document == {"answer": '{"not": "parsed"}'}
        assert ended.events("bot#1") == [
            ("string-response", "answer"),
            ("inference-done", "answer"),
            ("response", "answer"),
        ]

    async def test_a_quiet_bot_writes_nothing(self) -> None:
        ended = await outcome(plan(quiet=True, root="x/y"), ARTICLE, input="go")
        assert ended.document is None
        assert ended.events("bot#1") == []
        assert ended.run.steps[0].value["title"] == "Clouds"
        assert ended.status == "finished"

    async def test_but_says_that_it_failed(self) -> None:
        ended = await outcome(plan(quiet=True), [[ProviderError("gone", code="gone")]], input="go")
        assert [(error["code"], error["bot"]) for error in ended.errors] == [("gone", "bot#1")]
        assert ended.status == "failed"

    async def test_only_some_fields(self) -> None:
        ended = await outcome(plan(root="r", only=("body/*", "score")), ARTICLE, input="go")
        assert ended.document == {"r": {"body": {"text": "Water."}, "score": 1}}
        assert ended.events("bot#1") == [
            ("string-response", "r/body/text"),
            ("object-response", "r/body"),
            ("object-response", "r"),
            ("inference-done", "r"),
            ("response", "r"),
        ]
        assert ended.run.steps[0].value["title"] == "Clouds"

    async def test_all_but_some_fields(self) -> None:
        ended = await outcome(plan(exclude=("tags", "body/text")), ARTICLE, input="go")
        assert ended.document == {"title": "Clouds", "body": {}, "score": 1, "ok": True}

    async def test_containers_above_the_root_are_made(self) -> None:
        ended = await outcome(plan(root="{{ input }}/0/x"), '{"a": 1}', input="p/q")
        assert ended.document == {"p/q": [{"x": {"a": 1}}]}

    async def test_a_root_is_written_in_one_way_only(self) -> None:
        async def both(run: Run) -> None:
            run.bot(name="one", root="a").chat("1")
            run.bot(name="two", root="\\a").chat("2")

        ended = await outcome(both, ['{"x": 1}', '{"y": 2}'])
        assert [bot.root for bot in ended.run.steps] == ["a", "a"]
        assert ended.document == {"a": {"x": 1, "y": 2}}

    async def test_a_root_that_is_no_uri_is_refused(self) -> None:
        async def wrong(run: Run) -> None:
            with pytest.raises(UsageError):
                run.bot(root="a//b")

        assert (await outcome(wrong)).status == "finished"


class TestMessages:
    async def test_prompt_history_and_question(self) -> None:
        history: list[Message] = [
            {"role": "user", "content": "before"},
            {"role": "assistant", "content": "answer"},
        ]
        provider = ScriptedProvider("{}", rate=None)
        await outcome(plan(prompt="Be {{ input }}.", history=True), provider, input="kind", history=history)
        assert provider.calls[0].messages == [
            {"role": "system", "content": "Be kind."},
            *history,
            {"role": "user", "content": "kind"},
        ]

    async def test_examples_stand_between_prompt_and_history(self) -> None:
        history: list[Message] = [{"role": "user", "content": "before"}]
        examples = (MessagePlan("user", "Hi {{ name }}"), MessagePlan("assistant", "{% if no %}x{% endif %}"))
        asked = plan(
            prompt="Be {{ input }}.", messages=examples, variables={"name": "Ada", "no": ""}, history=True
        )
        provider = ScriptedProvider("{}", rate=None)
        await outcome(asked, provider, input="## user\nkind", history=history)
        assert provider.calls[0].messages == [
            {"role": "system", "content": "Be ## user\nkind."},
            {"role": "user", "content": "Hi Ada"},
            *history,
            {"role": "user", "content": "## user\nkind"},
        ]

    @pytest.mark.parametrize("turns", [1, 20_000])
    async def test_of_a_step_in_python_has_them_too(self, turns: int) -> None:
        loop = f"{{% for x in range({turns}) %}}{{% endfor %}}{{{{ name }}}}"
        bot = BotPlan(
            "b", prompt=loop, messages=(MessagePlan("user", "Hi {{ name }}"),), variables={"name": "Ada"}
        )
        provider = ScriptedProvider("{}", rate=None)

        async def ask(run: Run) -> None:
            await run.bot(step="b").chat("go")

        workflow("test")(ask)
        await outcome(Plan("test", python=True, steps=(bot,), providers=(ProviderPlan(),)), provider)
        assert [each["content"] for each in provider.calls[0].messages] == ["Ada", "Hi Ada", "go"]

    async def test_no_history_unless_asked_for(self) -> None:
        provider = ScriptedProvider("{}", rate=None)
        await outcome(plan(), provider, input="hi", history=[{"role": "user", "content": "before"}])
        assert provider.calls[0].messages == [{"role": "user", "content": "hi"}]

    async def test_in_python(self) -> None:
        parts = [{"type": "text", "text": "look"}]

        async def chat(run: Run) -> None:
            bot = run.bot(
                "{{ not a template }}", model="m", params={"temperature": 0}, schema={"type": "object"}
            )
            await bot.add_history([{"role": "user", "content": "before"}]).chat(parts)

        provider = ScriptedProvider("{}", rate=None)
        await outcome(chat, provider)
        call = provider.calls[0]
        assert call.messages == [
            {"role": "system", "content": "{{ not a template }}"},
            {"role": "user", "content": "before"},
            {"role": "user", "content": parts},
        ]
        assert (call.options.model, call.options.params) == ("m", {"temperature": 0})
        assert call.options.response_format == {
            "type": "json_schema",
            "json_schema": {"name": "bot", "schema": {"type": "object"}},
        }

    async def test_variables_make_the_prompt_a_template(self) -> None:
        async def chat(run: Run) -> None:
            await run.bot("Say {{ word }} to {{ input }}", variables={"word": "hi"}).chat()

        provider = ScriptedProvider("{}", rate=None)
        await outcome(chat, provider, input="all")
        assert provider.calls[0].messages == [{"role": "system", "content": "Say hi to all"}]


class TestUsage:
    async def test_is_what_the_provider_says(self) -> None:
        ended = await outcome(plan(), [["{}", Chunk(usage=Usage(12, 34))]], input="go")
        assert ended.done["usage"] == {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}

    async def test_is_guessed_where_it_says_nothing(self) -> None:
        provider = ScriptedProvider(
            [[Chunk(reasoning="h" * 8), '"' + "x" * 10 + '"']], rate=None, usage=False
        )
        ended = await outcome(plan(), provider, input="q" * 40)
        assert ended.result.usage == Usage(10, 5, estimated=True)
        assert ended.done["usage"]["estimated"] is True

    async def test_is_nothing_where_no_model_answered(self) -> None:
        ended = await outcome(plan(), [[ProviderError("no key", code="auth")]], input="q" * 40)
        assert ended.result.usage == Usage()

    async def test_is_summed_over_the_bots(self) -> None:
        async def two(run: Run) -> None:
            await asyncio.gather(run.bot(root="a").chat("1"), run.bot(root="b").chat("2"))

        answers = [["{}", Chunk(usage=Usage(1, 2))], ["{}", Chunk(usage=Usage(10, 20))]]
        assert (await outcome(two, answers)).result.usage == Usage(11, 22)


class TestFailures:
    async def test_of_the_provider_in_mid_stream(self) -> None:
        answer = ['{"a": "half', ProviderError("connection lost", code="network", retryable=True)]
        ended = await outcome(plan(), [answer], input="go")
        assert ended.status == "failed"
        assert ended.document == {"a": "half"}
        assert ended.errors == [
            {"code": "network", "message": "connection lost", "retryable": True, "bot": "bot#1"}
        ]
        assert ended.result.errors == tuple(ended.errors)
        assert ended.events("bot#1") == []

    async def test_past_a_bound_of_the_parser(self) -> None:
        """What came before the bound in the same piece is kept."""
        ended = await outcome(plan(), [['{"a": "x”', ', "b": 1, "c": ' + "[" * 600]], input="go")
        assert ended.status == "failed"
        assert "containers inside each other" in ended.errors[0]["message"]
        assert (ended.document["a"], ended.document["b"]) == ("x", 1)

    async def test_of_an_optional_bot(self) -> None:
        ended = await outcome(plan(optional=True), [[ProviderError("gone")]], input="go")
        assert ended.status == "finished"
        assert len(ended.errors) == 1

    async def test_nobody_foresaw(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.ERROR, "lingstream"):
            ended = await outcome(plan(), [[RuntimeError("secret detail")]], input="go")
        assert ended.errors[0]["code"] == "internal"
        assert "secret" not in str(ended.errors)
        assert "secret detail" in caplog.text

    async def test_of_a_provider_that_cannot_be_built(self) -> None:
        def providers(_: ProviderPlan) -> Any:
            raise UsageError("no such key", code="key-missing")

        run, log = make_run(plan(), input="go")
        run.services = Services(providers)
        (error,) = (await run.execute()).errors
        assert error == {"code": "key-missing", "message": "no such key", "retryable": False, "bot": "bot#1"}
        assert log.ended

    async def test_two_bots_writing_one_field(self) -> None:
        gate = asyncio.Event()

        async def two(run: Run) -> None:
            first = run.bot(name="first").chat("1")
            async for _ in first.fields("title"):
                break
            second = run.bot(name="second").chat("2")
            with pytest.raises(ConflictError, match="second#1 and first#1 write 'body' at the same time"):
                await second
            gate.set()

        first = ['{"title": "a", "body": "mi', gate, 'ne"}']
        ended = await outcome(two, [first, '{"other": "kept", "body": "no", "more": 1}'])
        assert ended.document == {"title": "a", "body": "mine", "other": "kept"}
        assert (ended.status_of("first#1"), ended.status_of("second#1")) == ("finished", "failed")
        assert ended.status == "failed"
        assert ended.errors[0]["code"] == "conflict"

    async def test_one_bot_after_the_other_replaces(self) -> None:
        async def two(run: Run) -> None:
            await run.bot(name="first").chat("1")
            await run.bot(name="second").chat("2")

        ended = await outcome(two, ['{"answer": "old", "kept": 1}', '{"answer": "new"}'])
        assert ended.document == {"answer": "new", "kept": 1}

    async def test_of_another_type_at_its_root(self) -> None:
        async def two(run: Run) -> None:
            await run.bot(name="first").chat("1")
            await run.bot(name="second").chat("2")

        ended = await outcome(two, ['{"answer": "old"}', "[1]"])
        assert ended.document == {"answer": "old"}
        assert ended.errors[0]["code"] == "conflict"


class TestAwaiting:
    async def test_returns_what_the_bot_wrote(self) -> None:
        found: list[Any] = []

        async def ask(run: Run) -> None:
            bot = run.bot().chat("go")
            found.append(await bot)
            found.append(await bot.result())
            found.append(bot.text)

        await outcome(ask, ARTICLE)
        assert found[0] == found[1]
        assert found[0]["body"] == {"text": "Water."}
        assert found[2] == ARTICLE

    async def test_raises_how_it_failed(self) -> None:
        caught: list[LingError] = []

        async def ask(run: Run) -> None:
            bot = run.bot(optional=True).chat("go")
            for waiting in (bot.result(), anext(bot.fields("nothing"))):
                try:
                    await waiting
                except ProviderError as error:
                    caught.append(error)

        ended = await outcome(ask, [[ProviderError("gone")]])
        assert len(caught) == 2
        assert ended.status == "finished"

    async def test_a_bot_that_was_never_started_is_a_mistake(self) -> None:
        async def ask(run: Run) -> None:
            bot = run.bot()
            with pytest.raises(UsageError, match="chat"):
                await bot
            with pytest.raises(UsageError, match="chat"):
                await anext(bot.fields())

        assert (await outcome(ask)).status == "finished"

    async def test_one_bot_has_one_chat(self) -> None:
        async def ask(run: Run) -> None:
            bot = run.bot().chat("1")
            with pytest.raises(UsageError, match="running"):
                bot.chat("2")
            await bot
            with pytest.raises(UsageError, match="finished"):
                bot.chat("3")

        assert (await outcome(ask, "{}")).status == "finished"


class TestFields:
    async def test_come_while_the_model_talks(self) -> None:
        gate = asyncio.Event()
        found: list[Field] = []

        async def ask(run: Run) -> None:
            async for field in run.bot(root="r").chat("go").fields("r/outline/*/topic"):
                found.append(field)
                gate.set()  # the model waits until the first topic has been seen

        answer = ['{"outline": [{"topic": "a"}, {"to', gate, 'pic": "b"}, {"other": 1}]}']
        await outcome(ask, [answer])
        assert found == [Field("r/outline/0/topic", "a", ("0",)), Field("r/outline/1/topic", "b", ("1",))]

    async def test_begin_with_the_first_however_late_one_asks(self) -> None:
        found: list[Any] = []

        async def ask(run: Run) -> None:
            bot = run.bot().chat("go")
            await bot
            found.extend([field.value async for field in bot.fields("*")])

        await outcome(ask, '{"n": 1, "t": true, "x": null, "s": "", "o": {}}')
        assert found == [1, True, None, "", {}]

    async def test_reach_everybody_who_waits(self) -> None:
        gate = asyncio.Event()
        found: list[Any] = []

        async def ask(run: Run) -> None:
            bot = run.bot().chat("go")

            async def watch(slow: bool) -> None:
                async for field in bot.fields("*"):
                    found.append(field.value)
                    if slow:
                        gate.set()
                        await asyncio.sleep(0)

            await asyncio.gather(watch(True), watch(False), watch(True))

        await outcome(ask, [['{"a": "x", "b": ', gate, '"y"}']])
        assert sorted(found) == ["x"] * 3 + ["y"] * 3


class TestCallbacks:
    async def test_are_called_at_their_event(self) -> None:
        found: list[tuple[str, str]] = []

        async def ask(run: Run) -> None:
            bot = run.bot(root="r")
            for event in ("string-response", "object-response", "inference-done", "response"):
                bot.on(event, lambda field, event=event: found.append((event, field.uri)))
            bot.chat("go")

        await outcome(ask, '{"a": "x", "n": 1}')
        assert found == [
            ("string-response", "r/a"),
            ("object-response", "r"),
            ("inference-done", "r"),
            ("response", "r"),
        ]

    async def test_may_be_coroutines_that_run_beside_the_bot(self) -> None:
        gate = asyncio.Event()

        async def ask(run: Run) -> None:
            async def translate(field: Field) -> None:
                gate.set()
                await run.bot(root="translation").chat(f"translate {field.value}")

            run.bot().on("string-response", translate).chat("go")

        ended = await outcome(ask, [['{"a": "x", "n": ', gate, "1}"], '{"a": "y"}'])
        assert ended.document == {"a": "x", "n": 1, "translation": {"a": "y"}}

    async def test_know_of_failures(self) -> None:
        found: list[Any] = []

        async def ask(run: Run) -> None:
            run.bot(root="r").on("error", found.append).chat("go")

        await outcome(ask, [[ProviderError("gone")]])
        assert found == [Field("r", "gone")]

    async def test_an_unknown_event_is_a_mistake(self) -> None:
        async def ask(run: Run) -> None:
            with pytest.raises(UsageError, match="expected one of the events string-response"):
                run.bot().on("strings", print)

        await outcome(ask)

    @pytest.mark.parametrize("event", ["string-response", "response"])
    @pytest.mark.parametrize("asynchronous", [False, True])
    async def test_that_break_end_the_run_as_the_workflow_would(
        self, event: str, asynchronous: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(field: Field) -> None:
            raise KeyError("secret detail")

        async def broken_later(field: Field) -> None:
            broken(field)

        async def ask(run: Run) -> None:
            run.bot().on(event, broken_later if asynchronous else broken).chat("go")

        ended = await outcome(ask, '{"a": "x"}')
        assert ended.status == "failed"
        assert [error["code"] for error in ended.errors] == ["internal"]
        assert "bot" not in ended.errors[0]
        assert "secret detail" in caplog.text

    async def test_that_wait_for_a_bot_which_fails_do_not_hurt_its_siblings(self) -> None:
        gate = asyncio.Event()

        async def ask(run: Run) -> None:
            async def follow(field: Field) -> None:
                try:
                    await run.bot(name="bad", root="bad").chat("bad")
                finally:
                    gate.set()

            run.bot(name="good").on("string-response", follow).chat("good")

        answers = {"bad": [ProviderError("gone")], "good": ['{"a": "x", "b": ', gate, "2}"]}
        ended = await outcome(ask, answers)
        assert ended.document == {"a": "x", "b": 2}
        assert ended.status_of("good#1") == "finished"
        assert [error["code"] for error in ended.errors] == ["provider"]


class Clumsy:
    """A provider whose SDK turns a cancel into an error of its own."""

    async def stream(self, messages: Sequence[Message], options: ChatOptions) -> AsyncIterator[Chunk]:
        yield Chunk('{"a": "half')
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ProviderError("the request was aborted") from None

    async def aclose(self) -> None: ...


class Deafened:
    """A provider whose SDK loses cancels and goes on."""

    def __init__(self, deaf: Deaf) -> None:
        self._deaf = deaf

    async def stream(self, messages: Sequence[Message], options: ChatOptions) -> AsyncIterator[Chunk]:
        yield Chunk('{"a": "half')
        yield Chunk(await self._deaf.work())

    async def aclose(self) -> None: ...


class TestCancel:
    async def test_keeps_what_came_and_closes_the_stream(self) -> None:
        provider = ScriptedProvider([['{"a": "half', asyncio.Event()]], rate=None, usage=False)
        run, log = make_run(plan(), provider, input="q" * 8)
        task = asyncio.create_task(run.execute())
        await seen(log, lambda document: document == {"a": "half"})
        run.cancel()
        result = await task
        assert provider.calls[0].closed_early
        assert (result.status, result.document) == ("canceled", {"a": "half"})
        assert result.usage == Usage(2, 3, estimated=True)
        assert frames_of(log)[-1].body["status"] == "canceled"
        assert run.steps[0].status == "canceled"

    async def test_also_where_the_sdk_makes_an_error_of_it(self) -> None:
        run, log = make_run(plan(), Clumsy(), input="go")
        task = asyncio.create_task(run.execute())
        await seen(log, lambda document: document == {"a": "half"})
        run.cancel()
        assert (await task).status == "canceled"
        assert run.steps[0].status == "canceled"
        assert not [frame for frame in frames_of(log) if frame.kind == "error"]

    @pytest.mark.parametrize("cancels", [1, ALL])
    async def test_also_where_the_sdk_loses_it(self, cancels: int) -> None:
        deaf = Deaf(cancels)
        run, log = make_run(plan(), Deafened(deaf), input="go")
        task = asyncio.create_task(run.execute())
        await seen(log, lambda document: document == {"a": "half"})
        await deaf.waits.wait()
        run.cancel()
        async with asyncio.timeout(scaled(20)):
            assert (await task).status == "canceled"
        deaf.released.set()
        await asyncio.sleep(0)
        assert run.steps[0].value == {"a": "half"}


async def test_what_the_parser_withheld_is_kept_when_a_bot_is_cut_off() -> None:
    ended = await outcome(plan(), [['{"a": "text <thi', ProviderError("gone")]], input="go")
    assert ended.document == {"a": "text <thi"}
