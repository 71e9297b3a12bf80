"""System checks of the occasions on which bots speak first.

===================  =====================================================================
``lingstream.W018``  an occasion whose workflow refuses the input that it gives
===================  =====================================================================

It reads the database, as only rows have an input schema: with ``check --database default`` and ``migrate``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning
from django.db import DatabaseError, connections

from lingstream.core.engine.registry import speaking_first

from .settings import register

__all__ = ["check_occasions"]


@register(Tags.database)
def check_occasions(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Occasions that have a row, and those that code declares for a workflow with one."""
    return [message for alias in databases or () for message in _refused(alias)]


def _refused(alias: str) -> Iterator[CheckMessage]:
    try:
        for occasion in _occasions(alias):
            if why := occasion.refusal:
                message = f"The occasion {occasion.name!r} of {occasion.workflow_slug!r} cannot fire: {why}."
                hint = "Let the workflow's input schema take it; the key `occasion` is in each such input."
                yield Warning(message, hint=hint, id="lingstream.W018")
    except DatabaseError:
        return  # not migrated yet, which is another check's matter


def _occasions(alias: str) -> Iterator[Any]:
    from lingstream.models import Occasion, Workflow

    if Occasion._meta.db_table not in connections[alias].introspection.table_names():
        return
    rows = Occasion.objects.using(alias).filter(workflow__isnull=False).select_related("workflow__chat")
    stored = {(row.workflow_slug, row.name): row for row in rows}
    yield from (row for row in stored.values() if row.enabled)
    declared = speaking_first()
    for workflow in Workflow.objects.using(alias).filter(slug__in=declared).select_related("chat"):
        columns = (each.columns() for each in declared[workflow.slug])
        yield from (
            Occasion(workflow=workflow, **own)
            for own in columns
            if (workflow.slug, own["name"]) not in stored  # none that is refused gets a row
        )
