"""What a run cites, on its page; and the runs that cite what has changed since, in their list."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from lingstream.admin.runs.admin import RunAdmin
from lingstream.models import Run

from ..models import Citation

__all__ = ["CitationInline"]


class CitationInline(admin.TabularInline):  # type: ignore[type-arg]
    """The passages that a run's answer names."""

    model = Citation
    fields = readonly_fields = ("uri", "document", "version", "verified", "shown_current")
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Citation]:
        rows: models.QuerySet[Citation] = super().get_queryset(request)
        return rows.select_related("document").order_by("uri")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Who may see the run sees what it cites; most cite nothing, and have no table then.
        return request.user.has_perm("lingstream.view_run") and (obj is None or _cites(obj))

    @admin.display(description=_("as it was"), boolean=True)
    def shown_current(self, row: Citation) -> bool | None:
        return None if row.chunk_uid is None else not row.is_stale


def _cites(run: Run) -> bool:
    """Whether a run cites anything; asked once for a page, which asks for permissions again and again."""
    found: Any = run
    if not hasattr(found, "cites"):
        found.cites = Citation.objects.filter(run=run).exists()
    return bool(found.cites)


class StaleFilter(admin.SimpleListFilter):
    """Runs whose sources have changed since."""

    title = _("sources")
    parameter_name = "sources"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("changed", _("have changed since"))]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Run]) -> models.QuerySet[Run]:
        if self.value() != "changed":
            return queryset
        return queryset.filter(Citation.objects.are_stale())


# Runs know nothing of knowledge, so it is knowledge that adds to their pages.
RunAdmin.inlines = (*RunAdmin.inlines, CitationInline)
RunAdmin.list_filter = (*RunAdmin.list_filter, StaleFilter)  # type: ignore[assignment]
RunAdmin.more_filters = (*RunAdmin.more_filters, StaleFilter.parameter_name)
