"""Sources: the form is made from the kind's schema, and a pass is watched while it goes on."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db import models
from django.db.models import Count, F, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from lingstream.access.tokens import make_share
from lingstream.admin.display import duration, kind_title, pretty, said, status_badge
from lingstream.admin.media import LingAdmin, Scoped, of_tenant, tenant
from lingstream.admin.options import KindForm
from lingstream.admin.secret import SecretForm, shown_secret
from lingstream.admin.stale import StaleForm
from lingstream.conf import app_settings
from lingstream.core.exceptions import LingError
from lingstream.models.phrases import translated

from ..claims import atomically
from ..due import run_at
from ..failures import look_again
from ..models import Chunk, Collection, Document, Source, Sync
from ..passes import COUNTS
from ..pipeline import Prepared
from ..preview import preview, try_one
from ..sources.models import Models
from ..sources.port import SourceKind, source_kinds
from ..sources.upload import Uploads, put
from ..sources.webhook import Webhook
from .commands import COMMANDS, OF_ERRORS, offered
from .documents import passages

__all__ = ["SourceAdmin"]

_PASSES, _ASKED = 20, 10  # shown of a source's history, and those of them that list nothing
_CODES = 20  # of errors
_LONGEST_KEY = 500
_SIGNED = {Webhook.kind: "source", Uploads.kind: "files"}  # where kinds are sent something
_MOST_FILES = 100  # at once


class SourceForm(SecretForm, StaleForm):
    """A source, with fields for what its kind wants to know. The kind is chosen once."""

    kind = forms.CharField(label=_("kind"), widget=forms.HiddenInput)

    class Meta:
        model = Source
        fields = (
            "collection",
            "slug",
            "kind",
            "owner",
            "scope",
            "every",
            "cron",
            "paused",
            "on_failure",
            "retries",
            "max_documents",
            "max_depth",
            "max_bytes",
            "max_seconds",
            "delete_after",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind = self.instance.kind or self.data.get("kind") or self.initial.get("kind", "")
        self.fields["kind"].disabled = bool(self.instance.pk)
        if self.instance.kind == Models.kind and "slug" in self.fields:
            self.fields["slug"].disabled = True  # by which the site's declaration knows it
        known = source_kinds().get(kind)
        self.config = KindForm(kind, known.config_schema, self.instance.config) if known else None
        if self.config:
            self.fields.update(self.config.named)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.config:
            self.instance.config = self.config.read_from(self)
        return cleaned

    def add_error(self, field: str | None, error: Any) -> None:
        """Add an error; what the model says of the configuration stands above the form."""
        if field is None and "config" in (found := getattr(error, "error_dict", {})):
            rest = {name: each for name, each in found.items() if name != "config"}
            # What its fields say already is not said twice.
            if self.config and not any(name in self.errors for name in self.config.named):
                rest[NON_FIELD_ERRORS] = found["config"]
            if not rest:
                return
            error = ValidationError(rest)
        super().add_error(field, error)


class SyncInline(admin.TabularInline):  # type: ignore[type-arg]
    """The last passes."""

    model = Sync
    extra = 0
    can_delete = False
    fields = (
        "number",
        "shown_status",
        "trigger",
        "started_at",
        "shown_duration",
        "seen",
        "changed",
        "deleted",
        "failed",
        "complete",
        "shown_bar",
        "shown_problem",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Sync]:
        rows: models.QuerySet[Sync] = super().get_queryset(request)
        pk = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        newest = (
            Sync.objects.filter(source__pk=unquote(pk or "0")).order_by("-pk").values_list("pk", flat=True)
        )
        listing, asked = newest.filter(number__isnull=False), newest.filter(number=None)
        return rows.filter(pk__in=[*listing[:_PASSES], *asked[:_ASKED]]).order_by("-pk")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("status"))
    def shown_status(self, row: Sync) -> SafeString:
        return status_badge(row.status, row.get_status_display())

    @admin.display(description=_("took"))
    def shown_duration(self, row: Sync) -> str:
        """How long it took, and how much it has read: one column, as there are many."""
        read = filesizeformat(row.bytes) if row.bytes else ""
        return ", ".join(filter(None, (duration(row.started_at, row.ended_at), read)))

    @admin.display(description=_("share"))
    def shown_bar(self, row: Sync) -> SafeString:
        """How much of what was seen has changed, failed, gone: three values on one scale."""
        whole = max(row.seen, row.changed + row.failed + row.deleted, 1)
        return format_html(
            '<meter class="ling-bar" max="{0}" value="{1}" title="{1} / {0}"></meter>',
            whole,
            row.changed + row.deleted + row.failed,
        )

    @admin.display(description=_("problem"))
    def shown_problem(self, row: Sync) -> str:
        return translated(row.problem)


class KindFilter(admin.SimpleListFilter):
    """By kind, each as it is called."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Those that there are rows of."""
        known = source_kinds()
        names = of_tenant(request, Source.objects.order_by()).values_list("kind", flat=True).distinct()
        titles = [(name, kind_title(name, known[name]) if name in known else name) for name in names]
        return sorted(titles, key=lambda each: each[1])

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Source)
class SourceAdmin(Scoped, LingAdmin):
    """Where documents come from."""

    form = SourceForm
    change_form_template = "lingstream_knowledge/admin/source.html"
    list_display = (
        "slug",
        "shown_kind",
        "collection",
        "shown_state",
        "documents",
        "failures",
        "next_at",
        "paused",
    )
    list_filter = ("state", KindFilter, "collection", "paused")
    list_select_related = ("collection",)
    search_fields = ("slug", "collection__slug", "collection__title")
    autocomplete_fields = ("collection", "owner")
    readonly_fields = ("hook", "shown_config")
    actions = ("sync_selected", "pause_selected", "resume_selected")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Source]:
        rows: models.QuerySet[Source] = super().get_queryset(request)
        failed = Q(documents__status=Document.Status.FAILED)
        return rows.annotate(
            document_count=Count("documents"), failure_count=Count("documents", filter=failed)
        )

    def save_model(self, request: HttpRequest, obj: Source, form: Any, change: bool) -> None:
        """As of all pages.

        What has become somebody else's, or another collection's, is nobody's to find until it is looked at.
        """
        if (scope := tenant(request)) is not None:
            obj.scope = scope
        with atomically():
            super().save_model(request, obj, form, change)
            if change and {"collection", "owner", "scope"}.intersection(form.changed_data):
                chunks = Chunk.objects.filter(document__source=obj)
                left = set(chunks.order_by().values_list("collection_id", flat=True).distinct())
                chunks.delete()
                Collection.objects.filter(pk__in=left).update(revision=F("revision") + 1)
                look_again(obj.documents.all())

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return (SyncInline,) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        # The fields of the configuration are made by the form.
        return super().get_form(request, obj, change, **{**kwargs, "fields": SourceForm.Meta.fields})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        name = obj.kind if obj else request.POST.get("kind") or request.GET.get("kind", "")
        known = source_kinds().get(name)
        form = KindForm(name, known.config_schema) if known else None
        may = obj is None or self.has_change_permission(request, obj)
        config = (list(form.named) if form else []) if may else ["shown_config"]
        title = kind_title(name, known) if known else name
        told = (
            _("Save this; the page that opens then takes the files.")
            if not obj and name == Uploads.kind
            else None
        )
        signs = obj and obj.kind in _SIGNED and may
        return (
            *(((_("Webhook"), {"fields": ("hook", "renew")}),) if signs else ()),
            (None, {"fields": ("collection", "slug", "kind")}),
            (title, {"fields": config, "description": told}),
            (_("When"), {"fields": (("every", "cron"), "paused")}),
            (_("Whose"), {"fields": (("owner", "scope"),), "classes": ("collapse",)}),
            (
                _("Limits and failures"),
                {
                    "fields": (
                        ("max_documents", "max_depth"),
                        ("max_bytes", "max_seconds"),
                        ("on_failure", "retries", "delete_after"),
                    ),
                    "classes": ("collapse",),
                },
            ),
        )

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        """Ask for the kind first: what else is asked depends on it."""
        if (request.POST.get("kind") or request.GET.get("kind", "")) in _offered():
            return super().add_view(request, form_url, extra_context)
        if not self.has_add_permission(request):
            raise PermissionDenied
        kinds = sorted(
            (kind_title(name, each), name, said(each.config_schema.get("description")))
            for name, each in _offered().items()
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Where do documents come from?"),
            "kinds": kinds,
            "collection": request.GET.get("collection", ""),
        }
        return TemplateResponse(request, "lingstream_knowledge/admin/kinds.html", context)

    def response_add(self, request: HttpRequest, obj: Source, post_url_continue: Any = None) -> HttpResponse:
        """Stay at what takes files: there is nothing in it yet."""
        stays = obj.kind == Uploads.kind and self.has_change_permission(request, obj)
        if stays and "_addanother" not in request.POST:
            posted: Any = request.POST.copy()
            posted["_continue"] = "1"
            request.POST = posted
        return super().response_add(request, obj, post_url_continue)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        source = self.get_object(request, unquote(object_id))
        found = self._state_of(request, source) if source else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **found})

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path(
                "<int:pk>/command/<slug:command>/",
                view(require_POST(self.command)),
                name="lingstream_knowledge_source_command",
            ),
            path("<int:pk>/dry-run/", view(self.dry_run), name="lingstream_knowledge_source_dry_run"),
            path(
                "<int:pk>/upload/", view(require_POST(self.upload)), name="lingstream_knowledge_source_upload"
            ),
            path("<int:pk>/state/", view(self.state), name="lingstream_knowledge_source_state"),
            path("<int:pk>/try/", view(self.try_one), name="lingstream_knowledge_source_try"),
            *super().get_urls(),
        ]

    def state(self, request: HttpRequest, pk: int) -> Any:
        """Say how the source is by now: a run of a pass has ended, and perhaps another one goes on."""
        source = self.get_object(request, str(pk))
        if source is None:
            raise Http404
        if not self.has_view_or_change_permission(request, source):
            raise PermissionDenied
        context = self._state_of(request, source)
        page = TemplateResponse(request, "lingstream_knowledge/admin/source_state.html", context)
        return self._open_links(request, page)

    def command(self, request: HttpRequest, pk: int, command: str) -> HttpResponse:
        """Do what a button of the page says."""
        source = self._changeable(request, pk)
        if command not in COMMANDS:
            raise Http404
        try:
            messages.success(request, COMMANDS[command](source, request.POST.get("code", "")))
        except LingError as error:
            messages.error(request, translated(error.message))
        return HttpResponseRedirect(reverse("admin:lingstream_knowledge_source_change", args=[pk]))

    def upload(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Keep files that somebody has chosen."""
        source = self._changeable(request, pk)
        listed = _listed(source, _("Documents"))
        for file in request.FILES.getlist("file")[:_MOST_FILES]:
            try:
                put(source, file.name or "", file.read(), mime=file.content_type or "")
                kept = _("“%(name)s” is kept, and looked at now.") % {"name": file.name}
                messages.success(request, format_html("{} {}", kept, listed))
            except LingError as error:
                messages.error(request, translated(error.message))
        return HttpResponseRedirect(reverse("admin:lingstream_knowledge_source_change", args=[pk]))

    def dry_run(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what a pass would find, without writing anything."""
        source = self._readable(request, pk)
        found = async_to_sync(preview)(source)
        sorts = [
            (_("new"), found.new),
            (_("changed"), found.changed),
            (_("gone"), found.gone),
            (_("as before"), found.same),
        ]
        return self._page(request, source, "dry_run", _("What a pass would find"), found=found, sorts=sorts)

    def try_one(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Fetch one document, and show its text beside the passages that it would be cut into."""
        source = self._readable(request, pk)
        key = request.GET.get("key", "").strip()[:_LONGEST_KEY]
        tried = async_to_sync(try_one)(source, key) if key else None
        parts = (
            list(passages(tried.prepared.text, tried.prepared.pieces))
            if tried and isinstance(tried.prepared, Prepared)
            else []
        )
        return self._page(request, source, "try", _("Try one document"), key=key, tried=tried, parts=parts)

    @admin.action(description=_("Look at selected sources now"), permissions=["change"])
    def sync_selected(self, request: HttpRequest, queryset: models.QuerySet[Source]) -> None:
        self._each(request, queryset, "sync")

    @admin.action(description=_("Pause selected sources"), permissions=["change"])
    def pause_selected(self, request: HttpRequest, queryset: models.QuerySet[Source]) -> None:
        self._each(request, queryset, "pause")

    @admin.action(description=_("Resume selected sources"), permissions=["change"])
    def resume_selected(self, request: HttpRequest, queryset: models.QuerySet[Source]) -> None:
        self._each(request, queryset, "resume")

    @admin.display(description=_("webhook"))
    def hook(self, source: Source) -> SafeString:
        """Its address, and what its requests are signed with."""
        try:
            url = reverse(f"lingstream_knowledge:{_SIGNED.get(source.kind, 'source')}", args=[source.slug])
        except NoReverseMatch:
            url = "-"
        return format_html("<p>POST <code>{}</code></p>{}", url, shown_secret(source.secret()))

    @admin.display(description=_("configuration"))
    def shown_config(self, source: Source) -> SafeString:
        """For who may only look; the form's fields are for who changes them."""
        return pretty(source.config)

    @admin.display(description=_("kind"), ordering="kind")
    def shown_kind(self, source: Source) -> str:
        known = source_kinds().get(source.kind)
        return kind_title(source.kind, known) if known else source.kind

    @admin.display(description=_("state"), ordering="state")
    def shown_state(self, source: Source) -> SafeString:
        return status_badge(source.state, source.get_state_display())

    @admin.display(description=_("documents"), ordering="document_count")
    def documents(self, source: Any) -> SafeString:
        return _listed(source, source.document_count)

    @admin.display(description=_("failed"), ordering="failure_count")
    def failures(self, source: Any) -> SafeString:
        return _listed(source, source.failure_count, status__exact=Document.Status.FAILED)

    def _each(self, request: HttpRequest, sources: models.QuerySet[Source], command: str) -> None:
        for source in sources:
            try:
                self.message_user(request, f"{source}: {COMMANDS[command](source, '')}")
            except LingError as error:
                self.message_user(request, f"{source}: {translated(error.message)}", messages.ERROR)

    def _page(self, request: HttpRequest, source: Source, name: str, title: Any, **more: Any) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "row": source, "title": title}
        return TemplateResponse(request, f"lingstream_knowledge/admin/{name}.html", {**shared, **more})

    def _state_of(self, request: HttpRequest, source: Source) -> dict[str, Any]:
        """What the page shows above the form, and asks for again as long as a pass goes on."""
        run, may_change = run_at(source), self.has_change_permission(request, source)
        row = source.syncs.filter(status=Sync.Status.RUNNING).first()
        if not (run or row):
            source.refresh_from_db()  # a pass may have ended since it was read, and nobody asks again
        failed = source.documents.filter(status=Document.Status.FAILED)
        # Between two of its runs, and while its source is left alone, a pass has none that could be followed.
        is_followed = run is not None and may_change
        bar = _bar(source, row) if (run or row) and not is_followed else None
        return {
            "bar": bar,
            "source": source,
            "listed": _listed(source, source.documents.count()),
            "run": run,
            "share": make_share(run.pk) if run and may_change else "",  # it names each document that is read
            "may_change": may_change,
            "commands": offered(source, run),
            "error_commands": OF_ERRORS,
            # “errors” is Django's name for what is wrong with the form.
            "failures": failed.values("error_code").annotate(count=Count("pk")).order_by("-count")[:_CODES],
        }

    def _readable(self, request: HttpRequest, pk: int) -> Source:
        """The source, to look at what there is; of a model's rows each may belong to another tenant."""
        source = self._changeable(request, pk)
        if source.kind == Models.kind and app_settings().scope and tenant(request) is not None:
            raise PermissionDenied
        return source

    def _changeable(self, request: HttpRequest, pk: int) -> Source:
        source: Source | None = self.get_object(request, str(pk))
        if source is None:
            raise Http404
        if not self.has_change_permission(request, source):
            raise PermissionDenied
        return source


def _bar(source: Source, row: Sync | None) -> dict[str, Any]:
    """How far a pass is, by its row: its run's document names what is read, which not everybody may see."""
    left = source.documents.filter(status=Document.Status.PENDING).count()
    counts = {name: getattr(row, name) if row else 0 for name in COUNTS}
    if row and row.number is None:
        counts["seen"] += left  # of its row are those that it has looked at
    return {**counts, "left": left, "done": max(counts["seen"] - left, 0)}


def _offered() -> dict[str, SourceKind]:
    """The kinds that somebody can choose: a site's own rows are declared in code."""
    return {name: kind for name, kind in source_kinds().items() if name != Models.kind}


def _listed(source: Source, count: Any, **filters: str) -> SafeString:
    url = reverse("admin:lingstream_knowledge_document_changelist")
    query = urlencode({"source__id__exact": source.pk, **filters})
    return format_html('<a href="{}?{}">{}</a>', url, query, count)
