"""When the bot speaks first: on a workflow's page, and in a list of its own for workflows in Python alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import time_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as now_in_words
from django.utils.translation import gettext_lazy as _

from ...models import Occasion, planned
from ..display import foretold, times
from ..media import TEMPLATE, Lines, LingAdmin
from ..secret import SecretForm, shown_secret, tenant_of
from ..stale import LastingRows, StaleForm

__all__ = ["OccasionAdmin", "OccasionInline"]

# What only some kinds have; all else is of each.
_ONLY: Mapping[str, Sequence[str]] = {
    "preview": [Occasion.Kind.SILENCE, Occasion.Kind.SCHEDULE],
    "after": [Occasion.Kind.SILENCE],
    "factor": [Occasion.Kind.SILENCE],
    "at_most": [Occasion.Kind.SILENCE, Occasion.Kind.SCHEDULE],
    "schedule": [Occasion.Kind.SCHEDULE],
    "within_days": [Occasion.Kind.SCHEDULE],
    "hook": [Occasion.Kind.WEBHOOK],
    "renew": [Occasion.Kind.WEBHOOK],
}
_SHOWN = 5  # times of a schedule, and pauses of a silence


class OccasionForm(SecretForm, StaleForm):
    """An occasion; one that code declares can be switched off here, and no more."""

    class Meta:
        model = Occasion
        fields = (
            "kind",
            "name",
            "enabled",
            "input",
            "condition",
            "audience",
            "after",
            "factor",
            "at_most",
            "daily",
            "min_gap",
            "quiet_from",
            "quiet_to",
            "schedule",
            "within_days",
        )
        widgets = {
            "input": forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
            "condition": TEMPLATE,
        }
        help_texts = {"name": _("Each name once in a workflow. Empty: as what it is for, such as greeting.")}

    class Media:
        js = (forms.Script("lingstream/admin/occasions.js", type="module"),)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind" in self.fields:
            self.fields["kind"].widget.attrs["data-ling-only"] = json.dumps(_ONLY)
        if "name" in self.fields:  # which who may only look has as text
            self.fields["name"].required = False
        if self.instance.source == Occasion.Source.CODE:
            for name in self.fields.keys() - {"enabled", "renew"}:
                self.fields[name].disabled = True

    def clean_name(self) -> str:
        """The kind names one that nobody has named."""
        return str(self.cleaned_data["name"] or self.cleaned_data.get("kind", ""))


class OccasionRowForm(OccasionForm):
    """One below its workflow, whose page has the mark."""

    base = None  # type: ignore[assignment]


class OccasionFormSet(LastingRows):
    """Sees those of one page together, and lets nobody delete what code declares: it would come again."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if "DELETE" in form.fields and form.instance.source == Occasion.Source.CODE:
            form.fields["DELETE"].disabled = True

    def clean(self) -> None:
        """Refuse what the constraints would, which look at one row after the other."""
        super().clean()
        kept = [form.cleaned_data for form in self.forms if form.is_valid() and not self.deletes(form)]
        names = [data["name"] for data in kept if data.get("name")]
        if len(set(names)) < len(names):
            raise forms.ValidationError(_("Expected a name that no other occasion of the workflow has."))
        if sum(data.get("kind") == Occasion.Kind.SILENCE for data in kept) > 1:
            raise forms.ValidationError(_("Expected at most one occasion of silence in a workflow."))


class OccasionPages:
    """What the two of them share: a preview, and the secret for who may change the row."""

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Occasion]:
        rows: models.QuerySet[Occasion] = super().get_queryset(request)  # type: ignore[misc]
        return rows.select_related("workflow").annotate(tenant=models.Value(tenant_of(request)))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        hook = ("hook", "renew") if self.has_change_permission(request, obj) else ()  # type: ignore[attr-defined]
        return (
            (None, {"fields": (("kind", "name", "enabled"), "preview", "input", "condition", "audience")}),
            (_("How often"), {"fields": (("after", "factor", "at_most"), ("daily", "min_gap"))}),
            (_("Quiet hours"), {"fields": (("quiet_from", "quiet_to"),)}),
            (_("Schedule"), {"fields": (("schedule", "within_days"),)}),
            (_("Source and webhook"), {"fields": ("source", *hook), "classes": ("collapse",)}),
        )

    @admin.display(description=_("next"))
    @foretold
    def preview(self, occasion: Occasion) -> str | SafeString:
        """When the next ones would come."""
        if occasion.pk and occasion.kind == Occasion.Kind.SILENCE:
            return _pauses(occasion)
        if occasion.pk and occasion.kind == Occasion.Kind.SCHEDULE:
            return times(islice(planned(occasion.schedule, timezone.now()), _SHOWN))
        return "-"

    @admin.display(description=_("webhook"))
    def hook(self, occasion: Any) -> str | SafeString:
        """Its address, and what its requests are signed with."""
        if not occasion.pk or occasion.kind != Occasion.Kind.WEBHOOK:
            return "-"
        try:
            url = reverse("lingstream:hook", args=[occasion.pk])
        except NoReverseMatch:
            url = "-"
        secret = shown_secret(occasion.secret(getattr(occasion, "tenant", "")))
        return format_html("<p>POST <code>{}</code></p>{}", url, secret)


class OccasionInline(OccasionPages, Lines, admin.StackedInline):  # type: ignore[type-arg]
    """The occasions of a workflow."""

    model = Occasion
    form = OccasionRowForm
    formset = OccasionFormSet
    verbose_name_plural = _("the bot speaks first")
    extra = 0
    classes = ("collapse",)
    readonly_fields = ("preview", "hook", "source")


@admin.register(Occasion)
class OccasionAdmin(OccasionPages, LingAdmin):
    """All occasions; new ones are made on their workflow's page, or declared in code."""

    form = OccasionForm
    list_display = ("name", "shown_workflow", "kind", "enabled", "source", "next_at", "skipped")
    list_filter = ("kind", "enabled", "source")
    search_fields = ("name", "slug", "workflow__slug")
    readonly_fields = ("preview", "hook", "source")

    @admin.display(description=_("workflow"))
    def shown_workflow(self, occasion: Occasion) -> str:
        return occasion.workflow_slug

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        declared = obj is not None and obj.source == Occasion.Source.CODE
        return not declared and super().has_delete_permission(request, obj)


def _pauses(occasion: Occasion) -> str:
    numbers = range(min(occasion.most, _SHOWN))
    lengths = [f"{(occasion.after or 0) * occasion.factor**number:g}" for number in numbers]
    pauses = [now_in_words("%(seconds)s s") % {"seconds": each} for each in lengths]
    text = now_in_words("After %(pauses)s of silence") % {"pauses": ", ".join(pauses)}
    if occasion.most > _SHOWN:
        text += " …"
    if occasion.quiet_from and occasion.quiet_to:
        hours = {"from": time_format(occasion.quiet_from), "to": time_format(occasion.quiet_to)}
        text += "; " + now_in_words("not from %(from)s to %(to)s by the person's clock") % hours
    return text
