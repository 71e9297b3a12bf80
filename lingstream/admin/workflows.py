"""Workflows: steps and the triggers between them, on one page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import Step, Trigger, Workflow
from .graphs import PENDING, GraphFormSet
from .media import LingAdmin

__all__ = ["WorkflowAdmin"]

JS_MODULE = forms.Script("lingstream/admin/workflow.js", type="module")

_MOST_WARNINGS = 10  # at once; the next save tells of the others

_TEMPLATE = forms.TextInput(attrs={"class": "vTextField ling-template", "spellcheck": "false"})


class StepForm(forms.ModelForm):  # type: ignore[type-arg]
    """A step."""

    class Meta:
        model = Step
        fields = tuple(field.name for field in Step._meta.fields if field.name != "id")
        widgets = {"root": _TEMPLATE}


class GraphInline(admin.StackedInline):  # type: ignore[type-arg]
    """Steps, or triggers, which are judged together."""

    formset = GraphFormSet
    extra = 0

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        formset.request = request  # type: ignore[attr-defined]  # ours has it, and the next
        formset.may_change = self.has_change_permission(request, obj)  # type: ignore[attr-defined]
        return formset


class StepInline(GraphInline):
    """What is needed every day on top, the rest folded away."""

    model = Step
    form = StepForm
    autocomplete_fields = ("prompt",)
    fieldsets = (
        (None, {"fields": ("name", ("prompt", "label"), "input", ("root", "format"))}),
        (
            _("Model"),
            {
                "fields": (("provider", "model"), "params", "variables", "history", "schema"),
                "classes": ("collapse",),
            },
        ),
        (
            _("What viewers get, and order"),
            {
                "fields": ("only", "exclude", ("quiet", "optional"), ("kind", "position")),
                "classes": ("collapse",),
            },
        ),
    )

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        for name in ("prompt", "provider"):
            if field := formset.form.base_fields.get(name):
                field.widget.can_delete_related = field.widget.can_view_related = False
        return formset


class TriggerForm(forms.ModelForm):  # type: ignore[type-arg]
    """A trigger whose ends are chosen among this workflow's steps, those that this save adds included.

    The choices are primary keys of stored steps, so that a step may be renamed in the same save, and
    ``name:<name>`` of new ones, which are resolved when the steps have been saved.
    """

    when_step = forms.ChoiceField(label=_("When step"))
    start_step = forms.ChoiceField(label=_("Start step"))

    class Meta:
        model = Trigger
        fields = ("event", "pattern", "condition", "input", "root", "partial", "position")
        widgets = {
            "pattern": _TEMPLATE,
            "condition": _TEMPLATE,
            "root": _TEMPLATE,
            "input": forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        }

    ENDS = {"when_step": "source", "start_step": "target"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deleted: set[str] = set()
        self.instance.is_looked_at_with_others = True  # by the formset, as they will be
        for field, end in self.ENDS.items():
            pk = getattr(self.instance, f"{end}_id")
            if pk is not None:
                self.initial[field] = str(pk)

    def offer(self, choices: list[tuple[str, str]], deleted: set[str]) -> None:
        """Set the steps to choose from, and those that this save deletes."""
        self.deleted = deleted
        for name in self.ENDS:
            field = self.fields.get(name)
            if isinstance(field, forms.ChoiceField):
                field.choices = [("", "---------"), *choices]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for field, end in self.ENDS.items():
            value = cleaned.get(field)
            if not value:
                continue
            if value in self.deleted:
                self.add_error(
                    field, _("This step is being deleted: choose another, or delete the trigger too.")
                )
            elif value.startswith(PENDING):
                setattr(self.instance, f"{end}_id", None)
            else:
                setattr(self.instance, end, Step.objects.get(pk=value))
        return cleaned

    def save(self, commit: bool = True) -> Trigger:
        for field, end in self.ENDS.items():
            value = self.cleaned_data[field]
            if value.startswith(PENDING):
                name = value.removeprefix(PENDING)
                setattr(self.instance, end, Step.objects.get(workflow=self.instance.workflow, name=name))
        trigger: Trigger = super().save(commit)
        return trigger


class TriggerFormSet(GraphFormSet):
    """Knows the steps of the page: the stored ones and the ones that were typed."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        form.offer(self._choices, self._deleted)

    @property
    def _choices(self) -> list[tuple[str, str]]:
        if not hasattr(self, "_cached"):
            stored = self.instance.steps.values_list("pk", "name") if self.instance.pk else ()
            self._cached = [(str(pk), name) for pk, name in stored]
            known = {name for _pk, name in self._cached}
            self._cached += [(PENDING + name, name) for name in self._typed() if name not in known]
        return self._cached

    @property
    def _deleted(self) -> set[str]:
        return {row["id"] for row in self._rows() if row["id"] and row["DELETE"]}

    def _typed(self) -> list[str]:
        return [
            row["name"].strip() for row in self._rows() if row["name"] and not (row["id"] or row["DELETE"])
        ]

    def _rows(self) -> list[dict[str, str]]:
        """The step forms of the same request, of which this formset only needs three fields."""
        total = self.data.get("steps-TOTAL_FORMS", "") if self.is_bound else ""
        count = min(int(total), 1000) if total.isdecimal() else 0
        names = ("id", "name", "DELETE")
        return [
            {name: self.data.get(f"steps-{index}-{name}", "") for name in names} for index in range(count)
        ]


class TriggerInline(GraphInline):
    """Edges of the workflow, read like a sentence."""

    model = Trigger
    form = TriggerForm
    formset = TriggerFormSet
    fk_name = "workflow"
    fieldsets = (
        (None, {"fields": (("when_step", "event"), "pattern", "start_step")}),
        (
            _("Condition, and input or root other than the step's own"),
            {"fields": ("condition", "input", "root", ("partial", "position")), "classes": ("collapse",)},
        ),
    )

    @admin.display(description=_("when step"))
    def when_step(self, trigger: Trigger) -> str:
        """For those who may only look."""
        return str(trigger.source)

    @admin.display(description=_("start step"))
    def start_step(self, trigger: Trigger) -> str:
        """For those who may only look."""
        return str(trigger.target)


@admin.register(Workflow)
class WorkflowAdmin(LingAdmin):
    """A workflow with its steps and triggers."""

    list_display = ("slug", "name", "shown_steps", "enabled", "access", "updated_at")
    list_filter = ("enabled", "access")
    search_fields = ("slug", "name", "description", "steps__name")
    inlines = (StepInline, TriggerInline)
    save_on_top = True
    fieldsets = (
        (None, {"fields": ("slug", "name", "description", ("enabled", "access"))}),
        (_("Input"), {"fields": ("input_schema",), "classes": ("collapse",)}),
        (
            _("Limits and policies"),
            {
                "fields": ("limits", "on_disconnect", "when_busy", "retention_days", "show_reasoning"),
                "classes": ("collapse",),
            },
        ),
    )

    class Media:
        js = (JS_MODULE,)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Workflow]:
        return super().get_queryset(request).prefetch_related("steps")

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "description" and field:
            field.widget.attrs["rows"] = 3
        return field

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        found = [warning for formset in formsets for warning in formset.warnings]
        for fault in found[:_MOST_WARNINGS]:
            messages.warning(request, _("Saved, but look again: %(fault)s") % {"fault": fault})

    @admin.display(description=_("steps"))
    def shown_steps(self, workflow: Workflow) -> str | SafeString:
        return ", ".join(step.name for step in workflow.steps.all()) or "-"
