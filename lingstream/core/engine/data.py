"""JSON data that others made, as data of our own: later changes by who made it do not reach the log."""

from __future__ import annotations

import json
from typing import Any

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["json_data", "json_text"]


def json_data(value: Any) -> Any:
    """Return a copy of ``value`` as JSON has it.

    :raises UsageError: it is no JSON data.
    """
    return json.loads(json_text(value))


def json_text(value: Any, source: str = "") -> str:
    """Return ``value`` as JSON text.

    :param source: who made it, for the error.
    :raises UsageError: it is no JSON data.
    """
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        got = {"got": type(value).__name__, "why": str(error)}
        message = Phrase("expected JSON data, got %(got)s: %(why)s", **got)
        if source:
            message = Phrase("expected JSON data from %(source)s, got %(got)s: %(why)s", source=source, **got)
        raise UsageError(message) from error
