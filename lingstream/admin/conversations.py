"""Conversations as who helps a person sees them, their files, and what people think of answers."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import BooleanField, Case, Count, Exists, F, OuterRef, Q, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from lingstream.conversations.downloads import export_response, file_response
from lingstream.conversations.exporting import FORMATS
from lingstream.conversations.history import exchanges
from lingstream.conversations.reading import shown_path
from lingstream.conversations.turns import tree_of
from lingstream.execution.retention import delete_conversations

from ..models import Attachment, Conversation, Feedback, Run
from .display import pretty, printable
from .media import ScopedAdmin, ValueFilter
from .private import WITHHELD, withheld_from
from .runs.steps import BIG_RUN

__all__ = ["AttachmentAdmin", "ConversationAdmin", "FeedbackAdmin"]

_USERNAME = get_user_model().USERNAME_FIELD
_MOST_TURNS = 100
_MOST_OPINIONS = 200
_MOST_TEXT = 500  # characters of a question, and of an answer
_SAID = ("shown_turns", "shown_export", "shown_summary")  # what is for who may see runs


class Served(ScopedAdmin):
    """Pages of rows that have something to download, with the rights to see them."""

    def row(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row for who may see it."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row


@admin.register(Conversation)
class ConversationAdmin(Served):
    """Conversations, with their turns. What was said is for who may see runs."""

    list_display = (
        "shown_title",
        "workflow",
        "owner",
        "scope",
        "run_count",
        "updated_at",
        "archived_at",
        "deleted_at",
    )
    list_filter = ("workflow", "updated_at", "archived_at", "deleted_at", ("scope", ValueFilter))
    list_select_related = ("owner",)
    search_fields = ("id", "known_title", "workflow", f"owner__{_USERNAME}")
    more_filters = ("owner",)
    date_hierarchy = "updated_at"
    ordering = ("-updated_at",)
    fields = (
        "id",
        "shown_title",
        "workflow",
        "external_id",
        "owner",
        "scope",
        ("created_at", "updated_at"),
        ("archived_at", "deleted_at"),
        ("run_count", "file_count"),
        "shown_turns",
        "shown_export",
        "shown_summary",
        "shown_data",
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        sees = obj is None or _sees(request, obj)
        return [name for name in self.fields or () if sees or name not in _SAID]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.export)
        name = "lingstream_conversation_export"
        return [path("<path:object_id>/export/<str:form>/", view, name=name), *super().get_urls()]

    def export(self, request: HttpRequest, object_id: str, form: str) -> HttpResponseBase:
        """Download a conversation."""
        row = self.row(request, object_id)
        if not _sees(request, row):
            raise PermissionDenied
        if form not in FORMATS:
            raise Http404
        return export_response(request, row, form)

    def delete_model(self, request: HttpRequest, obj: Conversation) -> None:
        self.delete_queryset(request, Conversation.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Conversation]) -> None:
        delete_conversations(queryset)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Conversation]:
        rows: models.QuerySet[Conversation] = super().get_queryset(request)
        return rows.annotate(number_of_runs=Count("runs"), withheld=_withheld(request))

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        """Titles are found by who may see them."""
        known = Case(When(withheld=True, then=Value("")), default=F("title"))
        return super().get_search_results(request, queryset.annotate(known_title=known), search_term)

    @admin.display(description=_("title"))
    def shown_title(self, conversation: Any) -> str:
        return str(WITHHELD) if conversation.withheld else conversation.title or str(conversation)

    @admin.display(description=_("turns"))
    def shown_turns(self, conversation: Any) -> str:
        return render_to_string("lingstream/admin/turns.html", _turns(conversation))

    @admin.display(description=_("export"))
    def shown_export(self, conversation: Conversation) -> SafeString:
        urls = [
            reverse("admin:lingstream_conversation_export", args=[conversation.pk, form]) for form in FORMATS
        ]
        return format_html('<a href="{}">Markdown</a> · <a href="{}">JSON</a>', *urls)

    @admin.display(description=_("summary"))
    def shown_summary(self, conversation: Conversation) -> SafeString | str:
        return "-" if conversation.summary is None else pretty(conversation.summary)

    @admin.display(description=_("data"))
    def shown_data(self, conversation: Conversation) -> SafeString:
        return pretty(conversation.data)

    @admin.display(description=_("runs"), ordering="number_of_runs")
    def run_count(self, conversation: Any) -> SafeString:
        return _listed("run", conversation, conversation.number_of_runs)

    @admin.display(description=_("attachments"))
    def file_count(self, conversation: Conversation) -> SafeString:
        return _listed("attachment", conversation, conversation.attachments.count())


@admin.register(Attachment)
class AttachmentAdmin(Served):
    """Files that people attached to their messages."""

    list_display = ("name", "content_type", "size", "conversation", "run", "owner", "created_at")
    list_filter = ("content_type", "created_at", ("scope", ValueFilter))
    list_select_related = ("owner", "conversation", "run")
    search_fields = ("id", "name", "=sha256", f"owner__{_USERNAME}")
    more_filters = ("conversation", "owner")
    date_hierarchy = "created_at"
    fields = (
        "id",
        "name",
        "shown_file",
        "content_type",
        "size",
        "sha256",
        "conversation",
        "run",
        "owner",
        "scope",
        "created_at",
    )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Attachment]:
        """All but those of private workflows, for who does not see what these are asked."""
        rows: models.QuerySet[Attachment] = super().get_queryset(request)
        if slugs := withheld_from(request.user):
            private = Q(conversation__workflow__in=slugs) | Q(run__isnull=False, run__workflow__in=slugs)
            rows = rows.exclude(private)
        return rows.defer("conversation__summary", *(f"run__{name}" for name in BIG_RUN))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.download)
        name = "lingstream_attachment_download"
        return [path("<path:object_id>/download/", view, name=name), *super().get_urls()]

    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return a file, as its owner gets it."""
        row = self.row(request, object_id)
        try:
            return file_response(row)
        except FileNotFoundError:
            raise Http404 from None

    @admin.display(description=_("file"))
    def shown_file(self, attachment: Attachment) -> SafeString:
        url = reverse("admin:lingstream_attachment_download", args=[attachment.pk])
        return format_html('<a href="{}">{}</a>', url, _("Download"))


@admin.register(Feedback)
class FeedbackAdmin(ScopedAdmin):
    """What people think of answers."""

    list_display = ("value", "run", "shown_uri", "reason", "comment", "owner", "created_at")
    list_display_links = ("value", "run")
    list_filter = ("value", ("run__workflow", ValueFilter), "created_at", ("scope", ValueFilter))
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


def _sees(request: HttpRequest, conversation: Any) -> bool:
    """Whether what was said is for who looks: who may view runs, and those of all its workflows."""
    return request.user.has_perm("lingstream.view_run") and not conversation.withheld


def _withheld(request: HttpRequest) -> Any:
    """Whether a conversation is of a private workflow, or one of its runs is."""
    slugs = withheld_from(request.user)
    if not slugs:
        return Value(False)
    runs = Run.objects.filter(conversation=OuterRef("pk"), workflow__in=slugs)
    private = Q(workflow__in=slugs) | Exists(runs)
    return Case(When(private, then=Value(True)), default=Value(False), output_field=BooleanField())


def _turns(conversation: Any) -> dict[str, Any]:
    """The last turns, of all paths, in the order of their beginning, each with what people think of it."""
    rows = Run.objects.filter(conversation=conversation, number__gt=0).order_by("-number")
    turns = list(rows.defer("plan", "usage", *BIG_RUN)[: _MOST_TURNS + 1])
    found = turns[:_MOST_TURNS][::-1]
    said = {each.turn: each for each in exchanges([turn.pk for turn in found])}
    path = set(shown_path(conversation.leaf_id, tree_of(conversation.pk)))
    opinions: dict[Any, list[Feedback]] = defaultdict(list)
    if conversation.reader.has_perm("lingstream.view_feedback"):
        newest = Feedback.objects.filter(run__in=found).order_by("-created_at")[:_MOST_OPINIONS]
        for each in reversed(newest):
            opinions[each.run_id].append(each)
    entries = [
        {
            "turn": turn,
            "opinions": opinions[turn.pk],
            "question": _start(said[turn.pk].question),
            "answer": _start(said[turn.pk].answer),
            "shown": turn.pk in path,
        }
        for turn in found
    ]
    return {"entries": entries, "more": len(turns) > _MOST_TURNS}


def _start(text: str) -> str:
    return printable(text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…")


def _listed(model: str, conversation: Conversation, count: int) -> SafeString:
    url = reverse(f"admin:lingstream_{model}_changelist")
    return format_html('<a href="{}?conversation__id__exact={}">{}</a>', url, conversation.pk, count)
