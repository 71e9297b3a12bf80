"""Templates of prompts, inputs, roots and conditions: Jinja2 in a sandbox, bounded.

A string interpolates as it is and everything else as JSON, so ``{{ document }}``, ``{{ input.tags }}`` and
``{{ value }}`` read the same to a model as on the wire (``true``, ``null``, ``["a", "b"]``). A name that
nobody provides is an error, never an empty gap in a prompt. ``input.items`` is the field ``items`` where the
data has one; ``value|items`` iterates pairs whatever the data holds.

Templates are written by editors and fed by models, so neither can run code, reach an attribute with an
underscore, or spend without bound: output, steps, characters, work and seconds of CPU of one rendering are
limited, and a :class:`TemplateError` names the limit. Filters and methods that could allocate at will, or
would give another text when a run is executed again (``random``), are not there.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from jinja2 import Environment, Template, TemplateSyntaxError, nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import SecurityError
from jinja2.meta import find_undeclared_variables

from lingstream.core.exceptions import TemplateError
from lingstream.core.phrases import Phrase

from .budget import Budget, TooLong
from .computing import SEED
from .foreign import of_jinja
from .reading import uri_fault
from .sandbox import BUDGET, COMPUTE, MAX_OUTPUT, MAX_SOURCE, TEXT, URI, URL, as_json

__all__ = [
    "CHECKED_AS",
    "MAX_OUTPUT",
    "MAX_SOURCE",
    "READ_AS",
    "SEED",
    "TEMPLATE_NAMES",
    "Problem",
    "TooLong",
    "check",
    "check_condition",
    "check_expression",
    "check_uri",
    "compile_condition",
    "compute",
    "evaluate",
    "holds",
    "render",
    "render_uri",
    "render_url",
]

T = TypeVar("T")

TEMPLATE_NAMES = ("input", "value", "uri", "match", "document", "history")

_CACHED = 256
_NO_INCLUDE = Phrase(
    "include, import and extends are not available; a prompt may include another one by "
    '{% include "prompt:its-slug" %}'
)
_QUICK = 2_000  # characters of a template that is compiled in a moment (2 ms)

_compiled: set[tuple[str, Environment]] = set()


class Problem(NamedTuple):
    """A fault in a template, for whoever edits it; ``line`` is 1-based."""

    line: int
    message: str

    @property
    def text(self) -> Phrase:
        """The line and the message."""
        return Phrase("Line %(line)s: %(message)s", line=self.line, message=self.message)

    def __str__(self) -> str:
        return str(self.text)


def render(source: str, context: Mapping[str, Any], *, brief: bool = False) -> str:
    """Return the text that ``source`` makes of ``context``.

    :param brief: the caller must not be held up.
    :raises TemplateError: it does not compile, uses a name that is not there, or passes a limit.
    :raises TooLong: it was to be brief and would take more than about 5 ms; call again, in a thread.
    """
    return _render(_template_for(source, TEXT, brief), context, brief)


def render_uri(source: str, context: Mapping[str, Any], *, brief: bool = False) -> str:
    """Return the uri that ``source`` makes of ``context``; each interpolation is one escaped segment.

    :raises TemplateError: as for :func:`render`, and for an interpolation that is neither text nor integer.
    :raises TooLong: as for :func:`render`.
    """
    return _render(_template_for(source, URI, brief), context, brief)


def render_url(source: str, context: Mapping[str, Any], *, brief: bool = False) -> str:
    """Return the address that ``source`` makes of ``context``; each interpolation is escaped for a URL.

    So what comes from a model can be a word of a path or of a query, and never another host or path.

    :raises TemplateError: as for :func:`render`, and for an interpolation that is no text, number or boolean.
    :raises TooLong: as for :func:`render`.
    """
    return _render(_template_for(source, URL, brief), context, brief)


def evaluate(source: str, context: Mapping[str, Any], *, brief: bool = False) -> Any:
    """Return the value of a template that is a single ``{{ expression }}``, and the text of any other.

    :returns: JSON data.
    :raises TemplateError: as for :func:`render`.
    :raises TooLong: as for :func:`render`.
    """
    expression = _only_expression(source)
    if expression is None:
        return render(source, context, brief=brief)
    return compute(expression, context, brief=brief)


def compute(source: str, context: Mapping[str, Any], *, brief: bool = False) -> Any:
    """Return the value of an expression such as ``input.prices|sum``; :mod:`.computing` says what it may use.

    :returns: JSON data, a copy.
    :raises TemplateError: as for :func:`render`, and for a value that is no JSON data.
    :raises TooLong: as for :func:`render`.
    """
    return _called(compile_condition(source, COMPUTE), context, brief, as_json)


#: How a text in a step's options is read, by the name that an options schema has for it.
READ_AS: Mapping[str, Callable[..., Any]] = {
    "text": evaluate,
    "url": render_url,
    "expression": compute,
    "none": lambda source, context, brief=False: source,
}


@lru_cache(maxsize=_CACHED)
def compile_condition(source: str, sandbox: Environment = TEXT) -> TemplateExpression:
    """Compile an expression such as ``value|length > 20``.

    :raises TemplateError: it does not compile.
    """
    _bound_source(source)
    try:
        expression = sandbox.compile_expression(source, undefined_to_none=False)
    except TemplateSyntaxError as error:
        message = Phrase("expected an expression: %(problem)s", problem=of_jinja(error))
        raise TemplateError(message, line=error.lineno) from error
    except (RecursionError, MemoryError) as error:
        raise TemplateError(Phrase("expected an expression that is less deeply nested")) from error
    assert isinstance(expression, TemplateExpression)  # noqa: S101  # typed as any callable
    return expression


def holds(source: str, context: Mapping[str, Any], *, brief: bool = False) -> bool:
    """Return whether the condition is true; an empty one is.

    :raises TemplateError: it does not compile, uses a name that is not there, or passes a limit.
    :raises TooLong: as for :func:`render`.
    """
    if not source.strip():
        return True
    return _called(compile_condition(source), context, brief, lambda value, _: bool(value))


def check(source: str, names: Iterable[str] | None = (), sandbox: Environment = TEXT) -> list[Problem]:
    """Return what is wrong with ``source``: its syntax, or variables that nobody provides.

    :param names: variables that exist beside :data:`TEMPLATE_NAMES`; ``None`` where they are not known yet.
    """
    try:
        _bound_source(source)
        tree = sandbox.parse(source)
        missing = find_undeclared_variables(tree).difference(sandbox.globals)
        sandbox.from_string(source)
    except TemplateSyntaxError as error:
        return [Problem(error.lineno, of_jinja(error))]
    except TemplateError as error:
        return [Problem(error.line or 1, error.message)]
    except (RecursionError, MemoryError):
        return [Problem(1, Phrase("the template is too deeply nested"))]
    known = {*TEMPLATE_NAMES, *(missing if names is None else names)}
    lines = _first_lines(tree)
    problems = [Problem(lines.get(name, 1), _unknown(name, known)) for name in missing - known]
    problems += [
        Problem(node.lineno, _NO_INCLUDE)
        for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends))
    ]
    return sorted(problems)


def check_condition(source: str, names: Iterable[str] | None = ()) -> list[Problem]:
    """Return what is wrong with a condition, as :func:`check` does for a template."""
    return _check_expression(source, names, TEXT)


def check_expression(source: str) -> list[Problem]:
    """Return what is wrong with an expression that is computed."""
    return _check_expression(source, ("now",), COMPUTE)


def check_uri(source: str, names: Iterable[str] | None = ()) -> list[Problem]:
    """Return what is wrong with the template of a uri: as :func:`check`, or that it can be none."""
    problems = check(source, names)
    fault = "" if problems else uri_fault(source)
    return [Problem(1, fault)] if fault else problems


#: What is wrong with a text that is read as :data:`READ_AS` says.
CHECKED_AS: Mapping[str, Callable[[str], list[Problem]]] = {
    "text": check,
    "url": check,
    "expression": check_expression,
}


def _check_expression(source: str, names: Iterable[str] | None, sandbox: Environment) -> list[Problem]:
    try:
        compile_condition(source, sandbox)
    except TemplateError as error:
        return [Problem(error.line or 1, error.message)]
    # As a template the expression tells its variables; the newline keeps a comment from eating the end.
    return check("{{ (" + source + "\n) }}", names, sandbox)


# -- compiling and failing --------------------------------------------------------------------------------


def _bound_source(source: str) -> None:
    if len(source) > MAX_SOURCE:
        raise TemplateError(
            Phrase(
                "expected a template of at most %(most)s characters, got %(got)s",
                most=MAX_SOURCE,
                got=len(source),
            )
        )


@lru_cache(maxsize=_CACHED)
def _template(source: str, sandbox: Environment) -> Template:
    _bound_source(source)
    try:
        return sandbox.from_string(source)
    except TemplateSyntaxError as error:
        raise _failed(error, error.lineno) from error
    except (RecursionError, MemoryError) as error:
        raise TemplateError(Phrase("expected a template that is less deeply nested")) from error


def _template_for(source: str, sandbox: Environment, brief: bool) -> Template:
    """The compiled template; a long one that is compiled for the first time is nothing brief."""
    if brief and len(source) > _QUICK and (source, sandbox) not in _compiled:
        raise TooLong
    template = _template(source, sandbox)
    if len(source) > _QUICK:
        if len(_compiled) >= _CACHED:
            _compiled.clear()
        _compiled.add((source, sandbox))
    return template


@lru_cache(maxsize=_CACHED)
def _only_expression(source: str) -> str | None:
    """What stands between the braces of a template that has one pair of them and nothing else."""
    text = source.strip()
    if not (text.startswith("{{") and text.endswith("}}")) or len(text) > _QUICK:
        return None
    try:
        body = TEXT.parse(text).body
    except TemplateSyntaxError:
        return None  # rendering tells where
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    if isinstance(body[0].nodes[0], nodes.TemplateData):
        return None
    begin, end = (3 if text[2] in "-+" else 2), (-3 if text[-3] in "-+" else -2)
    return text[begin:end].strip()


def _called(
    expression: TemplateExpression,
    context: Mapping[str, Any],
    brief: bool,
    read: Callable[[Any, Budget], T],
) -> T:
    """Return what ``read`` makes of the value of an expression, whose budget it may spend the rest of."""
    budget = Budget(brief)
    try:
        return read(expression({**context, BUDGET: budget}), budget)
    except TooLong:
        raise
    except Exception as error:
        raise _failed(error, None) from error


def _render(template: Template, context: Mapping[str, Any], brief: bool) -> str:
    try:
        return template.render({**context, BUDGET: Budget(brief)})
    except TooLong:
        raise
    except Exception as error:
        raise _failed(error, _line(error)) from error


def _failed(error: Exception, line: int | None) -> TemplateError:
    if isinstance(error, TemplateError):
        message = error.message
    elif isinstance(error, RecursionError):
        message = Phrase("expected less recursion")
    elif isinstance(error, SecurityError):
        message = Phrase("not available in a template: %(problem)s", problem=of_jinja(error))
    else:
        message = of_jinja(error)
    if line:
        message = Phrase("line %(line)s: %(message)s", line=line, message=message)
    return TemplateError(message, line=line)


def _line(error: Exception) -> int | None:
    """The last line of the template on the way to the error; Jinja2 rewrites the traceback for this."""
    line, entry = None, error.__traceback__
    while entry is not None:
        if entry.tb_frame.f_code.co_filename in ("<template>", "<unknown>"):
            line = entry.tb_lineno
        entry = entry.tb_next
    return line


def _first_lines(tree: nodes.Template) -> dict[str, int]:
    lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        if node.ctx == "load":
            lines[node.name] = min(node.lineno, lines.get(node.name, node.lineno))
    return lines


def _unknown(name: str, known: set[str]) -> Phrase:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return Phrase("unknown variable “%(name)s”; did you mean “%(close)s”?", name=name, close=close[0])
    names = ", ".join(sorted(known))
    return Phrase("unknown variable “%(name)s”; known are %(names)s.", name=name, names=names)
