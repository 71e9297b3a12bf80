"""A run as a graph: its steps with what became of each, and what started which.

Of a workflow of rows these are the steps and triggers of its plan, and the steps of workflows inside it. A
function in Python has no plan: each of its steps stands below the one at whose field it was begun, and those
begun at none below what had ended by then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from lingstream.core.engine.kinds import step_kinds

from ...models import OPEN, Run
from ..display import kind_title
from .waterfall import Bar, Entry

__all__ = ["graph_of_run", "kind_titles", "run_drawing", "state_words"]

_MOST_IN_ORDER = 80  # as many as graph-drawing.js draws
_ARROW = ("source", "target", "event", "pattern", "otherwise", "root")


@dataclass
class _Ran:
    """All runs of one step.

    :param place: the element of the page that tells of it: of the first that failed, if one did.
    :param over: each of them has ended.
    :param starts: the steps that started it, each with the event.
    :param inside: it belongs to the workflow inside one of them.
    """

    kind: str
    begin: float
    end: float
    prompt: str = ""
    place: str = ""
    states: Counter[str] = field(default_factory=Counter)
    starts: dict[tuple[str, str], None] = field(default_factory=dict)
    inside: bool = False
    over: bool = True

    @property
    def order(self) -> tuple[float, bool, float]:
        """By when it began; what is inside another one behind that."""
        return self.begin, self.inside, self.end

    def add(self, bar: Bar) -> None:
        """Count one."""
        entry, row, status = bar.entry, bar.row, bar.status
        if row is not None:
            self.prompt = self.prompt or row.prompt_version
            if not self.place or (status == "failed" and not self.states["failed"]):
                self.place = f"step-{row.pk}"
        self.begin, self.end = min(self.begin, entry["start"]), max(self.end, _end(entry))
        self.states[status] += 1
        self.over = self.over and entry["end"] is not None
        if entry["source"]:
            source = _step(entry["source"])
            self.starts[source, entry["event"]] = None
            self.inside = _step(entry["id"]).startswith(f"{source}.")


def run_drawing(run: Run, bars: Iterable[Bar], *, planned: bool) -> dict[str, Any]:
    """Return the data for ``graph.js`` on the page of a run; ``planned`` as for :func:`graph_of_run`."""
    return {
        "editable": False,
        "note": _("The steps, and what became of each. Choose one to see what it was told and said."),
        "empty": _("No step has begun yet."),
        "graph": graph_of_run(run, bars, planned=planned),
        "kinds": kind_titles(),
        "otherwise": _("otherwise"),
        "states": {**state_words(), **({"": _("nothing complete yet")} if run.status in OPEN else {})},
    }


def graph_of_run(run: Run, bars: Iterable[Bar], *, planned: bool = True) -> dict[str, Any]:
    """Return the steps of a run and what leads from one to another.

    :param planned: with what its plan says, which is for who may see the workflow.
    """
    ran = dict[str, _Ran]()
    for bar in bars:
        entry = bar.entry
        ran.setdefault(_step(entry["id"]), _Ran(entry["kind"], entry["start"], _end(entry))).add(bar)
    python = run.plan.get("python", False)
    plan = {} if python or not planned else run.plan
    steps = {each["name"]: each for each in plan.get("steps", ())}
    others = sorted((name for name in ran if name not in steps), key=lambda name: ran[name].order)
    arrows = [{key: each.get(key) for key in _ARROW} for each in plan.get("triggers", ())]
    arrows += _started(ran, others)
    arrows += _order({name: ran[name] for name in others if not ran[name].inside}) if python else ()
    return {
        "steps": [_box(name, steps.get(name), ran.get(name)) for name in (*steps, *others)],
        "triggers": [{"key": f"arrow-{number}", **arrow} for number, arrow in enumerate(arrows)],
    }


def kind_titles() -> dict[str, str]:
    """Return what the kinds of steps are called."""
    return {name: kind_title(name, kind) for name, kind in step_kinds().items()}


def state_words() -> dict[str, str]:
    """Return the words for what becomes of steps and runs; ``""`` is that of a step that has not begun."""
    return {"": _("not begun"), **{name: str(label) for name, label in Run.Status.choices}}


def _box(name: str, planned: Mapping[str, Any] | None, ran: _Ran | None) -> dict[str, Any]:
    plan = planned or {}
    return {
        "key": f"ran-{name}",
        "name": name,
        "kind": ran.kind if ran else plan.get("kind", "bot"),
        "prompt": ran.prompt if ran else plan.get("prompt_version", ""),
        "root": plan.get("root", ""),
        "states": dict(ran.states) if ran else {},
        "place": ran.place if ran else "",
    }


def _started(ran: Mapping[str, _Ran], names: Collection[str]) -> Iterator[dict[str, Any]]:
    """What no plan says, and the run has told."""
    for name in names:
        for source, event in ran[name].starts:
            yield _arrow(source, name, event or _("inside"))


def _order(ran: Mapping[str, _Ran]) -> Iterator[dict[str, Any]]:
    """Pairs of steps of which the second began when the first had ended, and with none between them."""
    if len(ran) > _MOST_IN_ORDER:  # every pair is looked at, and a page shows no drawing of so many
        return
    # Of those that took no time and stand at one moment, the first is before the others, and not behind them.
    places = {name: (each.begin, each.end, number) for number, (name, each) in enumerate(ran.items())}
    for name, each in ran.items():
        if each.starts:
            continue
        before = {
            other: one
            for other, one in ran.items()
            if one.over and one.end <= each.begin and places[other] < places[name]
        }
        newest = max((one.begin for one in before.values()), default=None)
        for other, one in before.items():
            if newest is None or one.end > newest or one.begin == newest:
                yield _arrow(other, name, _("then"))


def _arrow(source: str, target: str, event: str) -> dict[str, Any]:
    return {"source": source, "target": target, "event": event, "pattern": "", "otherwise": False, "root": ""}


def _step(instance: str) -> str:
    return instance.rpartition("#")[0]


def _end(entry: Entry) -> float:
    end = entry["end"]
    return entry["start"] if end is None else end  # type: ignore[no-any-return]
