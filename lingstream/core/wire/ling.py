"""Ling's dialect over HTTP, as server-sent events and as JSON lines: ops look as Ling writes them.

Wire version 1; ``docs/protocol.md`` is its home.
"""

from __future__ import annotations

from typing import Any

from lingstream.core.log.frames import Frame, FrameId, Kind

from .dialect import Dialect, dialect
from .frames import frame_to_wire
from .json import dumps
from .shared import LastText

__all__ = ["JSONL", "PROTOCOL", "SSE"]

PROTOCOL = "1"

_SSE_NAMES: dict[Kind, str] = {"event": "event", "snapshot": "snapshot", "error": "fault", "done": "done"}
_last_event, _last_line = LastText(), LastText()


@dialect("sse", media_type="text/event-stream", resumes=True)
class SSE(Dialect):
    """Encodes one viewer's frames as server-sent events.

    Every event has an id, so that a browser can resume: the frame's on its last op, ``<previous>+<n>`` on
    those before it (a place that no frame ends at, hence answered with a snapshot).

    :param run: the run's id.
    :param after: the frame behind which the viewer resumes.
    """

    content_type = "text/event-stream"

    def __init__(self, run: str, after: FrameId | None = None) -> None:
        self._run = run
        self._previous = after or FrameId(0, 0)

    def encode(self, frame: Frame) -> bytes:
        """Return the events of one frame."""
        # Of several ops, all ids but the last are made of the frame before.
        several = frame.kind == "ops" and len(frame.body) > 1
        text = _last_event.of(frame, (self._run, self._previous if several else None), self._text)
        self._previous = frame.id
        return text

    def heartbeat(self) -> bytes:
        """Return a comment."""
        return b": alive\n\n"

    def _text(self, frame: Frame) -> bytes:
        name = str(frame.id)
        if frame.kind == "ops":
            return self._ops(name, frame.body)
        data = dumps(frame_to_wire(self._run, frame))
        return b"event: %b\nid: %b\ndata: %b\n\n" % (_SSE_NAMES[frame.kind].encode(), name.encode(), data)

    def _ops(self, name: str, ops: list[Any]) -> bytes:
        last = len(ops)
        events = []
        epoch, seq, part = self._previous
        for number, op in enumerate(ops, 1):
            place = name if number == last else f"{epoch}-{seq}+{part + number}"
            events.append(b"id: %b\ndata: %b\n\n" % (place.encode(), dumps(op.to_wire())))
        return b"".join(events)


@dialect("jsonl", media_type="application/jsonl")
class JSONL(Dialect):
    """Encodes one viewer's frames as JSON lines: ops in Ling's form, anything else as the frame.

    :param run: the run's id.
    """

    content_type = "application/jsonl"

    def __init__(self, run: str, after: FrameId | None = None) -> None:
        self._run = run

    def encode(self, frame: Frame) -> bytes:
        """Return the lines of one frame."""
        return _last_line.of(frame, self._run, self._text)

    def heartbeat(self) -> bytes:
        """Return an empty line."""
        return b"\n"

    def _text(self, frame: Frame) -> bytes:
        if frame.kind == "ops":
            return b"".join([dumps(op.to_wire()) + b"\n" for op in frame.body])
        return dumps(frame_to_wire(self._run, frame)) + b"\n"
