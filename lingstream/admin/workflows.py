"""Workflows: steps and the triggers between them, on one page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import Chat, Workflow
from .media import LingAdmin
from .steps import StepInline
from .triggers import TriggerInline

__all__ = ["WorkflowAdmin"]

JS_MODULE = forms.Script("lingstream/admin/workflow.js", type="module")

_MOST_WARNINGS = 10  # at once; the next save tells of the others


class ChatInline(admin.StackedInline):  # type: ignore[type-arg]
    """How the workflow is talked to, if it says so."""

    model = Chat
    extra = 0
    classes = ("collapse",)


@admin.register(Workflow)
class WorkflowAdmin(LingAdmin):
    """A workflow with its steps and triggers."""

    list_display = ("slug", "name", "shown_steps", "enabled", "access", "updated_at")
    list_filter = ("enabled", "access")
    search_fields = ("slug", "name", "description", "steps__name")
    inlines = (StepInline, TriggerInline, ChatInline)
    save_on_top = True
    fieldsets = (
        (None, {"fields": ("slug", "name", "description", ("enabled", "access"))}),
        (_("Input"), {"fields": ("input_schema",), "classes": ("collapse",)}),
        (
            _("Limits and policies"),
            {
                "fields": ("limits", "on_disconnect", "when_busy", "retention_days", "show_reasoning"),
                "classes": ("collapse",),
            },
        ),
    )

    class Media:
        js = (JS_MODULE,)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Workflow]:
        return super().get_queryset(request).prefetch_related("steps")

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "description" and field:
            field.widget.attrs["rows"] = 3
        return field

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        found = [warning for formset in formsets for warning in getattr(formset, "warnings", ())]
        for fault in found[:_MOST_WARNINGS]:
            messages.warning(request, _("Saved, but look again: %(fault)s") % {"fault": fault})

    @admin.display(description=_("steps"))
    def shown_steps(self, workflow: Workflow) -> str | SafeString:
        return ", ".join(step.name for step in workflow.steps.all()) or "-"
