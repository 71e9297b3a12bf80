"""Triggers on a workflow's page, read like sentences."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from lingstream.core.engine.kinds import step_kinds
from lingstream.core.engine.plan import EVENTS, JOINED

from ...models import Step, Trigger
from ..display import kind_title
from ..media import TEMPLATE
from .graphs import PENDING, GraphFormSet, GraphInline

__all__ = ["TriggerInline"]

_EVENT = Trigger._meta.get_field("event")
_WORDS = {
    "string-response": _("a text field is complete"),
    "object-response": _("an object or a list is complete"),
    "inference-done": _("its model has stopped, or its work is done"),
    "response": _("it has ended, and all that it wrote is there"),
    "error": _("it has failed"),
    JOINED: _("it has ended, and so has all that it led to"),
}


class TriggerForm(forms.ModelForm):  # type: ignore[type-arg]
    """A trigger whose ends are chosen among this workflow's steps, those that this save adds included.

    The choices are primary keys of stored steps, so that a step may be renamed in the same save, and
    ``name:<name>`` of new ones, which are resolved when the steps have been saved.
    """

    when_step = forms.ChoiceField(label=_("When step"))
    event = forms.ChoiceField(label=_("Emits"), initial=_EVENT.default)
    start_step = forms.ChoiceField(label=_("Start step"))

    class Meta:
        model = Trigger
        fields = ("event", "pattern", "condition", "otherwise", "input", "root", "partial", "position")
        labels = {"otherwise": _("Otherwise: only where none of the others starts anything")}
        help_texts = {
            "otherwise": _(
                "The others are those that wait for the same event of the same step. At a field where the "
                "pattern and the condition of one of them hold, this trigger starts nothing."
            ),
        }
        widgets = {
            "pattern": TEMPLATE,
            "condition": TEMPLATE,
            "root": TEMPLATE,
            "input": forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        }

    ENDS = {"when_step": "source", "start_step": "target"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deleted: set[str] = set()
        self.instance.is_looked_at_with_others = True  # by the formset, as they will be
        self._set_choices("event", _events(self.instance.event))
        for field, end in self.ENDS.items():
            pk = getattr(self.instance, f"{end}_id")
            if pk is not None:
                self.initial[field] = str(pk)

    def offer(self, choices: list[tuple[str, str]], deleted: set[str]) -> None:
        """Set the steps to choose from, and those that this save deletes."""
        self.deleted = deleted
        for name in self.ENDS:
            self._set_choices(name, [("", "---------"), *choices])

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

    def _set_choices(self, name: str, choices: list[Any]) -> None:
        field = self.fields.get(name)
        if isinstance(field, forms.ChoiceField):
            field.choices = choices


class TriggerFormSet(GraphFormSet):
    """Knows the steps of the page: the stored ones and the ones that were typed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.is_bound:
            self.data = self._of_new_steps()

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        form.offer(self._choices, self._deleted)

    def _of_new_steps(self) -> Any:
        """What was sent, as if steps that are not stored had been typed.

        A workflow saved as a new one has no others, and some may have been deleted since the page was opened.
        """
        sent: Any = self.data
        if not self._takes_new_steps:
            return sent
        stored = set() if self.save_as_new else {pk for pk, _name in self._stored()}
        sent_rows = enumerate(self._rows())
        rows = [(index, row) for index, row in sent_rows if row["id"] and row["id"] not in stored]
        new = {row["id"]: PENDING + row["name"].strip() for _index, row in rows}
        data = sent.copy()
        for name, value in sent.items():
            if name.startswith(f"{self.prefix}-") and name.endswith(tuple(TriggerForm.ENDS)):
                data[name] = new.get(value, value)
        for index, _row in rows:
            data[f"steps-{index}-id"] = ""
        return data

    @property
    def _takes_new_steps(self) -> bool:
        """Whether who asks may add the steps that were typed, so that there will be some."""
        steps = self._of(Step)
        return steps is not None and steps.may_add

    def _stored(self) -> list[tuple[str, str]]:
        """The keys and names of the steps that there are."""
        rows = self.instance.steps.values_list("pk", "name") if self.instance.pk else ()
        return [(str(pk), name) for pk, name in rows]

    @property
    def _choices(self) -> list[tuple[str, str]]:
        if not hasattr(self, "_cached"):
            typed = self._typed() if self._takes_new_steps else ()
            self._cached = [*self._stored(), *((PENDING + name, name) for name in typed)]
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
            _("Condition, otherwise, and input or root other than the step's own"),
            {
                "fields": ("condition", "otherwise", "input", "root", ("partial", "position")),
                "classes": ("collapse",),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Trigger]:
        rows: models.QuerySet[Trigger] = super().get_queryset(request)
        return rows.select_related("source", "target")  # which it is called by

    @admin.display(description=_("when step"))
    def when_step(self, trigger: Trigger) -> str:
        """For those who may only look."""
        return str(trigger.source)

    @admin.display(description=_("start step"))
    def start_step(self, trigger: Trigger) -> str:
        """For those who may only look."""
        return str(trigger.target)


def _events(stored: str) -> list[Any]:
    """Return the choices of events: what each step emits, what those of some kinds do, and a stored other."""
    own: dict[str, list[str]] = {}
    for name, kind in step_kinds().items():
        for event in kind.events:
            own.setdefault(event, []).append(kind_title(name, kind))
    choices: list[Any] = [(event, f"{event}: {_WORDS[event]}") for event in (*EVENTS, JOINED)]
    if own:
        group = [(event, f"{event} ({', '.join(kinds)})") for event, kinds in sorted(own.items())]
        choices.append((_("of some kinds of steps only"), group))
    if stored not in (*EVENTS, JOINED, *own):
        choices.append((stored, _("%(name)s (not known here)") % {"name": stored}))
    return choices
