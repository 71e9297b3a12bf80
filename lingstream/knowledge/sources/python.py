"""Documents from a function of the site's: ``@source("tickets")`` in an app's ``knowledge.py``."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple, TypeAlias, TypeVar

from lingstream.core.exceptions import UsageError
from lingstream.core.names import check_free
from lingstream.core.phrases import Phrase

from ..models import Source
from .again import Again
from .port import Fetched, Gone, Known, Ref, SourceKind

__all__ = ["Python", "PythonListing", "source"]

Lists: TypeAlias = Callable[[Source], AsyncIterator[Ref]]
Fetches: TypeAlias = Callable[[Source, Known], Awaitable[Fetched]]
F = TypeVar("F", bound=Callable[..., Any])


class _Function(NamedTuple):
    list: Lists
    fetch: Fetches | None


_functions: dict[str, _Function] = {}


def source(slug: str, *, fetch: Fetches | None = None) -> Callable[[F], F]:
    """Make an async generator of :class:`Ref` the source function ``slug``; it stays what it is.

    It gets the source's row, whose ``config["options"]`` are its own. A :class:`Ref` with ``content`` is the
    document itself, and one whose ``etag`` is as before is not looked at.

    :param fetch: returns one document, for those that were listed without; unless given, the function is
        called again for those that are asked for together, up to the last of them.
    :raises UsageError: it is no async generator, or another function has that slug.
    """

    def register(function: F) -> F:
        if not inspect.isasyncgenfunction(function):
            raise UsageError(f"expected an async generator for the source {slug!r}, got {function!r:.100}")
        known = _functions.get(slug)
        check_free(f"the source {slug!r}", known and known.list, function)
        _functions[slug] = _Function(function, fetch)
        return function

    return register


class Python(SourceKind):
    """See :class:`SourceKind`; rows name a function by its slug, never by its path."""

    kind = "python"
    title = "Python function"
    config_schema = {
        "type": "object",
        "description": "Whatever a function of the site yields: it is registered in the code of an app.",
        "properties": {
            "function": {"type": "string", "minLength": 1},
            "options": {"type": "object"},
        },
        "required": ["function"],
        "additionalProperties": False,
    }

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[PythonListing]:
        """See :class:`SourceKind`.

        :raises UsageError: ``unknown-function``.
        """
        yield PythonListing(source, _named(source.config))

    def check(self, config: Mapping[str, Any]) -> None:
        """See :class:`SourceKind`."""
        _named(config)


class PythonListing:
    """One call of a function; see :class:`Listing`."""

    def __init__(self, source: Source, function: _Function) -> None:
        self.complete = False
        self.problem = ""
        self._source = source
        self._function = function
        self._again = Again(lambda: function.list(source))

    async def refs(self) -> AsyncIterator[Ref]:
        """See :class:`Listing`."""
        async with aclosing(self._function.list(self._source)) as refs:  # type: ignore[type-var]
            async for ref in refs:
                yield ref
        self.complete = True

    async def fetch(self, known: Known) -> Fetched:
        """See :class:`Listing`."""
        if self._function.fetch:
            return await self._function.fetch(self._source, known)
        return await self._again.get(known) or Gone(for_good=True)


def _named(config: Mapping[str, Any]) -> _Function:
    name = config.get("function", "")
    if name not in _functions:
        message = Phrase(
            "expected a function with @source among %(known)s, got %(got)s",
            known=", ".join(sorted(_functions)) or Phrase("none"),
            got=f"{name!r:.80}",
        )
        raise UsageError(message, code="unknown-function")
    return _functions[name]
