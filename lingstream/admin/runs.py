"""Runs and what belongs to them: to be read, searched, cancelled and deleted, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from lingstream.execution import ownership

from ..models import OPEN, Conversation, Feedback, Run, Runner
from .display import pretty
from .media import ReadOnlyAdmin, ScopedAdmin
from .step_runs import BIG_RUN, BotRunInline, Shown

__all__ = ["ConversationAdmin", "FeedbackAdmin", "RunAdmin", "RunnerAdmin"]

_USERNAME = get_user_model().USERNAME_FIELD


@admin.register(Run)
class RunAdmin(Shown, ScopedAdmin):
    """What was asked, what came of it, what it cost."""

    list_display = (
        "shown_id",
        "workflow",
        "shown_status",
        "owner",
        "created_at",
        "shown_time",
        "shown_usage",
    )
    list_filter = ("status", "workflow", "created_at", "scope")
    list_select_related = ("owner",)
    # Never by a piece of a session's digest or of a start key: search must not read out what opens runs.
    search_fields = ("id", "workflow", "=key", f"owner__{_USERNAME}", "scope")
    more_filters = ("conversation", "owner")
    date_hierarchy = "created_at"
    show_full_result_count = False
    actions = ("cancel",)
    inlines = (BotRunInline,)
    fieldsets = (
        (
            None,
            {"fields": ("id", "workflow", "shown_status", "shown_usage", "shown_input", "shown_document")},
        ),
        (_("Errors"), {"fields": ("shown_errors",)}),
        (
            _("Times"),
            {
                "fields": (
                    "created_at",
                    "started_at",
                    "finished_at",
                    "shown_time",
                    "checkpoint_at",
                    "cancel_requested_at",
                )
            },
        ),
        (
            _("Conversation"),
            {
                "fields": ("conversation", "number", "parent", "cause", "shown_message", "shown_context"),
                "classes": ("collapse",),
            },
        ),
        (_("Owner"), {"fields": ("owner", "scope", "shown_key"), "classes": ("collapse",)}),
        (
            _("Execution"),
            {
                "fields": ("epoch", "attempts", "runner", "log_id", "language", "shown_plan"),
                "classes": ("collapse",),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Run]:
        rows = super().get_queryset(request)
        match = request.resolver_match
        return rows.defer(*BIG_RUN) if match and match.url_name == "lingstream_run_changelist" else rows

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if request.user.has_perm("lingstream.view_provider"):
            return self.fieldsets
        # A plan holds the addresses of its providers.
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name != "shown_plan"]})
            for title, options in self.fieldsets or ()
        ]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Whether the action is offered."""
        return request.user.has_perm("lingstream.cancel_run")

    @admin.action(description=_("Cancel selected runs"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: models.QuerySet[Run]) -> None:
        wanted = list(queryset.filter(status__in=OPEN, cancel_requested_at=None))
        for run in wanted:
            ownership.request_cancel(run)
        count = len(wanted)
        text = ngettext("%(count)d run is being canceled.", "%(count)d runs are being canceled.", count)
        self.message_user(request, text % {"count": count})

    @admin.display(description=_("run"), ordering="id")
    def shown_id(self, run: Run) -> str:
        return str(run.pk)[:8]

    @admin.display(description=_("key"))
    def shown_key(self, run: Run) -> str:
        # Of a visitor without login and session the key is the only proof: who knows it gets the run's token.
        return run.key if run.owner_key != "anyone" else "•••" if run.key else "-"

    @admin.display(description=_("input"))
    def shown_input(self, run: Run) -> SafeString:
        return pretty(run.input)

    @admin.display(description=_("message"))
    def shown_message(self, run: Run) -> SafeString | str:
        return "-" if run.message is None else pretty(run.message)

    @admin.display(description=_("remembered"))
    def shown_context(self, run: Run) -> SafeString | str:
        return "-" if run.context is None else pretty(run.context)

    @admin.display(description=_("document"))
    def shown_document(self, run: Run) -> SafeString:
        return pretty(run.document)

    @admin.display(description=_("errors"))
    def shown_errors(self, run: Run) -> SafeString:
        return pretty(run.errors or "")

    @admin.display(description=_("plan"))
    def shown_plan(self, run: Run) -> SafeString:
        return pretty(run.plan)


@admin.register(Conversation)
class ConversationAdmin(ScopedAdmin):
    """Conversations, with a link to their runs."""

    list_display = ("__str__", "workflow", "owner", "scope", "run_count", "created_at", "updated_at")
    list_filter = ("workflow", "updated_at", "archived_at", "deleted_at", "scope")
    list_select_related = ("owner",)
    search_fields = ("id", "title", "workflow", f"owner__{_USERNAME}")
    more_filters = ("owner",)
    date_hierarchy = "updated_at"
    ordering = ("-updated_at",)
    fields = (
        "id",
        "title",
        "workflow",
        "external_id",
        "owner",
        "scope",
        "run_count",
        "shown_summary",
        "shown_data",
        "created_at",
        "updated_at",
        "archived_at",
        "deleted_at",
    )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Conversation]:
        rows: models.QuerySet[Conversation] = super().get_queryset(request)
        return rows.annotate(number_of_runs=Count("runs"))

    @admin.display(description=_("summary"))
    def shown_summary(self, conversation: Conversation) -> SafeString | str:
        return "-" if conversation.summary is None else pretty(conversation.summary)

    @admin.display(description=_("data"))
    def shown_data(self, conversation: Conversation) -> SafeString:
        return pretty(conversation.data)

    @admin.display(description=_("runs"), ordering="number_of_runs")
    def run_count(self, conversation: Any) -> SafeString:
        url = reverse("admin:lingstream_run_changelist")
        return format_html(
            '<a href="{}?conversation__id__exact={}">{}</a>',
            url,
            conversation.pk,
            conversation.number_of_runs,
        )


@admin.register(Feedback)
class FeedbackAdmin(ScopedAdmin):
    """What people think of answers."""

    list_display = ("value", "run", "shown_uri", "reason", "comment", "owner", "created_at")
    list_display_links = ("value", "run")
    list_filter = ("value", "run__workflow", "created_at", "scope")
    list_select_related = ("owner", "run")
    search_fields = ("run__id", "reason", "comment")
    date_hierarchy = "created_at"
    fields = ("run", "shown_uri", "value", "reason", "comment", "owner", "scope", "created_at")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Feedback]:
        rows: models.QuerySet[Feedback] = super().get_queryset(request)
        return rows.defer(*(f"run__{name}" for name in BIG_RUN))

    @admin.display(description=_("field"))
    def shown_uri(self, feedback: Feedback) -> SafeString | str:
        return pretty(feedback.uri) if feedback.uri else "-"


@admin.register(Runner)
class RunnerAdmin(ReadOnlyAdmin):
    """Processes that execute runs. Their rows go by themselves: deleting one would change all its runs."""

    list_display = ("__str__", "kind", "hostname", "pid", "started_at", "heartbeat_at", "stopped_at")
    list_filter = ("kind", "heartbeat_at")
    search_fields = ("hostname", "id")
    fields = ("id", "kind", "hostname", "pid", "started_at", "heartbeat_at", "stopped_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
