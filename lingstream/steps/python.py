"""Functions as kinds of steps: ``@step("slug")`` in an app's ``steps.py``."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import aclosing
from inspect import Parameter
from typing import Any, TypeVar

from lingstream.core.document.ops import copy_json
from lingstream.core.engine.kinds import Put, Said, StepCall, StepKind, Text, register_kind
from lingstream.core.exceptions import UsageError
from lingstream.core.validation import compile_schema

__all__ = ["FunctionKind", "called", "options_of", "schema_of", "step"]

F = TypeVar("F", bound=Callable[..., Any])

_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_FIRST = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def step(
    slug: str,
    *,
    schema: Mapping[str, Any] | None = None,
    title: str = "",
    events: Sequence[str] = (),
    pure: bool = False,
    record: bool = False,
    effects: bool | None = None,
    version: int = 1,
) -> Callable[[F], F]:
    """Make a function the step kind ``slug``; it stays the function that it is.

    Its first parameter is ``input``, the others are the step's options, and one called ``call`` gets the
    :class:`StepCall` (who asks, the history, a key for what must not happen twice). What it returns is set at
    the step's root; ``None`` sets nothing. One with ``async def`` is awaited, any other is called in a thread
    and may use the ORM; an async generator yields :class:`Text` (or ``str``), :class:`Put`, :class:`Note` and
    :class:`Spent`.

    :param schema: JSON schema of its options, for the admin's form, too; unless given, each parameter is one.
    :param title: for people; the slug unless given.
    :param events: of its :class:`Note`, those that triggers may wait for.
    :param pure: it gives the same for the same, at once: done again where a run is executed again.
    :param record: it may stand in a pipeline of knowledge: ``input`` is a record then, with ``key``, ``url``,
        ``title``, ``language``, ``text`` and ``metadata``, and it returns what of it changes, or a list of
        such parts; an empty list leaves the document out.
    :param effects: it acts on the world: not done when staff try a workflow, unless they ask for it. Unless
        given, what is neither pure nor made for records does.
    :param version: of what it does; one more than before makes a run that goes on after a crash do it again.
    :raises UsageError: the slug, the events or the schema are none or are taken, or the function's parameters
        do not fit.
    """

    def register(function: F) -> F:
        kind = FunctionKind(slug, function, schema)
        kind.title, kind.events, kind.version = title, tuple(events), version
        kind.pure, kind.record = pure, record
        kind.effects = not (pure or record) if effects is None else effects
        register_kind(kind)
        return function

    return register


class FunctionKind(StepKind):
    """A kind that calls a function; see :func:`step`.

    :raises UsageError: as :func:`step`.
    """

    def __init__(self, kind: str, function: Callable[..., Any], schema: Mapping[str, Any] | None) -> None:
        if inspect.isgeneratorfunction(function):
            raise UsageError(
                f"expected async def for a step that yields, and {kind!r} is a generator without"
            )
        self.kind = kind
        self.function = function
        options = options_of(kind, function, "input")
        self.asks_who = options.pop("call", None) is not None
        self.options_schema = schema_of(kind, options, schema, taken={"input", "call"})

    async def run(self, call: StepCall) -> AsyncIterator[Said]:
        """See :meth:`StepKind.run`."""
        # A copy for each try: what a function does with it is not what was asked.
        input, options = copy_json(call.input), copy_json(dict(call.options))
        if self.asks_who:
            options["call"] = call
        if inspect.isasyncgenfunction(self.function):
            async with aclosing(self.function(input, **options)) as said:
                async for each in said:
                    yield Text(each) if isinstance(each, str) else each
            return
        if inspect.iscoroutinefunction(self.function):
            value = self.function(input, **options)
        else:
            value = await call.services.database(called, self.function, input, options)
        if inspect.isawaitable(value):  # a decorator may hide that a function is async
            value = await value
        if value is not None:
            yield Put("", value)


def called(function: Callable[..., Any], first: Any, options: Mapping[str, Any]) -> Any:
    """Call a function in its thread; what no future can carry, or what would end the process, is an error."""
    try:
        return function(first, **options)
    except Exception as error:
        if not isinstance(error, StopIteration):
            raise
        raise RuntimeError("the function raised StopIteration") from error
    except BaseException as error:
        raise RuntimeError(f"the function raised {type(error).__name__}") from error


def options_of(kind: str, function: Callable[..., Any], first: str) -> dict[str, Parameter]:
    """Return the parameters of a step's function by name, but the first.

    :param first: what that is called.
    :raises UsageError: it is called otherwise, a parameter has no name, or this is no such function.
    """
    if not inspect.isfunction(function):
        raise UsageError(f"expected a function for the step {kind!r}, got {function!r:.100}")
    options = dict(inspect.signature(function).parameters)
    given = next(iter(options.values()), None)
    if given is None or given.name != first or given.kind not in _FIRST:
        raise UsageError(f"expected “{first}” as the first parameter of the step {kind!r}, got {given}")
    del options[first]
    for each in options.values():
        if each.kind not in (*_NAMED, Parameter.VAR_KEYWORD):
            raise UsageError(f"expected parameters of the step {kind!r} that have names, got {each}")
    return options


def schema_of(
    kind: str, options: Mapping[str, Parameter], given: Mapping[str, Any] | None, taken: Set[str]
) -> dict[str, Any]:
    """Return the schema of a step's options, by what is given and by the parameters of its function.

    :param taken: names of parameters that are no options.
    :raises UsageError: the two do not fit, or it is no schema.
    """
    named = {name: each for name, each in options.items() if each.kind in _NAMED}
    needed = [name for name, each in named.items() if each.default is Parameter.empty]
    takes_more = len(named) < len(options)
    if given is None:
        given = {"properties": {name: {} for name in named}, "required": needed}
    schema = {"type": "object", "additionalProperties": takes_more, **given}
    properties, required = schema.get("properties", {}), schema.get("required", ())
    if missing := sorted(set(needed) - set(required)):
        raise UsageError(f"expected the schema of the step {kind!r} to require {', '.join(missing)}")
    unknown = taken if takes_more else set(properties) - set(named)
    if unknown := unknown & set(properties):
        names = ", ".join(sorted(unknown))
        raise UsageError(f"expected options of the step {kind!r} that its function takes, got {names}")
    compile_schema(schema)
    return schema
