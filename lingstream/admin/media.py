"""What all pages share."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest

from ..access.identity import scope_of
from ..core.exceptions import LingError

__all__ = ["TEMPLATE", "LingAdmin", "ReadOnlyAdmin", "Scoped", "ScopedAdmin", "tenant"]

#: The widget of a template that is one line.
TEMPLATE = forms.TextInput(attrs={"class": "vTextField ling-template", "spellcheck": "false"})


class LingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A model's pages with our style."""

    class Media:
        css = {"all": ("lingstream/admin/admin.css",)}


class ReadOnlyAdmin(LingAdmin):
    """Pages of rows that only the runner writes; they may be deleted, to which people have a right.

    A list can be filtered by what it offers and by ``more_filters``, and by nothing else: Django lets a URL
    filter by any column of the row itself, and ``session_key__regex`` would read out what no page shows.
    """

    more_filters: tuple[str, ...] = ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        filters = self.get_list_filter(request)
        fields = (item[0] if isinstance(item, (list, tuple)) else item for item in filters)
        offered = {getattr(item, "parameter_name", item) for item in fields}
        known = {*offered, *self.more_filters, self.date_hierarchy}
        return lookup.partition("__")[0] in known and super().lookup_allowed(lookup, value, request)


class Scoped:
    """Rows of one tenant: of others there are none, on lists as on pages, in searches, actions and deletions.

    :param scope_field: where the tenant stands.
    """

    scope_field = "scope"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        scope = tenant(request)
        rows: models.QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return rows if scope is None else rows.filter(**{self.scope_field: scope})


class ScopedAdmin(Scoped, ReadOnlyAdmin):
    """Rows of one tenant that only the runner writes."""


def tenant(request: HttpRequest) -> str | None:
    """Return the tenant of who looks; ``None`` is every one.

    :raises PermissionDenied: the site does not say.
    """
    try:
        return scope_of(request, request.user)
    except LingError as error:
        raise PermissionDenied(error.message) from error
