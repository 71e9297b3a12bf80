"""Socket messages: none too long, and together the same as the frame.

The vectors are in ``tests/cases/protocol.json``.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.document.ops import Append, Set
from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.log.state import RunState, empty_snapshot
from lingstream.core.wire.frames import frame_from_wire
from lingstream.core.wire.socket import LONGEST, SocketMessages
from tests.core.log.test_frames import frame_sequences
from tests.core.support import documents

RUN = "0b2f6f4e-6c0c-4a1c-9b1f-0d3a5e7c9a11"
TEXTS = {
    "plain": "x" * 3_000_000,
    "three bytes a character": "云" * 1_000_000,
    "four": "😀" * 500_000,
    "escaped": '\x00\n"\\' * 300_000,
    "half a character": "😀" * 200_000 + "\ud83d",
}


def messages_of(frames: list[Frame], longest: int = LONGEST) -> list[str]:
    encoder = SocketMessages(RUN, longest=longest)
    return [text for frame in frames for text in encoder.encode(frame)]


def folded(texts: list[str]) -> dict[str, Any]:
    state: RunState | None = None
    for frame in (frame_from_wire(json.loads(text)) for text in texts):
        if frame.kind == "snapshot":
            state = RunState(frame.body)
        elif state:
            state.apply(frame.kind, frame.body)
    assert state
    return state.snapshot()


@settings(deadline=None, max_examples=60)
@given(frame_sequences, st.integers(700, 2_000))
def test_the_fold_does_not_depend_on_the_longest_message(frames: list[Frame], longest: int) -> None:
    frames = [Frame(FrameId(1, 0), "snapshot", empty_snapshot()), *frames]
    whole, parts = messages_of(frames, 10**9), messages_of(frames, longest)
    assert folded(parts) == folded(whole)
    assert all(len(text.encode()) <= longest for text in parts)
    places = [frame_from_wire(json.loads(text)).id for text in parts]
    assert all(one < next_one for one, next_one in itertools.pairwise(places))
    assert {place for place in places if not place.part} == {frame.id for frame in frames}


@settings(deadline=None, max_examples=60)
@given(documents, st.integers(700, 2_000))
def test_every_document_can_be_a_snapshot(document: Any, longest: int) -> None:
    frame = Frame(FrameId(1, 9), "snapshot", {**empty_snapshot(), "document": document})
    texts = messages_of([frame], longest)
    assert folded(texts)["document"] == document
    assert all(len(text.encode()) <= longest for text in texts)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("kind", ["snapshot", "append", "set", "reasoning"])
def test_long_texts(text: str, kind: str) -> None:
    start = Frame(FrameId(1, 1), "snapshot", {**empty_snapshot(), "document": {}})
    body: Any = {
        "snapshot": {**empty_snapshot(), "document": {"a": text}},
        "append": [Append("a", text)],
        "set": [Set("a", text)],
        "reasoning": {"event": "reasoning", "bot": "b#1", "step": "b", "root": "", "data": text},
    }[kind]
    of_kind: Any = {"append": "ops", "set": "ops", "reasoning": "event"}.get(kind, kind)
    texts = messages_of([start, Frame(FrameId(1, 2), of_kind, body)])
    state = folded(texts)
    assert (state["reasoning"].get("b#1") if kind == "reasoning" else state["document"]["a"]) == text
    assert len(texts) > 2
    assert all(len(message.encode()) <= LONGEST for message in texts)


def test_a_deep_and_wide_document_is_taken_apart_without_recursion_or_squares() -> None:
    document: Any = ["x" * 20]
    for _ in range(400):
        document = {"a": document, "b": ["y" * 20] * 100}
    frame = Frame(FrameId(1, 9), "snapshot", {**empty_snapshot(), "document": document})
    assert folded(messages_of([frame]))["document"] == document


@pytest.mark.parametrize(
    ("kind", "body", "kept"),
    [
        ("event", {"event": "found", "data": ["x" * 600_000]}, {"code": "too-large"}),
        ("ops", [Set("k" * 600_000, 1)], {"code": "too-large"}),
        (
            "error",
            {"code": "provider", "message": "x" * 600_000, "bot": "b#1"},
            {"code": "provider", "bot": "b#1"},
        ),
        (
            "done",
            {"status": "finished", "usage": {"x": "y" * 600_000}, "crc32": 7},
            {"status": "finished", "crc32": 7},
        ),
    ],
)
def test_what_cannot_be_taken_apart_is_refused_in_its_place(
    kind: Any, body: Any, kept: dict[str, Any]
) -> None:
    (text,) = messages_of([Frame(FrameId(1, 2), kind, body)])
    message = json.loads(text)
    assert len(text) <= LONGEST and message["id"] == "1-2"
    told = message["done" if kind == "done" else "error"]
    assert {name: told[name] for name in kept} == kept


def test_a_thousand_bots_are_left_out_of_a_long_snapshot() -> None:
    bots = {f"b#{number}": {"step": "b", "root": "x" * 600, "status": "running"} for number in range(1_000)}
    body = {**empty_snapshot(), "bots": bots, "document": {"a": 1}}
    texts = messages_of([Frame(FrameId(1, 2), "snapshot", body)])
    assert folded(texts)["document"] == {"a": 1}
    assert all(len(text) <= LONGEST for text in texts)
