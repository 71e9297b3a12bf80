"""Collections and what turns their texts into vectors; searches are tried on a page of their own."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, models
from django.db.models import Count, OuterRef, Prefetch, Subquery, Sum
from django.db.models.functions import Coalesce, Length
from django.http import Http404, HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from lingstream.admin.media import LingAdmin, TableInline, tenant
from lingstream.admin.stale import StaleForm
from lingstream.core.exceptions import LingError
from lingstream.models.phrases import translated

from ..claims import atomically
from ..embed import embedding_kinds
from ..evaluation import figures
from ..models import Chunk, Collection, Document, DocumentText, Embedder, Evaluation, Question, Source
from ..stores.port import store_named
from .questions import evaluated, shows_what_came
from .trial import TrialForm, asks_for_others, tried

__all__ = ["CollectionAdmin", "EmbedderAdmin"]


_EARLIER = 10  # evaluations that are shown
_KEPT_FOR = 3_600  # seconds
_FIGURES = ("in_first_3", "in_first_8", "mrr", "asked_at")


class QuestionInline(TableInline):
    """What a search should find: golden questions."""

    model = Question
    extra = 0
    classes = ("collapse",)
    fields = ("text", "expected", "language")


@admin.register(Collection)
class CollectionAdmin(LingAdmin):
    """What is searched together."""

    list_display = (
        *("slug", "title", "access", "embedder", "documents", "passages"),
        *("in_first_3", "in_first_8", "mrr", "asked_at", "shown_trial"),
    )
    list_filter = ("access", "embedder", "shared")
    list_select_related = ("embedder",)
    search_fields = ("slug", "title")
    filter_horizontal = ("groups",)
    inlines = (QuestionInline,)
    readonly_fields = (
        "shown_sources",
        "documents",
        "passages",
        "revision",
        "shown_size",
        "shown_trial",
        *_FIGURES,
        "earlier",
    )
    actions = ("evaluate_selected",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "slug",
                    "title",
                    "shown_sources",
                    ("documents", "passages", "revision"),
                    "shown_size",
                    "shown_trial",
                ),
                "description": _(
                    "Documents that are searched together, each cut into passages. They come from sources: "
                    "save the collection, add a source to it, and try a search."
                ),
            },
        ),
        (_("Who may search"), {"fields": ("access", "groups", "shared", "narrow_by")}),
        (_("How it is found"), {"fields": (("embedder", "store"),)}),
        (
            _("How it is cut, and kept"),
            {
                "fields": (("chunk_size", "chunk_overlap"), "pipeline", "guard_percent"),
                "classes": ("collapse",),
            },
        ),
        (
            _("How well it finds"),
            {
                "fields": (_FIGURES, "earlier"),
                "description": _(
                    "Golden questions are questions with the document that is expected. The figures are the "
                    "shares of them that found it in the first 3 and the first 8 passages, and the mean of "
                    "1/rank (MRR), when they were asked last, and in brackets the time before: 1 is best."
                ),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Collection]:
        rows: models.QuerySet[Collection] = super().get_queryset(request)
        scope = tenant(request)
        asked = Question.objects.exclude(rank=None).only("collection_id", "rank", "asked_at")
        may = request.user.has_perm
        sees = may("lingstream_knowledge.view_source") or may("lingstream_knowledge.change_source")
        sources = Source.objects.order_by("slug") if sees else Source.objects.none()
        return rows.annotate(
            document_count=_counted(Document, "source__collection", scope),
            chunk_count=_counted(Chunk, "collection", scope),
            may_add_source=models.Value(may("lingstream_knowledge.add_source"), models.BooleanField()),
        ).prefetch_related(
            Prefetch("questions", asked, to_attr="asked_questions"),
            Prefetch("evaluations", Evaluation.objects.order_by("-pk")[:_EARLIER], to_attr="evaluated"),
            Prefetch(
                "sources", sources if scope is None else sources.filter(scope=scope), to_attr="admin_sources"
            ),
        )

    def get_list_display(self, request: HttpRequest) -> Any:
        fields = super().get_list_display(request)
        may = self.has_change_permission(request)
        return [field for field in fields if may or field != "shown_trial"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        hidden = set() if self.has_change_permission(request, obj) else {"shown_trial"}
        if not (obj and shows_what_came(request)):
            hidden.add("shown_size")  # it is of what all tenants have
        return [
            (title, {**options, "fields": [each for each in options["fields"] if each not in hidden]})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.trial)
        return [
            path("<int:pk>/trial/", view, name="lingstream_knowledge_collection_trial"),
            *super().get_urls(),
        ]

    def trial(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask the collection, as somebody, and see why a passage won."""
        collection = self.get_object(request, str(pk))
        if collection is None:
            raise Http404
        # What it shows is not only what who tries it may find.
        if not asks_for_others(request):
            raise PermissionDenied
        form = TrialForm(collection, request.GET or None, initial={"who": request.user.get_username()})
        found = tried(collection, form, tenant(request)) if form.is_valid() else {}
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "row": collection}
        context = {**shared, "title": _("Try a search"), "form": form, **found}
        return TemplateResponse(request, "lingstream_knowledge/admin/trial.html", context)

    @admin.display(description=_("sources"))
    def shown_sources(self, collection: Any) -> SafeString | str:
        """Where its documents come from, and the way to one more."""
        if not collection.pk:
            return "-"
        page, more = (
            "admin:lingstream_knowledge_source_change",
            reverse("admin:lingstream_knowledge_source_add"),
        )
        links = [
            *((reverse(page, args=[source.pk]), source.slug) for source in collection.admin_sources),
            *(
                [(f"{more}?collection={collection.pk}", _("Add a source"))]
                if collection.may_add_source
                else ()
            ),
        ]
        return format_html_join(" · ", '<a href="{}">{}</a>', links) or "-"

    @admin.display(description=_("documents"), ordering="document_count")
    def documents(self, collection: Any) -> SafeString | str:
        if not collection.pk:
            return "-"
        url = reverse("admin:lingstream_knowledge_document_changelist")
        return format_html(
            '<a href="{}?source__collection__id__exact={}">{}</a>',
            url,
            collection.pk,
            collection.document_count,
        )

    @admin.display(description=_("passages"), ordering="chunk_count")
    def passages(self, collection: Any) -> int | str:
        return collection.chunk_count if collection.pk else "-"

    @admin.display(description=_("size"))
    def shown_size(self, collection: Collection) -> str:
        """What it takes in the database, and whose vectors it has."""
        texts = DocumentText.objects.filter(document__source__collection=collection)
        told = {"texts": filesizeformat(texts.aggregate(bytes=Sum(Length("packed")))["bytes"] or 0)}
        try:
            with atomically():  # so that what fails in it spoils nothing else
                found = cache.get_or_set(  # it counts all rows, and changes with the revision
                    f"lingstream:size:{collection.pk}:{collection.revision}",
                    partial(store_named(collection.store).size, collection),
                    _KEPT_FOR,
                )
            vectors, size = found or (0, 0)
            whose = _embedded(collection) if vectors or collection.embedder else ""
        except (LingError, DatabaseError, AttributeError) as error:  # one of a site's own may not tell
            return _("texts %(texts)s, compressed; vectors: %(problem)s") % {**told, "problem": error}
        told |= {"vectors": str(vectors), "size": filesizeformat(size), "whose": whose}
        return _("texts %(texts)s, compressed; %(vectors)s vectors, %(size)s%(whose)s") % told

    @admin.action(description=_("Evaluate the golden questions"), permissions=["change"])
    def evaluate_selected(self, request: HttpRequest, queryset: models.QuerySet[Collection]) -> None:
        self.message_user(request, *evaluated(Question.objects.filter(collection__in=queryset)))

    @admin.display(description=_("in first 3"))
    def in_first_3(self, collection: Any) -> str:
        """The share of golden questions that found what was expected so early, when they were asked last."""
        return _figure(collection, "first")

    @admin.display(description=_("in first 8"))
    def in_first_8(self, collection: Any) -> str:
        return _figure(collection, "all")

    @admin.display(description=_("MRR"))
    def mrr(self, collection: Any) -> str:
        return _figure(collection, "mrr")

    @admin.display(description=_("evaluated"))
    def asked_at(self, collection: Any) -> str:
        times = [each.asked_at for each in _asked(collection) if each.asked_at]
        return date_format(localtime(min(times)), "DATETIME_FORMAT") if times else "-"

    @admin.display(description=_("evaluations"))
    def earlier(self, collection: Any) -> str:
        """The last evaluations, so that one sees what a change has done."""
        rows = getattr(collection, "evaluated", [])
        return (
            render_to_string("lingstream_knowledge/admin/evaluations.html", {"rows": rows}) if rows else "-"
        )

    @admin.display(description=_("try"))
    def shown_trial(self, collection: Collection) -> SafeString | str:
        if not collection.pk:
            return "-"
        url = reverse("admin:lingstream_knowledge_collection_trial", args=[collection.pk])
        return format_html('<a href="{}">{}</a>', url, _("Try a search"))


class EmbedderForm(StaleForm):
    """Its kind is one of those that the site has."""

    kind = forms.ChoiceField(label=_("kind"), help_text=Embedder._meta.get_field("kind").help_text)

    class Meta:
        model = Embedder
        fields = "__all__"  # the admin's fieldsets say which

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(field := self.fields.get("kind"), forms.ChoiceField):  # a view-only page has none
            known = {name: f"{name}: {translated(kind.title)}" for name, kind in embedding_kinds().items()}
            field.choices = [*({self.instance.kind: self.instance.kind} | known).items()]


@admin.register(Embedder)
class EmbedderAdmin(LingAdmin):
    """What turns texts into vectors."""

    form = EmbedderForm
    list_display = ("slug", "kind", "provider", "model", "dimensions")
    list_filter = ("kind",)
    search_fields = ("slug", "model")
    autocomplete_fields = ()
    fieldsets = (
        (None, {"fields": ("slug", "kind", ("provider", "model", "dimensions"))}),
        (_("Prefixes"), {"fields": (("query_prefix", "passage_prefix"),), "classes": ("collapse",)}),
        (_("Requests"), {"fields": (("batch_texts", "max_concurrency"),), "classes": ("collapse",)}),
    )


def _embedded(collection: Collection) -> str:
    if collection.embedder is None:
        return gettext(", of which no search asks: it has no embedder")
    if collection.is_embedded:
        return _(", all of %(embedder)s") % {"embedder": collection.embedder}
    told = _(", not all of %(embedder)s: until a pass over each source, words are asked alone")
    return told % {"embedder": collection.embedder}


def _asked(collection: Any) -> list[Question]:
    return getattr(collection, "asked_questions", [])


def _figure(collection: Any, name: str) -> str:
    """A figure as it is now, and as it was before."""
    asked = _asked(collection)
    if not asked:
        return "-"
    now = f"{getattr(figures([each.rank or 0 for each in asked]), name):.2f}"
    last = max(each.asked_at for each in asked if each.asked_at)
    before = next((row for row in collection.evaluated if row.at < last), None)
    return f"{now} ({getattr(before, name):.2f})" if before else now


def _counted(model: type[models.Model], field: str, scope: str | None) -> Coalesce:
    """How many rows of a model belong to a collection: a subquery, as two joins would multiply each other.

    :param scope: the tenant whose rows count; ``None``: all of them.
    """
    of = {field: OuterRef("pk"), **({} if scope is None else {"scope": scope})}
    rows = model._default_manager.filter(**of).order_by().values(field)
    return Coalesce(Subquery(rows.annotate(count=Count("pk")).values("count")), 0)
