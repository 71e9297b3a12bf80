"""By what the list of runs is filtered: each has an index that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from lingstream.core.engine.registry import registered

from ...models import Run, Workflow, WorkflowVersion, owner_key
from ..media import tenant
from .keyset import ValuesFilter

__all__ = [
    "ConversationFilter",
    "ErrorFilter",
    "OwnerFilter",
    "RepairedFilter",
    "ScopeFilter",
    "VersionFilter",
    "WorkflowFilter",
]

_MOST_VERSIONS = 50  # of a workflow, the newest


class WorkflowFilter(ValuesFilter):
    """By the workflows that there are."""

    title, parameter_name, column = _("workflow"), "workflow", "workflow"

    def known(self) -> Iterator[str]:
        yield from registered()
        yield from Workflow.objects.values_list("slug", flat=True)

    def choices(self, changelist: Any) -> Iterator[Any]:
        """As the filter's, without a version: that is one of the workflow that was chosen before."""
        for choice, value in zip(super().choices(changelist), (None, *self.lookup_choices), strict=True):
            chosen = {self.parameter_name: value[0]} if value else {}
            left = ["version"] if value else [self.parameter_name, "version"]
            yield {**choice, "query_string": changelist.get_query_string(chosen, left)}


class VersionFilter(admin.SimpleListFilter):
    """By the versions of the workflow that is chosen; without one a number says nothing."""

    title, parameter_name = _("version"), "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self._workflow = request.GET.get("workflow", "")
        if not self._workflow:
            return []
        versions = WorkflowVersion.objects.filter(workflow__slug=self._workflow).order_by("-number")
        numbers = list(versions.values_list("number", flat=True)[:_MOST_VERSIONS])
        chosen = self._number
        rest = [chosen] if chosen and chosen not in numbers else []
        return [(str(number), f"v{number}") for number in numbers + rest]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Run]) -> models.QuerySet[Run]:
        if not (self._number and self._workflow):
            return queryset
        return queryset.filter(workflow=self._workflow, published=self._number)

    @property
    def _number(self) -> int:
        text = self.value() or ""
        return int(text[:9]) if text.isascii() and text.isdecimal() else 0


class OneFilter(admin.SimpleListFilter):
    """By what a cell of the list links: there is no choice but to take it back."""

    field = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = self.value()
        return [(chosen, self.shown(model_admin.get_queryset(request)))] if chosen else []

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Run]) -> models.QuerySet[Run]:
        return self.of(queryset) if self.value() else queryset

    def of(self, rows: models.QuerySet[Run]) -> models.QuerySet[Run]:
        """Those that it leaves."""
        return rows.filter(**{self.field: self.key})

    def shown(self, rows: models.QuerySet[Run]) -> str:
        """What is chosen, for people.

        :param rows: that who looks may see.
        """
        return str(self.key)[:8]

    @property
    def key(self) -> Any:
        """The primary key of what is chosen."""
        field: Any = Run._meta.get_field(self.field)
        try:
            return field.target_field.to_python(self.value())
        except ValidationError as error:
            raise IncorrectLookupParameters(error) from error


class ConversationFilter(OneFilter):
    """By a conversation."""

    title, parameter_name, field = _("conversation"), "conversation__id__exact", "conversation"


class OwnerFilter(OneFilter):
    """By a user, whom only runs name that are shown."""

    title, parameter_name, field = _("owner"), "owner__id__exact", "owner"

    def of(self, rows: models.QuerySet[Run]) -> models.QuerySet[Run]:
        return rows.filter(owner_key=owner_key(self.key, ""))  # which an index has, with the order

    def shown(self, rows: models.QuerySet[Run]) -> str:
        run = self.of(rows).select_related("owner").order_by("-created_at").first()
        return str(run.owner) if run else str(self.value())


class ErrorFilter(ValuesFilter):
    """By the code of the error that decided."""

    title, parameter_name, column = _("error code"), "error_code", "error_code"

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Run]) -> models.QuerySet[Run]:
        rows = super().queryset(request, queryset)
        return rows.exclude(error_code="") if self.value() else rows  # what the index says of its rows


class ScopeFilter(ValuesFilter):
    """By the tenant, for who sees every one."""

    title, parameter_name, column = _("scope"), "scope", "scope"

    def known(self) -> Iterator[str]:
        return super().known() if tenant(self.request) is None else iter(())


class RepairedFilter(admin.SimpleListFilter):
    """Runs in whose answers something had to be mended."""

    title, parameter_name = _("repaired"), "repaired"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Yes"))]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Run]) -> models.QuerySet[Run]:
        return queryset.filter(repaired__gt=0) if self.value() == "yes" else queryset
