"""Step runs that can be withdrawn, where what they were started by is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import chain
from typing import Any, Protocol

from lingstream.core.document import jsonuri
from lingstream.core.document.urimap import UriMap

from .events import Field, StepEvents
from .frames import StepFrames

__all__ = ["Begun", "Start", "Withdrawable"]

_GONE: Any = object()


class Start(Protocol):
    """What was started: a step run, or what is to become one."""

    def withdraw(self) -> None:
        """Stop it."""


class Withdrawable(StepEvents):
    """The part of a step run that another one's events may stop."""

    withdrawn = False
    _frames: StepFrames
    _task: asyncio.Task[Any] | None = None

    def withdraw(self) -> None:
        """Stop it, as what it was started by is not there any more; others may write where it was writing."""
        if self.status != "running" or self.withdrawn:
            return
        self.withdrawn = True
        self._frames.silence()
        if self._task:
            self._task.cancel()

    def _hear(self) -> None:
        """Its task begins, and may be cancelled from now on.

        :raises CancelledError: it has been withdrawn already.
        """
        self._task = asyncio.current_task()
        if self.withdrawn:
            raise asyncio.CancelledError


class Begun:
    """What each step run has started, and by which of its fields."""

    def __init__(self) -> None:
        self._by_field: dict[str, UriMap[list[Start]]] = {}
        self._by_event: dict[str, list[Start]] = {}

    def add(self, begun: Start, source: str, uri: str | None) -> None:
        """``source`` has started something.

        :param uri: of the field that did it; ``None``: another event.
        """
        if uri is None:
            self._by_event.setdefault(source, []).append(begun)
            return
        fields = self._by_field.setdefault(source, UriMap())
        if uri not in fields:
            fields.put(uri, [])
        fields[uri].append(begun)

    def replace(self, source: str, field: Field) -> None:
        """A value of ``source`` stands where another one may have stood: withdraw what is started by that.

        What settled below it counts as there for as long as something stands at its place.
        """
        fields = self._by_field.get(source)
        if fields is None:
            return
        start = len(field.uri) + 1 if field.uri else 0
        gone = [uri for uri in fields.below(field.uri) if _is_gone(field.value, uri[start:])]
        for uri in (field.uri, *gone):
            if begun := fields.get(uri):
                fields[uri] = []
                self._withdraw(begun)

    def _withdraw(self, begun: Iterable[Start]) -> None:
        """Withdraw what was started, and all that it led to."""
        for each in begun:
            each.withdraw()
            if isinstance(each, Withdrawable):
                fields = self._by_field.pop(each.id, UriMap[list[Start]]())
                self._withdraw(chain(self._by_event.pop(each.id, ()), *fields.values()))


def _is_gone(value: Any, uri: str) -> bool:
    return jsonuri.get(value, uri, _GONE) is _GONE
