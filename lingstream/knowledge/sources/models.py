"""Rows of the site's own models, as :func:`~..registry.index` declares them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from lingstream.core.exceptions import ConfigurationError
from lingstream.core.phrases import Phrase
from lingstream.execution.away import AWAY
from lingstream.execution.lane import Lane
from lingstream.execution.services import begin_addresses

from ..models import Source
from .port import Fetched, Gone, Known, Ref, SourceKind

__all__ = ["Models", "ModelsListing"]

_AT_ONCE = 200


class Models(SourceKind):
    """See :class:`SourceKind`; the configuration is the code's."""

    kind = "models"
    title = "Rows of a model"
    config_schema = {"type": "object", "properties": {}, "additionalProperties": False}

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[ModelsListing]:
        """See :class:`SourceKind`.

        :raises ConfigurationError: no app declares it any more.
        """
        from ..registry import declared  # which makes rows of sources, and so stands above them

        if (indexed := declared().get(source.slug)) is None:
            message = Phrase(
                "expected index(…, slug=%(slug)r) in the knowledge.py of an app, found none", slug=source.slug
            )
            raise ConfigurationError(message)
        async with aclosing(Lane(1)) as lane:
            yield ModelsListing(indexed, lane)


class ModelsListing:
    """One pass over a table; see :class:`Listing`.

    :param indexed: what the site says of its model.
    """

    def __init__(self, indexed: Any, lane: Lane) -> None:
        self.complete = False
        self.problem = ""
        self._indexed = indexed
        self._lane = lane

    async def refs(self) -> AsyncIterator[Ref]:
        """See :class:`Listing`."""
        last: Any = None
        while rows := await self._lane.persist(self._behind, last):
            for ref in rows:
                yield ref
            last = rows[-1].key
        self.complete = True

    async def fetch(self, known: Known) -> Fetched:
        """See :class:`Listing`."""
        return await self._lane.persist(self._fetch, known.key)

    def _behind(self, last: str | None) -> list[Ref]:
        begin_addresses()
        rows = self._indexed.rows.order_by("pk")
        return [self._ref(row) for row in (rows if last is None else rows.filter(pk__gt=last))[:_AT_ONCE]]

    def _ref(self, row: Any) -> Ref:
        if self._indexed.updated_field:
            return Ref(key=str(row.pk), modified=self._indexed.modified(row))
        try:
            content = self._indexed.content(row)
        except AWAY:
            raise
        except Exception:  # the site's own functions; it fails when it is fetched, and alone
            return Ref(key=str(row.pk))
        return Ref(key=str(row.pk), url=content.url, etag=content.etag, content=content)

    def _fetch(self, key: str) -> Fetched:
        begin_addresses()
        row = self._indexed.find(key)
        return Gone(for_good=True) if row is None else self._indexed.content(row)
