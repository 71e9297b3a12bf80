"""Frames: the entries of a run's log, and how many of them become few.

A frame has an id ``<epoch>-<seq>`` and one of five kinds. Its body is what the wire shows under the key of
that kind (``docs/protocol.md``), except that ops stay ops until they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, Literal, NamedTuple, TypeAlias

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Append, Op, Set
from lingstream.core.document.urimap import UriMap

__all__ = [
    "TEXT_EVENTS",
    "Frame",
    "FrameId",
    "Kind",
    "merge",
    "parse_id",
    "parse_place",
    "value_weight",
    "weight",
]

Kind: TypeAlias = Literal["ops", "event", "snapshot", "error", "done"]

TEXT_EVENTS = ("reasoning", "preamble")
"""Events that carry a fragment of text: they merge like appends and are part of a snapshot."""

_ID = re.compile(r"([0-9]{1,10})-([0-9]{1,15})(?:\+([0-9]{1,9}))?")
_OP_WEIGHT = 40  # characters that the wire needs around an op's text, about
_VALUE_WEIGHT = 8  # and around a value in a snapshot


class FrameId(NamedTuple):
    """Place of a frame: ``epoch`` counts the run's executions, ``seq`` from 1 without gaps.

    :param part: for what stands behind a frame and before the next, and is no entry of the log: a place to
        which nobody resumes.
    """

    epoch: int
    seq: int
    part: int = 0

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}+{self.part}" if self.part else f"{self.epoch}-{self.seq}"

    @property
    def following(self) -> FrameId:
        """The next place in the same epoch."""
        return FrameId(self.epoch, self.seq + 1)


def parse_id(text: str) -> FrameId | None:
    """Return the id that ``text`` writes, or ``None`` for anything else.

    A place inside a frame (``1-41+2``, see the SSE dialect) is no place to go on from, hence ``None`` too:
    a reader without a readable id gets a snapshot.
    """
    place = parse_place(text)
    return place if place and not place.part else None


def parse_place(text: str) -> FrameId | None:
    """Return the place that ``text`` writes, also one inside a frame; ``None`` for anything else."""
    found = _ID.fullmatch(text)
    return FrameId(int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


class Frame(NamedTuple):
    """One entry of a run's log.

    :param id: its place; a merged frame carries the id of the last one in it.
    :param kind: which of the five.
    :param body: a list of ops for ``ops``, else a JSON object.
    """

    id: FrameId
    kind: Kind
    body: Any


def merge(frames: Sequence[Frame]) -> list[Frame]:
    """Return fewer frames with the same fold, each under the id of the last one in it.

    Neighbouring ops frames become one, neighbouring fragments of one bot's reasoning too. Everything else
    keeps its place among them, so an event never overtakes the ops that it speaks of.
    """
    groups: list[list[Frame]] = []
    for frame in frames:
        if groups and _joins(groups[-1][-1], frame):
            groups[-1].append(frame)
        else:
            groups.append([frame])
    return [_join(group) if len(group) > 1 else group[0] for group in groups]


def merge_ops(ops: Iterable[Op]) -> list[Op]:
    """Join the appends at each uri across other ops, until a set at that uri, an ancestor or a descendant."""
    merged: list[Op | tuple[str, list[str]]] = []
    open_at: dict[str, list[str] | None] = {}  # None where a set has ended what was open
    below: UriMap[list[str] | None] | None = None  # the same from the first set on: most merges have none
    for op in ops:
        uri = op.uri
        if type(op) is Append:
            parts = open_at.get(uri)
            if parts is None:
                parts = []
                merged.append((uri, parts))
                if below is None:
                    open_at[uri] = parts
                else:
                    below.put(uri, parts)
            parts.append(op.delta)
            continue
        merged.append(op)
        if below is None:
            below = UriMap()
            for known, parts in open_at.items():
                below.put(known, parts)
            open_at = below
        below.forget_below(uri)
        if uri in below:
            below[uri] = None
        for ancestor in _ancestors(uri):
            if ancestor in below:
                below[ancestor] = None
    return [op if isinstance(op, (Append, Set)) else Append(op[0], "".join(op[1])) for op in merged]


def weight(frames: Iterable[Frame]) -> int:
    """About how many characters ``frames`` take on the wire."""
    total = 0
    for frame in frames:
        total += _OP_WEIGHT
        if frame.kind == "ops":
            for op in frame.body:
                total += _OP_WEIGHT
                total += len(op.delta) if type(op) is Append else value_weight(op.value)
        elif frame.kind == "event" and isinstance(data := frame.body.get("data"), str):
            total += len(data)
    return total


def value_weight(value: Any, bound: float = inf) -> int:
    """About how many characters a value takes on the wire, counted until ``bound`` is passed."""
    total, stack = 0, [value]
    while stack and total <= bound:
        value = stack.pop()
        total += _VALUE_WEIGHT + (len(value) if isinstance(value, str) else 0)
        if isinstance(value, dict):
            total += sum(map(len, value))
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
    return total


def _joins(last: Frame, frame: Frame) -> bool:
    if frame.kind != last.kind:
        return False
    return frame.kind == "ops" or (
        frame.kind == "event"
        and frame.body["event"] in TEXT_EVENTS
        and frame.body["event"] == last.body["event"]
        and frame.body.get("bot") == last.body.get("bot")
    )


def _join(group: Sequence[Frame]) -> Frame:
    last = group[-1]
    if last.kind == "ops":
        return Frame(last.id, "ops", merge_ops(op for frame in group for op in frame.body))
    text = "".join([frame.body["data"] for frame in group])
    return Frame(last.id, "event", {**last.body, "data": text})


def _ancestors(uri: str) -> Iterable[str]:
    while uri:
        uri = jsonuri.parent(uri)[0]
        yield uri
