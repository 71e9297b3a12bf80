"""Reads of the site's own data as kinds of steps: ``@query("slug")`` in an app's ``queries.py``.

A row of a workflow names a query and fills in its parameters; what is asked stands in code, and it is told by
whom.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from lingstream.core.document.ops import copy_json
from lingstream.core.engine.kinds import Identity, Put, Said, Spent, StepCall, StepKind, register_kind
from lingstream.core.exceptions import LimitExceeded, UsageError
from lingstream.core.phrases import Phrase

from .python import called, options_of, schema_of

__all__ = ["QueryKind", "query"]

F = TypeVar("F", bound=Callable[..., Iterable[Mapping[str, Any]]])

_MOST_ROWS = 10_000
_MOST_BYTES = 262_144


def query(
    slug: str, *, schema: Mapping[str, Any] | None = None, title: str = "", most: int = 100
) -> Callable[[F], F]:
    """Make a function the step kind ``slug``, which sets at the step's root the rows that it returns.

    It is called in a thread and may use the ORM. Its first parameter is ``identity``, by whom the run was
    started (:class:`~lingstream.core.engine.kinds.Identity`), the others are the step's options. It returns
    dicts: a list, a generator, or a queryset by ``.values()``, of which no more is read than is taken. Times,
    decimals and UUIDs become text.

    :param schema: JSON schema of the options, for the admin's form, too; unless given, each parameter is one.
    :param title: for people; the slug unless given.
    :param most: rows that are taken, the first ones, and no more than 256 KB of them; where more are left,
        the step's ``finish`` is ``length``.
    :raises UsageError: the slug or the schema are none or are taken, the function's parameters do not fit, or
        it is async; ``most`` is not from 1 to 10,000.
    """

    def register(function: F) -> F:
        kind = QueryKind(slug, function, schema, most)
        kind.title = title
        register_kind(kind)
        return function

    return register


class QueryKind(StepKind):
    """A kind that reads; see :func:`query`.

    :raises UsageError: as :func:`query`.
    """

    def __init__(
        self, kind: str, function: Callable[..., Any], schema: Mapping[str, Any] | None, most: int
    ) -> None:
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise UsageError(f"expected def for the query {kind!r}: it is called in a thread; got async def")
        if not 1 <= most <= _MOST_ROWS:
            raise UsageError(f"expected {kind!r} to take from 1 to {_MOST_ROWS} rows at most, got {most!r}")
        self.kind = kind
        self.function = function
        self.most = most
        self.options_schema = schema_of(
            kind, options_of(kind, function, "identity"), schema, taken={"identity"}
        )

    async def run(self, call: StepCall) -> AsyncIterator[Said]:
        """See :meth:`StepKind.run`."""
        options = copy_json(dict(call.options))
        rows, cut = await call.services.database(called, self._read, call.identity, options)
        yield Put("", rows)
        if cut:
            yield Spent(finish="length")

    def _read(self, identity: Identity, **options: Any) -> tuple[list[Any], bool]:
        """The rows that fit, and whether some are left; a queryset is asked here, for no more than these."""
        found, size = self.function(identity, **options), 0
        if isinstance(found, (Mapping, str)) or not isinstance(found, Iterable):
            raise self._refused(Phrase("several dicts"), found)
        first = found[: self.most + 1] if hasattr(found, "__getitem__") else islice(found, self.most + 1)
        rows: list[Any] = []
        for row in first:
            text = self._text(row)
            size += len(text)
            if size > _MOST_BYTES and not rows:
                message = Phrase(
                    "expected rows of the query %(kind)r of up to %(most)s bytes",
                    kind=self.kind,
                    most=_MOST_BYTES,
                )
                raise LimitExceeded(message)
            if size > _MOST_BYTES or len(rows) == self.most:
                return rows, True
            rows.append(json.loads(text))
        return rows, False

    def _text(self, row: Any) -> bytes:
        if not isinstance(row, Mapping):
            raise self._refused(Phrase("dicts"), row)
        try:
            return json.dumps(dict(row), default=_plain, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            message = Phrase(
                "expected JSON data in the rows of the query %(kind)r: %(why)s",
                kind=self.kind,
                why=str(error),
            )
            raise UsageError(message) from error

    def _refused(self, expected: Phrase, got: Any) -> UsageError:
        # By its type alone: what is in it is the site's.
        message = Phrase(
            "expected the query %(kind)r to return %(expected)s, got %(got)s",
            kind=self.kind,
            expected=expected,
            got=type(got).__name__,
        )
        return UsageError(message)


def _plain(value: Any) -> Any:
    if isinstance(value, (date, time)):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    raise TypeError(f"{type(value).__name__} is none")
