"""A model that goes on behind its document is stopped, so that the run ends when the answer does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from lingstream.core.engine.plan import Limits
from lingstream.core.parsing import StreamParser
from lingstream.core.provider import ChatOptions, Chunk, Message
from lingstream.providers.scripted import Piece, ScriptedProvider
from tests.chaos.patience import scaled
from tests.core.support import MemoryJournal, outcome

from .test_bot import plan

DOCUMENT = '{"a": 1}'


def endless(text: str, before: str = DOCUMENT) -> list[str]:
    return [before, *[text] * 100_000]


@pytest.mark.parametrize("text", [" \n", "So that is it. ", " {}"])
async def test_the_stream_is_closed_when_more_than_a_little_has_come(text: str) -> None:
    provider = ScriptedProvider([endless(text)], rate=None)
    ended = await outcome(plan(), provider, input="go")
    assert (ended.status, ended.document) == ("finished", {"a": 1})
    assert provider.calls[0].closed_early


@pytest.mark.parametrize(
    ("options", "characters"),
    [({}, 1_000), ({"trailing_characters": 50}, 50), ({"reasoning": "none"}, 1_000)],
)
async def test_a_little_more_is_waited_for(options: dict[str, Any], characters: int) -> None:
    short = ScriptedProvider([[DOCUMENT, *"x" * characters]], rate=None)
    long = ScriptedProvider([[DOCUMENT, *"x" * (characters + 1), "y"]], rate=None)
    for provider, early in ((short, False), (long, True)):
        await outcome(plan(options=options), provider, input="go")
        assert provider.calls[0].closed_early is early


async def test_the_time_is_bounded_too() -> None:
    slow = ScriptedProvider([[DOCUMENT, *"." * 900]], rate=1_000)
    ended = await outcome(plan(options={"trailing_seconds": 0.05}), slow, input="go")
    assert ended.status == "finished"
    assert slow.calls[0].closed_early


async def thinks_on() -> AsyncIterator[Piece]:
    yield DOCUMENT
    while True:
        yield Chunk(reasoning="hm")


@pytest.mark.parametrize(
    "answer",
    [
        lambda: [DOCUMENT, asyncio.Event()],
        lambda: ['{"a": ', "1}\n", asyncio.Event()],
        thinks_on,
        lambda: ["[1]", ", 2]", asyncio.Event()],
    ],
    ids=["silent", "after the next line", "only reasoning", "closed twice"],
)
@pytest.mark.parametrize("schema", [None, {"type": ["object", "array"]}])
async def test_the_time_is_bounded_where_no_text_comes(
    answer: Callable[[], Any], schema: dict[str, Any] | None
) -> None:
    silent = ScriptedProvider([answer()], rate=None)
    journal = MemoryJournal()
    options = {"trailing_seconds": 0.05}
    ended = await outcome(plan(options=options, schema=schema), silent, input="go", journal=journal)
    assert ended.status == "finished"
    assert ended.document in ({"a": 1}, [1, 2])
    assert silent.calls[0].closed_early
    (result,) = journal.results.values()
    assert [repair["kind"] for repair in result.repairs][-1] == "trailing"
    assert ended.events("bot#1")[-2:] == [("inference-done", ""), ("response", "")]


class ClosesLate:
    """A model whose stream takes longer to close than the time behind its document."""

    async def stream(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Chunk, None]:
        try:
            yield Chunk(DOCUMENT)
            yield Chunk(" " * 100)
        finally:
            closed = asyncio.Event()
            asyncio.get_running_loop().call_later(0.1, closed.set)
            await closed.wait()


@pytest.mark.parametrize("settings", [{"options": {"trailing_seconds": 0.02}}, {"timeout": 0.02}])
async def test_an_error_behind_the_document_is_not_lost_while_the_stream_closes(
    settings: dict[str, Any],
) -> None:
    ended = await outcome(plan(limits=Limits(characters=100), **settings), ClosesLate(), input="go")
    assert (ended.status, [error["code"] for error in ended.errors]) == ("failed", ["limit"])


async def test_a_document_is_there_though_the_steps_time_is_over_while_the_stream_closes() -> None:
    settings = {"options": {"trailing_characters": 50}, "timeout": 0.02}
    ended = await outcome(plan(**settings), ClosesLate(), input="go")
    assert (ended.status, ended.document) == ("finished", {"a": 1})


async def test_a_document_that_goes_on_has_its_time() -> None:
    seconds, late = scaled(0.4), asyncio.Event()
    asyncio.get_running_loop().call_later(1.5 * seconds, late.set)
    provider = ScriptedProvider([['{"a": 1}', ', "b": "x", "c": ', late, "3}"]], rate=None)
    ended = await outcome(plan(options={"trailing_seconds": seconds}), provider, input="go")
    assert ended.document == {"a": 1, "b": "x", "c": 3}
    assert not provider.calls[0].closed_early


async def test_a_draft_in_reasoning_is_not_the_end() -> None:
    draft = ['Perhaps {"a": 0}? ', *["No, think again. "] * 300, "</think>", DOCUMENT]
    ended = await outcome(plan(), ScriptedProvider([draft], rate=None), input="go")
    assert (ended.status, ended.document) == ("finished", {"a": 1})


@pytest.mark.parametrize(
    ("options", "more"),
    [({"trailing_characters": 2}, ["x" * 99, "y", "z"]), ({"trailing_seconds": 0.002}, [asyncio.Event()])],
    ids=["characters", "seconds"],
)
async def test_what_may_be_a_draft_is_bounded_fifty_times_as_far(
    options: dict[str, Any], more: list[Piece]
) -> None:
    provider = ScriptedProvider([["Perhaps ", DOCUMENT, *more]], rate=None)
    clock = asyncio.get_running_loop().time
    began = clock()
    ended = await outcome(plan(options=options), provider, input="go")
    assert (ended.status, ended.document) == ("finished", {"a": 1})
    assert provider.calls[0].closed_early
    assert clock() - began >= 50 * options.get("trailing_seconds", 0)


async def test_a_draft_may_be_fifty_times_as_long() -> None:
    provider = ScriptedProvider([["Perhaps ", DOCUMENT, "x" * 100]], rate=None)
    await outcome(plan(options={"trailing_characters": 2}), provider, input="go")
    assert not provider.calls[0].closed_early


def test_what_is_not_read_is_listed_as_trailing() -> None:
    parser = StreamParser()
    parser.feed(DOCUMENT + "\n" * 40)
    assert (parser.behind, parser.repairs) == (40, [])
    parser.stop()
    assert [repair.kind for repair in parser.repairs] == ["trailing"]


async def test_text_has_no_end() -> None:
    provider = ScriptedProvider([endless("x", DOCUMENT)[:5_000]], rate=None)
    await outcome(plan(format="text"), provider, input="go")
    assert not provider.calls[0].closed_early


async def test_marks_of_reasoning_can_be_switched_off() -> None:
    text = ["[THINK]a[/THINK]<think>b</think>c"]
    whole = await outcome(plan(format="text"), [text], input="go")
    some = await outcome(plan(format="text", options={"reasoning": "[THINK]"}), [text], input="go")
    none = await outcome(plan(format="text", options={"reasoning": "none"}), [text], input="go")
    assert (whole.document, some.document) == ("c", "<think>b</think>c")
    assert none.document == text[0]
