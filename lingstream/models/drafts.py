"""The rows of a workflow as JSON data, and back; and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.utils.translation import gettext as _

from lingstream.core.document import jsonuri
from lingstream.core.engine.graph import Graph
from lingstream.core.engine.plan import Limits
from lingstream.core.engine.registry import registered

from .graphs import graph_faults

__all__ = ["SETTINGS", "Problem", "columns_of", "completed", "data_of", "problems_of", "refused"]

#: What a plan has of the workflow's own row. All else of that row is in force as soon as it is saved.
SETTINGS = ("input_schema", "limits", "on_disconnect", "show_reasoning")

# What other rows are called by; the order of steps and triggers is that of their lists.
_NAMES = {"prompt": "slug", "provider": "name", "source": "name", "target": "name"}
_LEFT_OUT = frozenset(("id", "workflow", "position"))


class Problem(NamedTuple):
    """Why rows cannot be what they are to be.

    :param uri: the place among the data: ``steps/details/input``.
    """

    uri: str
    message: str

    def __str__(self) -> str:
        return f"{self.uri}: {self.message}" if self.uri else self.message


def columns_of(model: type[models.Model]) -> list[str]:
    """Return the columns of steps, or of triggers, that are data of a workflow, in their order."""
    return [each.name for each in model._meta.concrete_fields if each.name not in _LEFT_OUT]


def data_of(workflow: Any) -> dict[str, Any]:
    """Return the stored rows of a workflow as JSON data; other rows by their names."""
    steps = workflow.steps.select_related("prompt", "provider")
    triggers = workflow.triggers.select_related("source", "target")
    return {
        **{name: getattr(workflow, name) for name in SETTINGS},
        "steps": [_row_data(step) for step in steps],
        "triggers": [_row_data(trigger) for trigger in triggers],
    }


def completed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data with all columns in their order; those that it lacks, as it is older, have defaults."""
    workflow, step, trigger = (apps.get_model("lingstream", name) for name in ("Workflow", "Step", "Trigger"))
    return {
        **_filled(workflow, SETTINGS, data),
        "steps": [_filled(step, columns_of(step), each) for each in data["steps"]],
        "triggers": [_filled(trigger, columns_of(trigger), each) for each in data["triggers"]],
    }


def problems_of(workflow: Any) -> list[Problem]:
    """Return why the stored rows of a workflow cannot be published; each is looked at as when it is saved."""
    steps = list(workflow.steps.select_related("prompt", "provider"))
    triggers = list(workflow.triggers.select_related("source", "target"))
    found: list[Problem] = []
    for step in steps:
        found += refused(step.full_clean, f"steps/{step.name}")
    for number, trigger in enumerate(triggers):
        trigger.is_looked_at_with_others = True
        found += refused(trigger.full_clean, f"triggers/{number}")
    if workflow.slug in registered():
        return found  # a function decides what starts
    if not steps:
        return [*found, Problem("steps", _("Expected a step, got none."))]
    return found or list(_graph_problems(steps, triggers, workflow.limits))


def refused(clean: Callable[[], Any], uri: str) -> list[Problem]:
    """Call what validates, and return what it has raised.

    :param uri: of the row.
    """
    try:
        clean()
    except ValidationError as error:
        by_field: Iterable[tuple[str, list[str]]] = error.message_dict.items()
        return [
            Problem(uri if field == NON_FIELD_ERRORS else jsonuri.concat(uri, field), str(message))
            for field, messages in by_field
            for message in messages
        ]
    return []


def _graph_problems(steps: list[Any], triggers: list[Any], limits: Any) -> Iterable[Problem]:
    nodes, edges = [step.to_node() for step in steps], [trigger.to_plan() for trigger in triggers]
    graph = Graph(tuple(nodes), tuple(edges), limits.get("depth", Limits().depth))
    for fault in graph_faults(graph):
        if fault.level == "error":
            place = f"steps/{fault.step}" if fault.step else "triggers"
            if fault.trigger is not None:
                place = f"triggers/{fault.trigger}"
            yield Problem(f"{place}/{fault.field}" if fault.field else place, fault.message)


def _filled(model: type[models.Model], names: Iterable[str], data: Mapping[str, Any]) -> dict[str, Any]:
    default = {each.name: each.get_default for each in model._meta.concrete_fields}
    return {name: data[name] if name in data else default[name]() for name in names}


def _row_data(row: models.Model) -> dict[str, Any]:
    return {name: _named(getattr(row, name), name) for name in columns_of(type(row))}


def _named(value: Any, column: str) -> Any:
    return getattr(value, _NAMES[column]) if value is not None and column in _NAMES else value
