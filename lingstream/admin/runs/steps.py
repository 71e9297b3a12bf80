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

from ...models import BotRun
from ..display import duration, pretty, status_badge, tokens
from ..media import ScopedAdmin
from ..private import mark_withheld
from .keyset import KeysetAdmin
from .rereading import plan_of_step, reread
from .texts import step_html

__all__ = ["BIG", "BIG_BOT", "BIG_RUN", "BotRunAdmin", "Shown"]

#: Columns of a run that no list loads, and those that only lists of runs do.
BIG = ("plan", "input", "document", "message", "context", "trace")
BIG_RUN = (*BIG, "errors")
#: Columns of a step run that lists do not load.
BIG_BOT = ("messages", "output", "reasoning", "params", "repairs", "request", "result")


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


@admin.register(BotRun)
class BotRunAdmin(Shown, KeysetAdmin, ScopedAdmin):
    """One execution of a step: what it was to do, what came of it. They are found by their runs."""

    list_display = ("instance", "kind", "shown_run", "shown_status", "model", "started_at", "shown_time")
    list_select_related = ("run",)
    more_filters = ("run", "prompt_version")  # and no others: no index would serve them
    scope_field = "run__scope"
    of_all = ("shown_run", "instance", "kind", "shown_status", "shown_texts")
    of_bots = ("provider", "model")
    at_the_end = ("started_at", "finished_at", "shown_time", "epoch", "occurrence", "digest")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        own = self.of_bots if obj is None or obj.kind == "bot" else ()
        return (*self.of_all, *own, "shown_root", *self.at_the_end)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[BotRun]:
        rows: models.QuerySet[BotRun] = mark_withheld(super().get_queryset(request), request, "run__workflow")
        match = request.resolver_match
        changelist = match and match.url_name == "lingstream_botrun_changelist"
        return rows.defer(*BIG_BOT, *(f"run__{name}" for name in BIG_RUN)) if changelist else rows

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Who may delete a run may delete what belongs to it; otherwise no account with runs could be deleted.
        return request.user.has_perm("lingstream.delete_run")

    @admin.display(description=_("run"))
    def shown_run(self, row: BotRun) -> SafeString:
        url = reverse("admin:lingstream_run_change", args=[row.run_id])
        return format_html('<a href="{}">{} {}</a>', url, row.run.workflow, str(row.run_id)[:8])

    @admin.display(description=_("told and said"))
    def shown_texts(self, row: Any) -> SafeString:
        reading = reread(row, plan_of_step(row.run, row.step))
        return step_html(row, reading, row.reader, withheld=row.withheld)

    @admin.display(description=_("root"))
    def shown_root(self, row: BotRun) -> SafeString:
        return pretty(row.root)
