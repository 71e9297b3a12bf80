"""What the drawing of a workflow needs beside its form.

That is the graph as it is stored or as its last run went, what the last save was told of, and the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from lingstream.core.engine.graph import Fault, Graph
from lingstream.core.engine.plan import Limits
from lingstream.core.engine.registry import registered

from ...models import Run, Step, Trigger, Workflow
from ...models.graphs import graph_faults
from ..drawn.graph import graph_of_run, kind_titles, state_words
from ..drawn.waterfall import waterfall
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
        run = last_run(request, workflow.slug)
        graph = _of_run(run) if run else graph
    elif not editable:
        graph = {"steps": [_step(each) for each in steps], "triggers": [_trigger(each) for each in triggers]}
    return {
        "editable": editable,
        "note": _note(python, editable),
        "empty": _("It has not run yet, or you may not see its runs.")
        if python
        else _("There is no step yet."),
        "graph": graph,
        "kinds": kind_titles(),
        "otherwise": _("otherwise"),
        "states": state_words(),
        "warnings": _warnings(request, workflow, steps, triggers) if editable and told and workflow else [],
        "places": reverse("admin:lingstream_workflow_places"),
        "words": _words(),
    }


def _of_run(run: Run) -> dict[str, Any]:
    """What a function has done; the page has no other place that tells of it."""
    rows = list(run.bot_runs.order_by("pk")[:_MOST_STEPS])
    return graph_of_run(run, waterfall(run, rows))


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


# -- words ------------------------------------------------------------------------------------------------


def _note(python: bool, editable: bool) -> str:
    if python:
        return _("A function in Python decides what starts. This is how its last run went.")
    if editable:
        meaning = _(
            "A trigger starts a step when another one has got so far; all steps write into one document, "
            "which is what pages show."
        )
        handling = _(
            "Steps are boxes, triggers are arrows. Choose one to open its fields below; drag from one box to "
            "another to have that one started. On a box the key N adds the next step, and C starts another "
            "one from there; Escape comes back from the fields."
        )
        return f"{meaning} {handling}"
    return _("Steps are boxes, triggers are arrows.")


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
