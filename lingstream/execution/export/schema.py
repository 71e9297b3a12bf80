"""The JSON schema of documents, made of the columns that are exported."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import models
from django.utils.translation import override

from lingstream.models import (
    Chat,
    Example,
    Occasion,
    Prompt,
    PromptLabel,
    PromptVersion,
    Provider,
    Step,
    Trigger,
    Workflow,
)
from lingstream.models.drafts import SETTINGS
from lingstream.models.fields import JSONTextField

from .columns import COLUMNS
from .writing import FORMAT

__all__ = ["document_schema"]

_MOST = 2_000  # rows of a kind
_LONGEST = 1_000_000  # characters of a text without a bound of its own


@cache
def document_schema() -> dict[str, Any]:
    """Return the schema, as docs/export-schema.json has it: in English, whoever asks first."""
    with override("en"):
        return _document()


def _document() -> dict[str, Any]:
    name = {"type": "string", "pattern": "^[-a-zA-Z0-9_]{1,100}$"}

    def rows(of: dict[str, Any]) -> dict[str, Any]:
        return {"type": "object", "propertyNames": name, "additionalProperties": of, "maxProperties": _MOST}

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Workflows of lingstream, version {FORMAT}",
        **_object(
            {
                "lingstream": {"const": FORMAT, "description": "The version of the format."},
                "providers": rows(_object(_columns(Provider))),
                "prompts": rows(_object({**_columns(Prompt), "versions": _list(_prompt_version())})),
                "workflows": rows(_workflow()),
                "collections": _list({"type": "string", "maxLength": 100}),
            },
            required=["lingstream"],
        ),
    }


def _workflow() -> dict[str, Any]:
    own = {**_columns(Workflow), **{each: _column(Workflow, each) for each in SETTINGS}}
    draft = {"type": "boolean", "description": "True: it is not published."}
    return _object(
        {
            **own,
            "draft": draft,
            "steps": _list(_object(_columns(Step), required=["name"])),
            "triggers": _list(_object(_columns(Trigger), required=["source", "target"])),
            "chat": _object(_columns(Chat)),
            "occasions": _list(_object(_columns(Occasion), required=["kind", "name"])),
            "examples": _list(_object(_columns(Example), required=["name"])),
        },
        required=["access", "steps", "triggers"],
    )


def _prompt_version() -> dict[str, Any]:
    label = _column(PromptLabel, "name")
    return _object(
        {
            "labels": _list(label),
            "tests": {
                "type": "object",
                "description": "Labels of other versions: to how many of a hundred they give this one.",
                "propertyNames": label,
                "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 100},
                "maxProperties": 100,
            },
            "pinned": {"type": "integer", "minimum": 1, "description": "By it steps name the version."},
            **{each: _column(PromptVersion, each) for each in ("messages", "note", "text")},
        },
        required=["text"],
    )


def _columns(model: type[models.Model]) -> dict[str, Any]:
    return {name: _column(model, name) for name in COLUMNS[model]}


def _column(model: type[models.Model], name: str) -> dict[str, Any]:
    field: Any = model._meta.get_field(name)
    told = {"description": str(field.help_text)} if field.help_text else {}
    found = _type(field)
    if field.null and "type" in found:
        found["type"] = [found["type"], "null"]
        if "enum" in found:
            found["enum"].append(None)
    return {**told, **found}


def _type(field: Any) -> dict[str, Any]:
    if isinstance(field, JSONTextField):
        return {}
    if isinstance(field, models.BooleanField):
        return {"type": "boolean"}
    if isinstance(field, models.IntegerField):
        return {"type": "integer", "minimum": 0, "maximum": 2_147_483_647}
    if isinstance(field, models.FloatField):
        return {"type": "number"}
    choices = [str(value) for value, _label in field.choices or ()]
    return (
        {"type": "string", "enum": choices} if choices else {"type": "string", "maxLength": _longest(field)}
    )


def _longest(field: Any) -> int:
    return 100 if field.is_relation else (field.max_length or _LONGEST)


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    more = {"required": required} if required else {}
    return {"type": "object", "additionalProperties": False, "properties": properties, **more}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": _MOST}
