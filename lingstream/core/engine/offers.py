"""Uri patterns that a trigger may wait for, out of a schema, of a document, or of the example in a prompt.

They are offered to who writes a trigger, and what is bounded here is left out: nothing is judged by them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

from lingstream.core.document import jsonuri
from lingstream.core.parsing.schema.shape import Schemas, Shape
from lingstream.core.templates.reading import uri_segments

__all__ = ["Offer", "example_in", "of_schema", "of_value", "root_pattern"]

Type: TypeAlias = Literal["string", "container"]

_MOST = 200  # patterns
_DEEPEST = 8  # levels
_ITEMS = 20  # of a list that are looked at
_STARTS = 50  # places of a prompt at which an example may begin
_LONGEST = 100_000  # characters of a prompt that are looked at
_ANY = 5  # of the types of JSON: whoever allows so many says nothing


class Offer(NamedTuple):
    """A pattern below the root of a step, and what closes there."""

    uri: str
    type: Type


def of_schema(schema: Any) -> list[Offer]:
    """Return what an output schema tells of, from the top down."""
    return _bounded(_walk_schema(schema))


def of_value(value: Any) -> list[Offer]:
    """Return what stands in a document; the items of a list are one star."""
    return _bounded(_walk_value(value))


def example_in(text: str) -> Any:
    """Return the longest JSON object or list in a prompt, or ``None``."""
    text, decoder = text[:_LONGEST], json.JSONDecoder()
    best: tuple[int, Any] = (0, None)
    at, starts = 0, 0
    while starts < _STARTS and (at := _next_start(text, at)) >= 0:
        starts += 1
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        best = max(best, (end - at, value), key=lambda found: found[0])
        at = end
    return best[1] if best[0] > len("{}") else None


def root_pattern(root: str) -> str | None:
    """Return the pattern of the uris that a root's template makes; ``None`` if that cannot be told."""
    keys = uri_segments(root)
    if keys is None:
        return None
    return "/".join("*" if key is None else _segment(key) for key in keys)


def _next_start(text: str, at: int) -> int:
    return min((found for mark in "{[" if (found := text.find(mark, at)) >= 0), default=-1)


def _bounded(found: Iterable[Offer]) -> list[Offer]:
    offers = dict[Offer, None]()
    for offer in found:
        offers[offer] = None
        if len(offers) == _MOST:
            break
    return list(offers)


def _walk_schema(schema: Any) -> Iterator[Offer]:
    pending = deque([((), Schemas(schema).shape(schema))]) if schema else deque[tuple[Any, Shape]]()
    while pending:
        keys, shape = pending.popleft()
        types = shape.types
        if len(types) >= _ANY:
            continue
        uri = "/".join(keys)
        if "string" in types:
            yield Offer(uri, "string")
        if types & {"object", "array"}:
            yield Offer(uri, "container")
        if len(keys) < _DEEPEST:
            below = [(_segment(name), shape.property(name)) for name in sorted(shape.names)]
            below += [("*", each) for each in shape.below("0")] if "array" in types else []
            pending.extend(((*keys, key), each) for key, each in below if each is not None)


def _walk_value(value: Any) -> Iterator[Offer]:
    pending = deque[tuple[tuple[str, ...], Any]]([((), value)])
    while pending:
        keys, each = pending.popleft()
        if isinstance(each, str):
            yield Offer("/".join(keys), "string")
        elif isinstance(each, (dict, list)):
            yield Offer("/".join(keys), "container")
            items = each.items() if isinstance(each, dict) else (("*", item) for item in each[:_ITEMS])
            if len(keys) < _DEEPEST and len(pending) < _MOST * _ITEMS:
                is_list = isinstance(each, list)
                pending.extend(((*keys, "*" if is_list else _segment(key)), inner) for key, inner in items)


def _segment(key: str) -> str:
    """A key as a pattern has it: its own stars are none."""
    return "\\" + key if key in ("*", "**") else jsonuri.escape(key)
