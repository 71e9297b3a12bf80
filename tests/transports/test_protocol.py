"""The wire's vectors, folded in Python: `tests/client` folds the same file in JavaScript."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lingstream.core.document import jsonuri
from lingstream.core.document.canonical import crc32
from lingstream.core.document.ops import fold, from_wire
from lingstream.core.exceptions import JsonUriError
from lingstream.core.log.state import RunState, empty_snapshot
from lingstream.core.wire.frames import frame_from_wire, frame_to_wire
from lingstream.core.wire.ling import JSONL, SSE
from lingstream.core.wire.socket import SocketMessages

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "cases" / "protocol.json").read_text())
CASES = {case["name"]: case for case in VECTORS["cases"]}

cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
long = pytest.mark.parametrize("vector", VECTORS["long"], ids=lambda vector: vector["name"])
dialects = pytest.mark.parametrize("dialect", VECTORS["dialects"], ids=lambda dialect: dialect["name"])


@cases
def test_fold(case: Mapping[str, Any]) -> None:
    document: Any = None
    for frame in case["frames"]:
        if "snapshot" in frame:
            document = copy.deepcopy(frame["snapshot"]["document"])
        for op in frame.get("ops", []):
            document = fold(document, from_wire(op))
    assert document == case["document"]


@cases
def test_state_of_the_log(case: Mapping[str, Any]) -> None:
    for wire in copy.deepcopy(case["frames"]):
        frame = frame_from_wire(wire)
        if frame.kind == "snapshot":
            state = RunState(frame.body)
        else:
            state.apply(frame.kind, frame.body)
    snapshot = state.snapshot()
    assert snapshot["document"] == case["document"]
    assert snapshot["status"] == case["status"]
    assert snapshot["reasoning"] == case.get("reasoning", {})
    assert {name: bot["status"] for name, bot in snapshot["bots"].items()} == case.get("bots", {})
    assert {name: bot["cut"] for name, bot in snapshot["bots"].items() if "cut" in bot} == case.get("cut", {})


@cases
def test_checksum(case: Mapping[str, Any]) -> None:
    assert crc32(case["document"]) == case["crc32"]


@cases
def test_frames_read_and_written_are_the_same(case: Mapping[str, Any]) -> None:
    for wire in case["frames"]:
        assert frame_to_wire(wire["run"], frame_from_wire(wire)) == wire


@dialects
@pytest.mark.parametrize("encoding", [SSE, JSONL])
def test_dialects(dialect: Mapping[str, Any], encoding: type[SSE] | type[JSONL]) -> None:
    frames = CASES[dialect["name"]]["frames"]
    encoder = encoding(frames[0]["run"])
    text = b"".join(encoder.encode(frame_from_wire(frame)) for frame in frames).decode()
    assert text == dialect[encoding.__name__.lower()]


@pytest.mark.parametrize("fault", VECTORS["faults"], ids=lambda fault: fault["name"])
def test_fold_refuses(fault: Mapping[str, Any]) -> None:
    with pytest.raises(JsonUriError) as caught:
        fold(copy.deepcopy(fault["document"]), from_wire(fault["op"]))
    assert caught.value.uri == fault["uri"]


@pytest.mark.parametrize("vector", VECTORS["uris"], ids=lambda vector: repr(vector["uri"]))
def test_uris(vector: Mapping[str, Any]) -> None:
    assert jsonuri.join(*vector["keys"]) == vector["uri"]
    assert jsonuri.split(vector["uri"]) == vector["keys"]


@long
def test_long_messages_are_split(vector: Mapping[str, Any]) -> None:
    run = vector["frame"]["run"]
    messages = SocketMessages(run, vector["after"], longest=vector["longest"])
    if "previous" in vector:
        assert [json.loads(text) for text in messages.encode(frame_from_wire(vector["previous"]))]
    texts = list(messages.encode(frame_from_wire(vector["frame"])))
    assert [json.loads(text) for text in texts] == vector["messages"]
    assert max(len(text.encode()) for text in texts) <= vector["longest"]


@long
def test_long_messages_fold_to_the_same(vector: Mapping[str, Any]) -> None:
    state = RunState({**empty_snapshot(), "document": copy.deepcopy(vector["before"])})
    for message in copy.deepcopy(vector["messages"]):
        frame = frame_from_wire(message)
        if frame.kind == "snapshot":
            state = RunState(frame.body)
        else:
            state.apply(frame.kind, frame.body)
    assert state.snapshot()["document"] == vector["document"]
    assert state.snapshot()["reasoning"] == vector["reasoning"]
