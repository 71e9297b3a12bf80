"""The sandbox that templates run in: Jinja2's, with bounds on what one rendering may cost.

Jinja2's own sandbox keeps a template from reaching code; it does not keep ``[x, x]`` forty times over from
filling the memory. Here loops and macros pay for each turn, and operators, literals, filters, tests, methods,
slices and output for what they go through and for what they build (:mod:`.budget`).
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, cast
from urllib.parse import quote

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2 import filters as jinja_filters
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import Namespace, _PassArg
from jinja2.visitor import NodeTransformer

from lingstream.core.document import jsonuri
from lingstream.core.exceptions import TemplateError
from lingstream.core.phrases import Phrase

from . import computing
from .budget import MAX_STEPS, Budget, sized

__all__ = ["BUDGET", "COMPUTE", "MAX_OUTPUT", "MAX_SOURCE", "TEXT", "URI", "URL", "as_json"]

MAX_OUTPUT = 1_000_000
MAX_SOURCE = 200_000
MAX_BITS = 4_096  # of an integer

BUDGET = " budget"  # the space makes it a name that no template can write


def _budget(context: Context) -> Budget:
    budget = context.resolve_or_missing(BUDGET)
    return budget if isinstance(budget, Budget) else Budget()


# -- values as text ---------------------------------------------------------------------------------------


def _text(value: Any, budget: Budget) -> str:
    if isinstance(value, (str, Undefined)):
        return str(value)  # StrictUndefined raises here, with the name that is missing
    return _written(value, budget)


def _written(value: Any, budget: Budget, indent: int | None = None) -> str:
    def listed(found: Any) -> Any:
        if isinstance(found, Undefined):
            str(found)
        if isinstance(
            found, (Iterator, set, frozenset, type({}.keys()), type({}.values()), type({}.items()))
        ):
            return budget.walk(list(islice(budget.glance(found), MAX_STEPS)))
        raise TemplateError(Phrase("expected JSON data, got %(got)s", got=type(found).__name__))

    if indent is not None and not 0 <= indent <= 8:
        raise TemplateError(Phrase("expected an indent from 0 to 8, got %(got)s", got=repr(indent)))
    return json.dumps(sized(value, budget), ensure_ascii=False, indent=indent, default=listed)


@pass_context
def _finalize(context: Context, value: Any) -> str:
    budget = _budget(context)
    text = _text(value, budget)
    budget.spend(len(text))
    return text


@pass_context
def _finalize_uri(context: Context, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, Undefined)):
        got = _text(value, _budget(context))[:100]
        raise TemplateError(Phrase("expected text or an integer as a segment of a uri, got %(got)s", got=got))
    segment = jsonuri.escape(str(value))
    _budget(context).spend(len(segment))
    return segment


@pass_context
def _finalize_url(context: Context, value: Any) -> str:
    if not isinstance(value, (str, int, float, Undefined)):
        got = _text(value, _budget(context))[:100]
        raise TemplateError(Phrase("expected text or a number as a part of a URL, got %(got)s", got=got))
    part = quote(_text(value, _budget(context)), safe="")
    if part in (".", ".."):
        part = part.replace(".", "%2E")  # or it would be an instruction to the path, and no word of it
    _budget(context).spend(len(part))
    return part


def as_json(value: Any, budget: Budget) -> Any:
    """Return what an expression came to as JSON data of its own.

    :raises TemplateError: it is none.
    """
    plain = value is None or isinstance(value, (str, int, float))
    return value if plain else json.loads(_written(value, budget))


# -- the sandbox ------------------------------------------------------------------------------------------


@pass_context
def _tick(context: Context, value: Any) -> bool:
    _budget(context).step()
    return True


@pass_context
def _sized(context: Context, value: Any) -> Any:
    return sized(value, _budget(context))


@pass_context
def _walked(context: Context, value: Any) -> Any:
    """For what is sliced, and stays as it is."""
    return _budget(context).glance(value)


@pass_context
def _searched(context: Context, container: Any) -> Any:
    """What something is looked for in: a dict knows its keys, all else is gone through."""
    return container if isinstance(container, dict) else _budget(context).walk(container)


@pass_context
def _compared(context: Context, value: Any) -> Any:
    return _budget(context).walk(value)


@pass_context
def _concat(context: Context, parts: list[Any]) -> str:
    budget = _budget(context)
    return _finalize(context, "".join([_text(part, budget) for part in parts]))


@pass_context
def _join(context: Context, value: Iterable[Any], d: Any = "", attribute: Any = None) -> str:
    budget = _budget(context)
    if attribute is not None:
        value = map(jinja_filters.make_attrgetter(context.environment, attribute), value)
    glue, parts = _text(d, budget), []
    for item in value:
        parts.append(_text(item, budget))
        budget.spend(len(parts[-1]) + len(glue))
    return glue.join(parts)


@pass_context
def _replace(context: Context, s: Any, old: Any, new: Any, count: int = -1) -> str:
    budget = _budget(context)
    text, old, new = _text(s, budget), _text(old, budget), _text(new, budget)
    budget.walk(text)
    found = text.count(old) if count < 0 else min(text.count(old), count)
    budget.spend(len(text) + found * len(new))
    return text.replace(old, new, -1 if count < 0 else count)


@pass_context
def _indent(context: Context, s: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    budget = _budget(context)
    text, size = _text(s, budget), width if isinstance(width, int) else len(width)
    budget.spend(len(text) + (text.count("\n") + 1) * size)
    return jinja_filters.do_indent(text, width, first, blank)


@pass_context
def _map(context: Context, value: Iterable[Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
    budget = _budget(context)
    for item in jinja_filters.sync_do_map(context, value, *args, **kwargs):
        budget.step()
        budget.spend(len(item) if isinstance(item, str) else 1)
        yield item


@pass_context
def _string(context: Context, value: Any) -> str:
    return _text(value, _budget(context))


@pass_context
def _json(context: Context, value: Any, indent: int | None = None) -> str:
    return _written(value, _budget(context), indent)


@pass_context
def _strip_tags(context: Context, value: Any) -> str:
    """As Jinja2's, in time linear in the text: that one copies the rest for each tag."""
    text, parts, place = _text(value, _budget(context)), [], 0
    while (start := text.find("<", place)) >= 0:
        close = "-->" if text.startswith("<!--", start) else ">"
        end = text.find(close, start)
        if end < 0:
            break
        parts.append(text[place:start])
        place = end + len(close)
    return html.unescape(" ".join("".join([*parts, text[place:]]).split()))


@pass_context
def _trim(context: Context, value: Any, chars: str | None = None) -> str:
    budget = _budget(context)
    text = _text(value, budget)
    _pay_for_method(budget, "strip", text, (chars,))
    return text.strip(chars)


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if not -20 <= precision <= 20:
        raise TemplateError(Phrase("expected a precision from -20 to 20, got %(got)s", got=repr(precision)))
    return jinja_filters.do_round(value, precision, method)


@pass_context
def _sum(context: Context, value: Iterable[Any], attribute: Any = None, start: float = 0) -> Any:
    if attribute is not None:
        value = map(jinja_filters.make_attrgetter(context.environment, attribute), value)
    if not isinstance(start, (int, float)):
        raise TemplateError(Phrase("expected a number to start a sum with"))
    return sum((_number(context, item) for item in value), start)


def _number(context: Context, value: Any) -> Any:
    if isinstance(value, (int, float)):
        return value
    got = _text(value, _budget(context))[:100]
    raise TemplateError(Phrase("expected numbers in a sum, got %(got)s", got=got))


def _paid(function: Callable[..., Any], pay: Callable[[Budget, Any], Any]) -> Callable[..., Any]:
    """A filter or test that pays for what it is given before it looks at it."""
    passed = _PassArg.from_obj(function)

    @pass_context
    def paid(context: Context, value: Any = (), *args: Any, **kwargs: Any) -> Any:
        budget = _budget(context)
        budget.pay(5)
        value = pay(budget, value)
        for more in (*args, *kwargs.values()):
            budget.walk(more)
        if passed is _PassArg.context:
            return function(context, value, *args, **kwargs)
        if passed is _PassArg.eval_context:
            return function(context.eval_ctx, value, *args, **kwargs)
        if passed is _PassArg.environment:
            return function(context.environment, value, *args, **kwargs)
        return function(value, *args, **kwargs)

    return paid


def _nothing(budget: Budget, value: Any) -> Any:
    return value


def _glance(budget: Budget, value: Any) -> Any:
    return budget.glance(value)


def _walk(budget: Budget, value: Any) -> Any:
    return budget.walk(value)


def _slowly(budget: Budget, value: Any) -> Any:
    """Each character is looked at by itself."""
    return budget.walk(value, times=8)


def _sort(budget: Budget, value: Any) -> Any:
    """Comparisons for each item: log2 of MAX_STEPS."""
    return budget.walk(value, times=17)


# What is here costs about as much as what goes in, and pays for it; Jinja2's other filters are missing on
# purpose. By how they pay: for nothing but the call, for each item, for all that is inside, for work on each
# character, for a sort.
# fmt: off
_KEPT: dict[Callable[[Budget, Any], Any], tuple[str, ...]] = {
    _nothing: ("abs", "attr", "count", "d", "default", "first", "items", "length"),
    _glance: ("last", "list", "reject", "rejectattr", "reverse", "select", "selectattr"),
    _walk: ("capitalize", "float", "int", "lower", "max", "min", "truncate", "unique", "upper"),
    _slowly: ("e", "escape", "title", "urlencode", "wordcount"),
    _sort: ("dictsort", "groupby", "sort"),
}
# fmt: on
_FILTERS: dict[str, Callable[..., Any]] = {
    **{name: _paid(jinja_filters.FILTERS[name], pay) for pay, names in _KEPT.items() for name in names},
    "indent": _paid(_indent, _walk),
    "join": _paid(_join, _glance),
    "map": _paid(_map, _glance),
    "replace": _paid(_replace, _walk),
    "round": _paid(_round, _nothing),
    "string": _paid(_string, _nothing),
    "striptags": _paid(_strip_tags, _slowly),
    "sum": _paid(_sum, _glance),
    "tojson": _paid(_json, _nothing),
    "trim": _paid(_trim, _walk),
    "~compared": _compared,
    "~concat": _concat,
    "~searched": _searched,
    "~sized": _sized,
    "~tick": _tick,
    "~walked": _walked,
}


@pass_context
def _test_in(context: Context, value: Any, seq: Any) -> bool:
    return value in _searched(context, seq)


_UNPAID = ("defined", "undefined")  # asked of what is not there
_TESTS: dict[str, Any] = {
    **{name: test if name in _UNPAID else _paid(cast(Any, test), _walk) for name, test in TESTS.items()},
    "in": _test_in,
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


# As what they cost for each character of the text, in characters of the argument.
_QUADRATIC = {
    **dict.fromkeys(("strip", "lstrip", "rstrip"), 4),
    **dict.fromkeys(("rfind", "rindex", "rsplit", "rpartition"), 1),
}


def _pay_for_method(budget: Budget, name: str, text: str, arguments: Iterable[Any]) -> None:
    budget.walk(text)
    if share := _QUADRATIC.get(name):
        longest = max((len(each) for each in arguments if isinstance(each, str)), default=0)
        budget.pay(len(text) * longest // (share * 64))


class _Bounds(NodeTransformer):
    """Put a meter into every loop and macro, and let literals, ``~``, comparisons and slices pay."""

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:
        self.generic_visit(node)
        for operand in node.ops:
            name = "~searched" if operand.op in ("in", "notin") else "~compared"
            operand.expr = self._filter(name, operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Getitem:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = self._filter("~walked", node.node)
        return node

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
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})

    def __init__(self, finalize: Callable[..., str]) -> None:
        super().__init__(
            undefined=StrictUndefined, autoescape=False, finalize=finalize, keep_trailing_newline=True
        )
        self.filters = dict(_FILTERS)
        self.tests = dict(_TESTS)
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
        budget = _budget(__context)
        budget.walk([args, kwargs])
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            if bounded := _BOUNDED_METHODS.get(__obj.__name__):
                return bounded(__context, owner, *args, **kwargs)
            _pay_for_method(budget, __obj.__name__, owner, args)
        elif isinstance(owner, (list, tuple)):
            budget.walk(owner)
        if __obj in (dict, Namespace):
            args = tuple([_keyed(each, budget) for each in args])
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            raise TemplateError(Phrase("expected numbers at %, got text; use ~ to put text together"))
        if operator == "*":
            _bound_product(left, right)
        if operator == "**" and isinstance(left, int) and isinstance(right, int):
            _bound_bits(left.bit_length() * max(right, 0))
        if operator in ("//", "%") and isinstance(left, int) and isinstance(right, int):
            _bound_bits(left.bit_length())
        budget = _budget(context)
        for operand in (left, right):
            if not isinstance(operand, (int, float)):
                budget.glance(operand)
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, str):
            budget.spend(len(result))
        return sized(result, budget)


def _keyed(pairs: Any, budget: Budget) -> Any:
    """A dict of pairs, paid for one by one: numbers of one hash are each compared with all."""
    if isinstance(pairs, dict):
        return pairs
    made = {}
    for key, item in pairs:
        budget.pay(5)
        made[key] = item
    return made


def _bound_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _bound_bits(left.bit_length() + right.bit_length())
        return
    for item, times in ((left, right), (right, left)):
        if isinstance(item, (str, list, tuple)) and isinstance(times, int) and len(item) * times > MAX_OUTPUT:
            message = Phrase(
                "expected at most %(most)s characters from a repetition, got %(length)s × %(times)s",
                most=MAX_OUTPUT,
                length=len(item),
                times=times,
            )
            raise TemplateError(message)


def _bound_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise TemplateError(
            Phrase("expected an integer of at most %(most)s bits, got about %(got)s", most=MAX_BITS, got=bits)
        )


def _bounded_concat(parts: Iterable[str]) -> str:
    kept, size = [], 0
    for part in parts:
        kept.append(part)
        size += len(part)
        if size > MAX_OUTPUT:
            message = Phrase("expected at most %(most)s characters of output, got more", most=MAX_OUTPUT)
            raise TemplateError(message)
    return "".join(kept)


TEXT = _Sandbox(_finalize)
URI = _Sandbox(_finalize_uri)
URL = _Sandbox(_finalize_url)
COMPUTE = _Sandbox(_finalize)
COMPUTE.filters |= {name: _paid(function, _glance) for name, function in computing.FILTERS.items()}
COMPUTE.globals["uuid4"] = computing.new_id
