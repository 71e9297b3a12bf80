"""Rows as data without what every row has: columns at their default are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import models

from lingstream.models import Step, Trigger, Workflow
from lingstream.models.drafts import SETTINGS

__all__ = ["compact", "without_defaults"]


def compact(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a workflow's draft, or a version of it, without defaults.

    :param data: as :meth:`lingstream.models.Workflow.draft` gives it.
    """
    return {
        **without_defaults(Workflow, {name: data[name] for name in SETTINGS}),
        "steps": [without_defaults(Step, each, ("name",)) for each in data["steps"]],
        "triggers": [without_defaults(Trigger, each, ("source", "target")) for each in data["triggers"]],
    }


def without_defaults(
    model: type[models.Model], data: Mapping[str, Any], always: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the columns that are not what a new row has.

    :param always: the columns that stay in any case.
    """
    default = {each.name: each.get_default for each in model._meta.concrete_fields}
    return {name: value for name, value in data.items() if name in always or value != default[name]()}
