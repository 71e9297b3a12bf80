"""The state of a run: a snapshot with the tail is the whole."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.log.frames import Frame
from lingstream.core.log.state import RunState, empty_snapshot

from .test_frames import error, event, frame_sequences, framed, state


@settings(deadline=None, max_examples=300)
@given(frame_sequences, st.data())
def test_a_snapshot_and_the_tail_are_the_whole(frames: list[Frame], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(frames)))
    assert state(frames[cut:], state(frames[:cut])) == state(frames)


@settings(deadline=None)
@given(frame_sequences, st.data())
def test_a_snapshot_does_not_grow_with_the_run(frames: list[Frame], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(frames)))
    run = RunState(empty_snapshot())
    for frame in frames[:cut]:
        run.apply(frame.kind, frame.body)
    snapshot = run.snapshot()
    before = repr(snapshot)
    for frame in frames[cut:]:
        run.apply(frame.kind, frame.body)
    run.snapshot()
    assert repr(snapshot) == before


def test_knows_what_became_of_each_bot() -> None:
    frames = framed(
        ("event", event("string-response", "a#1", uri="")),
        ("event", event("reasoning", "b#1", data="x")),
        ("event", event("inference-done", "b#1", uri="")),
        ("event", event("response", "c#1", uri="")),
        ("error", error("d#1")),
        ("event", event("status", None, data=1)),
        ("error", error()),
    )
    statuses = {name: bot["status"] for name, bot in state(frames)["bots"].items()}
    assert statuses == {"a#1": "running", "b#1": "inferred", "c#1": "finished", "d#1": "failed"}


def test_keeps_the_texts_beside_the_document() -> None:
    frames = framed(
        ("event", event("reasoning", data="think ")),
        ("event", event("preamble", data="Sure")),
        ("event", event("reasoning", data="hard")),
    )
    snapshot = state(frames)
    assert snapshot["reasoning"] == {"answer#1": "think hard"}
    assert snapshot["preamble"] == {"answer#1": "Sure"}


def test_done_gives_the_status() -> None:
    assert state(framed(("done", {"status": "canceled"})))["status"] == "canceled"


def test_a_late_viewer_learns_what_failed() -> None:
    state = RunState(empty_snapshot())
    state.apply("error", error("answer#1"))
    state.apply("error", error())
    joined = RunState(state.snapshot()).snapshot()
    assert joined["bots"]["answer#1"] == {"status": "failed", "error": error()}
    assert joined["error"] == error()


def test_a_bot_keeps_the_error_that_it_failed_with() -> None:
    state = RunState(empty_snapshot())
    for message in ("one", "two"):
        state.apply("error", {**error("answer#1"), "message": message})
    assert state.bots["answer#1"] == {"status": "failed", "error": {**error(), "message": "one"}}


def test_a_bot_without_a_status_is_left_as_it_is() -> None:
    state = RunState({**empty_snapshot(), "bots": {"answer#1": {"step": "answer"}}})
    state.apply("event", event("response"))
    state.apply("done", {"status": "finished"})
    assert state.bots == {"answer#1": {"step": "answer"}}


def test_the_end_settles_the_bots_that_were_cut_off() -> None:
    state = RunState(empty_snapshot())
    state.apply("event", event("reasoning", data="hm"))
    state.apply("event", event("response", "details#2"))
    state.apply("done", {"status": "canceled", "usage": {}, "crc32": 0})
    assert {name: bot["status"] for name, bot in state.bots.items()} == {
        "answer#1": "canceled",
        "details#2": "finished",
    }


def test_its_weight_is_counted_no_further_than_asked() -> None:
    run = RunState({**empty_snapshot(), "document": [["x"] * 10] * 1000, "reasoning": {"a#1": "y" * 100}})
    assert run.weight(10**9) > 10_000 + 100
    assert 500 < run.weight(500) < 10_000
