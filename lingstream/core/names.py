"""Names under which functions and classes are registered: each is one's, however often it is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .exceptions import UsageError

__all__ = ["check_free", "path_of"]


def check_free(what: str, known: Callable[..., Any] | str | None, given: Callable[..., Any]) -> None:
    """Refuse a name that something else has; a module that is imported twice registers its own twice.

    :param what: how the error calls it.
    :param known: what has the name, or its path; ``None``: it is free.
    :raises UsageError: it is something else.
    """
    if known is not None and path_of(known) != path_of(given):
        raise UsageError(f"{what} is {path_of(known)} already")


def path_of(code: Callable[..., Any] | str) -> str:
    """Return the dotted path of a function, of a class, or of the class of anything else that is called."""
    if isinstance(code, str):
        return code
    return f"{code.__module__}.{getattr(code, '__qualname__', type(code).__qualname__)}"
