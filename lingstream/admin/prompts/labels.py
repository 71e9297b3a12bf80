"""Labels on a prompt's page, and what is live: who may move them, and what the history says of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ...models import LIVE, Prompt, PromptLabel, PromptVersion
from ..media import TableInline
from ..stale import LastingRows

__all__ = ["PromptLabelInline", "may_publish", "moves", "point", "states"]


def may_publish(request: HttpRequest) -> bool:
    """Return whether who asks may decide which version runs use."""
    return request.user.has_perm("lingstream.publish_prompt")


def point(version: PromptVersion, name: str = LIVE) -> None:
    """Have a label of the version's prompt point at it; one that is not there is made.

    :raises ValidationError: it may not.
    """
    prompt = version.prompt
    label = prompt.labels.filter(name=name).first() or PromptLabel(prompt=prompt, name=name)
    label.version = version
    label.full_clean()
    label.save()


def states(prompt: Prompt) -> dict[str, str]:
    """Return what each label of a prompt stands for, in words."""
    return {label.name: label.standing for label in prompt.labels.select_related("version", "other")}


def moves(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return what has become of labels, a line each; the same in every language, as history is kept."""
    names = sorted(before.keys() | after.keys())
    changed = [name for name in names if before.get(name) != after.get(name)]
    return [f"{name}: {before.get(name, '–')} → {after.get(name, '–')}" for name in changed]


class PromptLabelForm(forms.ModelForm):  # type: ignore[type-arg]
    """A label; one that tests nothing needs no weight.

    The page holds what each label stood for when it was opened. One that nobody has touched on it stays
    wherever somebody else has put it meanwhile.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.show_hidden_initial = True
        if "weight" in self.fields:
            self.fields["weight"].required = False

    def clean_weight(self) -> int:
        return self.cleaned_data["weight"] or 0


class PromptLabelFormSet(LastingRows):
    """Offers the versions of this prompt only, and keeps the labels that are in use."""

    is_merged = True

    def clean(self) -> None:
        super().clean()
        for form in self.deleted_forms:
            if form.instance.pk and (users := form.instance.users()):
                raise ValidationError(form.instance.in_use(users), code="in-use")

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        for name in {"version", "other"} & form.fields.keys():
            field = form.fields[name]
            assert isinstance(field, forms.ModelChoiceField)  # noqa: S101  # it is a foreign key
            field.queryset = PromptVersion.objects.filter(prompt=self.instance).defer("text")
            field.label_from_instance = _version_label  # type: ignore[method-assign,assignment]


class PromptLabelInline(TableInline):
    """Moving a label is one select and “Save”, for who may publish; others see where it is."""

    model = PromptLabel
    form = PromptLabelForm
    formset = PromptLabelFormSet
    fields = ("name", "version", "other", "weight", "updated_at")
    readonly_fields = ("updated_at",)
    extra = 0
    verbose_name_plural = _("labels: which version is used")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # who sees the prompt

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_publish(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_publish(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_publish(request)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        for field in {"version", "other"} & formset.form.base_fields.keys():
            widget = formset.form.base_fields[field].widget
            for name in ("can_add_related", "can_change_related", "can_delete_related", "can_view_related"):
                setattr(widget, name, False)
        return formset


def _version_label(version: Any) -> str:
    return f"v{version.number} · {version.note}" if version.note else f"v{version.number}"
