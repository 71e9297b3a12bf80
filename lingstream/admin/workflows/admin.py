"""Workflows: steps and the triggers between them, on one page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import NoReverseMatch, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as now_in_words
from django.utils.translation import gettext_lazy as _

from ...models import Chat, Example, Workflow
from ..media import LingAdmin, Scoped, TableInline, tenant
from ..private import withheld_from
from ..secret import SecretForm, shown_secret, tenant_of
from ..stale import LastingRows
from .drawings import drawing
from .exporting import ExportingAdmin
from .graphs import GraphFormSet
from .occasions import OccasionInline
from .places import places_of
from .steps import StepInline
from .triggers import TriggerInline
from .trying import TryingWorkflows

__all__ = ["WorkflowAdmin"]

JS_MODULE = forms.Script("lingstream/admin/workflow.js", type="module")

_MOST_WARNINGS = 10  # at once; the next save tells of the others


class ChatFormSet(LastingRows):
    """One row, which is stored where it was added even if all of it is as usual: there is to be a chat."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if self.is_bound and self.may_add and (self.save_as_new or not form.instance.pk):
            form.has_changed = lambda: True


class ChatInline(admin.StackedInline):  # type: ignore[type-arg]
    """How the workflow is talked to, if it says so."""

    model = Chat
    form = SecretForm
    formset = ChatFormSet
    extra = 0
    classes = ("collapse",)
    readonly_fields = ("embed",)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Chat]:
        rows: models.QuerySet[Chat] = super().get_queryset(request)
        return rows.annotate(tenant=models.Value(tenant_of(request)))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All; of what other sites need only once there are some, and for who may change it."""
        chat = getattr(obj, "chat", None)
        elsewhere = chat is not None and bool(chat.origins)
        hidden = () if elsewhere and self.has_change_permission(request, obj) else ("embed", "renew")
        return [name for name in super().get_fields(request, obj) if name not in hidden]

    @admin.display(description=_("on other sites"))
    def embed(self, chat: Any) -> str | SafeString:
        """What such a page has to contain, and with what it signs who its visitor is."""
        if not chat.pk or not chat.origins:
            return "-"
        try:
            url = reverse("lingstream:embed", args=[chat.workflow.slug])
        except NoReverseMatch:
            return "-"
        script = f'<script async src="{static("lingstream/embed.js")}" data-chat="{url}"></script>'
        told = now_in_words("Both addresses with this site's origin in front:")
        secret = shown_secret(chat.embed_secret(chat.tenant))
        return format_html("<p>{}</p><pre>{}</pre>{}", told, script, secret)


class ExampleForm(forms.ModelForm):  # type: ignore[type-arg]
    """An example, whose name is there once for its tenant, whether the tenant is a field or not."""

    # Not public, but all that decides which constraints are looked at.
    def _get_validation_exclusions(self) -> set[str]:
        found: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return found - {"scope"}


class ExampleFormSet(LastingRows):
    """Those of one tenant."""

    tenant: str | None = None

    def _construct_form(self, i: int, **kwargs: Any) -> Any:
        form = super()._construct_form(i, **kwargs)  # type: ignore[misc]
        if self.tenant is not None and not form.instance.pk:
            form.instance.scope = self.tenant
        return form


class ExampleInline(Scoped, TableInline):
    """Inputs to try the workflow with; who sees every tenant says whose they are."""

    model = Example
    form = ExampleForm
    formset = ExampleFormSet
    extra = 0
    classes = ("collapse",)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Example]:
        rows: models.QuerySet[Example] = super().get_queryset(request)
        return rows.exclude(workflow__slug__in=withheld_from(request.user))

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if tenant(request) is None else ("scope",)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        formset.tenant = tenant(request)
        return formset


@admin.register(Workflow)
class WorkflowAdmin(TryingWorkflows, ExportingAdmin, LingAdmin):
    """A workflow with its steps and triggers."""

    list_display = ("slug", "name", "shown_steps", "shown_published", "enabled", "access", "updated_at")
    list_filter = ("enabled", "access")
    search_fields = ("slug", "name", "description", "steps__name")
    inlines = (StepInline, TriggerInline, ChatInline, OccasionInline, ExampleInline)
    save_on_top = True
    fieldsets = (
        (None, {"fields": ("slug", "name", "description", ("enabled", "access"))}),
        (_("Input"), {"fields": ("input_schema",), "classes": ("collapse",)}),
        (
            _("Limits and policies"),
            {
                "fields": (
                    "limits",
                    "on_disconnect",
                    "when_busy",
                    "retention_days",
                    "show_reasoning",
                    "private",
                ),
                "classes": ("collapse",),
            },
        ),
    )

    class Media:
        js = (JS_MODULE,)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Workflow]:
        rows: models.QuerySet[Workflow] = super().get_queryset(request)
        return rows.select_related("published").prefetch_related("steps")

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "description" and field:
            field.widget.attrs["rows"] = 3
        return field

    def view_on_site(self, workflow: Workflow) -> str | None:
        """Return where it is talked to, if it has a chat."""
        if not Chat.objects.filter(workflow=workflow).exists():
            return None
        try:
            return reverse("lingstream:chat", args=[workflow.slug])
        except NoReverseMatch:
            return None

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """As Django's, and what executes one of them inside keeps it."""
        shown, counts, missing, protected = super().get_deleted_objects(objs, request)
        users = (user.slug for workflow in objs for user in workflow.executed_by() if user not in objs)
        return shown, counts, missing, [*protected, *users]

    def get_urls(self) -> list[Any]:
        places = path("places/", self.admin_site.admin_view(self.places), name="lingstream_workflow_places")
        return [places, *super().get_urls()]

    def places(self, request: HttpRequest) -> HttpResponse:
        """Return what triggers may wait for at a step that is being written; see :mod:`.places`."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return places_of(request)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> Any:
        formsets = [inline.formset for inline in context["inline_admin_formsets"]]
        graphs = [formset for formset in formsets if isinstance(formset, GraphFormSet)]
        editable = len(graphs) == 2 and all(formset.may_change for formset in graphs)
        bound = context["adminform"].form.is_bound
        context["drawing"] = drawing(request, obj, editable=editable, told=not bound)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        found = [warning for formset in formsets for warning in getattr(formset, "warnings", ())]
        for fault in found[:_MOST_WARNINGS]:
            messages.warning(request, _("Saved, but look again: %(fault)s") % {"fault": fault})

    @admin.display(description=_("steps"))
    def shown_steps(self, workflow: Workflow) -> str | SafeString:
        return ", ".join(step.name for step in workflow.steps.all()) or "-"
