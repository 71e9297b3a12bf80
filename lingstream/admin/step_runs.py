"""The steps of runs: what each was to do, and what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import BotRun
from .display import duration, named, pretty, status_badge, tokens
from .media import ScopedAdmin

__all__ = ["BIG_RUN", "BotRunAdmin", "BotRunInline", "Shown"]

#: Columns of a run that lists do not load.
BIG_RUN = ("plan", "input", "document", "errors", "message", "context")
_ASKED = {"input": _("input"), "arguments": _("arguments")}
_SAID = {"put": _("value at %(name)s"), "note": _("event %(name)s")}  # beside text
_BIG_BOT = ("messages", "output", "reasoning", "params", "repairs", "request", "result")


class Shown:
    """Columns that runs and step runs show alike."""

    @admin.display(description=_("status"), ordering="status")
    def shown_status(self, row: Any) -> SafeString:
        return status_badge(row.status, row.get_status_display())

    @admin.display(description=_("time"))
    def shown_time(self, row: Any) -> str:
        return duration(row.started_at, row.finished_at)

    @admin.display(description=_("tokens"))
    def shown_usage(self, row: Any) -> str:
        return tokens(row.usage)


class BotRunInline(Shown, admin.TabularInline):  # type: ignore[type-arg]
    """The steps of a run; each links to its own page."""

    model = BotRun
    extra = 0
    can_delete = False
    fields = ("link", "kind", "shown_status", "model", "prompt_version", "shown_time", "shown_usage")
    readonly_fields = fields
    verbose_name_plural = _("steps")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[BotRun]:
        return super().get_queryset(request).defer(*_BIG_BOT)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("step"))
    def link(self, row: BotRun) -> SafeString:
        url = reverse("admin:lingstream_botrun_change", args=[row.pk])
        return format_html('<a href="{}">{}</a>', url, row.instance)


@admin.register(BotRun)
class BotRunAdmin(Shown, ScopedAdmin):
    """One execution of a step: what it was to do, what came of it; of a bot also what had to be repaired."""

    list_display = ("instance", "kind", "shown_run", "shown_status", "model", "started_at", "shown_time")
    list_filter = ("status", "kind", "step", "model", "provider", "started_at")
    list_select_related = ("run",)
    search_fields = ("instance", "step", "model", "prompt_version", "run__id")
    more_filters = ("run",)
    scope_field = "run__scope"
    show_full_result_count = False
    of_all = ("shown_run", "instance", "kind", "shown_status", "shown_error")
    of_bots = (
        "shown_messages",
        "shown_output",
        "shown_reasoning",
        "shown_repairs",
        "prompt_version",
        "provider",
        "model",
        "shown_params",
    )
    of_functions = ("shown_request", "shown_result")
    of_other_steps = (*of_functions, "shown_output", "shown_reasoning", "shown_repairs")
    of_steps = ("shown_root", "finish", "shown_usage")
    at_the_end = ("started_at", "finished_at", "shown_time", "epoch", "occurrence", "digest")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or obj.kind == "bot":
            own: tuple[str, ...] = (*self.of_bots, *self.of_steps)
        elif obj.kind == "once":
            own = self.of_functions
        else:
            own = (*self.of_other_steps, *self.of_steps)
        return (*self.of_all, *own, *self.at_the_end)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[BotRun]:
        rows = super().get_queryset(request)
        match = request.resolver_match
        changelist = match and match.url_name == "lingstream_botrun_changelist"
        return rows.defer(*_BIG_BOT, *(f"run__{name}" for name in BIG_RUN)) if changelist else rows

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Who may delete a run may delete what belongs to it; otherwise no account with runs could be deleted.
        return request.user.has_perm("lingstream.delete_run")

    @admin.display(description=_("run"))
    def shown_run(self, row: BotRun) -> SafeString:
        url = reverse("admin:lingstream_run_change", args=[row.run_id])
        return format_html('<a href="{}">{} {}</a>', url, row.run.workflow, str(row.run_id)[:8])

    @admin.display(description=_("error"))
    def shown_error(self, row: BotRun) -> SafeString:
        return pretty(row.error or "")

    @admin.display(description=_("messages"))
    def shown_messages(self, row: BotRun) -> SafeString:
        parts = [
            format_html("<strong>{}</strong>{}", message.get("role", ""), pretty(message.get("content", "")))
            for message in row.messages
        ]
        return format_html("{}" * len(parts), *parts) if parts else SafeString("-")

    @admin.display(description=_("request"))
    def shown_request(self, row: BotRun) -> SafeString:
        asked = row.request if isinstance(row.request, dict) else {}
        options = asked.get("options")
        given = [(title, asked[name]) for name, title in _ASKED.items() if name in asked]
        return named([*given, *(options.items() if isinstance(options, dict) else ())])

    @admin.display(description=_("result"))
    def shown_result(self, row: BotRun) -> SafeString:
        if row.kind == "once":
            return pretty(row.result)
        return named(map(_said, row.result or ()))

    @admin.display(description=_("output"))
    def shown_output(self, row: BotRun) -> SafeString:
        return pretty(row.output)

    @admin.display(description=_("reasoning"))
    def shown_reasoning(self, row: BotRun) -> SafeString:
        return pretty(row.reasoning)

    @admin.display(description=_("repairs"))
    def shown_repairs(self, row: BotRun) -> SafeString:
        return pretty(row.repairs or "")

    @admin.display(description=_("parameters"))
    def shown_params(self, row: BotRun) -> SafeString:
        return pretty(row.params or "")

    @admin.display(description=_("root"))
    def shown_root(self, row: BotRun) -> SafeString:
        return pretty(row.root)


def _said(entry: Any) -> tuple[Any, Any]:
    """A value or an event, as the journal keeps them, with its title."""
    what, name, value = entry
    return _SAID[what] % {"name": name or _("the root")}, value
