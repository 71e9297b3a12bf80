"""Which columns of rows are exported: all that people write, so that new ones are exported, too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any

from django.db import models

from lingstream.models import Chat, Example, Occasion, Prompt, Provider, Step, Trigger, Workflow
from lingstream.models.drafts import SETTINGS, columns_of

from .compact import without_defaults

__all__ = ["COLUMNS", "columns_data", "columns_from"]


def _written(model: type[models.Model], *left_out: str) -> tuple[str, ...]:
    fields = (each for each in model._meta.concrete_fields if each.editable and not each.primary_key)
    return tuple(each.name for each in fields if each.name not in left_out)


#: By the model. Others are named by slug or name; what a row is called by is its key, or stands with it.
COLUMNS: Mapping[type[models.Model], tuple[str, ...]] = {
    Provider: _written(Provider, "name"),
    Prompt: _written(Prompt, "slug"),
    Workflow: tuple(name for name in _written(Workflow, "slug") if name not in SETTINGS),
    Chat: _written(Chat, "workflow"),
    Occasion: _written(Occasion, "workflow"),
    Example: _written(Example, "workflow", "scope"),
    Step: tuple(columns_of(Step)),
    Trigger: tuple(columns_of(Trigger)),
}

# What another site may have another default for, and what a row is called by.
_ALWAYS = {Workflow: ("access",), Occasion: ("kind", "name"), Example: ("name",)}


def columns_data(row: Any) -> dict[str, Any]:
    """Return what people have written in a row, without defaults."""
    values = {name: getattr(row, name) for name in COLUMNS[type(row)]}
    if values.get("helper"):
        values["helper"] = values["helper"].name
    data = without_defaults(type(row), values, _ALWAYS.get(type(row), ()))
    return {name: value.isoformat() if isinstance(value, time) else value for name, value in data.items()}


def columns_from(model: type[models.Model], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return all columns of a row that is to be as ``data`` says; related rows stay names.

    :raises ValidationError: a time that is none.
    """
    found = {}
    for field in model._meta.concrete_fields:
        if field.name in COLUMNS[model]:
            value = data[field.name] if field.name in data else field.get_default()
            is_time = isinstance(field, models.TimeField) and value is not None
            found[field.name] = field.to_python(value) if is_time else value
    return found
