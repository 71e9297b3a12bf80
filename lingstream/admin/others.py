"""What Django shows unasked of rows that may be another tenant's: what a deletion takes, what an id is of."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib.admin.utils import NestedObjects
from django.contrib.admin.widgets import ForeignKeyRawIdWidget
from django.core.exceptions import ValidationError
from django.db import models, router
from django.utils.translation import gettext as _

__all__ = ["OfferedIdWidget", "going_of_others"]


def going_of_others(rows: Any, scope: str) -> list[str]:
    """Return in words how many rows of other tenants a deletion would take, or be kept from by.

    :param rows: a query or a list of those that somebody deletes.
    :param scope: of who deletes.
    """
    if not rows:
        return []
    collector = NestedObjects(using=router.db_for_write(type(rows[0])), origin=rows)
    collector.collect(rows)
    found = Counter(
        row._meta.verbose_name_plural
        for some in (*collector.model_objs.values(), collector.protected)
        for row in some
        if getattr(row, "scope", scope) != scope
    )
    return [
        _("%(name)s of other tenants: %(count)d") % {"name": name, "count": count}
        for name, count in found.items()
    ]


class OfferedIdWidget(ForeignKeyRawIdWidget):
    """A field for an id that says what it is the id of, if that may be chosen; Django's says so of any.

    :param widget: Django's.
    :param rows: what may be chosen.
    """

    def __init__(self, widget: ForeignKeyRawIdWidget, rows: models.QuerySet[Any]) -> None:
        super().__init__(widget.rel, widget.admin_site, widget.attrs, widget.db)
        self.rows = rows

    def label_and_url_for_value(self, value: Any) -> tuple[str, str]:
        """As Django's."""
        try:
            is_offered = self.rows.filter(**{self.rel.get_related_field().name: value}).exists()
        except (ValueError, ValidationError):
            is_offered = False
        return super().label_and_url_for_value(value) if is_offered else ("", "")
