"""Steps on a workflow's page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..models import Step
from .graphs import GraphInline
from .media import TEMPLATE

__all__ = ["StepInline"]


class StepForm(forms.ModelForm):  # type: ignore[type-arg]
    """A step."""

    class Meta:
        model = Step
        fields = tuple(field.name for field in Step._meta.fields if field.name != "id")
        widgets = {"root": TEMPLATE}


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
