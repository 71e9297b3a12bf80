"""Runs that are started by the clock: when, whose they are, and what became of the last one."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as now_in_words
from django.utils.translation import gettext_lazy as _

from lingstream.core.engine.registry import registered

from ...models import Run, Schedule, Workflow
from ...models.phrases import translated
from ..display import foretold, times
from ..media import LingAdmin, Scoped, tenant
from ..private import WITHHELD, mark_withheld
from ..stale import StaleForm

__all__ = ["ScheduleAdmin"]

_SHOWN = 5  # times
_MOST_ERROR = 80  # characters in the list


class ScheduleForm(StaleForm):
    """A schedule, for one of the workflows that there are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "workflow" in self.fields:
            slugs = {*Workflow.objects.values_list("slug", flat=True), *registered(), self.instance.workflow}
            self.fields["workflow"].widget = forms.Select(choices=[(slug, slug) for slug in sorted(slugs)])


@admin.register(Schedule)
class ScheduleAdmin(Scoped, LingAdmin):
    """All schedules of the tenant.

    Whose the runs are decides what their steps may see. So somebody who is no superuser makes them nobody's
    or his own, and only looks at those of others.
    """

    form = ScheduleForm
    list_display = ("name", "workflow", "shown_when", "enabled", "next_at", "last_at", "shown_error")
    list_filter = ("enabled", "workflow")
    search_fields = ("name", "workflow")
    raw_id_fields = ("conversation", "owner")
    readonly_fields = ("kept", "preview", "last_at", "shown_run", "whole_error")
    fieldsets = (
        (None, {"fields": (("name", "enabled"), "workflow", "input")}),
        (_("When"), {"fields": (("every", "cron", "jitter"), "preview")}),
        (_("Whose"), {"fields": ("conversation", "owner", "scope")}),
        (_("Last time"), {"fields": ("last_at", "shown_run", "whole_error")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What runs of a private workflow are asked is for who may change one of the two."""
        if obj is None or not obj.withheld or self.has_change_permission(request, obj):
            return self.fieldsets
        first = (None, {"fields": (("name", "enabled"), "workflow", "kept")})
        return (first, *self.fieldsets[1:-1], (_("Last time"), {"fields": ("last_at", "shown_run")}))

    def get_queryset(self, request: HttpRequest) -> Any:
        return mark_withheld(super().get_queryset(request), request)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whoever guesses at what is withheld would be told when he is right."""
        hidden = lookup.split("__")[0] in ("input", "last_error")
        return not hidden and super().lookup_allowed(lookup, value, request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A tenant's are the tenant's."""
        return self.readonly_fields if tenant(request) is None else (*self.readonly_fields, "scope")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Whom one may name."""
        own, scope = Q(), tenant(request)
        if db_field.name == "conversation":
            own = Q(deleted_at=None) if scope is None else Q(deleted_at=None, scope=scope)
        if not request.user.is_superuser:
            own &= Q(pk=request.user.pk) if db_field.name == "owner" else Q(owner=request.user)
        kwargs["queryset"] = db_field.remote_field.model._default_manager.filter(own)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_speak_for(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_speak_for(request, obj)

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        if (scope := tenant(request)) is not None:
            obj.scope = scope
        super().save_model(request, obj, form, change)

    @admin.display(description=_("input"))
    def kept(self, schedule: Schedule) -> str:
        return str(WITHHELD)

    @admin.display(description=_("when"))
    def shown_when(self, schedule: Schedule) -> str:
        return schedule.cron or now_in_words("each %(seconds)s s") % {"seconds": schedule.every}

    @admin.display(description=_("next"))
    @foretold
    def preview(self, schedule: Schedule) -> str | SafeString:
        """When the next ones come, each up to ``jitter`` later."""
        if not schedule.pk or not schedule.enabled:
            return "-"
        return times(islice(schedule.slots(timezone.now()), _SHOWN))

    @admin.display(description=_("last run"))
    def shown_run(self, schedule: Schedule) -> str | SafeString:
        """A link to it, if it is still there."""
        if schedule.last_run is None or not Run.objects.filter(pk=schedule.last_run).exists():
            return "-"
        url = reverse("admin:lingstream_run_change", args=[schedule.last_run])
        return format_html('<a href="{}">{}</a>', url, schedule.last_run)

    @admin.display(description=_("last error"))
    def shown_error(self, schedule: Any) -> str:
        if schedule.withheld and schedule.last_error:
            return str(WITHHELD)  # it may quote the input
        return Truncator(translated(schedule.last_error)).chars(_MOST_ERROR) or "-"

    @admin.display(description=_("last error"))
    def whole_error(self, schedule: Schedule) -> str:
        return translated(schedule.last_error) or "-"


def _may_speak_for(request: HttpRequest, schedule: Schedule | None) -> bool:
    """Whether who looks may say what is done as whom the schedule's runs are started."""
    if schedule is None or request.user.is_superuser:
        return True
    if schedule.conversation:
        return bool(schedule.conversation.owner_id == request.user.pk)
    return schedule.owner_id in (None, request.user.pk)
