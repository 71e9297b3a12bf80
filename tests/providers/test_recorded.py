"""Recordings: played by the engine of today, at any speed, cut anywhere, and nothing is done again."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from lingstream.core.document.ops import fold
from lingstream.core.engine.plan import BotPlan, Plan, StepPlan, TriggerPlan
from lingstream.core.exceptions import UsageError
from lingstream.core.log.frames import Frame
from lingstream.providers.recorded import Recording, played
from tests.chaos.patience import scaled
from tests.core.support import MemoryJournal, outcome

PLAN = Plan(
    "outer",
    steps=(
        BotPlan("answer", prompt="I am answer.", input="{{ input }}"),
        BotPlan("note", prompt="I am note.", root="note", format="text"),
        StepPlan("loud", "compute", root="loud", input="{{ value }}", options={"from": "value|upper"}),
    ),
    triggers=(TriggerPlan("answer", "note", pattern="text"), TriggerPlan("answer", "loud", pattern="text")),
)
ANSWERS = {"I am answer": '{"text": "No.", n: 1}', "I am note": "noted"}


async def recorded(plan: Plan = PLAN, answers: Any = ANSWERS, **times: Any) -> tuple[Recording, Any]:
    """A run as its rows would have it, and its document."""
    journal = MemoryJournal()
    calls: list[dict[str, Any]] = []

    class Kept(MemoryJournal):
        async def finish(self, call: Any, result: Any) -> None:
            await journal.finish(call, result)
            messages = call.input if call.kind == "bot" else []
            step, root, digest, occurrence = call.key
            known = {
                "step": step,
                "root": root,
                "digest": digest,
                "occurrence": occurrence,
                "kind": call.kind,
            }
            said = {
                "output": result.output,
                "finish": result.finish,
                "result": result.result,
                "error": result.error,
            }
            calls.append({**known, **said, "status": result.status, "messages": messages, **times})

    ended = await outcome(plan, answers, input="why?", journal=Kept())
    run = {"recording": 1, "plan": plan.to_json(), "input": "why?"}
    lines = [json.dumps(run), *map(json.dumps, calls)]
    return Recording.read(lines), ended.document


async def play(recording: Recording, **more: Any) -> list[Frame]:
    async with asyncio.timeout(scaled(20)), aclosing(played(recording, **more)) as batches:
        return [frame async for batch in batches for frame in batch]


def document_of(frames: list[Frame]) -> Any:
    document = frames[0].body["document"]
    for frame in frames[1:]:
        for op in frame.body if frame.kind == "ops" else ():
            document = fold(document, op)
    return document


async def test_gives_the_document_of_then() -> None:
    recording, document = await recorded()
    frames = await play(recording)
    assert document_of(frames) == document == {"text": "No.", "n": 1, "note": "noted", "loud": "NO."}
    assert frames[-1].body["status"] == "finished"


async def test_a_file_is_what_was_recorded() -> None:
    recording, document = await recorded()
    again = Recording.read(recording.lines())
    assert [*again.lines()] == [*recording.lines()]
    assert document_of(await play(again)) == document


async def test_plays_at_the_speed_that_is_asked_for() -> None:
    recording, document = await recorded(first=3.0, seconds=6.0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    frames = await play(recording, speed=60)
    took = loop.time() - began
    assert document_of(frames) == document
    assert took >= 0.15  # two answers, one behind the other's first field
    assert len([frame for frame in frames if frame.kind == "ops"]) > 3


@pytest.mark.parametrize("cut_at", [0, 5, 12, 18])
async def test_breaks_where_it_is_to_be_cut(cut_at: int) -> None:
    recording, document = await recorded()
    frames = await play(recording, cut_at=cut_at)
    assert frames[-1].body["status"] == "failed"
    assert "provider-connection" in [frame.body["code"] for frame in frames if frame.kind == "error"]
    assert document_of(frames) != document


async def test_does_nothing_that_it_has_not_recorded() -> None:
    recording, _document = await recorded()
    lacking = Recording({**recording.run, "input": "another question"}, recording.calls)
    frames = await play(lacking)
    assert [frame.body["code"] for frame in frames if frame.kind == "error"] == ["not-recorded"]
    sent = Plan("sent", steps=(StepPlan("send", "http", options={"url": "http://127.0.0.1:9/"}),))
    frames = await play(Recording({"plan": sent.to_json()}, []))
    assert [frame.body["code"] for frame in frames if frame.kind == "error"] == ["not-recorded"]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["x"],
        ["[]"],
        ['{"recording": 1}'],
        ['{"recording": 1, "plan": {"workflow": 1}}'],
        [json.dumps({"recording": 2, "plan": PLAN.to_json()})],
        [json.dumps({"recording": 1, "plan": PLAN.to_json()}), '{"step": "x"}'],
    ],
)
def test_what_is_none_is_refused(lines: list[str]) -> None:
    with pytest.raises(UsageError, match="expected a"):
        Recording.read(lines)
