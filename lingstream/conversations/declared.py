"""Occasions that workflows in Python declare, kept as rows beside those of the admin."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import Q

from lingstream.core.engine.occasions import Occasion as Declaration
from lingstream.core.engine.registry import speaking_first
from lingstream.execution.ownership import atomically
from lingstream.models import Occasion, Workflow

__all__ = ["Fault", "sync", "sync_after_migrate"]

logger = logging.getLogger("lingstream")

#: A workflow, the name of its occasion, and what is wrong with it.
Fault = tuple[str, str, str]


def sync() -> list[Fault]:
    """Have a row for each occasion that code declares, and none that it no longer does.

    What an editor has switched off stays off. A row of the admin with the name of a declared one, or with a
    silence of its own, decides in the code's place.

    :returns: what could not be stored.
    """
    with atomically():
        _forget_others()
        return [fault for slug, declared in speaking_first().items() for fault in _store_all(slug, declared)]


def sync_after_migrate(sender: Any, using: str, apps: Any = None, **kwargs: Any) -> None:
    """Receive ``post_migrate``; at a migration before the newest there is no such row, or another one."""
    if using != router.db_for_write(Occasion) or not (apps is None or _is_newest(apps)):
        return
    for slug, name, message in sync():
        logger.error("occasion %s of %s: %s", name, slug, message)


def _forget_others() -> None:
    """Delete what was declared once; one of another kind now is another one."""
    known = {
        (slug, each.columns()["name"], each.kind) for slug, all in speaking_first().items() for each in all
    }
    rows = Occasion.objects.filter(source=Occasion.Source.CODE).select_related("workflow")
    gone = [row.pk for row in rows if (row.workflow_slug, row.name, row.kind) not in known]
    Occasion.objects.filter(pk__in=gone).delete()


def _store_all(slug: str, declared: Sequence[Declaration]) -> Iterator[Fault]:
    row = Workflow.objects.filter(slug=slug).first()
    for each in declared:
        try:
            _store(slug, row, each)
        except ValidationError as error:
            yield slug, each.columns()["name"], "; ".join(error.messages)


def _store(slug: str, row: Workflow | None, declared: Declaration) -> None:
    """Store one, unless the admin has one that decides."""
    columns = declared.columns()
    there = Occasion.objects.of(slug)
    rivals = Q(name=columns["name"])
    if columns["kind"] == Occasion.Kind.SILENCE:
        rivals |= Q(kind=Occasion.Kind.SILENCE)
    if there.filter(rivals, source=Occasion.Source.ADMIN).exists():
        return
    own = there.filter(name=columns["name"], source=Occasion.Source.CODE).first() or Occasion()
    for name, value in columns.items():
        setattr(own, name, value)
    own.workflow, own.slug, own.source = row, "" if row else slug, Occasion.Source.CODE
    own.full_clean(exclude=["slug"], validate_unique=False, validate_constraints=False)
    own.save()


def _is_newest(apps: Any) -> bool:
    """Whether the rows that are asked for have the columns that the code knows."""
    try:
        return all(
            _columns(apps.get_model("lingstream", model.__name__)) == _columns(model)
            for model in (Occasion, Workflow)
        )
    except LookupError:
        return False


def _columns(model: Any) -> set[str]:
    return {field.name for field in model._meta.concrete_fields}
