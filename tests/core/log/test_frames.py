"""Frames: merging never changes the fold."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.document.ops import Append, Op, Set
from lingstream.core.log import frames as module
from lingstream.core.log.frames import Frame, FrameId, merge, merge_ops, parse_id, weight
from lingstream.core.log.state import RunState, empty_snapshot
from tests.core.support import folded, op_sequences

BOTS = ("answer#1", "details#2")


def event(name: str, bot: str | None = "answer#1", **more: Any) -> dict[str, Any]:
    names = {} if bot is None else {"bot": bot, "step": bot.partition("#")[0], "root": ""}
    return {"event": name, **names, **more}


def error(bot: str | None = None) -> dict[str, Any]:
    body = {"code": "provider", "message": "gone", "retryable": True}
    return {**body, "bot": bot} if bot else body


def framed(*bodies: tuple[Any, Any]) -> list[Frame]:
    return [Frame(FrameId(1, number), kind, body) for number, (kind, body) in enumerate(bodies, 1)]


def random_frames(seed: int, ops: list[Op]) -> list[Frame]:
    """Frames of one epoch: ops cut anywhere, with events and errors in between."""
    dice = random.Random(seed)
    bodies: list[tuple[Any, Any]] = []
    while ops or dice.random() < 0.7:
        if ops and dice.random() < 0.5:
            count = dice.randint(1, len(ops))
            bodies.append(("ops", ops[:count]))
            ops = ops[count:]
        else:
            bodies.append(random_body(dice))
    if dice.random() < 0.5:
        bodies.append(("done", {"status": "finished", "usage": {}, "crc32": 0}))
    return framed(*bodies)


def random_body(dice: random.Random) -> tuple[Any, Any]:
    """Return a frame's kind and body, other than ops."""
    bot = dice.choice(BOTS)
    return dice.choice(
        [
            ("event", event("reasoning", bot, data="think ")),
            ("event", event("reasoning", bot, data="hard")),
            ("event", event("preamble", bot, data="Sure: ")),
            ("event", event("string-response", bot, uri="a")),
            ("event", event("inference-done", bot, uri="")),
            ("event", event("response", bot, uri="")),
            ("event", event("status", None, data="searching")),
            ("error", error(bot)),
            ("error", error()),
        ]
    )


frame_sequences = st.builds(random_frames, st.integers(0, 2**32), op_sequences)


def state(frames: Sequence[Frame], snapshot: dict[str, Any] | None = None) -> dict[str, Any]:
    run = RunState(snapshot or empty_snapshot())
    for frame in frames:
        run.apply(frame.kind, frame.body)
    return run.snapshot()


class TestId:
    @pytest.mark.parametrize(("text", "place"), [("1-42", FrameId(1, 42)), ("0-0", FrameId(0, 0))])
    def test_is_read(self, text: str, place: FrameId) -> None:
        assert parse_id(text) == place
        assert str(place) == text

    @pytest.mark.parametrize(
        "text",
        ["", "1", "1-", "-1", "1-41+2", " 1-2", "1-2\n", "1--2", "٣-1", "1-" + "9" * 40, "a-b", "1-2-3"],
    )
    def test_anything_else_is_no_place(self, text: str) -> None:
        assert parse_id(text) is None

    def test_order_is_that_of_time(self) -> None:
        assert FrameId(1, 9) < FrameId(1, 10) < FrameId(2, 1) == FrameId(2, 0).following


class TestMerge:
    @settings(deadline=None, max_examples=300)
    @given(frame_sequences)
    def test_has_the_same_fold(self, frames: list[Frame]) -> None:
        assert state(merge(frames)) == state(frames)

    @settings(deadline=None)
    @given(frame_sequences)
    def test_each_frame_has_the_id_of_the_last_one_in_it(self, frames: list[Frame]) -> None:
        merged = merge(frames)
        ids = [frame.id for frame in merged]
        assert ids == sorted(set(ids))
        assert ids[-1:] == [frame.id for frame in frames[-1:]]
        for frame in merged:
            upto = [each for each in frames if each.id <= frame.id]
            assert state(merged[: merged.index(frame) + 1]) == state(upto)

    @settings(deadline=None)
    @given(frame_sequences)
    def test_neither_loses_nor_moves_what_is_no_op(self, frames: list[Frame]) -> None:
        def others(these: list[Frame]) -> list[Frame]:
            return [
                frame
                for frame in these
                if frame.kind != "ops" and frame.body.get("event") not in module.TEXT_EVENTS
            ]

        assert others(merge(frames)) == others(frames)

    @settings(deadline=None)
    @given(frame_sequences)
    def test_leaves_the_log_alone(self, frames: list[Frame]) -> None:
        before = repr(frames)
        merge(frames)
        assert repr(frames) == before

    @settings(deadline=None, max_examples=300)
    @given(op_sequences)
    def test_ops_fold_to_the_same(self, ops: list[Op]) -> None:
        assert folded(merge_ops(ops)) == folded(ops)

    def test_neighbouring_ops_become_one_frame(self) -> None:
        frames = framed(("ops", [Set("", {}), Append("a", "x")]), ("ops", [Append("a", "y")]))
        assert merge(frames) == [Frame(FrameId(1, 2), "ops", [Set("", {}), Append("a", "xy")])]

    def test_an_event_stays_behind_the_ops_that_it_speaks_of(self) -> None:
        closed = event("string-response", uri="a")
        frames = framed(("ops", [Append("a", "x")]), ("event", closed), ("ops", [Append("b", "y")]))
        assert merge(frames) == frames

    def test_fragments_of_one_bots_reasoning_are_joined(self) -> None:
        frames = framed(
            ("event", event("reasoning", data="a")),
            ("event", event("reasoning", data="b")),
            ("event", event("preamble", data="c")),
            ("event", event("preamble", "details#2", data="d")),
        )
        assert [(frame.id.seq, frame.body["data"]) for frame in merge(frames)] == [
            (2, "ab"),
            (3, "c"),
            (4, "d"),
        ]

    def test_own_events_of_that_kind_are_not(self) -> None:
        frames = framed(
            ("event", event("status", None, data="a")), ("event", event("status", None, data="b"))
        )
        assert merge(frames) == frames

    @pytest.mark.parametrize(
        ("ops", "merged"),
        [
            pytest.param(
                [Append("a", "1"), Append("b", "2"), Append("a", "3")],
                [Append("a", "13"), Append("b", "2")],
                id="across another string",
            ),
            pytest.param(
                [Append("a", "1"), Set("b", 2), Append("a", "3")],
                [Append("a", "13"), Set("b", 2)],
                id="across a set elsewhere",
            ),
            pytest.param(
                [Append("a", "1"), Set("a", ""), Append("a", "3")],
                [Append("a", "1"), Set("a", ""), Append("a", "3")],
                id="not across a set there",
            ),
            pytest.param(
                [Append("a/b", "1"), Set("a", {}), Append("a/b", "3")],
                [Append("a/b", "1"), Set("a", {}), Append("a/b", "3")],
                id="not across a set above",
            ),
            pytest.param(
                [Append("a/b", "1"), Set("", {"a": {}}), Append("a/b", "3")],
                [Append("a/b", "1"), Set("", {"a": {}}), Append("a/b", "3")],
                id="not across a set of the root",
            ),
            pytest.param(
                [Append("a", "1"), Set("a/b", 2), Append("a", "3")],
                [Append("a", "1"), Set("a/b", 2), Append("a", "3")],
                id="not across a set below",
            ),
            pytest.param(
                [Append("a", "1"), Set("ab", 2), Append("a", "3")],
                [Append("a", "13"), Set("ab", 2)],
                id="a longer name is no descendant",
            ),
            pytest.param(
                [Append("a\\/b", "1"), Set("a\\\\", {}), Append("a\\/b", "3")],
                [Append("a\\/b", "13"), Set("a\\\\", {})],
                id="an escaped slash joins nothing",
            ),
        ],
    )
    def test_appends_are_joined(self, ops: list[Op], merged: list[Op]) -> None:
        assert merge_ops(ops) == merged


class TestWeight:
    def test_of_frames_grows_with_what_they_carry(self) -> None:
        small = weight(framed(("ops", [Append("a", "x")])))
        assert weight(framed(("ops", [Append("a", "x" * 1000)]))) == small + 999
        assert weight(framed(("ops", [Set("a", "x" * 1000)]))) >= 1000
        assert weight(framed(("ops", [Set("a", ["x" * 500, {"key": "x" * 500}])]))) >= 1000
        assert weight(framed(("event", event("reasoning", data="x" * 1000)))) >= 1000
