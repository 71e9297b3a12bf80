"""Ling's dialect over HTTP, as server-sent events and as JSON lines: ops look as Ling writes them.

Wire version 1; ``docs/protocol.md`` is its home.
"""

from __future__ import annotations

from typing import Any

from lingstream.core.log.frames import Frame, FrameId, Kind, parse_id

from .frames import frame_to_wire
from .json import dumps

__all__ = ["JSONL", "PROTOCOL", "SSE"]

PROTOCOL = "1"

_SSE_NAMES: dict[Kind, str] = {"event": "event", "snapshot": "snapshot", "error": "fault", "done": "done"}


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
