"""The sandbox that templates run in: Jinja2's, with bounds on what one rendering may cost.

Jinja2's own sandbox keeps a template from reaching code; it does not keep ``[x, x]`` forty times over from
filling the memory. Here loops and macros pay for each turn, and operators, literals, filters, methods and
output for what they build.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2 import filters as jinja_filters
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from . import jsonuri
from .exceptions import TemplateError

__all__ = ["BUDGET", "MAX_OUTPUT", "TEXT", "URI", "Budget"]

MAX_OUTPUT = 1_000_000
MAX_VALUE = 4_000_000  # one value built by a template: its characters, and _ITEM for each item
MAX_CHARACTERS = 16_000_000  # all that one rendering writes, kept or not
MAX_STEPS = 100_000  # loop turns and macro calls
MAX_SECONDS = 2.0
MAX_BITS = 4_096  # of an integer

_ITEM = 16


class Budget:
    """What one rendering may still spend."""

    __slots__ = ("characters", "deadline", "steps")

    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self.characters = MAX_CHARACTERS
        self.deadline = time.monotonic() + MAX_SECONDS

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise TemplateError(f"expected at most {MAX_STEPS} loop turns and macro calls, got more")
        if time.monotonic() > self.deadline:
            raise TemplateError(f"expected a rendering of at most {MAX_SECONDS:g} s, it took longer")

    def spend(self, characters: int) -> None:
        self.characters -= characters
        if self.characters < 0:
            raise TemplateError(f"expected to write at most {MAX_CHARACTERS} characters in all, got more")


BUDGET = " budget"  # the space makes it a name that no template can write


def _budget(context: Context) -> Budget:
    budget = context.resolve_or_missing(BUDGET)
    return budget if isinstance(budget, Budget) else Budget()


# -- values as text ---------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if isinstance(value, (str, Undefined)):
        return str(value)  # StrictUndefined raises here, with the name that is missing
    return _json(value)


def _json(value: Any, indent: int | None = None) -> str:
    if indent is not None and not 0 <= indent <= 8:
        raise TemplateError(f"expected an indent from 0 to 8, got {indent!r}")
    return json.dumps(_sized(value), ensure_ascii=False, indent=indent, default=_listed)


def _listed(value: Any) -> Any:
    if isinstance(value, Undefined):
        str(value)
    if isinstance(value, (Iterator, set, frozenset, type({}.keys()), type({}.values()), type({}.items()))):
        return _sized(list(islice(value, MAX_STEPS)))
    raise TemplateError(f"expected JSON data, got {type(value).__name__}")


def _sized(value: Any) -> Any:
    """Return ``value`` if it is of bearable size written out.

    ``[x, x]`` forty times over is small in memory and 2^40 items when written, compared or searched.
    """
    if not isinstance(value, (list, tuple, dict)):
        return value
    left, stack = MAX_VALUE, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            left -= len(item)
        elif isinstance(item, dict):
            left -= _ITEM * len(item)
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            left -= _ITEM * len(item)
            stack.extend(item)
        if left < 0:
            raise TemplateError(f"expected a value of at most {MAX_VALUE} characters and items, got more")
    return value


@pass_context
def _finalize(context: Context, value: Any) -> str:
    text = _text(value)
    _budget(context).spend(len(text))
    return text


@pass_context
def _finalize_uri(context: Context, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, Undefined)):
        raise TemplateError(f"expected text or an integer as a segment of a uri, got {_text(value)[:100]}")
    segment = jsonuri.escape(str(value))
    _budget(context).spend(len(segment))
    return segment


# -- the sandbox ------------------------------------------------------------------------------------------


@pass_context
def _tick(context: Context, value: Any) -> bool:
    _budget(context).step()
    return True


@pass_context
def _concat(context: Context, parts: list[Any]) -> str:
    return _finalize(context, "".join(map(_text, parts)))


@pass_context
def _join(context: Context, value: Iterable[Any], d: Any = "", attribute: Any = None) -> str:
    if attribute is not None:
        value = map(jinja_filters.make_attrgetter(context.environment, attribute), value)
    glue, parts = _text(d), []
    for item in value:
        parts.append(_text(item))
        _budget(context).spend(len(parts[-1]) + len(glue))
    return glue.join(parts)


@pass_context
def _replace(context: Context, s: Any, old: Any, new: Any, count: int = -1) -> str:
    text, old, new = _text(s), _text(old), _text(new)
    found = text.count(old) if count < 0 else min(text.count(old), count)
    _budget(context).spend(len(text) + found * len(new))
    return text.replace(old, new, -1 if count < 0 else count)


@pass_context
def _indent(context: Context, s: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    text, size = _text(s), width if isinstance(width, int) else len(width)
    _budget(context).spend(len(text) + (text.count("\n") + 1) * size)
    return jinja_filters.do_indent(text, width, first, blank)


@pass_context
def _map(context: Context, value: Iterable[Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
    budget = _budget(context)
    for item in jinja_filters.sync_do_map(context, value, *args, **kwargs):
        budget.step()
        budget.spend(len(item) if isinstance(item, str) else 1)
        yield item


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if not -20 <= precision <= 20:
        raise TemplateError(f"expected a precision from -20 to 20, got {precision!r}")
    return jinja_filters.do_round(value, precision, method)


def _sum(value: Iterable[Any], attribute: Any = None, start: float = 0) -> Any:
    if attribute is not None:
        value = map(jinja_filters.make_attrgetter(TEXT, attribute), value)
    if not isinstance(start, (int, float)):
        raise TemplateError("expected a number to start a sum with")
    return sum((_number(item) for item in value), start)


def _number(value: Any) -> Any:
    if isinstance(value, (int, float)):
        return value
    raise TemplateError(f"expected numbers in a sum, got {_text(value)[:100]}")


# What is here costs about as much as what goes in; Jinja2's other filters are missing on purpose.
# fmt: off
_KEPT = (
    "abs", "attr", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
    "groupby", "int", "items", "last", "length", "list", "lower", "max", "min", "reject", "rejectattr",
    "reverse", "select", "selectattr", "sort", "striptags", "title", "trim", "truncate", "unique", "upper",
    "urlencode", "wordcount",
)
# fmt: on
_FILTERS: dict[str, Callable[..., Any]] = {
    **{name: jinja_filters.FILTERS[name] for name in _KEPT},
    "indent": _indent,
    "join": _join,
    "map": _map,
    "replace": _replace,
    "round": _round,
    "string": _text,
    "sum": _sum,
    "tojson": _json,
    "~concat": _concat,
    "~sized": _sized,
    "~tick": _tick,
}
# fmt: off
_STRING_METHODS = frozenset((
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdecimal",
    "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "lower", "lstrip", "partition",
    "removeprefix", "removesuffix", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split",
    "splitlines", "startswith", "strip", "swapcase", "title", "upper", "replace", "join",
))
# fmt: on
_BOUNDED_METHODS: dict[str, Callable[..., str]] = {
    "replace": _replace,
    "join": lambda context, glue, items: _join(context, items, glue),
}


class _Bounds(NodeTransformer):
    """Put a meter into every loop and macro, and a bound on what literals and ``~`` build."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(self._tick(node), lineno=node.lineno))
        if node.test is not None:
            node.test = nodes.And(self._tick(node), node.test, lineno=node.lineno)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(self._tick(node), lineno=node.lineno))
        return node

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.CallBlock:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(self._tick(node), lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        return self._filter("~concat", nodes.List(node.nodes, lineno=node.lineno))

    def visit_List(self, node: nodes.List) -> nodes.Filter:
        self.generic_visit(node)
        return self._filter("~sized", node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Filter:
        self.generic_visit(node)
        return self._filter("~sized", node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return self._filter("~sized", node) if node.ctx == "load" else node

    def _tick(self, node: nodes.Node) -> nodes.Filter:
        return self._filter("~tick", nodes.Const(None, lineno=node.lineno))

    @staticmethod
    def _filter(name: str, node: nodes.Expr) -> nodes.Filter:
        return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _CodeGenerator(CodeGenerator):
    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        bounded = _Bounds().visit(node)
        bounded.set_environment(self.environment)
        super().visit_Template(bounded, frame)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, with bounds on what operators, methods and outputs may cost."""

    code_generator_class = _CodeGenerator
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, finalize: Callable[..., str]) -> None:
        super().__init__(
            undefined=StrictUndefined, autoescape=False, finalize=finalize, keep_trailing_newline=True
        )
        self.filters = dict(_FILTERS)
        self.globals = {name: self.globals[name] for name in ("range", "dict", "namespace")}
        self.concat = _bounded_concat  # type: ignore[method-assign]

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]  # data first: a model may well write a field called "items"
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr not in _STRING_METHODS:
            return False
        if isinstance(obj, (int, float, bytes)) or attr == "fromkeys":
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        return None  # format() pads without bound; is_safe_attribute refuses it

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        _sized([args, kwargs])
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str) and (bounded := _BOUNDED_METHODS.get(__obj.__name__)):
            return bounded(__context, owner, *args, **kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            raise TemplateError("expected numbers at %, got text; use ~ to put text together")
        if operator == "*":
            _bound_product(left, right)
        if operator == "**" and isinstance(left, int) and isinstance(right, int):
            _bound_bits(left.bit_length() * max(right, 0))
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, str):
            _budget(context).spend(len(result))
        return _sized(result)


def _bound_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _bound_bits(left.bit_length() + right.bit_length())
        return
    for item, times in ((left, right), (right, left)):
        if isinstance(item, (str, list, tuple)) and isinstance(times, int) and len(item) * times > MAX_OUTPUT:
            raise TemplateError(
                f"expected at most {MAX_OUTPUT} characters from a repetition, got {len(item)} × {times}"
            )


def _bound_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise TemplateError(f"expected an integer of at most {MAX_BITS} bits, got about {bits}")


def _bounded_concat(parts: Iterable[str]) -> str:
    kept, size = [], 0
    for part in parts:
        kept.append(part)
        size += len(part)
        if size > MAX_OUTPUT:
            raise TemplateError(f"expected at most {MAX_OUTPUT} characters of output, got more")
    return "".join(kept)


TEXT = _Sandbox(_finalize)
URI = _Sandbox(_finalize_uri)
