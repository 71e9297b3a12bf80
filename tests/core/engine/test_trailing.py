"""A model that goes on behind its document is stopped, so that the run ends when the answer does."""

from __future__ import annotations

from typing import Any

import pytest

from lingstream.core.parsing import StreamParser
from lingstream.providers.scripted import ScriptedProvider
from tests.core.support import outcome

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


async def test_a_draft_in_reasoning_is_not_the_end() -> None:
    draft = ['Perhaps {"a": 0}? ', *["No, think again. "] * 300, "</think>", DOCUMENT]
    ended = await outcome(plan(), ScriptedProvider([draft], rate=None), input="go")
    assert (ended.status, ended.document) == ("finished", {"a": 1})


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
