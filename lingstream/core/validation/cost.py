"""What validating a value may cost, known before it is done: ``jsonschema-rs`` has no limit of its own and
holds the interpreter's lock until it is ready.

Two schemas that both apply to the same value, and lead back to the same definition, double the work at each
level of a document; a list of objects in an ``enum`` is compared with each value that comes. The costs are
nanoseconds, measured for the worst values of each kind (``docs/decisions.md``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from . import patterns as _patterns
from .applicators import children, in_place, inner, keyed

__all__ = ["MAX_NANOSECONDS", "Weight", "is_affordable", "weigh"]

MAX_NANOSECONDS = 200_000_000
_MAX_PAIRS = 500_000  # of a schema and a value, looked at to know the cost

_KEYWORD = 15.0
_MEMBER = 320.0  # a list or object in an enum, beside a list or object
_ITEM = 250.0  # of an array whose items have to be unique
_DIVISION = 500.0
_LARGE_DIVISION = 25_000.0  # of a number that is no double's integer
_PER_BYTE = 0.07  # of a compiled pattern, for each character
_ANEW = 2  # unevaluated…: what is beside it is evaluated a second time


class Weight(NamedTuple):
    """The most that one byte of a value costs.

    :param here: by what applies to the value itself.
    :param below: by what applies to values inside it.
    """

    here: float
    below: float

    @property
    def most(self) -> float:
        return max(self)


def weigh(whole: Any) -> tuple[float, bool]:
    """Return the most that a schema costs for a byte of a value, and whether it refers to itself.

    Of one that does, the cost is that of going round once: values have to be looked at one by one.

    :raises RecursionError: its references lead from one to the next too often.
    """
    scales = _Scales(whole)
    return scales.weigh(whole).most, scales.goes_round


def is_affordable(whole: Any, value: Any) -> bool:
    """Whether validating ``value`` stays within the bound, by a look at all of it.

    :raises RecursionError: it is too deep.
    """
    try:
        _Account(whole).spend(whole, value)
    except _TooMany:
        return False
    return True


class _Scales:
    def __init__(self, whole: Any) -> None:
        self._whole = whole
        self._known: dict[int, Weight | None] = {}
        self.goes_round = False

    def weigh(self, schema: Any) -> Weight:
        if not isinstance(schema, Mapping):
            return Weight(_KEYWORD, 0)
        name = id(schema)
        if name not in self._known:
            self._known[name] = None  # it is being weighed: who comes here again refers to itself
            self._known[name] = self._sum(schema)
        found = self._known[name]
        self.goes_round |= found is None
        return found or Weight(_KEYWORD, 0)

    def _sum(self, schema: Mapping[str, Any]) -> Weight:
        beside = [self.weigh(part) for part in in_place(schema, self._whole)]
        own = _Terms(schema)
        here = own.per_byte + own.times * sum(part.here for part in beside)
        return Weight(here, self._below(schema) + own.times * sum(part.below for part in beside))

    def _below(self, schema: Mapping[str, Any]) -> float:
        def most(keyword: str) -> float:
            return max((self.weigh(part).most for _, part in inner(schema, keyword)), default=0.0)

        one_of = ("properties", "additionalProperties", "prefixItems", "items", "additionalItems")
        more = ("contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties")
        patterns = sum(self.weigh(part).most for _, part in inner(schema, "patternProperties"))
        return max(map(most, one_of)) + sum(map(most, more)) + patterns


class _TooMany(Exception):
    pass


class _Account:
    """Adds up what each pair of a schema and a value costs; one that comes again is not looked at again."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole
        self._known: dict[tuple[int, int], float] = {}
        self._terms: dict[int, _Terms] = {}
        self._seen = 0.0  # of all pairs that have been looked at, once each

    def spend(self, schema: Any, value: Any) -> float:
        if not isinstance(schema, Mapping):
            return _KEYWORD
        pair = id(schema), id(value)
        if (known := self._known.get(pair)) is not None:
            return known
        if len(self._known) > _MAX_PAIRS:
            raise _TooMany
        self._known[pair] = 0.0  # a schema that is its own definition says nothing more
        own = self._terms.get(id(schema)) or self._terms.setdefault(id(schema), _Terms(schema))
        cost = own.of(value)
        self._seen += cost
        if self._seen > MAX_NANOSECONDS:  # before its patterns are matched against the keys, here too
            raise _TooMany
        beside = sum(self.spend(part, value) for part in in_place(schema, self._whole))
        inside = sum(
            self.spend(child.schema, child.value) for child in children(schema, value, _patterns.matches)
        )
        found = self._known[pair] = cost + own.times * (beside + inside)
        if found > MAX_NANOSECONDS:
            raise _TooMany
        return found


class _Terms:
    """What one schema costs, without those inside it."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.times = _ANEW if {"unevaluatedProperties", "unevaluatedItems"} & schema.keys() else 1
        self._keywords = len(schema) * _KEYWORD
        members = schema["enum"] if isinstance(schema.get("enum"), list) else []
        self._members = sum(isinstance(member, (dict, list)) for member in members) * _MEMBER
        own = schema.get("pattern")
        self._text = _patterns.size(own) * _PER_BYTE if isinstance(own, str) else 0.0
        self._keys = sum(map(_patterns.size, keyed(schema, "patternProperties"))) * _PER_BYTE
        self._item = _ITEM if schema.get("uniqueItems") is True else 0.0
        self._divides = "multipleOf" in schema

    @property
    def per_byte(self) -> float:
        """For the dearest values; the shortest ones are ``1,`` and ``{},``."""
        division = _LARGE_DIVISION / 4 if self._divides else 0
        return self._keywords / 2 + self._members / 3 + self._item / 2 + self._text + self._keys + division

    def of(self, value: Any) -> float:
        """For this value."""
        cost = self._keywords
        if isinstance(value, str):
            cost += len(value) * self._text
        elif isinstance(value, dict):
            cost += self._members + (sum(map(len, value)) * self._keys if self._keys else 0)
        elif isinstance(value, (list, tuple)):
            cost += self._members + (_length(value) * self._item / 2 if self._item else 0)
        elif self._divides and isinstance(value, (int, float)):
            cost += _DIVISION if not value or 1e-9 < abs(value) < 1e15 else _LARGE_DIVISION
        return cost


def _length(value: Any) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:  # integers beyond 64 bits, more than 254 levels
        return len(json.dumps(value))
