"""Prompts: what is live is edited on the prompt's page, and saving it makes the next version."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.db import models
from django.forms import Script
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ...models import LIVE, Prompt, PromptVersion
from ..differences import Hunks, differences, hunks
from ..display import pretty
from ..documents import Exporting
from ..media import LingAdmin, ReadOnlyAdmin, tenant
from .comparing import ComparePage
from .figures import DAYS, MOST, figures
from .form import PromptForm
from .labels import PromptLabelInline, may_publish, point, states
from .previewing import PreviewPage
from .publishing import PublishPage, log_moves, publish_button, told_of
from .trying import TryingPrompts
from .usage import usage

__all__ = ["PromptAdmin", "PromptVersionAdmin"]

SHOWN_VERSIONS = 20
SHOWN_LINES = 200  # that differ, of each of them
PAGES = (ComparePage, PreviewPage, PublishPage)


@admin.register(Prompt)
class PromptAdmin(TryingPrompts, Exporting, LingAdmin):
    """Who may change prompts writes versions; who may publish prompts puts them into production."""

    form = PromptForm
    section = "prompts"
    list_display = ("slug", "name", "newest_version", "live_version", "updated_at")
    search_fields = ("slug", "name", "description")
    list_filter = ("updated_at",)
    readonly_fields = ("tools",)
    save_on_top = True
    save_as = True
    ordering = ("slug",)

    class Media:
        js = (Script("lingstream/admin/prompt.js", type="module"),)

    def get_urls(self) -> list[Any]:
        return [*(page(self).url() for page in PAGES), *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: Prompt | None = None) -> Any:
        may_change = obj is None or self.has_change_permission(request, obj)
        text = ["text"]
        if may_change:
            text += ["tools"] * (obj is not None) + ["messages", "note"] + ["publish"] * may_publish(request)
            text += ["origin_number"]
        about = {"fields": ["slug", "name", "description", "variables"]}
        if obj is None:
            return [(None, about), (_("Text"), {"fields": text})]
        return [
            (None, {"fields": text}),
            (_("About the prompt"), {**about, "classes": ["collapse"]}),
        ]

    def get_inlines(self, request: HttpRequest, obj: Prompt | None) -> Any:
        return [PromptLabelInline] if obj and obj.newest else []

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Prompt]:
        newest = models.Max("versions__number")
        live = models.Max("labels__version__number", filter=models.Q(labels__name=LIVE))
        rows: models.QuerySet[Prompt] = super().get_queryset(request)
        return rows.annotate(newest_number=newest, live_number=live)

    def get_form(
        self, request: HttpRequest, obj: Prompt | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        start = obj.version(request.GET.get("from", "")) if obj else None
        return type("PromptForm", (form,), {"start": start})

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        prompt = context.get("original")
        more = {**history(prompt), **_use(request, prompt)} if prompt else {}
        return super().render_change_form(request, {**context, **more}, *args, **kwargs)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        prompt = form.instance
        before = states(prompt)
        super().save_related(request, form, formsets, change)
        version = self._new_version(request, form) if form.text_changed else form.origin
        is_published = form.cleaned_data.get("publish") and may_publish(request)
        if is_published:
            point(version)
        log_moves(self, request, prompt, before)
        if form.text_changed:
            self._tell(request, version)
        elif is_published:
            told = _("Version %(number)d is live: runs that start from now on use it.")
            self.message_user(request, told % {"number": version.number}, messages.SUCCESS)

    def _new_version(self, request: HttpRequest, form: Any) -> PromptVersion:
        columns = {name: form.cleaned_data[name] for name in ("text", "messages", "note")}
        version = PromptVersion(prompt=form.instance, **columns)
        version.created_by = cast(Any, request.user)
        version.save()
        return version

    def _tell(self, request: HttpRequest, version: PromptVersion) -> None:
        live = version.prompt.live
        if live == version and IS_POPUP_VAR in request.POST:
            return  # the page behind would tell of it as its own
        if live == version:
            told = _("Saved as version %(number)d, which is live.") % {"number": version.number}
            self.message_user(request, told, messages.SUCCESS)
        else:
            self.message_user(request, told_of(version, live, may=may_publish(request)), messages.WARNING)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        shown, counts, missing, protected = super().get_deleted_objects(objs, request)
        # Versions cannot be deleted alone, which must not keep a prompt from being deleted with them.
        missing.discard(PromptVersion._meta.verbose_name)
        users = (user for prompt in objs for user in prompt.included_by() if user.prompt not in objs)
        return shown, counts, missing, [*protected, *map(str, users)]

    @admin.display(description=_("newest"), ordering="newest_number")
    def newest_version(self, prompt: Any) -> str:
        return f"v{prompt.newest_number}" if prompt.newest_number else "-"

    @admin.display(description=_("production"), ordering="live_number")
    def live_version(self, prompt: Any) -> str:
        return f"v{prompt.live_number}" if prompt.live_number else "-"

    @admin.display(description=_("text"))
    def text(self, prompt: Prompt) -> SafeString:
        """What is live, or else the newest, for those who may only look."""
        shown = prompt.live or prompt.newest
        return pretty(shown.text) if shown else SafeString("-")

    @admin.display(description=_("before you save"))
    def tools(self, prompt: Prompt) -> str:
        """What can be done with the text in the box, without saving it."""
        return render_to_string("lingstream/admin/prompts/tools.html", {"prompt": prompt})


def history(prompt: Prompt) -> dict[str, Any]:
    """Return what the list of versions on a prompt's page shows."""
    rows = list(
        prompt.versions.select_related("created_by").prefetch_related("labels", "tests")[: SHOWN_VERSIONS + 1]
    )
    older = [*rows[1:], None]
    entries = [Entry.of(row, before) for row, before in zip(rows, older, strict=True)][:SHOWN_VERSIONS]
    everything = f"{reverse('admin:lingstream_promptversion_changelist')}?prompt__id__exact={prompt.pk}"
    return {"entries": entries, "more": len(rows) > SHOWN_VERSIONS, "all_url": everything}


class Entry(NamedTuple):
    """A version in the list of a prompt's page, with the lines that differ from the version before."""

    version: PromptVersion
    labels: list[str]
    hunks: Hunks
    before: PromptVersion | None

    @classmethod
    def of(cls, version: PromptVersion, before: PromptVersion | None) -> Entry:
        """Return the entry of a version."""
        found = hunks(differences(before.text, version.text), SHOWN_LINES) if before else Hunks([])
        labels = [label.name for label in version.labels.all()]
        labels += [f"{label.name} {label.weight} %" for label in version.tests.all()]
        return cls(version, labels, found, before)

    @property
    def publish(self) -> SafeString:
        """The button that makes it live."""
        return publish_button(self.version)

    @property
    def live(self) -> bool:
        """Whether runs use it."""
        return LIVE in self.labels


@admin.register(PromptVersion)
class PromptVersionAdmin(ReadOnlyAdmin):
    """All versions; none of them can be changed or deleted."""

    list_display = ("__str__", "note", "created_by", "created_at", "label_names")
    list_filter = ("prompt", "created_at")
    list_select_related = ("prompt", "created_by")
    search_fields = ("prompt__slug", "text", "note")
    fields = ("prompt", "number", "note", "created_by", "created_at", "label_names", "messages", "shown_text")

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


def _use(request: HttpRequest, prompt: Prompt) -> dict[str, Any]:
    found = figures(prompt, tenant(request))
    return {
        "figures": found,
        "usage": usage(prompt, found),
        "days": DAYS,
        "most": MOST,
        "may_publish": may_publish(request),
    }
