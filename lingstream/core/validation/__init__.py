"""JSON schemas: the one place that compiles them and judges values by them.

Whoever saves a schema compiles it first, and is told what cannot be used; whoever has a value asks for its
failures. No ``$ref`` is ever fetched, patterns are matched in linear time, and a value that would take too
long is refused before it is looked at. ``format`` says something to people and is not checked.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

import jsonschema_rs
import orjson

from lingstream.core.document import jsonuri
from lingstream.core.document.depth import check_depth
from lingstream.core.exceptions import OptionError, UsageError
from lingstream.core.phrases import Phrase

from .applicators import Place, keyed, schemas
from .cost import MAX_NANOSECONDS, is_affordable, weigh
from .engine import MASK, compiled
from .failures import Failure, search, shown
from .foreign import of_engine
from .patterns import size

__all__ = ["MAX_SCHEMA", "Failure", "Schema", "SchemaFault", "check_options", "compile_schema"]

MAX_SCHEMA = 200_000  # characters
_MAX_PER_BYTE = MAX_NANOSECONDS / 200  # what costs more could not even judge a value of 200 bytes
_SHORT, _MOMENT = 2_000, 5_000_000  # characters (6 µs for each part that has to be searched), nanoseconds
_KEPT = 128
_TOO_DEEP = Phrase("expected a value with fewer levels of nesting")
_PLACES = 16  # failures that are looked at to choose the one that is told

_compiled: OrderedDict[bytes, Schema] = OrderedDict()
_lock = Lock()


class SchemaFault(UsageError):
    """A schema that cannot be used; ``uri`` is the place in it."""

    code = "invalid-schema"

    def __init__(self, message: str, *, uri: str) -> None:
        super().__init__(message)
        self.uri = uri


class Schema:
    """A compiled schema; made by :func:`compile_schema`."""

    def __init__(self, text: bytes) -> None:
        whole = orjson.loads(text)
        _check_parts(whole)
        self._whole = whole
        try:
            self._per_byte, self._goes_round = weigh(whole)
        except RecursionError as error:
            raise SchemaFault(Phrase("expected references that lead less deep"), uri="") from error
        if self._per_byte > _MAX_PER_BYTE:
            message = Phrase("expected a cheaper schema: the alternatives and references multiply each other")
            raise SchemaFault(message, uri="")
        try:
            self._validator = compiled(whole)
        except jsonschema_rs.ValidationError as error:
            raise _as_fault(error, whole) from error
        except (ValueError, RecursionError) as error:
            raise SchemaFault(of_engine(_short(str(error))), uri="") from error

    def takes_moments(self, characters: int) -> bool:
        """Whether a value of so many characters is judged within about 5 ms, its failures included."""
        costs = self._per_byte * characters
        return characters <= _SHORT and costs <= _MOMENT and not self._goes_round

    def failures(self, value: Any) -> list[Failure]:
        """Return what is wrong with ``value``: up to 16 failures, those nearest to the root first.

        :raises UsageError: judging it would take too long, or it is no JSON data.
        """
        value, length = _plain(value)
        costs = self._per_byte * length
        try:
            if (self._goes_round or costs > MAX_NANOSECONDS) and not is_affordable(self._whole, value):
                raise UsageError(
                    Phrase("expected a value that can be judged in bearable time"), code="too-costly"
                )
            if self._validator.is_valid(value):
                return []
            found = search(self._whole, value, _PLACES)
        except UsageError:
            raise
        except RecursionError as error:
            raise UsageError(_TOO_DEEP, code="too-deep") from error
        except ValueError as error:
            raise UsageError(_no_json(error)) from error
        return sorted(found, key=lambda failure: len(failure.path))


def compile_schema(schema: Any) -> Schema:
    """Return the compiled form of a schema (draft 2020-12 unless ``$schema`` says otherwise).

    The last 128 are kept.

    :raises SchemaFault: it is none, or uses what is not available here; names the place.
    """
    try:
        check_depth(schema)
        text = orjson.dumps(schema)
    except UsageError as error:
        raise SchemaFault(error.message, uri="") from error
    except TypeError as error:
        message = Phrase("expected a JSON schema: %(problem)s", problem=str(error))
        raise SchemaFault(message, uri="") from error
    if len(text) > MAX_SCHEMA:
        message = Phrase(
            "expected a schema of up to %(most)s characters, got %(got)s", most=MAX_SCHEMA, got=len(text)
        )
        raise SchemaFault(message, uri="")
    with _lock:
        if found := _compiled.get(text):
            _compiled.move_to_end(text)
            return found
    made = Schema(text)
    with _lock:
        _compiled[text] = made
        if len(_compiled) > _KEPT:
            _compiled.popitem(last=False)
    return made


def check_options(schema: Mapping[str, Any], options: Any) -> None:
    """Check the options of a step or of a provider by the schema of its kind.

    :raises OptionError: one does not fit: that nearest to the top.
    :raises UsageError: the schema cannot be used, or judging them takes too long.
    """
    if failures := compile_schema(dict(schema)).failures(options):
        where, message = jsonuri.join(*failures[0].path), failures[0].phrase
        known = schema.get("properties", {})
        if not where and schema.get("additionalProperties") is False and set(options) - set(known):
            message = Phrase(
                "%(problem)s; expected options among %(known)s", problem=message, known=", ".join(known)
            )
        if where:
            message = Phrase("the option %(uri)r: %(problem)s", uri=where, problem=message)
        raise OptionError(message, uri=where)


# -- schemas ----------------------------------------------------------------------------------------------


def _check_parts(whole: Any) -> None:
    """Refuse what this engine does not have, by names that an editor knows."""
    for place, schema in schemas(whole):
        if isinstance(schema, Mapping):
            _check_references(place, schema)
            _check_patterns(place, schema)


def _check_references(place: Place, schema: Mapping[str, Any]) -> None:
    ref = schema.get("$ref")
    if isinstance(ref, str) and ref != "#" and not ref.startswith("#/"):
        message = Phrase(
            "expected a reference within the schema, like #/$defs/name, got %(got)s", got=f"{ref!r:.200}"
        )
        raise _fault(message, *place, "$ref")
    for keyword in ("$dynamicRef", "$recursiveRef"):
        if keyword in schema:
            message = Phrase("expected a $ref like #/$defs/name: no other reference is available")
            raise _fault(message, *place, keyword)
    if place and "$id" in schema:
        message = Phrase("expected no $id inside a schema: a $ref below it would point elsewhere")
        raise _fault(message, *place, "$id")


def _check_patterns(place: Place, schema: Mapping[str, Any]) -> None:
    patterns: list[Place] = [("patternProperties", key) for key in keyed(schema, "patternProperties")]
    found = [(where, str(where[-1])) for where in patterns]
    if isinstance(own := schema.get("pattern"), str):
        found.append((("pattern",), own))
    for where, pattern in found:
        try:
            size(pattern)
        except UsageError as error:
            raise _fault(error.message, *place, *where) from error


def _as_fault(error: jsonschema_rs.ValidationError, whole: Any) -> SchemaFault:
    value = whole
    for key in error.instance_path:
        value = value[key]
    message = error.message.replace(MASK, shown(value), 1)
    return SchemaFault(of_engine(_short(message)), uri=jsonuri.join(*error.instance_path))


def _fault(message: str, *place: str | int) -> SchemaFault:
    return SchemaFault(message, uri=jsonuri.join(*place))


# -- values -----------------------------------------------------------------------------------------------


def _plain(value: Any) -> tuple[Any, int]:
    """Return ``value`` as plain JSON data, and how long it is as text.

    What orjson does not write is rare: integers beyond 64 bits, half characters, more than 254 levels.
    """
    try:
        return value, len(orjson.dumps(value))
    except TypeError:
        pass
    try:
        text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        return json.loads(text), len(text)
    except RecursionError as error:
        raise UsageError(_TOO_DEEP, code="too-deep") from error
    except (TypeError, ValueError) as error:
        raise UsageError(_no_json(error)) from error


def _no_json(error: Exception) -> Phrase:
    return Phrase("expected JSON data: %(problem)s", problem=_short(str(error)))


def _short(message: str) -> str:
    return message if len(message) <= 300 else message[:300] + "…"
