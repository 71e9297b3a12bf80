"""What a template asks for, read from its syntax tree and without rendering it.

Only what is certain is said: a template may ask for more inside an ``{% if %}`` or before a ``default``, and
what is not understood here says nothing. Every answer takes time linear in the template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from jinja2 import TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables

from lingstream.core.document import jsonuri
from lingstream.core.exceptions import JsonUriError, TemplateError
from lingstream.core.phrases import Phrase

from .sandbox import MAX_SOURCE, TEXT

__all__ = ["Reading", "read", "uri_fault", "uri_segments"]

_MATCH = "match"
_CACHED = 256
_HOLE = "\0"  # where an interpolation stands in the text of a uri
_SLASHES = re.compile("/{2,}")
_FORGIVING = ("default", "d", "items")  # filters that take what is not there


class Reading(NamedTuple):
    """What a template asks for.

    :param names: the names that come from outside.
    :param match: the numbers that ``match`` is asked for, or ``None`` where it is used in another way, too.
    :param needs: those of them without which every rendering fails.
    """

    names: frozenset[str]
    match: frozenset[int] | None
    needs: frozenset[int]


@lru_cache(maxsize=_CACHED)
def read(source: str) -> Reading | None:
    """Return what ``source`` asks for; ``None`` if that cannot be told."""
    tree = _parse(source)
    if tree is None:
        return None
    try:
        names = find_undeclared_variables(tree)
        rebound = any(name.name == _MATCH and name.ctx != "load" for name in tree.find_all(nodes.Name))
        if _MATCH not in names or rebound:
            return Reading(frozenset(names), frozenset() if _MATCH not in names else None, frozenset())
        asked = [number for item in tree.find_all(nodes.Getitem) if (number := _number(item)) is not None]
        used = sum(name.name == _MATCH for name in tree.find_all(nodes.Name))
    except (RecursionError, TemplateSyntaxError):
        return None
    return Reading(
        frozenset(names),
        frozenset(asked) if used == len(asked) else None,
        frozenset(_needs(tree.body)),
    )


@lru_cache(maxsize=_CACHED)
def uri_segments(source: str) -> tuple[str | None, ...] | None:
    """Return the keys of the uri that ``source`` makes, ``None`` for each that an interpolation decides.

    :returns: ``None`` if not even their number can be told, as where the template has an ``{% if %}``.
    """
    text = _uri_text(source)
    try:
        written = None if text is None else jsonuri.segments(text)
    except JsonUriError:
        return None
    if written is None:
        return None
    return tuple(None if _HOLE in segment else jsonuri.unescape(segment) for segment in written)


def uri_fault(source: str) -> str:
    """Return why nothing that ``source`` makes is a uri, and what would be; ``""`` if it may be one."""
    text = _uri_text(source)
    try:
        jsonuri.split(text or "")
    except JsonUriError:
        better = _SLASHES.sub("/", source.strip("/"))
        empty = Phrase(
            "expected segments joined by '/', got an empty one or half an escape in %(source)s",
            source=f"{source!r:.100}",
        )
        if not better or uri_fault(better):
            return empty
        return Phrase("%(problem)s: write %(better)s", problem=empty, better=better)
    return ""


def _uri_text(source: str) -> str | None:
    """The uri that ``source`` makes, with a hole for each interpolation; ``None`` if statements decide."""
    tree = _parse(source)
    if tree is None or _HOLE in source or any(type(node) is not nodes.Output for node in tree.body):
        return None
    parts = [part for node in tree.body if isinstance(node, nodes.Output) for part in node.nodes]
    return "".join(part.data if isinstance(part, nodes.TemplateData) else _HOLE for part in parts)


def _parse(source: str) -> nodes.Template | None:
    if len(source) > MAX_SOURCE:
        return None
    try:
        return TEXT.parse(source)
    except (TemplateSyntaxError, TemplateError, RecursionError, MemoryError):
        return None


def _number(node: nodes.Node) -> int | None:
    """The ``n`` of ``match[n]``, or ``None`` for anything else."""
    if not (
        isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Name) and node.node.name == _MATCH
    ):
        return None
    sign, asked = 1, node.arg
    if isinstance(asked, nodes.Neg):
        sign, asked = -1, asked.node
    if isinstance(asked, nodes.Const) and type(asked.value) is int:
        return sign * asked.value
    return None


def _needs(body: list[nodes.Node]) -> Iterator[int]:
    """The numbers that are asked for whatever the values are."""
    pending = list(body)
    while pending:
        node = pending.pop()
        if (number := _number(node)) is not None:
            yield number
        pending.extend(_certain(node))


def _certain(node: nodes.Node) -> list[nodes.Node]:
    """The parts of ``node`` that are evaluated, and fail if they are undefined, whatever the values are."""
    match node:
        case nodes.Output() | nodes.Concat():
            return list(node.nodes)
        case nodes.If() | nodes.CondExpr():
            return [node.test]
        case nodes.For():
            return [node.iter]
        case nodes.And() | nodes.Or():
            return [node.left]
        case nodes.Filter(node=nodes.Expr() as filtered) if node.name not in _FORGIVING:
            return [filtered]
        case nodes.BinExpr():
            return [node.left, node.right]
        case nodes.UnaryExpr() | nodes.Getitem() | nodes.Getattr():
            return [node.node]
        case nodes.Compare():
            return [node.expr, *(operand.expr for operand in node.ops[:1])]
    return []
