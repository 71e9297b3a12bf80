"""What a workflow may be started with."""

from __future__ import annotations

from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.document.depth import check_depth
from lingstream.core.exceptions import UsageError
from lingstream.core.validation import SchemaFault, compile_schema

__all__ = ["check_input"]


def check_input(schema: dict[str, Any], value: Any) -> None:
    """Check what a workflow is started with against its schema; an empty one accepts any JSON.

    :raises UsageError: ``invalid-input``, naming the place, what was expected and what came; ``too-deep``,
        ``too-costly``; ``invalid-schema`` for a stored schema that cannot be used.
    """
    check_depth(value)
    if not schema:
        return
    try:
        failures = compile_schema(schema).failures(value)
    except SchemaFault as fault:
        raise UsageError(
            f"the workflow's input schema cannot be used: at {fault.uri!r}: {fault.message}", code=fault.code
        ) from fault
    if failures:
        where, message = jsonuri.join(*failures[0].path), failures[0].message
        message = message if len(message) <= 300 else message[:300] + "…"
        raise UsageError(
            f"the input does not fit at {where!r}: {message}"
            if where
            else f"the input does not fit: {message}",
            code="invalid-input",
        )
