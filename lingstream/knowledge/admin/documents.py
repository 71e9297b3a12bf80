"""Documents as they are indexed: their text with the borders of its passages, and who finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import display_for_value, unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from lingstream.admin.display import MAX_SHOWN, pretty, printable, status_badge
from lingstream.admin.media import ScopedAdmin, tenant
from lingstream.admin.runs.keyset import KeysetAdmin, KeysetChangeList, ValuesFilter
from lingstream.core.phrases import Phrase
from lingstream.models.phrases import translated

from ..asker import Asker, room_of
from ..failures import discard, look_again
from ..models import Chunk, Collection, Document, DocumentText, Source
from ..outcomes import PUT_OFF
from ..registry import is_restricted, visible_keys
from .commands import told_again, told_left_out
from .trial import asks_for_others, find_user

__all__ = ["DocumentAdmin", "passages"]


class DocumentList(KeysetChangeList):
    """A page of the list, with the passages of each document."""

    def get_results(self, request: HttpRequest) -> None:
        """See :class:`KeysetChangeList`; passages are counted for this page alone."""
        super().get_results(request)
        counted = Chunk.objects.filter(document__in=self.result_list).order_by().values_list("document")
        counts = dict(counted.annotate(count=Count("pk")))
        for row in self.result_list:
            row.chunk_count = counts.get(row.pk, 0)


class IndexedFilter(ValuesFilter):
    """By a column whose values but the empty one have an index."""

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        rows = super().queryset(request, queryset)
        return rows.exclude(**{self.column: ""}) if self.value() else rows  # what the index says of its rows


class ErrorFilter(IndexedFilter):
    """By the code of the error."""

    title, parameter_name, column = _("error"), "error_code", "error_code"


class LanguageFilter(IndexedFilter):
    """By the language."""

    title, parameter_name, column = _("language"), "language", "language"


class ScopeFilter(IndexedFilter):
    """By the tenant, for who sees every one."""

    title, parameter_name, column = _("scope"), "scope", "scope"

    def known(self) -> Iterator[str]:
        return super().known() if tenant(self.request) is None else iter(())


@admin.register(Document)
class DocumentAdmin(KeysetAdmin, ScopedAdmin):
    """What was found at the sources: to be read, looked at again and deleted, never edited."""

    list_display = (
        "__str__",
        "source",
        "shown_status",
        "language",
        "size",
        "passages",
        "version",
        "changed_at",
        "error_code",
    )
    list_filter = ("status", "source__collection", "source", ErrorFilter, LanguageFilter, ScopeFilter)
    list_select_related = ("source",)
    search_fields = ("=key", "title", "url")
    more_filters = ("source", "owner")
    actions = ("reindex", "leave_out")
    change_form_template = "lingstream_knowledge/admin/document.html"
    fieldsets = (
        (None, {"fields": ("title", "shown_address", "source", "shown_status", "shown_error", "passages")}),
        (_("Text"), {"fields": ("shown_text",)}),
        (
            _("Details"),
            {
                "fields": (
                    ("key", "mime", "size", "language"),
                    ("version", "changed_at", "created_at"),
                    ("seen", "misses", "attempts"),
                    ("shown_retry", "check_at"),
                    "shown_metadata",
                ),
                "classes": ("collapse",),
            },
        ),
        (_("Whose"), {"fields": (("owner", "scope"),)}),
    )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Document]:
        rows: models.QuerySet[Document] = super().get_queryset(request)
        if not self.has_reindex_permission(request):  # who only looks sees what they would find
            rows = rows.filter(_found_by(request.user, tenant(request)))
        return rows

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DocumentList]:
        return DocumentList

    def has_reindex_permission(self, request: HttpRequest) -> bool:
        """Whether the action is offered: to who may change sources."""
        return request.user.has_perm("lingstream_knowledge.change_source")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(require_POST(self.command))
        name = "lingstream_knowledge_document_command"
        return [path("<int:pk>/command/<slug:command>/", view, name=name), *super().get_urls()]

    @admin.action(description=_("Index selected documents again"), permissions=["reindex"])
    def reindex(self, request: HttpRequest, queryset: models.QuerySet[Document]) -> None:
        self.message_user(request, told_again(look_again(queryset.order_by())))

    @admin.action(description=_("Leave out selected documents that have failed"), permissions=["reindex"])
    def leave_out(self, request: HttpRequest, queryset: models.QuerySet[Document]) -> None:
        self.message_user(request, told_left_out(discard(queryset.order_by())))

    def command(self, request: HttpRequest, pk: int, command: str) -> HttpResponse:
        """Do the same for one, from its page."""
        if not self.has_reindex_permission(request):
            raise PermissionDenied
        if command not in self.actions:
            raise Http404
        getattr(self, command)(request, self.get_queryset(request).filter(pk=pk))
        return HttpResponseRedirect(reverse("admin:lingstream_knowledge_document_change", args=[pk]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        more = {"can_reindex": self.has_reindex_permission(request), **self._seen(request, object_id)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})

    def _seen(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """Whether the user whose name was typed finds the document."""
        who, document = request.GET.get("who"), self.get_object(request, unquote(object_id))
        found: dict[str, Any] = {"can_ask": asks_for_others(request), "who": who or ""}
        if who is None or document is None or not found["can_ask"]:
            return found
        try:
            kept_out = _keeps_out(document, find_user(who.strip()))
        except ValidationError as error:
            return {**found, "seen": " ".join(error.messages)}
        return {**found, "seen": _NOT_FOUND.get(kept_out, _("finds it"))}

    @admin.display(description=_("status"), ordering="status")
    def shown_status(self, document: Document) -> SafeString:
        return status_badge(document.status, document.get_status_display())

    @admin.display(description=_("passages"))
    def passages(self, document: Any) -> int:
        return int(document.chunk_count if hasattr(document, "chunk_count") else document.chunks.count())

    @admin.display(description=_("address"))
    def shown_address(self, document: Document) -> SafeString | str:
        if document.url.startswith(("https://", "http://")):
            return format_html('<a href="{0}" rel="noreferrer">{0}</a>', document.url)
        return document.url or "-"

    @admin.display(description=_("error"))
    def shown_error(self, document: Document) -> str:
        if not document.error_code:
            return "-"
        return translated(Phrase("%(code)s: %(why)s", code=document.error_code, why=document.error))

    @admin.display(description=_("next try"))
    def shown_retry(self, document: Document) -> str:
        if document.retry_at and document.error_code == PUT_OFF:
            return gettext("with the next pass")
        return str(display_for_value(document.retry_at, "-"))

    @admin.display(description=_("metadata"))
    def shown_metadata(self, document: Document) -> SafeString:
        return pretty(document.metadata)

    @admin.display(description=_("text"))
    def shown_text(self, document: Document) -> str:
        return render_to_string("lingstream_knowledge/admin/text.html", {"parts": _parts(document)})


#: Why somebody does not find a document.
_NOT_FOUND = {
    "access": _("does not find it: may not search the collection"),
    "owner": _("does not find it: it belongs to somebody else"),
    "visible": _("does not find it: the site hides the row from them"),
    "passages": _("does not find it: it has no passages"),
}


def _found_by(user: Any, scope: str | None) -> models.Q:
    """The condition that a user finds a document.

    Of a model whose rows the site shows to some only, none is: asking for each would be a query for each.
    """
    asker = Asker(user.pk, scope, user)
    slugs = list(Collection.objects.values_list("slug", flat=True))
    found = models.Q(pk__in=())
    for place in room_of(slugs, asker, {}).places.values():
        found |= place.kept() & models.Q(source__collection=place.collection_id)
    sources = Source.objects.values_list("pk", "slug", "kind")
    return found & ~models.Q(source__in=[pk for pk, *source in sources if is_restricted(*source)])


def _keeps_out(document: Document, user: Any) -> str:
    """Why a user who searches in the document's scope does not find it; ``""``: they do."""
    source = document.source
    room = room_of([source.collection.slug], Asker(user.pk, document.scope, user), {})
    place = room.places.get(source.collection_id)
    if place is None:
        return "access"
    if kept_out := place.keeps_out(document.scope, document.owner_key):
        return kept_out
    is_hidden = is_restricted(source.slug, source.kind)
    if is_hidden and document.key not in visible_keys(source.slug, [document.key], user):
        return "visible"
    # Those of a source that was moved are of another collection until they are made anew.
    return "" if document.chunks.filter(collection=source.collection_id).exists() else "passages"


def passages(text: str, pieces: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield the parts of a text in its order: its passages, and what lies between them, up to a bound.

    :param pieces: with ``start``, ``end`` and ``heading``, in order. Where they overlap, what is in both
        stands in each.
    """
    place = 0
    for number, piece in enumerate(pieces, 1):
        if piece.start >= MAX_SHOWN:
            return
        if place < piece.start:
            yield {"text": printable(text[place : piece.start])}
        shown = printable(text[piece.start : piece.end])
        yield {"number": number, "heading": piece.heading, "text": shown}
        place = max(place, piece.end)
    yield {"text": printable(text[place:MAX_SHOWN])}


def _parts(document: Document) -> list[dict[str, Any]]:
    chunks = document.chunks.order_by("position").only("start", "end", "heading")
    return list(passages(_text_of(document), chunks))


def _text_of(document: Document) -> str:
    packed = DocumentText.objects.filter(document=document).values_list("packed", flat=True).first()
    return DocumentText.unpack(packed) if packed else ""
