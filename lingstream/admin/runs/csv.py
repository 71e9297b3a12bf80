"""Runs as CSV: written while they are read, and nothing in it is a formula to a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import QuerySet

from ...models import Run, RunText
from ..private import WITHHELD
from .texts import errors_line

__all__ = ["KIND", "MOST_ROWS", "csv_of"]

KIND = "text/csv; charset=utf-8"
MOST_ROWS = 10_000
_CHUNK = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_COLUMNS = (
    *("id", "workflow", "version", "status", "owner", "scope", "conversation"),
    *("created", "started", "finished"),
    *(
        "first token",
        "prompt tokens",
        "completion tokens",
        "cost",
        "repaired",
        "error code",
        "error",
        "input",
    ),
)


def csv_of(rows: QuerySet[Run]) -> Iterator[bytes]:
    """Yield a file of the first ``MOST_ROWS`` runs, some rows at a time.

    :param rows: in their order, with their texts and owners, and with ``withheld``.
    """
    # With the mark: without one spreadsheets take UTF-8 for something else.
    yield b"\xef\xbb\xbf" + _lines([_COLUMNS])
    keys = list(rows.values_list("pk", flat=True)[:MOST_ROWS])
    for start in range(0, len(keys), _CHUNK):
        yield _lines(map(_cells, rows.filter(pk__in=keys[start : start + _CHUNK])))


def _lines(rows: Iterable[Iterable[Any]]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows([_harmless(cell) for cell in row] for row in rows)
    return file.getvalue().encode("utf-8", "replace")


def _cells(run: Any) -> tuple[Any, ...]:
    text = getattr(run, "text", None) or RunText()
    times = (run.created_at, run.started_at, run.finished_at)
    return (
        *(run.pk, run.workflow, run.published or "", run.status),
        *(run.owner or "", run.scope, run.conversation_id or ""),
        *(each.isoformat() if each else "" for each in times),
        *(run.first_token, run.prompt_tokens, run.completion_tokens, run.cost, run.repaired),
        *(run.error_code, errors_line(run), WITHHELD if run.withheld else text.input),
    )


def _harmless(cell: Any) -> str:
    """What a spreadsheet would execute begins with a quote, which it does not show."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text
