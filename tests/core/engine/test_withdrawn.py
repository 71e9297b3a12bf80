"""What a field started is withdrawn when the model takes the field back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lingstream.core.engine.plan import JOINED, Plan, StepPlan, TriggerPlan
from lingstream.providers.scripted import ScriptedProvider
from tests.core.engine.test_workflow import LARGE, OUTLINE, SLOW, asked, bot, plan
from tests.core.support import MemoryJournal, Outcome, make_run, outcome, seen

WHOLE = (100_000, 100_000)
TWICE = '{"outline": [{"topic": "old", "topic": "new"}]}'
DRAFT = 'Maybe {"outline": [{"topic": "old"}]}. No:</think>'
ANSWERS = {"old": ["about ", "old"], "new": ["about ", "new"]}
BESIDE = plan(
    bot("outline"),
    bot("details", format="text"),
    triggers=(TriggerPlan("outline", "details", pattern="outline/*/topic", root="beside"),),
)


def statuses(ended: Outcome) -> dict[str, str]:
    return {step.id: step.status for step in ended.run.steps}


async def ran(flow: Plan, said: Any, *, chunk: tuple[int, int] = (1, 3), **more: Any) -> Outcome:
    answers = {"I am outline": said, **ANSWERS}
    return await outcome(flow, ScriptedProvider(answers, rate=None, chunk=chunk), **more)


@pytest.mark.parametrize("chunk", [(1, 3), WHOLE], ids=["in pieces", "at once"])
@pytest.mark.parametrize(
    ("said", "document"),
    [
        (TWICE, {"outline": [{"topic": "new", "details": "about new"}]}),
        (
            '{"outline": [{"topic": "old"}], "outline": [{"topic": "new"}]}',
            {"outline": [{"topic": "new", "details": "about new"}]},
        ),
        (
            DRAFT + '{"outline": [{"topic": "new"}]}',
            {"outline": [{"topic": "new", "details": "about new"}]},
        ),
        (DRAFT + '{"outline": []}', {"outline": []}),
        (DRAFT + '{"other": 1}', {"other": 1}),
    ],
)
async def test_what_was_said_last_counts(said: str, document: Any, chunk: Any) -> None:
    ended = await ran(OUTLINE, said, chunk=chunk, input="x")
    assert (ended.status, ended.document, ended.errors) == ("finished", document, [])


async def test_it_is_stopped_at_once_and_others_write_where_it_was_writing() -> None:
    never, more = asyncio.Event(), asyncio.Event()
    answers = {
        "I am outline": ['{"outline": [{"topic": "old", "x": ', more, '1, "topic": "new"}]}'],
        "old": ["about old", never],
        "new": "about new",
    }
    run, log = make_run(BESIDE, ScriptedProvider(answers, rate=None))
    task = asyncio.create_task(run.execute())
    await seen(log, lambda doc: doc and doc.get("beside") == "about old")
    more.set()
    ended = Outcome(run, log, await task)
    assert (ended.status, ended.document["beside"]) == ("finished", "about new")


async def test_what_has_ended_stays_and_what_it_led_to_goes_too() -> None:
    never, more = asyncio.Event(), asyncio.Event()
    flow = plan(
        bot("outline"),
        bot("details", format="text"),
        bot("last", format="text", input="last {{ value }}"),
        triggers=(
            *BESIDE.triggers,
            TriggerPlan("details", "last", event="response", root="last"),
        ),
    )
    answers = {
        "I am outline": ['{"outline": [{"topic": "old", "x": ', more, '1, "topic": "new"}]}'],
        "last about old": ["old", never],
        "last about new": "new",
        **ANSWERS,
    }
    run, log = make_run(flow, ScriptedProvider(answers, rate=None))
    task = asyncio.create_task(run.execute())
    await seen(log, lambda doc: doc and doc.get("last") == "old")
    more.set()
    ended = Outcome(run, log, await task)
    assert (ended.document["beside"], ended.document["last"]) == ("about new", "new")
    assert statuses(ended) == {
        "outline#1": "finished",
        "details#1": "finished",
        "last#1": "canceled",
        "details#2": "finished",
        "last#2": "finished",
    }


async def test_other_fields_of_the_same_step_are_left_alone() -> None:
    said = (
        '{"outline": [{"topic": "one"}, {"topic": "old", "topic": "new"}, {"topic": "three"}], "outline2": 1}'
    )
    ended = await ran(OUTLINE, said, input="x")
    assert list(statuses(ended).values()).count("canceled") == 1
    assert [each["topic"] for each in ended.document["outline"] if "details" in each] == [
        "one",
        "new",
        "three",
    ]


async def test_it_is_not_waited_for_nor_counted_where_all_join() -> None:
    flow = plan(
        bot("outline"),
        bot("details", format="text"),
        StepPlan("all", "compute", root="all", options={"set": {"": "value"}}),  # type: ignore[arg-type]
        triggers=(*BESIDE.triggers, TriggerPlan("outline", "all", event=JOINED)),
    )
    ended = await ran(flow, TWICE)
    assert ended.document["all"] == [{"step": "details", "root": "beside", "status": "finished"}]


async def test_nor_does_it_begin_where_its_texts_take_long() -> None:
    flow = plan(
        bot("outline"),
        bot("details", format="text"),
        triggers=(
            TriggerPlan(
                "outline",
                "details",
                pattern="outline/*/topic",
                root="beside",
                condition=f"{SLOW[2:-2]} > 0",
            ),
        ),
    )
    provider = ScriptedProvider({"I am outline": TWICE, **ANSWERS}, rate=None, chunk=WHOLE)
    ended = await outcome(flow, provider, input=LARGE)
    assert (ended.status, ended.document["beside"]) == ("finished", "about new")
    assert asked(provider)[1:] == ["new"]


async def test_the_same_comes_of_it_when_the_run_is_executed_again() -> None:
    journal = MemoryJournal()
    first = await ran(BESIDE, TWICE, journal=journal)
    again = ScriptedProvider({}, rate=None)
    second = await outcome(BESIDE, again, journal=journal, epoch=2)
    assert (second.status, second.document) == (first.status, first.document)
    assert not again.calls
