"""A step's text read once more: what its parser made of it, what it mended where, and what settled.

The raw text is stored and the document of a single step is not, so that they cannot differ: the same parser
reads it again. What was mended is stored: where a schema asked for it depends on the pieces in which the text
came. A text too long for a request is shown as it is, and so is one that no plan says the format of, as of a
function in Python, unless it is an object or a list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Closed
from lingstream.core.engine.plan import Plan, StepPlan
from lingstream.core.engine.writer import CUT_BY
from lingstream.core.exceptions import LingError
from lingstream.core.parsing.output import BotOutput

from ...models import BotRun, Run

__all__ = ["Mended", "Reading", "plan_of_step", "reread"]

MOST_READ = 200_000  # characters
_MOST_TOLD = 100  # repairs, and values that settled
_AROUND = 24  # characters on both sides of a place
_SHORT = 120


class Mended(NamedTuple):
    """One repair, numbered from 1: what stood around its place, and what became of it."""

    number: int
    kind: str
    uri: str
    offset: int
    before: str
    after: str


class Reading(NamedTuple):
    """What a parser makes of a text.

    :param pieces: the text, cut where something was mended, each with the number of the repair that it begins
        with, or 0.
    :param settled: event and uri of the values that settled, in their order.
    """

    pieces: list[tuple[int, str]]
    value: Any = None
    repairs: Sequence[Mended] = ()
    settled: Sequence[tuple[str, str]] = ()


def reread(row: BotRun, step: StepPlan | None) -> Reading:
    """Read the output of a step again, with what its plan says of it."""
    text = row.output
    if len(text) > MOST_READ or (step.format == "text" if step else not _is_json(row)):
        return Reading([(0, text)])
    output = step.output("") if step else BotOutput("json", None, "")
    try:
        items = output.feed(text).settled + output.close(cut=row.finish in CUT_BY).settled
    except LingError:
        return Reading([(0, text)])
    value = output.parser.value
    repairs = [_mended(number, row, value, each) for number, each in enumerate(row.repairs[:_MOST_TOLD], 1)]
    settled = [
        ("string-response" if isinstance(each.value, str) else "object-response", each.uri)
        for each in [item for item in items if type(item) is Closed][:_MOST_TOLD]
        if isinstance(each.value, str | dict | list)
    ]
    return Reading(_pieces(text, repairs), value, repairs, settled)


def plan_of_step(run: Run, name: str) -> StepPlan | None:
    """Return the plan of a step by its name in the whole run (``ask.answer``), if its run's plan has it."""
    try:
        plan = Plan.from_json(run.plan)
        *outer, own = name.split(".")
        for step in outer:
            plan = plan.workflows[plan.step(step).options["workflow"]]
        return plan.step(own)
    except (LingError, KeyError):
        return None


def _is_json(row: BotRun) -> bool:
    """Whether a text is an object or a list, perhaps one that was mended at its end, or in a fence."""
    text = row.output.strip()
    return text[:1] in ("{", "[", "`") and (text[-1:] in ("}", "]", "`") or bool(row.repairs))


def _mended(number: int, row: BotRun, value: Any, repair: Mapping[str, Any]) -> Mended:
    text, uri = row.output, _below(row.root, repair.get("uri", ""))
    offset = min(max(int(repair.get("offset", 0)), 0), len(text))
    before = text[max(offset - _AROUND, 0) : offset + _AROUND]
    after = json.dumps(jsonuri.get(value, uri), ensure_ascii=False)
    return Mended(number, repair["kind"], uri, offset, before, after[:_SHORT])


def _below(root: str, uri: str) -> str:
    return uri.removeprefix(root).removeprefix("/" if root else "")


def _pieces(text: str, repairs: Sequence[Mended]) -> list[tuple[int, str]]:
    places = sorted((each.offset, each.number) for each in repairs)
    ends = [offset for offset, _number in places[1:]] + [len(text)]
    first = places[0][0] if places else len(text)
    marked = [(number, text[start:end]) for (start, number), end in zip(places, ends, strict=False)]
    return [(0, text[:first]), *marked]
