"""Steps on a workflow's page: what a step does is chosen first, and decides what else is asked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from lingstream.core.engine.kinds import step_kinds

from ...models import Step
from ..display import kind_title, pretty
from ..media import TEMPLATE
from ..options import forms_of, option_name
from .graphs import GraphInline
from .schemas import SchemaForm

__all__ = ["StepInline"]

_BOT = "bot"
_KIND = Step._meta.get_field("kind")
_OF_BOTS = ("prompt", "label", "pinned", "provider", "model", "params", "variables", "history")


class StepForm(SchemaForm):
    """A step.

    It has fields for the options of every kind, as the kind may be changed on the page; those of the kind
    that is sent are read. Of other kinds nothing is stored, and neither is what only bots have.
    """

    kind = forms.ChoiceField(label=_("Kind"), initial=_KIND.default, help_text=_KIND.help_text)

    class Meta:
        model = Step
        fields = tuple(field.name for field in Step._meta.fields if field.name not in ("id", "options"))
        widgets = {"root": TEMPLATE}
        help_texts = {
            "root": _(
                "Where the step writes in the document: a name such as summary, or a template, "
                "outline/{{ match[0] }}/details. Empty for the top."
            ),
            "format": _(
                "JSON: the prompt asks for it, and each field streams by itself. Text: the whole answer is "
                "one text at the root, which then wants a name, or it stands in place of what the others "
                "write."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored_kind = self.instance.kind
        self._offer_kinds()
        self._forms = forms_of(self.instance.kind, self.instance.options)
        for form in self._forms.values():
            self.fields.update(form.named)

    @cached_property
    def changed_data(self) -> list[str]:
        """The fields that have been changed; options of kinds that are not chosen are none."""
        kind = self["kind"].value()
        others = {field for name, form in self._forms.items() if name != kind for field in form.named}
        return [name for name in super().changed_data if name not in others]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        kind = cleaned.get("kind", "")
        if kind in step_kinds():
            if kind != _BOT:
                self._forget_bot()
            self._read_options(kind)
        return cleaned

    def add_error(self, field: str | None, error: Any) -> None:
        """Add an error; what the model says of options goes to those that it is about."""
        if field is None and hasattr(error, "error_dict"):
            found = dict(error.error_dict)
            for each in found.pop("options", ()):
                self._add_option_error(each)
            if self._keeps_unknown_kind:
                found.pop("kind", None)
            if not found:
                return
            error = ValidationError(found)
        super().add_error(field, error)

    def _offer_kinds(self) -> None:
        field, kind = self.fields["kind"], self._stored_kind
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # declared above
        known = {name: kind_title(name, each) for name, each in step_kinds().items()}
        choices = sorted(known.items(), key=lambda choice: (choice[0] != _BOT, choice[1].casefold()))
        if kind not in known:
            choices.append((kind, _("%(name)s (not known here)") % {"name": kind}))
            field.widget.attrs["data-ling-unknown"] = kind
        field.choices = choices

    @property
    def _keeps_unknown_kind(self) -> bool:
        """Whether the step stays of a kind that another process must know."""
        return self._stored_kind not in step_kinds() and self.cleaned_data.get("kind") == self._stored_kind

    def _forget_bot(self) -> None:
        new = Step()
        for name in _OF_BOTS:
            default = getattr(new, name)
            self.errors.pop(name, None)
            self.cleaned_data[name] = default
            setattr(self.instance, name, default)

    def _read_options(self, kind: str) -> None:
        form = self._forms.get(kind)
        self.instance.options = form.read_from(self) if form else {}

    def _add_option_error(self, error: ValidationError) -> None:
        """Show what the model has found, if the form has found nothing: it looks at the same first."""
        form = self._forms.get(self.cleaned_data.get("kind", ""))
        if form and any(name in self.errors for name in form.named):
            return
        params, option, messages = error.params or {}, "", error.messages
        if form and "uri" in params:
            option, rest = form.place(params["uri"])
            messages = [f"{rest}: {params['problem']}" if rest else str(params["problem"])]
        for message in messages:
            self.add_error(option_name(form.kind, option) if form and option else None, message)


class StepInline(GraphInline):
    """What is needed every day on top, the rest folded away."""

    model = Step
    form = StepForm
    autocomplete_fields = ("prompt",)
    readonly_fields = ("shown_options",)
    fieldsets = (
        (None, {"fields": (("name", "kind"), "input", ("root", "format"))}),
        (
            _("Model"),
            {
                "fields": (("prompt", "label", "pinned"), ("provider", "model")),
                "classes": ("ling-kind", "ling-kind-bot"),
            },
        ),
        (
            _("Parameters, variables and history"),
            {
                "fields": ("params", "variables", "history"),
                "classes": ("collapse", "ling-kind", "ling-kind-bot"),
            },
        ),
        (
            _("Options as they are stored"),
            {
                "fields": ("shown_options",),
                "classes": ("collapse", "ling-kind", "ling-options", "ling-stored-options"),
            },
        ),
        (
            _("Output, and what viewers get of it"),
            {"fields": ("schema", "only", "exclude", "quiet"), "classes": ("collapse",)},
        ),
        (
            _("Failures, and order"),
            {"fields": ("timeout", "retries", "optional", "position"), "classes": ("collapse",)},
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if self.has_change_permission(request, obj) or self.has_add_permission(request, obj):
            return [*fieldsets[:2], *self._of_kinds(), *fieldsets[2:]]
        return fieldsets

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        # The fields of options are made by the form.
        formset = super().get_formset(request, obj, **{"fields": StepForm.Meta.fields, **kwargs})
        for name in ("prompt", "provider"):
            if field := formset.form.base_fields.get(name):
                field.widget.can_delete_related = field.widget.can_view_related = False
        return formset

    @admin.display(description=_("options"))
    def shown_options(self, step: Step) -> SafeString:
        """Show the options as they are stored: to who may only look, and where the kind is not known."""
        return pretty(step.options or "")

    def _of_kinds(self) -> list[tuple[Any, dict[str, Any]]]:
        return [
            (
                _("Options: %(kind)s") % {"kind": kind_title(name, step_kinds()[name])},
                {
                    "fields": list(form.named),
                    "classes": ["collapse", "ling-kind", "ling-options", f"ling-kind-{name}"],
                },
            )
            for name, form in forms_of().items()
        ]
