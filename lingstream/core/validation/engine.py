"""How ``jsonschema-rs`` is set up, wherever it is used."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import orjson

from .patterns import ENGINE

__all__ = ["MASK", "compiled"]

#: What stands for the value in an error's message: written out it may be as long as a document.
MASK = "\x00"

_LARGE = 2**61 - 1  # from here on numbers have the hashes of others, and thousands of one can be given


def compiled(schema: Any, registry: jsonschema_rs.Registry | None = None) -> Any:
    """Return a validator of ``schema``.

    :param registry: where else a ``$ref`` may point; nothing is ever fetched.
    :raises ValueError: the schema is none.
    """
    return jsonschema_rs.validator_for(
        schema,
        registry=registry,
        pattern_options=ENGINE,
        offline=True,
        validate_formats=False,  # as draft 2020-12 has it, for all drafts
        keywords={"uniqueItems": _UniqueItems},
        mask=MASK,
    )


class _UniqueItems:
    """``uniqueItems`` in time linear in the items: the engine's own compares each integer beyond 2^53 with
    all others (8,000 of them: 31 s)."""

    def __init__(self, schema: dict[str, Any], value: Any, path: list[str | int]) -> None:
        self._wanted = value is True

    def validate(self, instance: Any) -> None:
        if not self._wanted or not isinstance(instance, (list, tuple)):
            return
        if len({_key(item) for item in instance}) < len(instance):
            raise ValueError("the items are not unique")


def _key(value: Any) -> Any:
    """Something to put into a set, equal where the JSON values are: 1 is 1.0 and not true."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGE:
        return value
    text = _written(value)
    return _written(_whole(value)) if b"." in text or b"e" in text else text  # 1.0 and 1e300 are integers


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, (list, tuple)) else value


def _written(value: Any) -> bytes:
    """As bytes, whose hashes nobody can foresee; those of tuples of numbers could be made to collide."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, sort_keys=True).encode()
