"""The step runs of a run as bars, each below what started it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from ...models import OPEN, BotRun, Run

__all__ = ["WIDTH", "Bar", "waterfall"]

WIDTH = 1000  # of the drawing, in its own units
_ENDED = frozenset(BotRun.Status.values) - {BotRun.Status.RUNNING}
_DEEPEST = 8  # levels that are shown by an indent
_LEAST = 4  # units of a bar that would not be seen

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """One step run: times in seconds since the beginning of the run, places in units of the drawing.

    :param row: what the journal has of it; of a step that only computes there is nothing.
    :param whole: what the width of the drawing stands for.
    """

    entry: Entry
    depth: int
    row: BotRun | None
    x: int
    width: int
    waits: int
    whole: float

    @property
    def status(self) -> str:
        """What became of it, as rows have it: that it waits or has said all is known to the engine alone."""
        status: str = self.entry["status"]
        return status if status in BotRun.Status.values else "running"

    @property
    def status_label(self) -> str:
        """The same for people."""
        return str(BotRun.Status(self.status).label)

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        end = self.entry["end"]
        return None if end is None else end - self.entry["start"]

    @property
    def first(self) -> float | None:
        """Seconds until it said something."""
        first = self.entry["first"]
        return None if first is None else first - self.entry["start"]


def waterfall(run: Run, rows: Sequence[BotRun]) -> list[Bar]:
    """Return the bars of a run in the order in which they are drawn.

    What only the journal has stands one below the other. The drawing of a run that goes on ends now.

    :param rows: its journal.
    """
    known = {row.instance: row for row in rows}
    entries = _entries(run.trace, rows, known)
    if run.status not in OPEN:  # then nothing waits or goes on, though what was stored last may say so
        entries = [each if each["status"] in _ENDED else {**each, "status": "canceled"} for each in entries]
    whole = max((each["end"] or each["start"] for each in entries), default=0)
    # A later execution counts from its own beginning, which no row has.
    if run.status in OPEN and run.started_at and run.epoch == 1:
        whole = max(whole, (timezone.now() - run.started_at).total_seconds())
    whole = whole or 1.0
    return [_bar(entry, depth, known, whole) for entry, depth in _nested(entries)]


def _entries(trace: Sequence[Entry], rows: Sequence[BotRun], known: Mapping[str, BotRun]) -> list[Entry]:
    """What the trace has, and what only the journal has: functions, and all of a run without a trace."""
    traced = {each["id"]: each for each in trace}
    both = [(row, traced[row.instance]) for row in rows if row.instance in traced]
    began = [row.started_at.timestamp() for row in rows]
    # Both tell one process's time, the trace since the run began.
    zero = both[0][0].started_at.timestamp() - both[0][1]["start"] if both else min(began, default=0.0)
    # Of a run that goes on elsewhere the trace is as old as the last checkpoint, and the journal is not.
    told = [
        {**each, **_ended(known[each["id"]], zero)} if each["end"] is None and each["id"] in known else each
        for each in trace
    ]
    return [*told, *(_entry(row, zero) for row in rows if row.instance not in traced)]


def _entry(row: BotRun, zero: float) -> Entry:
    entry = {"id": row.instance, "kind": row.kind, "root": row.root, "source": "", "event": ""}
    return {**entry, "start": max(row.started_at.timestamp() - zero, 0.0), **_ended(row, zero)}


def _ended(row: BotRun, zero: float) -> Entry:
    """What the journal has of the end of a step."""
    start = max(row.started_at.timestamp() - zero, 0.0)
    return {
        "status": row.status,
        "first": None if row.first_token is None else start + row.first_token,
        "end": row.finished_at and max(row.finished_at.timestamp() - zero, start),
        "repairs": len(row.repairs),
    }


def _nested(entries: Sequence[Entry]) -> Iterator[tuple[Entry, int]]:
    """Each entry behind what started it, with its depth."""
    below: dict[str, list[Entry]] = {}
    names = {each["id"] for each in entries}
    for entry in entries:
        below.setdefault(entry["source"] if entry["source"] in names else "", []).append(entry)
    waiting = [(entry, 0) for entry in _latest_first(below.pop("", []))]
    while waiting:
        entry, depth = waiting.pop()
        yield entry, depth
        waiting += [(each, depth + 1) for each in _latest_first(below.pop(entry["id"], []))]


def _latest_first(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda each: each["start"], reverse=True)


def _bar(entry: Entry, depth: int, known: Mapping[str, BotRun], whole: float) -> Bar:
    def place(seconds: float) -> int:
        return round(seconds / whole * WIDTH)

    start, end = entry["start"], entry["end"] if entry["end"] is not None else whole
    x = min(place(start), WIDTH - _LEAST)
    width = max(place(end) - x, _LEAST)
    waits = 0 if entry["first"] is None else min(place(entry["first"]) - x, width)
    return Bar(entry, min(depth, _DEEPEST), known.get(entry["id"]), x, width, max(waits, 0), whole)
