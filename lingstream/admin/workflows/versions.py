"""Drafts and published versions on a workflow's page, and the page of its versions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from lingstream.core.engine.registry import registered
from lingstream.execution.export.compact import compact
from lingstream.execution.export.texts import as_text
from lingstream.execution.trials import Variant

from ...core.exceptions import UsageError
from ...models import Provider, Run, Workflow, WorkflowVersion
from ..differences import differences, hunks
from ..stale import StaleForm, is_still
from ..trials.trying import FormErrors, variant_of
from .schemas import SchemaForm

__all__ = ["VersionedAdmin", "WorkflowForm", "may_publish", "version_link"]

DRAFT = "draft"
_SHOWN = 200  # versions, the newest first
_WRITING = tuple(
    f"lingstream.{verb}_{name}" for verb in ("add", "change", "delete") for name in ("step", "trigger")
)


class WorkflowForm(SchemaForm, StaleForm):
    """A workflow; saved as a new one it finds itself a slug that is free."""

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if "_saveasnew" not in self.data or not Workflow.objects.filter(slug=slug).exists():
            return slug
        taken = set(Workflow.objects.values_list("slug", flat=True))
        names = (f"{slug[:90]}-{number}" for number in range(2, len(taken) + 3))
        return next(name for name in names if name not in taken)


class VersionedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The part of the workflows' admin that knows of versions."""

    form = WorkflowForm
    save_as = True

    def get_urls(self) -> list[URLPattern]:
        """Add the page of versions."""
        view = self.admin_site.admin_view(self.versions_view)
        own = path("<path:object_id>/versions/", view, name="lingstream_workflow_versions")
        return [own, *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        workflow = context.get("original")
        may_save = (
            self.has_change_permission(request, workflow) if workflow else self.has_add_permission(request)
        )
        context["versions"] = {
            "differs": bool(workflow and workflow.differs),
            "may_publish": may_save and may_publish(request),
            "is_function": bool(workflow and workflow.slug in registered()),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Workflow, form: Any, change: bool) -> None:
        if not change and obj.slug not in registered():  # or a function has run already, without a row
            obj.draft_only = True
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        workflow = form.instance
        if "_publish" in request.POST and may_publish(request):
            self._publish(request, workflow, request.POST.get("version_note", ""))
        elif workflow.draft_only:
            messages.info(request, _("Saved as a draft. It does not start before it is published."))
        elif workflow.differs:
            told = _("Saved as a draft. Runs go on with v%(number)d until it is published.")
            messages.warning(request, told % {"number": workflow.published.number})

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        _stay(request)
        return super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        _stay(request)
        return super().response_change(request, obj)

    @admin.display(description=gettext_lazy("published"), ordering="published__number")
    def shown_published(self, workflow: Workflow) -> str:
        if workflow.published:
            return f"v{workflow.published.number}"
        return _("draft only") if workflow.draft_only else _("as saved")

    def versions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The versions of a workflow: any two beside each other, and what can be done with each."""
        workflow = self.get_object(request, object_id)
        if workflow is None:
            raise Http404
        if not self.has_view_or_change_permission(request, workflow):
            raise PermissionDenied
        if request.method == "POST":
            base = request.POST.get("base")  # of the panel, which stands on the workflow's page
            with transaction.atomic():
                if base is None or _is_still(workflow, base):
                    self._act(request, workflow)
                else:
                    told = _("Somebody has saved this meanwhile: nothing was done. Look at it and try again.")
                    messages.error(request, told)
            return redirect(_url(workflow) if base is None else _page(workflow))
        return TemplateResponse(
            request, "lingstream/admin/workflows/versions.html", self._context(request, workflow)
        )

    def _context(self, request: HttpRequest, workflow: Workflow) -> dict[str, Any]:
        live = str(workflow.published.number) if workflow.published else DRAFT
        asked = request.GET.get("a", live), request.GET.get("b", DRAFT)
        sides = [_side(workflow, name) for name in asked]
        return {
            **self.admin_site.each_context(request),
            "title": _("Versions"),
            "opts": self.opts,
            "original": workflow,
            "media": self.media,
            "rows": workflow.versions.select_related("created_by").defer("plan")[:_SHOWN],
            "chosen": dict(zip("ab", asked, strict=True)),
            "hunks": hunks(differences(*sides)),
            "differs": workflow.differs,
            "may_publish": may_publish(request),
            "may_write": self.may_rewrite(request, workflow),
        }

    def _act(self, request: HttpRequest, workflow: Workflow) -> None:
        """Publish, roll back or take up, as the buttons ask."""
        action, number = request.POST.get("action"), request.POST.get("number", "")
        writes, publishes = action in ("take-up", "roll-back"), action != "take-up"
        if (writes and not self.may_rewrite(request, workflow)) or (publishes and not may_publish(request)):
            raise PermissionDenied
        if action == "publish":
            self._publish(request, workflow, request.POST.get("version_note", ""))
            return
        change, told = {
            "roll-back": (workflow.roll_back, _("Rolled back to v%(number)d.")),
            "take-up": (workflow.take_up, _("v%(number)d is the draft now.")),
        }.get(action or "", (None, ""))
        if change is None or not number.isdecimal():
            raise Http404
        try:
            with transaction.atomic():
                version = change(int(number[:9]), by=request.user)
                if action == "take-up" and (variant := variant_of(request)).differs:
                    _settle(workflow, variant)
                    told = _("v%(number)d is the draft now, with what was changed for the trial.")
        except UsageError as error:
            messages.error(request, error.message)
        except (FormErrors, ValidationError) as error:
            messages.error(request, " ".join(error.messages))
        else:
            self._tell(request, workflow, told % {"number": version.number})

    def _publish(self, request: HttpRequest, workflow: Workflow, note: str) -> None:
        try:
            version = workflow.publish(by=request.user, note=note)
        except UsageError as error:
            level = messages.INFO if error.code == "unchanged" else messages.ERROR
            told = error.message if error.code == "unchanged" else _("Not published: %s") % error.message
            messages.add_message(request, level, told)
            return
        told = _("Published as v%(number)d: runs that start from now on use it.")
        self._tell(request, workflow, told % {"number": version.number})

    def _tell(self, request: HttpRequest, workflow: Workflow, told: str) -> None:
        self.log_change(request, workflow, told)
        messages.success(request, told)

    def may_rewrite(self, request: HttpRequest, workflow: Workflow) -> bool:
        """Whether who asks may put another draft into the place of this one."""
        return self.has_change_permission(request, workflow) and request.user.has_perms(_WRITING)


def may_publish(request: HttpRequest) -> bool:
    """Whether who asks decides what runs start from."""
    return request.user.has_perm("lingstream.publish_workflow")


def _is_still(workflow: Workflow, base: str) -> bool:
    """Whether nobody has saved since ``base``; from now on nobody does, until the transaction has ended."""
    rows = Workflow.objects.filter(pk=workflow.pk, updated_at=workflow.updated_at)
    return is_still(workflow, base) and bool(rows.update(slug=F("slug")))


def version_link(run: Run) -> SafeString | str:
    """Return which version of its workflow a run is, with a link to it."""
    number = run.published or run.plan.get("published", 0)  # of a process from before the column
    workflow = Workflow.objects.filter(slug=run.workflow, versions__number=number).first() if number else None
    if workflow is None:
        return f"v{number}" if number else "-"
    return format_html('<a href="{}?a={}&amp;b={}">v{}</a>', _url(workflow), number, DRAFT, number)


def _settle(workflow: Workflow, variant: Variant) -> None:
    """Write into the draft's bots what a trial of it changed."""
    provider = Provider.objects.filter(name=variant.provider).first()
    if variant.provider and provider is None:
        raise UsageError(_("There is no provider “%(name)s”.") % {"name": variant.provider})
    for step in workflow.steps.filter(kind="bot"):
        if variant.step in ("", step.name):
            step.model = variant.model or ("" if provider else step.model)
            step.provider = provider or step.provider
            step.params = {**step.params, **variant.params}
            step.full_clean()
            step.save()


def _stay(request: HttpRequest) -> None:
    """Who publishes sees the page again."""
    if "_publish" in request.POST:
        request.POST = request.POST.copy()  # type: ignore[assignment]
        request.POST["_continue"] = "1"  # type: ignore[misc]


def _page(workflow: Workflow) -> str:
    return reverse("admin:lingstream_workflow_change", args=[workflow.pk])


def _url(workflow: Workflow) -> str:
    return reverse("admin:lingstream_workflow_versions", args=[workflow.pk])


def _side(workflow: Workflow, name: str) -> str:
    """The text of one side; of a version that there is none of, nothing."""
    if name == DRAFT:
        return as_text(compact(workflow.draft()))
    number = int(name[:9]) if name.isascii() and name.isdecimal() else 0
    version: WorkflowVersion | None = workflow.versions.filter(number=number).first()
    if version is None:
        return ""
    is_live = workflow.published is not None and workflow.published.pk == version.pk
    data = workflow.live() if is_live else None
    return as_text(compact(data or version.data))
