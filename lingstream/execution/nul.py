"""Text with a NUL in it, which PostgreSQL has none of: whatever a request brings may hold one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DataError

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["without_nul"]

_NAMED = "NUL (0x00)"  # so do both of PostgreSQL's drivers call it


@contextmanager
def without_nul() -> Iterator[None]:
    """Have it told as bad input, and not as a fault of the site, that the database takes no such text.

    Where it is asked, and not where each value is read: SQLite takes it, as do JSON and texts of ours, which
    are stored without it.

    :raises UsageError: ``bad-request``.
    """
    try:
        yield
    except (DataError, ValueError) as error:
        if _NAMED not in str(error):
            raise
        raise UsageError(Phrase("expected text without NUL characters"), code="bad-request") from error
