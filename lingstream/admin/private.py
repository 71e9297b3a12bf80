"""What runs of private workflows were asked is for staff who may change workflows."""

from __future__ import annotations

from typing import Any

from django.db.models import BooleanField, Case, Value, When
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..models import Workflow

__all__ = ["WITHHELD", "mark_withheld", "withheld_from"]

WITHHELD = _("withheld: the workflow is private")


def withheld_from(user: Any) -> list[str]:
    """Return the slugs of the workflows whose inputs somebody of the staff does not see."""
    if user.has_perm("lingstream.change_workflow"):
        return []
    return list(Workflow.objects.filter(private=True).values_list("slug", flat=True))


def mark_withheld(rows: Any, request: HttpRequest, column: str = "workflow") -> Any:
    """Return rows that know, as ``withheld``, whether what was asked is kept from who looks.

    :param column: where the slug of the workflow stands.
    """
    private = When(**{f"{column}__in": withheld_from(request.user)}, then=Value(True))
    withheld = Case(private, default=Value(False), output_field=BooleanField())
    return rows.annotate(withheld=withheld)
