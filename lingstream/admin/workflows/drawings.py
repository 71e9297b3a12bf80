"""What the drawing of a workflow needs beside its form.

That is the graph as it is stored or as its last run went, what the last save was told of, and the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from lingstream.core.engine.graph import Fault, Graph
from lingstream.core.engine.kinds import step_kinds
from lingstream.core.engine.plan import Limits
from lingstream.core.engine.registry import registered

from ...models import BotRun, Step, Trigger, Workflow
from ...models.graphs import graph_faults
from .graphs import last_documents, last_run

__all__ = ["drawing"]

_MOST_STEPS = 1_000  # of a run that are looked at
_FIELDS = {"source": "when_step", "target": "start_step"}


def drawing(request: HttpRequest, workflow: Workflow | None, *, editable: bool, told: bool) -> dict[str, Any]:
    """Return the data for ``graph.js``.

    :param workflow: ``None`` for one that is about to be added.
    :param editable: it is drawn from the form.
    :param told: the form shows what is stored, so what was told of that may stand in it.
    """
    python = workflow is not None and workflow.slug in registered()
    editable = editable and not python
    steps = list(workflow.steps.select_related("prompt")) if workflow and workflow.pk else []
    triggers = list(workflow.triggers.select_related("source", "target")) if steps and workflow else []
    graph: dict[str, Any] = {"steps": [], "triggers": []}
    if workflow and python:
        graph = _of_last_run(request, workflow.slug)
    elif not editable:
        graph = {"steps": [_step(each) for each in steps], "triggers": [_trigger(each) for each in triggers]}
    return {
        "editable": editable,
        "python": python,
        "graph": graph,
        "kinds": {name: str(kind.title or name) for name, kind in step_kinds().items()},
        "warnings": _warnings(request, workflow, steps, triggers) if editable and told and workflow else [],
        "places": reverse("admin:lingstream_workflow_places"),
        "words": _words(),
    }


# -- what is stored ---------------------------------------------------------------------------------------


def _step(step: Step) -> dict[str, Any]:
    return {
        "key": f"step-{step.pk}",
        "name": step.name,
        "kind": step.kind,
        "prompt": str(step.prompt) if step.prompt else "",
        "root": step.root,
    }


def _trigger(trigger: Trigger) -> dict[str, Any]:
    return {
        "key": f"trigger-{trigger.pk}",
        "source": trigger.source.name,
        "target": trigger.target.name,
        "event": trigger.event,
        "pattern": trigger.pattern,
        "otherwise": trigger.otherwise,
        "root": trigger.root or "",
    }


def _warnings(
    request: HttpRequest, workflow: Workflow, steps: Sequence[Step], triggers: Sequence[Trigger]
) -> list[dict[str, Any]]:
    """What is wrong with the workflow as it is stored, each with the row and the field that it is about."""
    nodes, edges = (tuple(each.to_node() for each in steps), tuple(each.to_plan() for each in triggers))
    graph = Graph(nodes, edges, workflow.limits.get("depth", Limits().depth))
    found = graph_faults(graph, last_documents(request, workflow.slug), workflow.input_schema)
    by_name = {step.name: step for step in steps}
    return [_warning(fault, by_name, triggers) for fault in found if fault.step or fault.trigger is not None]


def _warning(fault: Fault, steps: dict[str, Step], triggers: Sequence[Trigger]) -> dict[str, Any]:
    row = steps[fault.step] if fault.step else triggers[fault.trigger or 0]
    return {
        "row": "steps" if fault.step else "triggers",
        "id": row.pk,
        "field": _FIELDS.get(fault.field, fault.field),
        "message": fault.message,
    }


# -- what has run -----------------------------------------------------------------------------------------


class _Ran(NamedTuple):
    """All runs of one step."""

    kind: str
    prompt: str
    runs: int
    begin: datetime
    end: datetime


def _of_last_run(request: HttpRequest, slug: str) -> dict[str, Any]:
    """The steps of a function, each after those that had ended when it began."""
    run = last_run(request, slug)
    ran = dict[str, _Ran]()
    rows = BotRun.objects.filter(run=run).order_by("id") if run else BotRun.objects.none()
    columns = ("step", "kind", "prompt_version", "started_at", "finished_at")
    for step, kind, prompt, begin, end in rows.values_list(*columns)[:_MOST_STEPS]:
        end = end or begin
        before = ran.get(step, _Ran(kind, prompt, 0, begin, end))
        ran[step] = _Ran(kind, prompt, before.runs + 1, min(before.begin, begin), max(before.end, end))
    return {
        "steps": [
            {
                "key": f"ran-{name}",
                "name": _name(ran, name),
                "kind": each.kind,
                "prompt": each.prompt,
                "root": "",
            }
            for name, each in ran.items()
        ],
        "triggers": [
            {"key": f"after-{number}", "source": _name(ran, source), "target": _name(ran, target)}
            | {"event": _("then"), "pattern": ""}
            for number, (source, target) in enumerate(_order(ran))
        ],
    }


def _name(ran: dict[str, _Ran], name: str) -> str:
    runs = ran[name].runs
    return f"{name} ×{runs}" if runs > 1 else name


def _order(ran: dict[str, _Ran]) -> list[tuple[str, str]]:
    """Pairs of steps of which the second began when the first had ended, and with none between them."""
    pairs = []
    for name, each in ran.items():
        before = {other: one for other, one in ran.items() if one.end <= each.begin and other != name}
        newest = max((one.begin for one in before.values()), default=None)
        pairs += [(other, name) for other, one in before.items() if newest is None or one.end > newest]
    return pairs


# -- words ------------------------------------------------------------------------------------------------


def _words() -> dict[str, str]:
    return {
        "first": _("First step"),
        "more": _("Another step that starts with the run"),
        "next": _("Next step, started by %(step)s"),
        "connecting": _(
            "Choose the step that %(step)s is to start, in the drawing or in the list; Escape gives up."
        ),
        "connected": _("A trigger from %(source)s to %(target)s has been added: say at which field."),
        "added": _("The step %(step)s has been added: name it."),
        "rooted": _("The root of %(step)s follows the pattern, so that each match has a place of its own."),
        "nothing": _("Nothing like this in what the step writes (%(from)s). It has: %(places)s"),
        "schema": _("by its output schema"),
        "example": _("by the example in its prompt"),
        "document": _("by the last run's document"),
    }
