"""The workflows that are written in Python, by slug."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lingstream.core.exceptions import UsageError
from lingstream.core.names import check_free
from lingstream.core.phrases import Phrase

from .chat import Chat
from .occasions import Occasion, check_occasions

__all__ = [
    "Declared",
    "WorkflowFunction",
    "declared",
    "function_of",
    "registered",
    "speaking_first",
    "workflow",
]

# Of a Run, which is made below this module's room: naming it here would close a circle.
WorkflowFunction = Callable[[Any], Awaitable[None]]

_ACCESS = ("", "anyone", "authenticated", "permission", "code")


class Declared(NamedTuple):
    """What a workflow in Python says of itself; a row with its slug decides in its place.

    :param access: who may start it: ``anyone``, ``authenticated`` or ``permission``; ``""`` for the site's
        ``DEFAULT_ACCESS``. ``code``: the site's own code alone, whatever a row says.
    :param show_reasoning: its viewers get what the models think.
    :param chat: how it is talked to, if it says so.
    :param occasions: when it speaks first.
    """

    access: str = ""
    show_reasoning: bool = False
    chat: Chat | None = None
    occasions: tuple[Occasion, ...] = ()


_functions: dict[str, WorkflowFunction] = {}
_declared: dict[str, Declared] = {}


def workflow(
    slug: str,
    *,
    access: str = "",
    show_reasoning: bool = False,
    chat: Chat | None = None,
    occasions: Sequence[Occasion] = (),
) -> Callable[[WorkflowFunction], WorkflowFunction]:
    """Register an async function of a :class:`~lingstream.Run` as the workflow ``slug``.

    It is executed again after a crash, so apart from its bots it must be deterministic: the same input
    starts the same bots in the same order.

    :param access: as in :class:`Declared`.
    :param show_reasoning: as in :class:`Declared`.
    :param chat: as in :class:`Declared`.
    :param occasions: as in :class:`Declared`.
    :raises UsageError: another function has that slug, the function is not async, no such access, or
        occasions that cannot be.
    """
    if access not in _ACCESS:
        raise UsageError(f"expected access among {', '.join(_ACCESS[1:])} for {slug!r}, got {access!r}")
    said = Declared(access, show_reasoning, chat, tuple(occasions))
    check_occasions(slug, said.occasions)

    def register(function: WorkflowFunction) -> WorkflowFunction:
        if not inspect.iscoroutinefunction(function):
            raise UsageError(f"expected an async function for workflow {slug!r}, got {function!r}")
        check_free(f"workflow {slug!r}", _functions.get(slug), function)
        _functions[slug], _declared[slug] = function, said
        return function

    return register


def registered() -> Mapping[str, WorkflowFunction]:
    """Return the workflows written in Python, by slug."""
    return _functions


def function_of(slug: str) -> WorkflowFunction:
    """Return the function of a workflow.

    :raises UsageError: there is none.
    """
    if slug not in _functions:
        raise UsageError(Phrase("expected a Python workflow called %(slug)r, found none", slug=slug))
    return _functions[slug]


def declared(slug: str) -> Declared:
    """Return what the workflow in Python called ``slug`` says of itself; nothing, if there is none."""
    return _declared.get(slug, Declared())


def speaking_first() -> Mapping[str, tuple[Occasion, ...]]:
    """Return the occasions that workflows in Python declare, by slug."""
    return {slug: said.occasions for slug, said in _declared.items() if said.occasions}
