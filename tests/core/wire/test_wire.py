"""The wire: frames as text and back, in every dialect. (The vectors are in ``tests/cases/protocol.json``.)"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings

from lingstream.core.document.ops import Append, Op, Set
from lingstream.core.exceptions import JsonUriError, UsageError
from lingstream.core.log.frames import Frame, FrameId, parse_id
from lingstream.core.log.state import empty_snapshot
from lingstream.core.wire.frames import frame_from_wire, frame_to_wire
from lingstream.core.wire.json import dumps, loads
from lingstream.core.wire.ling import JSONL, SSE
from tests.core.log.test_frames import frame_sequences, framed
from tests.core.support import documents

RUN = "0b2f6f4e-6c0c-4a1c-9b1f-0d3a5e7c9a11"
OPS: list[Op] = [Set("", {}), Append("answer", "云"), Append("answer", "!")]


@settings(deadline=None)
@given(frame_sequences)
def test_frames_come_back(frames: list[Frame]) -> None:
    for frame in frames:
        text = dumps(frame_to_wire(RUN, frame))
        assert b"\n" not in text
        message = loads(text)
        assert message["run"] == RUN
        assert message["id"] == str(frame.id)
        assert frame_from_wire(json.loads(text)) == frame


@settings(deadline=None)
@given(documents)
def test_any_value_comes_back(document: Any) -> None:
    text = dumps(document)
    assert json.loads(text) == document
    assert b"\n" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(2**64, b"18446744073709551616", id="an integer beyond 64 bits"),
        pytest.param(-(10**30), b"-1" + b"0" * 30, id="a negative one"),
        pytest.param({"a": [10**20]}, b'{"a":[100000000000000000000]}', id="inside"),
        pytest.param("\ud83d", b'"\\ud83d"', id="a lone surrogate"),
        pytest.param({"\ud83d": "x"}, b'{"\\ud83d":"x"}', id="a lone surrogate in a key"),
        pytest.param(math.nan, b"null", id="no number"),
        pytest.param([math.inf, -math.inf], b"[null,null]", id="infinity"),
        pytest.param("\x00\x7f\u2028", '"\\u0000\x7f\u2028"'.encode(), id="control characters"),
    ],
)
def test_values_that_json_has_no_place_for(value: Any, text: bytes) -> None:
    assert dumps(value) == text


def test_deep_values() -> None:
    value: Any = []
    for _ in range(511):  # what the parser lets through
        value = [value]
    assert dumps(value) == b"[" * 512 + b"]" * 512


def test_a_surrogate_in_a_delta_breaks_no_dialect() -> None:
    frame = Frame(FrameId(1, 2), "ops", [Append("answer", "\ud83d")])
    line = b'{"uri":"answer","delta":"\\ud83d"}'
    assert JSONL(RUN).encode(frame) == line + b"\n"
    assert SSE(RUN).encode(frame) == b"id: 1-2\ndata: " + line + b"\n\n"
    assert json.loads(dumps(frame_to_wire(RUN, frame)))["ops"] == [json.loads(line)]


class TestReading:
    @pytest.mark.parametrize("text", ["", "{", "nul", b"\xff", '{"a": NaN}', "{'a': 1}", "\ud800"])
    def test_what_is_no_json_is_refused(self, text: str | bytes) -> None:
        with pytest.raises(UsageError, match="expected JSON") as caught:
            loads(text)
        assert caught.value.code == "bad-json"

    @pytest.mark.parametrize(
        "message",
        [
            {},
            {"id": "1-1"},
            {"id": "1-1", "ops": None},
            {"id": "1-1", "ops": {"uri": "a"}},
            {"id": "1-41+", "ops": []},
            {"id": "1-41+2+1", "ops": []},
            {"id": 7, "ops": []},
            {"id": "x-1", "ops": []},
            {"id": "٣-1", "ops": []},
        ],
    )
    def test_what_is_no_frame_is_refused(self, message: Any) -> None:
        with pytest.raises(UsageError, match="expected"):
            frame_from_wire(message)

    @pytest.mark.parametrize("op", [{}, None, "x", {"uri": "a"}, {"uri": 1, "delta": "x"}])
    def test_what_is_no_op_is_refused(self, op: Any) -> None:
        with pytest.raises(JsonUriError, match="expected an op"):
            frame_from_wire({"id": "1-1", "ops": [op]})


class TestSSE:
    def test_every_op_is_an_event_and_the_last_has_the_frames_id(self) -> None:
        text = SSE(RUN, after=FrameId(1, 3)).encode(Frame(FrameId(1, 4), "ops", OPS)).decode()
        assert text == (
            'id: 1-3+1\ndata: {"uri":"","value":{}}\n\n'
            'id: 1-3+2\ndata: {"uri":"answer","delta":"云"}\n\n'
            'id: 1-4\ndata: {"uri":"answer","delta":"!"}\n\n'
        )

    def test_ids_count_from_the_frame_before(self) -> None:
        encoder = SSE(RUN)
        frames = framed(
            ("snapshot", empty_snapshot()), ("ops", OPS), ("event", {"event": "x"}), ("ops", OPS[1:])
        )
        text = b"".join(encoder.encode(frame) for frame in frames).decode()
        ids = [line[4:] for line in text.splitlines() if line.startswith("id: ")]
        assert ids == ["1-1", "1-1+1", "1-1+2", "1-2", "1-3", "1-3+1", "1-4"]

    def test_a_place_inside_a_frame_is_no_place_to_resume_at(self) -> None:
        assert parse_id("1-1+2") is None

    @pytest.mark.parametrize("after", ["", "garbage\ndata: {}", "1-2+1", "1-2\n"])
    def test_nothing_of_a_strange_place_gets_into_the_stream(self, after: str) -> None:
        text = SSE(RUN, parse_id(after)).encode(Frame(FrameId(1, 4), "ops", OPS[:2])).decode()
        assert text.startswith("id: 0-0+1\ndata: ")

    @pytest.mark.parametrize(
        ("kind", "name"), [("event", "event"), ("snapshot", "snapshot"), ("error", "fault"), ("done", "done")]
    )
    def test_other_frames_have_a_name(self, kind: Any, name: str) -> None:
        frame = Frame(FrameId(1, 2), kind, {"event": "x"} if kind == "event" else {})
        event, place, data, *rest = SSE(RUN).encode(frame).decode().split("\n")
        assert (event, place, rest) == (f"event: {name}", "id: 1-2", ["", ""])
        assert frame_from_wire(json.loads(data.removeprefix("data: "))) == frame

    def test_text_with_newlines_stays_on_its_line(self) -> None:
        text = SSE(RUN).encode(Frame(FrameId(1, 1), "ops", [Append("a", "\r\n\n: x\u2028")])).decode()
        assert text == 'id: 1-1\ndata: {"uri":"a","delta":"\\r\\n\\n: x\u2028"}\n\n'


class TestJSONL:
    @settings(deadline=None)
    @given(frame_sequences)
    def test_every_line_is_an_op_or_a_frame(self, frames: list[Frame]) -> None:
        encoder = JSONL(RUN)
        lines = b"".join(encoder.encode(frame) for frame in frames).split(b"\n")
        assert lines.pop() == b""
        wanted: list[Any] = []
        for frame in frames:
            whole = [frame_to_wire(RUN, frame)]
            wanted.extend([op.to_wire() for op in frame.body] if frame.kind == "ops" else whole)
        assert [json.loads(line) for line in lines] == wanted

    def test_a_fix_says_so(self) -> None:
        frame = Frame(FrameId(1, 1), "ops", [Set("a", 1, True)])
        assert JSONL(RUN).encode(frame) == b'{"uri":"a","value":1,"fix":true}\n'
