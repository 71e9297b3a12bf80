"""The kind ``compute``: values made of values, by expressions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from lingstream.core.engine.kinds import Put, Said, StepCall, StepKind
from lingstream.core.engine.plan import StepPlan
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["Compute"]

_NAMES = {
    "type": "array",
    "items": {"type": "string", "maxLength": 200},
    "maxItems": 200,
    "x-template": "none",
}
_MOST_LEVELS = 20


class Compute(StepKind):
    """Puts what expressions come to: an object, reshaped, and fields set one by one.

    In this order: ``from``, ``keep``, ``drop``, ``rename``, ``flatten``; then ``set``.
    """

    kind = "compute"
    title = "Compute values"
    pure = True
    asks_who = False
    options_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "set": {
                "type": "object",
                "title": "Set",
                "description": 'Expressions by the uri below the root: {"total": "input.prices|sum"}.',
                "minProperties": 1,
                "maxProperties": 100,
                "additionalProperties": {"type": "string", "maxLength": 10_000},
                "x-template": "expression",
            },
            "from": {
                "type": "string",
                "title": "From",
                "description": "An expression that gives the value to begin with: value.",
                "minLength": 1,
                "maxLength": 10_000,
                "x-template": "expression",
            },
            "keep": {**_NAMES, "title": "Keep", "description": "Fields of it that stay; empty for all."},
            "drop": {**_NAMES, "title": "Drop", "description": "Fields of it that go."},
            "rename": {
                "type": "object",
                "title": "Rename",
                "description": 'New names of its fields: {"old": "new"}.',
                "maxProperties": 200,
                "additionalProperties": {"type": "string", "maxLength": 200},
                "x-template": "none",
            },
            "flatten": {
                "type": "string",
                "title": "Flatten with",
                "description": "Put fields of inner objects at the top, their names joined by this.",
                "minLength": 1,
                "maxLength": 10,
                "x-template": "none",
            },
        },
    }

    def check(self, plan: StepPlan) -> None:
        """See :meth:`StepKind.check`."""
        if not {"set", "from"}.intersection(plan.options):
            raise UsageError(Phrase("expected the option 'set' or 'from', got neither"), code="option")

    async def run(self, call: StepCall) -> AsyncIterator[Said]:
        """See :meth:`StepKind.run`: the expressions are rendered with the options."""
        options = call.options
        if "from" in options:
            yield Put("", _reshaped(options))
        for uri, value in options.get("set", {}).items():
            yield Put(uri, value)


def _reshaped(options: Mapping[str, Any]) -> Any:
    """The value of ``from``, as the other options want it.

    :raises UsageError: they are about fields, and it is no object.
    """
    value = options["from"]
    wanted = [name for name in ("keep", "drop", "rename", "flatten") if options.get(name)]
    if not wanted:
        return value
    if not isinstance(value, dict):
        message = Phrase(
            "expected an object to %(do)s fields of, got %(got)s", do=wanted[0], got=type(value).__name__
        )
        raise UsageError(message)
    dropped, renamed = set(options.get("drop", ())), options.get("rename", {})
    kept = set(options.get("keep") or value)
    fields = {
        renamed.get(name, name): each for name, each in value.items() if name in kept and name not in dropped
    }
    glue = options.get("flatten")
    return dict(_flat(fields, glue)) if glue else fields


def _flat(fields: Mapping[str, Any], glue: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    pending = [(name, each, _MOST_LEVELS) for name, each in reversed([*fields.items()])]
    while pending:
        name, value, levels = pending.pop()
        if isinstance(value, dict) and value and levels:
            inner = [(f"{name}{glue}{key}", each, levels - 1) for key, each in value.items()]
            pending += reversed(inner)
        else:
            found.append((name, value))
    return found
