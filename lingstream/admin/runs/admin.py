"""Runs and what belongs to them: to be read, searched, cancelled and deleted, never edited."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from lingstream.conversations.downloads import download
from lingstream.core.exceptions import LingError
from lingstream.execution.retention import delete_runs

from ...models import OPEN, QUIET, Run, Runner
from ...models.phrases import shown_error
from ..display import duration, pretty, tokens
from ..media import ReadOnlyAdmin, tenant
from ..private import WITHHELD, mark_withheld, withheld_from
from ..remedies import remedies
from ..workflows.versions import version_link
from .actions import not_started, run_again, stop
from .csv import KIND, csv_of
from .filters import (
    ConversationFilter,
    ErrorFilter,
    OwnerFilter,
    RepairedFilter,
    ScopeFilter,
    VersionFilter,
    WorkflowFilter,
)
from .keyset import KeysetAdmin
from .page import RunPage
from .search import MOST_FOUND, found
from .steps import BIG, Shown
from .texts import errors_line

__all__ = ["RunAdmin", "RunnerAdmin"]

_MOST_AT_ONCE = {"export_csv": 10_000, "again": 20}  # runs that an action takes, the newest; others take
_MOST_ELSE = 1_000
_PREVIEW = 90  # characters
_MOST_NAMED = 5  # runs, in a message


def _bounded(name: str, action: Any) -> Any:
    """Have an action take the newest of the runs that it is given, however the request chose them."""
    most = _MOST_AT_ONCE.get(name, _MOST_ELSE)

    def act(pages: Any, request: HttpRequest, queryset: models.QuerySet[Run]) -> Any:
        newest = list(queryset.values_list("pk", flat=True)[: most + 1])
        if len(newest) > most:
            told = _("Only the newest %(most)d of the selected runs are taken.") % {"most": most}
            pages.message_user(request, told, messages.WARNING)
        return action(pages, request, queryset.filter(pk__in=newest[:most]))

    return act


def _bounded_entry(name: str, entry: Any) -> Any:
    """What Django keeps of an action, with the bounded one: a tuple, from 6.1 on an object."""
    if isinstance(entry, tuple):
        return (_bounded(name, entry[0]), *entry[1:])
    return replace(entry, func=_bounded(name, entry.func))


@admin.register(Run)
class RunAdmin(Shown, KeysetAdmin, RunPage):
    """What was asked, what came of it, what it cost."""

    keyset = ("created_at", "pk")
    most_found = MOST_FOUND
    list_display = (
        "shown_id",
        "shown_status",
        "shown_workflow",
        "shown_asked",
        "shown_owner",
        "created_at",
        "shown_time",
        "shown_usage",
    )
    list_filter = (
        OwnerFilter,
        ConversationFilter,
        "status",
        WorkflowFilter,
        VersionFilter,
        ErrorFilter,
        RepairedFilter,
        "created_at",
        ScopeFilter,
    )
    list_select_related = ("owner", "text")
    # What it searches is decided by `.search`, and never a piece of a session's digest or of a start key:
    # it must not read out what opens runs.
    search_fields = ("id",)
    search_help_text = _(
        "An id or its beginning, a conversation's id, a workflow, an error code, the beginning of an owner's "
        "name, or words of the input or the error."
    )
    actions = ("stop", "again", "export_csv")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "id",
                    "workflow",
                    "shown_version",
                    "shown_status",
                    "shown_usage",
                    "shown_input",
                    "shown_document",
                )
            },
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
        rows: Any = super().get_queryset(request)
        match = request.resolver_match
        if match and match.url_name == "lingstream_run_changelist":
            rows = rows.real().defer(*BIG)
        found: models.QuerySet[Run] = mark_withheld(rows, request)
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Run], search_term: str
    ) -> tuple[models.QuerySet[Run], bool]:
        if not search_term.strip():
            return queryset, False
        withheld = withheld_from(request.user)
        return found(queryset, search_term, scope=tenant(request), withheld=withheld), False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        hidden = set()
        if not request.user.has_perm("lingstream.view_provider"):
            hidden.add("shown_plan")  # it holds the addresses of its providers
        if obj is not None and not obj.errors:
            hidden.add("shown_errors")
        sets = [
            (title, {**options, "fields": [name for name in options["fields"] if name not in hidden]})
            for title, options in self.fieldsets or ()
        ]
        return [(title, options) for title, options in sets if options["fields"]]

    def delete_model(self, request: HttpRequest, obj: Run) -> None:
        self.delete_queryset(request, Run.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Run]) -> None:
        delete_runs(queryset)

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> Any:
        """As Django's, and each is bounded, also those that the site adds to all lists.

        :param action_location: the list or the form, from Django 6.1 on; ``None`` for the list.
        """
        where = {} if action_location is None else {"action_location": action_location}
        found: dict[str, Any] = super().get_actions(request, **where)
        return {name: _bounded_entry(name, entry) for name, entry in found.items()}

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Whether the action is offered."""
        return request.user.has_perm("lingstream.cancel_run")

    def has_again_permission(self, request: HttpRequest) -> bool:
        """Whether the action is offered."""
        return request.user.has_perm("lingstream.start_workflow")

    @admin.action(description=_("Stop selected runs"), permissions=["stop"])
    def stop(self, request: HttpRequest, queryset: models.QuerySet[Run]) -> None:
        count = stop(queryset)
        if not count:
            told = _("All of these runs have ended, or are being stopped.")
            self.message_user(request, told, messages.WARNING)
            return
        text = ngettext("%(count)d run is being stopped.", "%(count)d runs are being stopped.", count)
        self.message_user(request, text % {"count": count})

    @admin.action(description=_("Run selected runs again, as of today"), permissions=["again"])
    def again(self, request: HttpRequest, queryset: models.QuerySet[Run]) -> None:
        count, refused = 0, dict[SafeString, list[str]]()
        for run in queryset.defer(None):
            try:
                run_again(run, request.user)
            except LingError as error:
                told = not_started(error, request.user)
                refused.setdefault(told, []).append(f"{run.workflow} {str(run.pk)[:8]}")
            else:
                count += 1
        for told, runs in refused.items():  # which is mostly the same of all
            shown = ", ".join(runs[:_MOST_NAMED]) + (" …" if runs[_MOST_NAMED:] else "")
            self.message_user(request, format_html("{}: {}", shown, told), messages.ERROR)
        if count:
            text = ngettext("%(count)d run has been started.", "%(count)d runs have been started.", count)
            self.message_user(request, text % {"count": count})

    @admin.action(description=_("Save selected runs as CSV"), permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: models.QuerySet[Run]) -> HttpResponseBase:
        rows = queryset.defer(*BIG).select_related("owner", "text")
        return download(request, csv_of(rows), KIND, "runs.csv")

    @admin.display(description=_("run"))
    def shown_id(self, run: Run) -> str:
        return str(run.pk)[:8]

    @admin.display(description=_("workflow"))
    def shown_workflow(self, run: Run) -> SafeString | str:
        if not run.published:
            return run.workflow
        query = urlencode({"workflow": run.workflow, "version": str(run.published)})
        return format_html('{} <a href="?{}">v{}</a>', run.workflow, query, run.published)

    @admin.display(description=_("version"))
    def shown_version(self, run: Run) -> str:
        return version_link(run)

    @admin.display(description=_("status"))
    def shown_status(self, run: Run) -> SafeString:
        count = run.repaired
        mended = ngettext("%(count)d repair", "%(count)d repairs", count) % {"count": count} if count else ""
        stops = _("is being stopped") if run.status in OPEN and run.cancel_requested_at else ""
        return _lines(super().shown_status(run), stops, run.error_code, mended)

    @admin.display(description=_("input and error"))
    def shown_asked(self, run: Any) -> SafeString:
        text = getattr(run, "text", None)
        asked = WITHHELD if run.withheld else _short(text.input) if text else ""
        about = run.get_cause_display() if run.cause in QUIET else ""
        return _lines(about or asked, _short(errors_line(run)))

    @admin.display(description=_("owner"))
    def shown_owner(self, run: Run) -> SafeString:
        owner = run.owner_id and format_html('<a href="?owner__id__exact={}">{}</a>', run.owner_id, run.owner)
        if run.conversation_id is None:
            return _lines(owner)
        url = reverse("admin:lingstream_conversation_change", args=[run.conversation_id])
        name = str(run.conversation_id)
        text = '<a href="{}">{}</a> · <a href="?conversation__id__exact={}">{}</a>'
        return _lines(owner, format_html(text, url, name[:8], name, _("its runs")))

    @admin.display(description=_("time"))
    def shown_time(self, run: Run) -> SafeString:
        first = "" if run.first_token is None else _("first: %(seconds).1f s") % {"seconds": run.first_token}
        return _lines(duration(run.started_at, run.finished_at), first)

    @admin.display(description=_("tokens"))
    def shown_usage(self, run: Run) -> SafeString:
        return _lines(tokens(run.usage), "" if run.cost is None else f"{run.cost:.4f}")

    @admin.display(description=_("key"))
    def shown_key(self, run: Run) -> str:
        # Of a visitor without login and session the key is the only proof: who knows it gets the run's token.
        return run.key if run.owner_key != "anyone" else "•••" if run.key else "-"

    @admin.display(description=_("input"))
    def shown_input(self, run: Any) -> SafeString | str:
        return str(WITHHELD) if run.withheld else pretty(run.input)

    @admin.display(description=_("message"))
    def shown_message(self, run: Any) -> SafeString | str:
        return _asked(run, run.message)

    @admin.display(description=_("remembered"))
    def shown_context(self, run: Any) -> SafeString | str:
        return _asked(run, run.context)

    @admin.display(description=_("document"))
    def shown_document(self, run: Run) -> SafeString:
        return pretty(run.document)

    @admin.display(description=_("errors"))
    def shown_errors(self, run: Any) -> SafeString:
        shown = [shown_error(each) for each in run.errors]
        return pretty(shown or "") + remedies(run.errors, run.reader)

    @admin.display(description=_("plan"))
    def shown_plan(self, run: Run) -> SafeString:
        return pretty(run.plan)


@admin.register(Runner)
class RunnerAdmin(ReadOnlyAdmin):
    """Processes that execute runs. Their rows go by themselves: deleting one would change all its runs."""

    list_display = ("__str__", "kind", "hostname", "pid", "started_at", "heartbeat_at", "stopped_at")
    list_filter = ("kind", "heartbeat_at")
    search_fields = ("hostname", "id")
    fields = ("id", "kind", "hostname", "pid", "started_at", "heartbeat_at", "stopped_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _asked(run: Any, value: Any) -> SafeString | str:
    if run.withheld:
        return str(WITHHELD)
    return "-" if value is None else pretty(value)


def _short(text: str) -> str:
    return Truncator(text).chars(_PREVIEW)


def _lines(first: Any, *more: Any) -> SafeString:
    """What is said, and below it, smaller, what else there is to say."""
    rest = [format_html('<span class="ling-below">{}</span>', each) for each in more if each]
    return format_html("{}" * (len(rest) + 1), first or "-", *rest)
