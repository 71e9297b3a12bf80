"""JSON as it travels: orjson, and the standard library for what that refuses."""

from __future__ import annotations

import json
from typing import Any

import orjson

from lingstream.core.document.depth import MAX_DEPTH, check_depth, is_flat
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["dumps", "loads"]


def dumps(data: Any) -> bytes:
    """Return compact JSON in UTF-8.

    What orjson refuses goes through the stdlib: integers beyond 64 bits, lone surrogates, deep nesting.
    """
    try:
        return orjson.dumps(data)
    except TypeError:
        return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def loads(text: str | bytes, depth: int | None = MAX_DEPTH) -> Any:
    """Return the data that JSON text holds.

    :param depth: how many lists and objects may be inside each other; ``None`` for text of our own.
    :raises UsageError: ``bad-json``, saying where; ``too-deep``.
    """
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "limit exceeded" in str(error):  # 1,024 levels
            raise UsageError(Phrase("expected fewer levels of nesting"), code="too-deep") from error
        message = Phrase("expected JSON, got something else: %(why)s", why=str(error))
        raise UsageError(message, code="bad-json") from error
    if depth is not None and not is_flat(text, depth):
        check_depth(data, depth)
    return data
