"""How the schemas inside a JSON schema apply: some to the value itself, some to the values inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote

__all__ = ["APPLICATORS", "Child", "Place", "children", "in_place", "inner", "keyed", "resolve", "schemas"]

Place: TypeAlias = tuple[str | int, ...]
Matches: TypeAlias = Callable[[str, str], bool]

# By what stands at the keyword: a schema, a list of them or an object of them; at `items` one or a list.
_ONE = frozenset({
    *("not", "if", "then", "else", "contains", "items", "additionalItems", "unevaluatedItems"),
    *("additionalProperties", "propertyNames", "unevaluatedProperties"),
})  # fmt: skip
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
_KEYED = frozenset({
    *("properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"),
})  # fmt: skip
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")

#: Keywords whose values are schemas.
APPLICATORS = _ONE | _LISTED | _KEYED | {"$ref"}


class Child(NamedTuple):
    """A schema that applies to a value inside the value.

    :param place: of the schema, below the one around it.
    :param key: where the value stands; for ``propertyNames`` the value is the key itself.
    """

    place: Place
    schema: Any
    key: str | int
    value: Any


def schemas(schema: Any) -> Iterator[tuple[Place, Any]]:
    """Yield ``schema`` and every schema written inside it, with its place."""
    stack: list[tuple[Place, Any]] = [((), schema)]
    while stack:
        place, found = stack.pop()
        yield place, found
        if isinstance(found, Mapping):
            stack += [((*place, *more), part) for keyword in found for more, part in inner(found, keyword)]


def inner(schema: Mapping[str, Any], keyword: str) -> Iterator[tuple[Place, Any]]:
    """Yield the schemas that stand at one keyword, with their place below ``schema``."""
    value = schema.get(keyword)
    if keyword in _LISTED and isinstance(value, list):
        yield from (((keyword, index), part) for index, part in enumerate(value) if _is_schema(part))
    elif keyword in _KEYED and isinstance(value, Mapping):
        yield from (((keyword, key), part) for key, part in value.items() if _is_schema(part))
    elif keyword in _ONE and _is_schema(value):
        yield (keyword,), value


def in_place(schema: Mapping[str, Any], whole: Any) -> Iterator[Any]:
    """Yield the schemas that apply to the same value as ``schema`` does.

    :param whole: the document that a ``$ref`` points into.
    """
    if isinstance(ref := schema.get("$ref"), str):
        yield resolve(whole, ref)
    for keyword in _IN_PLACE:
        if keyword in schema:
            yield from (part for _, part in inner(schema, keyword))


def children(schema: Mapping[str, Any], value: Any, matches: Matches) -> Iterator[Child]:
    """Yield the schemas that apply to what is inside ``value``.

    :param matches: whether a pattern is found in a key.
    """
    if isinstance(value, dict):
        yield from _of_object(schema, value, matches)
    elif isinstance(value, (list, tuple)):
        yield from _of_array(schema, value)


def keyed(schema: Mapping[str, Any], keyword: str) -> Mapping[str, Any]:
    """The object at ``keyword``, or an empty one."""
    value = schema.get(keyword)
    return value if isinstance(value, Mapping) else {}


def resolve(whole: Any, ref: str) -> Any:
    """Return what a local ``$ref`` points at; true, which allows everything, for any other."""
    pointer = unquote(ref.removeprefix("#"))
    if not ref.startswith("#") or (pointer and not pointer.startswith("/")):
        return True
    found = whole
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(token, True)
        elif isinstance(found, list) and token.isdecimal() and int(token) < len(found):
            found = found[int(token)]
        else:
            return True
    return found


def _of_object(schema: Mapping[str, Any], value: dict[str, Any], matches: Matches) -> Iterator[Child]:
    properties, patterns = keyed(schema, "properties"), keyed(schema, "patternProperties")
    for key, item in value.items():
        known = key in properties
        if known:
            yield Child(("properties", key), properties[key], key, item)
        for pattern, part in patterns.items():
            if matches(pattern, key):
                known = True
                yield Child(("patternProperties", pattern), part, key, item)
        if not known and "additionalProperties" in schema:
            yield Child(("additionalProperties",), schema["additionalProperties"], key, item)
        if "unevaluatedProperties" in schema:
            yield Child(("unevaluatedProperties",), schema["unevaluatedProperties"], key, item)
        if "propertyNames" in schema:
            yield Child(("propertyNames",), schema["propertyNames"], key, key)


def _of_array(schema: Mapping[str, Any], value: list[Any] | tuple[Any, ...]) -> Iterator[Child]:
    lists = isinstance(schema.get("items"), list)  # as drafts before 2020-12 have it
    first, rest = ("items", "additionalItems") if lists else ("prefixItems", "items")
    prefix = schema.get(first, ())
    others = [keyword for keyword in ("contains", "unevaluatedItems") if keyword in schema]
    for index, item in enumerate(value):
        if index < len(prefix):
            yield Child((first, index), prefix[index], index, item)
        elif rest in schema:
            yield Child((rest,), schema[rest], index, item)
        for keyword in others:
            yield Child((keyword,), schema[keyword], index, item)


def _is_schema(value: Any) -> bool:
    return isinstance(value, (bool, Mapping))
