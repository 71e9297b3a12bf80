"""System checks of schedules.

===================  =====================================================================
``lingstream.W019``  schedules are overdue: no process looks at the clock
===================  =====================================================================

It reads the database: with ``check --database default`` and ``migrate``. :mod:`lingstream.checks.site` tells
beforehand (W014) where no process would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning
from django.db import DatabaseError, connections

from lingstream.models.clock import Now

from .settings import register

__all__ = ["check_schedules"]

_LATE = timedelta(minutes=10)


@register(Tags.database)
def check_schedules(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Schedules whose time has passed long since."""
    return [message for alias in databases or () for message in _overdue(alias)]


def _overdue(alias: str) -> Iterator[CheckMessage]:
    from lingstream.models import Schedule

    try:
        if Schedule._meta.db_table not in connections[alias].introspection.table_names():
            return
        rows = Schedule.objects.using(alias).filter(enabled=True, next_at__lt=Now() - _LATE)
        if first := rows.order_by("next_at").first():
            since = f"{first.next_at:%Y-%m-%d %H:%M %Z}"
            message = f"{rows.count()} schedules are overdue, {first.name!r} since {since}."
            hint = "Only a process that executes runs looks at the clock (docs/operations.md): start one."
            yield Warning(message, hint=hint, obj=first, id="lingstream.W019")
    except DatabaseError:
        return  # not migrated yet, which is another check's matter
