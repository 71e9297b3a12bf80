"""The alternatives of a schema: lists of parts, and a value fits if it fits all parts of one of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from lingstream.core.validation.patterns import matches_soon

__all__ = [
    "ANYTHING",
    "MAX_ALTERNATIVES",
    "PYTHON_TYPES",
    "Alternative",
    "Part",
    "bounded",
    "group",
    "holds",
    "item",
    "listed",
    "mapping",
    "members",
    "plain_key",
    "same",
    "type_of",
    "types",
]

#: More alternatives than this allow everything: repair needs a clear case anyway.
MAX_ALTERNATIVES = 64

Part: TypeAlias = Mapping[str, Any]
Alternative: TypeAlias = tuple[Part, ...]

ANYTHING: tuple[Alternative, ...] = ((),)

_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_NAMES: dict[type, frozenset[str]] = {
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    str: frozenset({"string"}),
    list: frozenset({"array"}),
    dict: frozenset({"object"}),
    type(None): frozenset({"null"}),
}
_FRACTION = frozenset({"number"})
#: What each value of a type of Python is.
PYTHON_TYPES = {**_NAMES, float: _FRACTION}
_SEPARATORS = re.compile(r"[\s_-]+")


def plain_key(name: str) -> str:
    """``name`` without what models get wrong: case, spaces, ``_`` and ``-``."""
    return _SEPARATORS.sub("", name).casefold()


def type_of(value: Any) -> frozenset[str]:
    """The names of the types that ``value`` has: a whole number has two."""
    names = _NAMES.get(type(value))
    if names is not None:
        return names
    whole = isinstance(value, int) or (math.isfinite(value) and value.is_integer())
    return _NAMES[int] if whole else _FRACTION


def same(value: Any, other: Any) -> bool:
    """Equality of JSON values: true is not 1."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def types(alternative: Alternative) -> frozenset[str]:
    """The types that a value may have which fits all parts."""
    allowed = _TYPES
    for part in alternative:
        names = part.get("type")
        if isinstance(names, str):
            names = [names]
        if isinstance(names, list):
            allowed &= {*names, *(["integer"] if "number" in names else [])}
    only = members(alternative)
    return allowed if only is None else allowed & frozenset().union(*map(type_of, only))


def members(alternative: Alternative) -> list[Any] | None:
    """The values that the alternative is restricted to, or ``None``."""
    found: list[Any] | None = None
    for part in alternative:
        for allowed in (part.get("enum"), [part["const"]] if "const" in part else None):
            if isinstance(allowed, list):
                found = allowed if found is None else [value for value in found if holds(allowed, value)]
    return found


def holds(values: Sequence[Any], value: Any) -> bool:
    """Whether ``value`` is one of ``values``."""
    return any(same(value, other) for other in values)


def item(part: Part, place: int) -> Any:
    """The schema of the item at ``place`` of an array."""
    prefix = listed(part, "prefixItems")
    return prefix[place] if place < len(prefix) else part.get("items", True)


def group(parts: Alternative, key: str) -> list[Any] | None:
    """The schemas that a value at ``key`` has to fit; ``None`` where one part forbids the key."""
    schemas: list[Any] = []
    for part in parts:
        properties, patterns = mapping(part, "properties"), mapping(part, "patternProperties")
        found = [properties[key]] if key in properties else []
        found += [schema for pattern, schema in patterns.items() if matches_soon(pattern, key)]
        if not found and (rest := part.get("additionalProperties", True)) is False:
            return None
        schemas += found or [rest]
    return schemas


def listed(part: Part, keyword: str) -> list[Any]:
    """The array at ``keyword``, or an empty one."""
    value = part.get(keyword)
    return value if isinstance(value, list) else []


def mapping(part: Part, keyword: str) -> Mapping[str, Any]:
    """The object at ``keyword``, or an empty one."""
    value = part.get(keyword)
    return value if isinstance(value, Mapping) else {}


def bounded(alternatives: Sequence[Alternative]) -> tuple[Alternative, ...]:
    """These alternatives, unless they are too many to be told apart."""
    return tuple(alternatives) if len(alternatives) <= MAX_ALTERNATIVES else ANYTHING
