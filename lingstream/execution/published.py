"""The rows that runs of a workflow start from: those of its published version, or the stored ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any, NamedTuple

from django.db.models import Prefetch

from lingstream.core.engine.plan import TriggerPlan
from lingstream.models import PromptLabel, Step, Trigger, Workflow, WorkflowVersion
from lingstream.models.drafts import SETTINGS

__all__ = ["Rows", "rows_of", "rows_of_version"]


class Rows(NamedTuple):
    """A workflow, its steps with their prompts' labels, and its triggers; they need not be stored.

    :param published: the number of the version that they are; 0: they are the stored ones.
    """

    workflow: Workflow
    steps: Iterable[Step]
    triggers: Iterable[TriggerPlan]
    published: int = 0


def rows_of(workflow: Workflow) -> Rows:
    """Return what runs start from: the published version, or the stored rows where there is none."""
    while workflow.published:
        if rows := _of_version(workflow, workflow.published):
            return rows
        workflow.refresh_from_db(fields=["published"])  # another version went live meanwhile
    steps = workflow.steps.select_related("prompt", "provider").prefetch_related(_labels())
    triggers = (row.to_plan() for row in workflow.triggers.select_related("source", "target"))
    return Rows(workflow, steps, triggers)


def rows_of_version(workflow: Workflow, version: WorkflowVersion) -> Rows:
    """Return what a version was, whether runs start from it or not.

    :raises UsageError: ``unknown-prompt``, ``unknown-provider``: what it names has gone.
    """
    is_live = workflow.published is not None and workflow.published.pk == version.pk
    return (_of_version(workflow, version) if is_live else None) or _rows(
        workflow, version, version.related()
    )


def _of_version(workflow: Workflow, version: WorkflowVersion) -> Rows | None:
    """The rows of a published version; ``None``: it is live no more."""
    asked = workflow.published_steps.select_related("prompt", "provider").prefetch_related(_labels())
    now = {each.name: {"prompt": each.prompt, "provider": each.provider} for each in asked}
    if now.keys() != {each["name"] for each in version.data["steps"]}:
        return None
    return _rows(workflow, version, now)


def _rows(workflow: Workflow, version: WorkflowVersion, now: Mapping[str, Mapping[str, Any]]) -> Rows:
    """The rows of a version, with what its steps ask for."""
    then, data = copy(workflow), version.data
    for name in SETTINGS:
        setattr(then, name, data[name])
    steps = {each["name"]: Step(**{**each, **now[each["name"]]}) for each in data["steps"]}
    triggers = [
        Trigger(**{**each, **{end: steps[each[end]] for end in ("source", "target")}})
        for each in data["triggers"]
    ]
    return Rows(then, steps.values(), [trigger.to_plan() for trigger in triggers], version.number)


def _labels() -> Prefetch[Any, Any, Any]:
    return Prefetch("prompt__labels", queryset=PromptLabel.objects.select_related("version", "other"))
