"""What all pages share."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

__all__ = ["LingAdmin", "ReadOnlyAdmin"]


class LingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A model's pages with our style."""

    class Media:
        css = {"all": ("lingstream/admin/admin.css",)}


class ReadOnlyAdmin(LingAdmin):
    """Pages of rows that only the runner writes; they may be deleted, to which people have a right."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
