"""What a workflow may be started with."""

from __future__ import annotations

from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.document.depth import check_depth
from lingstream.core.exceptions import InvalidInput, UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.validation import Failure, SchemaFault, compile_schema

__all__ = ["check_input", "misfit"]

_LONGEST = 300
_EMPTY = '"" is shorter than'  # what the schema's own words for a text that is missing begin with


def check_input(schema: dict[str, Any], value: Any) -> None:
    """Check what a workflow is started with against its schema; an empty one accepts any JSON.

    :raises InvalidInput: it does not fit; the error names the place, what was expected and what came.
    :raises UsageError: ``too-deep``, ``too-costly``; ``invalid-schema``: a stored schema that cannot be used.
    """
    check_depth(value)
    if not schema:
        return
    try:
        failures = compile_schema(schema).failures(value)
    except SchemaFault as fault:
        message = Phrase(
            "the workflow's input schema cannot be used: at %(uri)r: %(problem)s",
            uri=fault.uri,
            problem=fault.message,
        )
        raise UsageError(message, code=fault.code) from fault
    if failures:
        raise InvalidInput(misfit(failures[0]), uri=jsonuri.join(*failures[0].path))


def misfit(failure: Failure) -> str:
    """Return what is told of an input that does not fit, in one sentence."""
    where, message = jsonuri.join(*failure.path), failure.phrase
    message = Phrase("it is empty") if message.startswith(_EMPTY) else message
    message = message if len(message) <= _LONGEST else message[:_LONGEST] + "…"
    if not where:
        return Phrase("the input does not fit: %(problem)s", problem=message)
    return Phrase("the input does not fit at %(uri)r: %(problem)s", uri=where, problem=message)
