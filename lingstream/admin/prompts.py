"""Prompts: the newest text is edited on the prompt's page, and saving it makes the next version."""

from __future__ import annotations

import difflib
from typing import Any, NamedTuple, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..core import templates
from ..models import Prompt, PromptLabel, PromptVersion
from .display import pretty, printable
from .media import LingAdmin, ReadOnlyAdmin

__all__ = ["PromptAdmin", "PromptVersionAdmin"]

LIVE = "production"
SHOWN_VERSIONS = 20


class PromptForm(forms.ModelForm):  # type: ignore[type-arg]
    """A prompt, and the text of its next version."""

    text = forms.CharField(
        label=_("Text"),
        required=False,
        strip=False,
        max_length=templates.MAX_SOURCE,
        help_text=PromptVersion._meta.get_field("text").help_text,
        widget=forms.Textarea(attrs={"rows": 18, "class": "ling-code ling-prompt", "spellcheck": "false"}),
    )
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=200,
        help_text=_("What changed, and why. Kept with the new version."),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    publish = forms.BooleanField(
        label=_("Put the new version into production"),
        required=False,
        help_text=_("Moves the label “production” to it; runs that start from now on use it."),
    )
    base = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Prompt
        fields = ("slug", "name", "description", "variables")
        widgets = {"description": forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.newest = self.instance.newest if self.instance.pk else None
        if self.newest:
            self.initial.setdefault("text", self.newest.text)
            self.initial["base"] = self.newest.number
        elif not self.instance.pk:
            self.initial.setdefault("publish", True)

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        return text.replace("\r\n", "\n")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "text" not in cleaned or not isinstance(cleaned.get("variables"), dict):
            return cleaned  # the fields say why
        problems = templates.check(cleaned["text"], cleaned["variables"])
        if problems:
            self.add_error("text", [str(problem) for problem in problems])
            return cleaned
        self._refuse_stale()
        self._refuse_orphans(cleaned)
        return cleaned

    @property
    def text_changed(self) -> bool:
        """Whether saving makes a new version."""
        return self.newest is None or self.cleaned_data["text"] != self.newest.text

    def _refuse_stale(self) -> None:
        if self.newest and self.text_changed and self.cleaned_data.get("base") != self.newest.number:
            message = _(
                "Version %(number)d was saved while you were editing. Your text is still here: copy it, open "
                "the page again and bring both together."
            )
            raise ValidationError(message % {"number": self.newest.number}, code="stale")

    def _refuse_orphans(self, cleaned: dict[str, Any]) -> None:
        """A variable that a labelled version uses stays declared until the label has moved on."""
        if not self.instance.pk or "variables" not in self.changed_data:
            return
        for label in self.instance.labels.select_related("version"):
            if label.name == LIVE and cleaned.get("publish"):
                continue
            for problem in templates.check(label.version.text, cleaned["variables"]):
                message = _("v%(number)d, which is “%(label)s”, needs it. %(problem)s") % {
                    "number": label.version.number,
                    "label": label.name,
                    "problem": problem,
                }
                self.add_error("variables", message)


class PromptLabelFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """Offers the versions of this prompt only, and keeps the labels that are in use."""

    def clean(self) -> None:
        super().clean()
        for form in self.deleted_forms:
            if form.instance.pk and (users := form.instance.users()):
                raise ValidationError(form.instance.in_use(users), code="in-use")

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if "version" in form.fields:
            field = form.fields["version"]
            assert isinstance(field, forms.ModelChoiceField)  # noqa: S101  # it is a foreign key
            field.queryset = PromptVersion.objects.filter(prompt=self.instance).defer("text")
            field.label_from_instance = _version_label  # type: ignore[method-assign,assignment]


class PromptLabelInline(admin.TabularInline):  # type: ignore[type-arg]
    """Moving a label is one select and “Save”."""

    model = PromptLabel
    formset = PromptLabelFormSet
    fields = ("name", "version", "updated_at")
    readonly_fields = ("updated_at",)
    extra = 0
    verbose_name_plural = _("labels: which version is used")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        if "version" in formset.form.base_fields:
            widget = formset.form.base_fields["version"].widget
            for name in ("can_add_related", "can_change_related", "can_delete_related", "can_view_related"):
                setattr(widget, name, False)
        return formset


@admin.register(Prompt)
class PromptAdmin(LingAdmin):
    """Who may change prompts writes versions; who may change prompt labels puts them into production."""

    form = PromptForm
    list_display = ("slug", "name", "newest_version", "live_version", "updated_at")
    search_fields = ("slug", "name", "description")
    list_filter = ("updated_at",)
    readonly_fields = ("history",)
    save_on_top = True
    ordering = ("slug",)

    def get_fieldsets(self, request: HttpRequest, obj: Prompt | None = None) -> Any:
        text = ["text", "note"]
        if self.has_view_or_change_permission(request, obj) and not self.has_change_permission(request, obj):
            text = ["text"]
        elif _may_publish(request):
            text.append("publish")
        if obj is None or self.has_change_permission(request, obj):
            text.append("base")
        about = {"fields": ["slug", "name", "description", "variables"]}
        if obj is None:
            return [(None, about), (_("Text"), {"fields": text})]
        return [
            (None, {"fields": text}),
            (_("About the prompt"), {**about, "classes": ["collapse"]}),
            (_("Versions"), {"fields": ["history"]}),
        ]

    def get_inlines(self, request: HttpRequest, obj: Prompt | None) -> Any:
        return [PromptLabelInline] if obj and obj.versions.exists() else []

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Prompt]:
        newest = models.Max("versions__number")
        live = models.Max("labels__version__number", filter=models.Q(labels__name=LIVE))
        rows: models.QuerySet[Prompt] = super().get_queryset(request)
        return rows.annotate(newest_number=newest, live_number=live)

    def get_form(
        self, request: HttpRequest, obj: Prompt | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        number = request.GET.get("from", "")
        if obj and number.isdecimal() and (old := obj.versions.filter(number=int(number[:9])).first()):
            return type(
                "PromptForm", (form,), {"__init__": _starting_from(cast(type[PromptForm], form), old)}
            )
        return form

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        prompt, version = form.instance, form.newest
        if form.text_changed:
            version = PromptVersion(prompt=prompt, text=form.cleaned_data["text"])
            version.created_by = cast(Any, request.user)
            version.note = form.cleaned_data["note"]
            version.save()
            self.message_user(request, _("Saved as version %(number)d.") % {"number": version.number})
        if form.cleaned_data.get("publish") and _may_publish(request):
            PromptLabel.objects.update_or_create(prompt=prompt, name=LIVE, defaults={"version": version})
        elif form.text_changed:
            text = _("It is used once a label points to it: choose it under “labels” below and save.")
            self.message_user(request, text, messages.INFO)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        shown, counts, missing, protected = super().get_deleted_objects(objs, request)
        # Versions cannot be deleted alone, which must not keep a prompt from being deleted with them.
        missing.discard(PromptVersion._meta.verbose_name)
        return shown, counts, missing, protected

    @admin.display(description=_("newest"), ordering="newest_number")
    def newest_version(self, prompt: Any) -> str:
        return f"v{prompt.newest_number}" if prompt.newest_number else "-"

    @admin.display(description=_("production"), ordering="live_number")
    def live_version(self, prompt: Any) -> str:
        return f"v{prompt.live_number}" if prompt.live_number else "-"

    @admin.display(description=_("text"))
    def text(self, prompt: Prompt) -> SafeString:
        """The newest text, for those who may only look."""
        return pretty(prompt.newest.text) if prompt.newest else SafeString("-")

    @admin.display(description="")
    def history(self, prompt: Prompt) -> str:
        rows = list(
            prompt.versions.select_related("created_by").prefetch_related("labels")[: SHOWN_VERSIONS + 1]
        )
        older = [*rows[1:], None]
        entries = [Entry.of(row, before) for row, before in zip(rows, older, strict=True)][:SHOWN_VERSIONS]
        everything = f"{reverse('admin:lingstream_promptversion_changelist')}?prompt__id__exact={prompt.pk}"
        context = {"entries": entries, "more": len(rows) > SHOWN_VERSIONS, "all_url": everything}
        return render_to_string("lingstream/admin/history.html", context)


class Entry(NamedTuple):
    """A version in the list of a prompt's page."""

    version: PromptVersion
    labels: list[str]
    diff: list[tuple[str, str]]

    @classmethod
    def of(cls, version: PromptVersion, before: PromptVersion | None) -> Entry:
        """Return the entry, with the lines that differ from the version before."""
        return cls(version, [label.name for label in version.labels.all()], diff(before, version))


def diff(before: PromptVersion | None, after: PromptVersion) -> list[tuple[str, str]]:
    """Return the lines of a unified diff as (kind, line): ``added``, ``removed``, ``place`` or ``same``."""
    if before is None:
        return []
    lines = list(difflib.unified_diff(before.text.splitlines(), after.text.splitlines(), lineterm="", n=2))[
        2:
    ]
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return [(kinds.get(line[:1], "same"), printable(line)) for line in lines]


@admin.register(PromptVersion)
class PromptVersionAdmin(ReadOnlyAdmin):
    """All versions; none of them can be changed or deleted."""

    list_display = ("__str__", "note", "created_by", "created_at", "label_names")
    list_filter = ("prompt", "created_at")
    list_select_related = ("prompt", "created_by")
    search_fields = ("prompt__slug", "text", "note")
    fields = ("prompt", "number", "note", "created_by", "created_at", "label_names", "shown_text")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[PromptVersion]:
        return super().get_queryset(request).prefetch_related("labels")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("labels"))
    def label_names(self, version: PromptVersion) -> str:
        return ", ".join(label.name for label in version.labels.all()) or "-"

    @admin.display(description=_("text"))
    def shown_text(self, version: PromptVersion) -> SafeString:
        return pretty(version.text)


def _may_publish(request: HttpRequest) -> bool:
    permissions = ("lingstream.add_promptlabel", "lingstream.change_promptlabel")
    return request.user.has_perms(permissions)


def _version_label(version: Any) -> str:
    return f"v{version.number} · {version.note}" if version.note else f"v{version.number}"


def _starting_from(form: type[PromptForm], old: PromptVersion) -> Any:
    def init(self: PromptForm, *args: Any, **kwargs: Any) -> None:
        kwargs["initial"] = {
            **(kwargs.get("initial") or {}),
            "text": old.text,
            "note": _("Back to v%d") % old.number,
        }
        form.__init__(self, *args, **kwargs)

    return init
