"""What is wrong with a value, and where.

The engine tells all failures at once, each with a copy of the value: a second and more for a body of
numbers. So it is asked for no more than whether parts of the value fit, from the top to the places that do
not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import jsonschema_rs

from .applicators import APPLICATORS, Place, children, inner, keyed, resolve
from .engine import MASK, compiled
from .foreign import of_engine
from .patterns import matches

__all__ = ["Failure", "search", "shown"]

_WHOLE = "lingstream:schema"
_SECONDS = 0.2  # of CPU; then the place that has been reached is told
_LONGEST = 60

_TAKEN_APART = APPLICATORS | {"required", "$id", "$schema", "minContains", "maxContains"}
_DATA = ("const", "enum", "default", "examples")
_CONDITIONAL = ("contains", "unevaluatedProperties", "unevaluatedItems", "propertyNames")


class Failure(NamedTuple):
    """One thing that is wrong.

    :param path: keys and indices of the value at fault.
    :param message: what was expected and what came.
    """

    path: tuple[str | int, ...]
    message: str

    @property
    def phrase(self) -> str:
        """The message as a phrase, for who shows it in other languages."""
        return of_engine(self.message)


def search(whole: Any, value: Any, most: int) -> list[Failure]:
    """Return up to ``most`` failures of a value that does not fit the schema ``whole``."""
    schema = _absolute(whole)
    return list(islice(_Search(schema).of(schema, value, ()), most))


def shown(value: Any) -> str:
    """The value, or what kind of thing it is: never more than a line."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= _LONGEST else value[:_LONGEST] + "…", ensure_ascii=False)
    if isinstance(value, dict):
        return f"an object with {len(value)} keys" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)} items" if value else "[]"
    return json.dumps(value)[:_LONGEST]


class _Search:
    def __init__(self, whole: Any) -> None:
        self._whole = whole
        self._registry = jsonschema_rs.Registry([(_WHOLE, whole)])
        self._validators: dict[tuple[int, str], Any] = {}
        self._until = time.thread_time() + _SECONDS

    def of(self, schema: Any, value: Any, path: Place) -> Iterator[Failure]:
        """Yield what is wrong with a value that does not fit ``schema``."""
        if not isinstance(schema, Mapping) or time.thread_time() > self._until:
            yield _unclear(value, path)
            return
        count = 0
        for failure in self._each(schema, value, path):
            count += 1
            yield failure
        if not count:
            yield _unclear(value, path)

    def _each(self, schema: Mapping[str, Any], value: Any, path: Place) -> Iterator[Failure]:
        yield from self._own(schema, value, path)
        if isinstance(ref := schema.get("$ref"), str):
            yield from self._if_unfit(self._resolve(ref), value, path)
        for _, part in inner(schema, "allOf"):
            yield from self._if_unfit(part, value, path)
        for keyword in ("anyOf", "oneOf"):
            yield from self._alternatives(keyword, [part for _, part in inner(schema, keyword)], value, path)
        if "not" in schema and self.fits(schema["not"], value):
            yield Failure(path, f"{shown(value)} is what the schema's not excludes")
        if "if" in schema:
            branch = "then" if self.fits(schema["if"], value) else "else"
            yield from self._if_unfit(schema.get(branch, True), value, path)
        for keyword in ("dependentSchemas", "dependencies"):
            for place, part in inner(schema, keyword):
                if isinstance(value, dict) and place[-1] in value:
                    yield from self._if_unfit(part, value, path)
        yield from self._children(schema, value, path)

    def _children(self, schema: Mapping[str, Any], value: Any, path: Place) -> Iterator[Failure]:
        for place, part, key, item in children(schema, value, matches):
            if time.thread_time() > self._until:
                yield _unclear(value, path)
                return
            if place[0] == "propertyNames" and not self.fits(part, key):
                yield Failure(path, f"the name {shown(key)} is not allowed")
            elif place[0] not in _CONDITIONAL and not (part is False and place[0] == "additionalProperties"):
                yield from self._if_unfit(part, item, (*path, key))
        if "contains" in schema and isinstance(value, (list, tuple)):
            found = sum(self.fits(schema["contains"], item) for item in value)
            if found < schema.get("minContains", 1) or found > schema.get("maxContains", found):
                yield Failure(path, f"{shown(value)} contains {found} items of the kind that is counted")

    def _alternatives(self, keyword: str, parts: list[Any], value: Any, path: Place) -> Iterator[Failure]:
        fitting = sum(self.fits(part, value) for part in parts)
        if fitting > 1 and keyword == "oneOf":
            yield Failure(path, f"{shown(value)} fits {fitting} of the schemas in oneOf, expected one")
        elif parts and not fitting:
            meant = [part for part in parts if self._is_of_type(part, value)]
            if len(meant) == 1:
                yield from self.of(meant[0], value, path)
            else:
                yield Failure(path, f"{shown(value)} fits none of the {len(parts)} schemas in {keyword}")

    def _is_of_type(self, schema: Any, value: Any) -> bool:
        if isinstance(schema, Mapping) and isinstance(ref := schema.get("$ref"), str):
            schema = self._resolve(ref)
        return isinstance(schema, Mapping) and bool(self._validator(schema, "type", _typed).is_valid(value))

    def _resolve(self, ref: str) -> Any:
        return resolve(self._whole, ref.removeprefix(_WHOLE))

    def _if_unfit(self, schema: Any, value: Any, path: Place) -> Iterator[Failure]:
        if not self.fits(schema, value):
            yield from self.of(schema, value, path)

    def _own(self, schema: Mapping[str, Any], value: Any, path: Place) -> Iterator[Failure]:
        """What the keywords say that hold no schemas; of those but for ``required`` the first one."""
        if isinstance(value, dict):
            for name in schema.get("required", ()) if isinstance(schema.get("required"), list) else ():
                if name not in value:
                    yield Failure(path, f"{shown(name)} is a required property")
        try:
            self._validator(schema, "own", _assertions).validate(value)
        except jsonschema_rs.ValidationError as error:
            yield Failure(path, error.message.replace(MASK, shown(value), 1))

    def fits(self, schema: Any, value: Any) -> bool:
        """Whether ``value`` fits a part of the whole schema."""
        if isinstance(schema, bool):
            return schema
        return bool(self._validator(schema, "all", dict).is_valid(value))

    def _validator(self, schema: Mapping[str, Any], name: str, part: Callable[[Any], dict[str, Any]]) -> Any:
        known = (id(schema), name)
        if known not in self._validators:
            drafted = {"$schema": self._whole["$schema"]} if "$schema" in self._whole else {}
            self._validators[known] = compiled({**drafted, **part(schema)}, self._registry)
        return self._validators[known]


def _assertions(schema: Mapping[str, Any]) -> dict[str, Any]:
    own = {keyword: said for keyword, said in schema.items() if keyword not in _TAKEN_APART}
    if schema.get("additionalProperties") is False:
        own["additionalProperties"] = False
        for keyword in ("properties", "patternProperties"):
            own[keyword] = dict.fromkeys(keyed(schema, keyword), True)
    return own


def _typed(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {keyword: schema[keyword] for keyword in ("type", "const") if keyword in schema}


def _absolute(schema: Any) -> Any:
    """Return a copy in which each ``$ref`` names the whole schema, so that parts can be compiled alone."""
    if isinstance(schema, list):
        return [_absolute(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        keyword: f"{_WHOLE}{said}"
        if keyword == "$ref" and isinstance(said, str)
        else said
        if keyword in _DATA
        else _absolute(said)
        for keyword, said in schema.items()
    }


def _unclear(value: Any, path: Place) -> Failure:
    return Failure(path, f"{shown(value)} does not fit the schema here")
