"""A condition that few rows meet, as SQLite has to be told."""

from __future__ import annotations

from typing import Any

from django.db.models import BooleanField, Func, Q

__all__ = ["Seldom"]


class Seldom(Func):
    """The condition; on SQLite with the hint that an index by it finds hardly a row.

    After ``ANALYZE``, which ``PRAGMA optimize`` does too, SQLite knows of an index how many rows each value
    has in the mean. By that a third of a million runs are queued, and it reads all of them instead. What
    PostgreSQL knows are the values themselves.
    """

    arity = 1
    template = "%(expressions)s"
    output_field = BooleanField()

    def __init__(self, condition: Q) -> None:
        super().__init__(condition)

    def as_sqlite(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        """Return the SQL, and its parameters; see :meth:`django.db.models.Func.as_sql`."""
        # One in a million: less than what it takes any other index for, without statistics too.
        return self.as_sql(
            compiler, connection, template="likelihood(%(expressions)s, 0.000001)", **extra_context
        )
