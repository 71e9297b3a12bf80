"""Frames as data: what one message of the socket holds, and a line of JSONL."""

from __future__ import annotations

from typing import Any

from lingstream.core.document.ops import from_wire
from lingstream.core.exceptions import UsageError
from lingstream.core.log.frames import Frame, parse_place

__all__ = ["frame_from_wire", "frame_to_wire"]


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
