"""What turns cite of sources that are not what they were, as far as somebody says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from django.db.models import Exists, QuerySet

from lingstream.models import Run

__all__ = ["Sources", "marked", "places", "told_by"]


class Sources(Protocol):
    """Who knows of sources."""

    def are_stale(self) -> Exists:
        """The condition on rows of runs that they cite something that has changed since, or is gone."""
        ...

    def places(self, runs: Collection[UUID]) -> Mapping[UUID, Sequence[str]]:
        """Return where these runs do: the uris of the citations."""
        ...


_told: list[Sources] = []


def told_by(sources: Sources) -> None:
    """Have ``sources`` say it; the last one counts, and without any nothing is stale."""
    _told[:] = [sources]


def marked(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Return the query with what :func:`places` has to know of its rows."""
    return runs.annotate(cites_stale=_told[0].are_stale()) if _told else runs


def places(runs: Collection[Run]) -> Mapping[UUID, Sequence[str]]:
    """Return the uris of stale citations by run, of rows that are :func:`marked`; a query if some are."""
    stale = [run.pk for run in runs if getattr(run, "cites_stale", False)]
    return _told[0].places(stale) if stale else {}
