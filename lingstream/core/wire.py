"""Frames as data, and as text: the SSE and JSONL dialects, in which ops look like Ling's.

The socket's messages are in :mod:`.messages`.

Wire version 1; ``docs/protocol.md`` is its home.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from .document.depth import MAX_DEPTH, check_depth, is_flat
from .document.ops import from_wire
from .exceptions import UsageError
from .log.frames import Frame, FrameId, Kind, parse_id, parse_place

__all__ = ["JSONL", "PROTOCOL", "SSE", "dumps", "frame_from_wire", "frame_to_wire", "loads"]

PROTOCOL = "1"

_SSE_NAMES: dict[Kind, str] = {"event": "event", "snapshot": "snapshot", "error": "fault", "done": "done"}


def dumps(data: Any) -> bytes:
    """Return compact JSON in UTF-8.

    What orjson refuses goes through the stdlib: integers beyond 64 bits, lone surrogates, deep nesting.
    """
    try:
        return orjson.dumps(data)
    except TypeError:
        return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def loads(text: str | bytes, depth: int | None = MAX_DEPTH) -> Any:
    """Return the data that JSON text holds.

    :param depth: how many lists and objects may be inside each other; ``None`` for text of our own.
    :raises UsageError: ``bad-json``, saying where; ``too-deep``.
    """
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "limit exceeded" in str(error):  # 1,024 levels
            raise UsageError("expected fewer levels of nesting", code="too-deep") from error
        raise UsageError(f"expected JSON, got something else: {error}", code="bad-json") from error
    if depth is not None and not is_flat(text, depth):
        check_depth(data, depth)
    return data


def frame_to_wire(run: str, frame: Frame) -> dict[str, Any]:
    """Return ``{"run", "id", …}`` with the frame's body under its kind."""
    place, kind, body = frame
    epoch, seq, part = place  # on the hot path: written out, as FrameId.__str__ has it
    wire: dict[str, Any] = {"run": run, "id": f"{epoch}-{seq}+{part}" if part else f"{epoch}-{seq}"}
    if kind == "ops":
        wire["ops"] = [op.to_wire() for op in body]
    elif kind == "event":
        wire.update(body)
    else:
        wire[kind] = body
    return wire


def frame_from_wire(wire: dict[str, Any]) -> Frame:
    """Return the frame that :func:`frame_to_wire` wrote.

    :raises UsageError: data of another shape.
    """
    place = parse_place(str(wire.get("id")))
    if place is None:
        raise UsageError(f"expected an id like 1-42, got {wire.get('id')!r}")
    if isinstance(ops := wire.get("ops"), list):
        return Frame(place, "ops", [from_wire(op) for op in ops])
    if "event" in wire:
        return Frame(place, "event", {key: value for key, value in wire.items() if key not in ("run", "id")})
    for kind in ("snapshot", "error", "done"):
        if kind in wire:
            return Frame(place, kind, wire[kind])
    raise UsageError(f"expected one of ops, event, snapshot, error, done in {sorted(wire)}")


class SSE:
    """Encodes one viewer's frames as server-sent events.

    Every event has an id, so that a browser can resume: the frame's on its last op, ``<previous>+<n>`` on
    those before it (a place that no frame ends at, hence answered with a snapshot).

    :param run: the run's id.
    :param after: where the viewer resumes.
    """

    content_type = "text/event-stream"
    heartbeat = b": alive\n\n"

    def __init__(self, run: str, after: str = "0-0") -> None:
        self._run = run
        # It comes from the viewer, and goes into lines of ours.
        self._previous = parse_id(after) or FrameId(0, 0)

    def encode(self, frame: Frame) -> bytes:
        """Return the events of one frame."""
        name = str(frame.id)
        if frame.kind == "ops":
            text = self._ops(name, frame.body)
        else:
            data = dumps(frame_to_wire(self._run, frame))
            text = b"event: %b\nid: %b\ndata: %b\n\n" % (_SSE_NAMES[frame.kind].encode(), name.encode(), data)
        self._previous = frame.id
        return text

    def _ops(self, name: str, ops: list[Any]) -> bytes:
        last = len(ops)
        events = []
        epoch, seq, part = self._previous
        for number, op in enumerate(ops, 1):
            place = name if number == last else f"{epoch}-{seq}+{part + number}"
            events.append(b"id: %b\ndata: %b\n\n" % (place.encode(), _op(op)))
        return b"".join(events)


class JSONL:
    """Encodes one viewer's frames as JSON lines: ops in Ling's form, anything else as the frame.

    :param run: the run's id.
    """

    content_type = "application/jsonl"
    heartbeat = b"\n"

    def __init__(self, run: str, after: str = "") -> None:
        self._run = run

    def encode(self, frame: Frame) -> bytes:
        """Return the lines of one frame."""
        if frame.kind == "ops":
            return b"".join([_op(op) + b"\n" for op in frame.body])
        return dumps(frame_to_wire(self._run, frame)) + b"\n"


def _op(op: Any) -> bytes:
    return dumps(op.to_wire())
