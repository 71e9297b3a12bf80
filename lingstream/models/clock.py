"""The database's clock, as a column that Django has written tells a time."""

from __future__ import annotations

from typing import Any

from django.db.models import functions

__all__ = ["Now"]


class Now(functions.Now):
    """The time by the database's clock, in UTC: the clock that all processes share.

    SQLite compares times as text. Django writes them with six places, or with none, and its own ``Now`` with
    three: stored by it, a time is not found by the value that was read back, and "before that value" finds it
    once more. This one writes what Django writes, in milliseconds as well.
    """

    def as_sqlite(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        """Return the SQL, and its parameters; see :meth:`django.db.models.Func.as_sql`."""
        written = "STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f000', 'NOW')"
        template = f"REPLACE({written}, '.000000', '')"
        return self.as_sql(compiler, connection, template=template, **extra_context)
