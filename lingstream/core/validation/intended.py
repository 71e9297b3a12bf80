"""What somebody meant who has written something else in the place of a JSON schema.

A JSON schema may hold any keys, and those that it does not know say nothing: an example of the answer, or the
envelope in which a vendor's API takes a schema, would be taken in silence and allow everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from .applicators import APPLICATORS

__all__ = ["Intended", "intended"]

What: TypeAlias = Literal["example", "wrapper"]

_MOST_ITEMS = 50  # of an example's list that are looked at
_SAYS = APPLICATORS | frozenset({
    *("type", "enum", "const", "required", "format", "pattern", "default", "examples"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("minItems", "maxItems", "uniqueItems", "minContains", "maxContains"),
    *("minProperties", "maxProperties", "dependentRequired", "contentEncoding", "contentMediaType"),
    *("$dynamicRef", "$recursiveRef"),
})  # fmt: skip
_TOLD = frozenset({
    *("title", "description", "deprecated", "readOnly", "writeOnly", "contentSchema"),
    *("name", "strict", "nullable", "discriminator", "xml", "externalDocs", "example"),
})  # fmt: skip
_ENVELOPES = ("json_schema", "schema", "input_schema", "parameters", "function")


class Intended(NamedTuple):
    """What was written, and the schema that was meant."""

    what: What
    schema: dict[str, Any]


def intended(value: Mapping[str, Any]) -> Intended | None:
    """Return what was meant by an object that says nothing as a schema; ``None`` if it may be one."""
    inner = _unwrapped(value)
    if inner is not None:
        return Intended("wrapper", inner)
    own = [key for key in value if key not in _TOLD and not key.startswith(("$", "x-"))]
    if own and not _SAYS.intersection(value):
        return Intended("example", _schema_of(dict(value)))
    return None


def _unwrapped(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in an envelope such as ``{"type": "json_schema", "json_schema": {"schema": …}}``."""
    found: Any = value
    while isinstance(found, Mapping) and not (_SAYS - {"type"}).intersection(found):
        inner = next((found[key] for key in _ENVELOPES if isinstance(found.get(key), Mapping)), None)
        if inner is None or not _is_envelope(found):
            break
        found = inner
    return None if found is value or not _SAYS.intersection(found) else dict(found)


def _is_envelope(value: Mapping[str, Any]) -> bool:
    others = set(value) - {*_ENVELOPES, "name", "strict", "description", "type"}
    return not others and value.get("type", "function") in ("json_schema", "function", "custom")


def _schema_of(value: Any) -> dict[str, Any]:
    """A schema that an example fits."""
    match value:
        case bool():
            return {"type": "boolean"}
        case str():
            return {"type": "string"}
        case int():
            return {"type": "integer"}
        case float():
            return {"type": "number"}
        case list():
            items = [_schema_of(item) for item in value[:_MOST_ITEMS]]
            same = bool(items) and all(item == items[0] for item in items)
            return {"type": "array", "items": items[0]} if same else {"type": "array"}
        case dict():
            properties = {name: _schema_of(each) for name, each in value.items()}
            return {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
    return {}
