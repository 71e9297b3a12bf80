"""Documents that a listing has with it, asked for by key: one reading for all that are asked for together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing

from .port import Content, Known, Ref

__all__ = ["Again"]


class Again:
    """What is listed once more, for the documents of one look; none is older than the wish for it.

    :param refs: begins a listing.
    """

    def __init__(self, refs: Callable[[], AsyncIterator[Ref]]) -> None:
        self._refs = refs
        self._keys: Sequence[str] = ()
        self._found: dict[str, Content] = {}
        self._error: Exception | None = None
        self._reading = asyncio.Lock()

    async def get(self, known: Known) -> Content | None:
        """Return a document; ``None``: it is not listed, or without its content.

        The listing's errors are raised for what it had not come to.
        """
        keys = known.together or (known.key,)
        async with self._reading:
            if keys is not self._keys:
                self._found, self._error = {}, None
                try:
                    await self._read({*keys})
                except Exception as error:
                    self._error = error
                self._keys = keys
            found = self._found.get(known.key)
            if found is None and self._error:
                raise self._error
            return found

    async def _read(self, wanted: set[str]) -> None:
        """List no further than to the last of the documents."""
        async with aclosing(self._refs()) as refs:  # type: ignore[type-var]
            async for ref in refs:
                if ref.content and ref.key in wanted:
                    self._found.setdefault(ref.key, ref.document)
                if len(self._found) == len(wanted):
                    break
