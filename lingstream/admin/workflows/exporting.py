"""Export and import on the list of workflows: who may see, and who may change, what a document holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from lingstream.execution.export.applying import Change, Imported, import_document
from lingstream.execution.export.reading import MAX_SIZE, read_document
from lingstream.execution.export.texts import written

from ...core.exceptions import LingError
from ..differences import differences, hunks
from ..documents import MODELS, PARTS, Exporting, lacking, name_of, to_see
from ..media import tenant
from .versions import may_publish

__all__ = ["ExportingAdmin"]


class DocumentForm(forms.Form):
    """A document, as a file or as it is pasted."""

    file = forms.FileField(label=gettext_lazy("File"), required=False)
    text = forms.CharField(
        label=gettext_lazy("or its text"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 12, "class": "ling-code", "spellcheck": "false"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        try:
            cleaned["document"] = read_document(self._text(cleaned))
        except LingError as error:
            raise ValidationError(error.message) from error
        return cleaned

    def _text(self, cleaned: Mapping[str, Any]) -> str:
        file = cleaned.get("file")
        if file is None:
            return str(cleaned.get("text", ""))
        if file.size > 4 * MAX_SIZE:
            raise ValidationError(_("Expected a file of up to %d bytes.") % (4 * MAX_SIZE))
        try:
            return str(file.read().decode())
        except UnicodeDecodeError:
            raise ValidationError(_("Expected a text in UTF-8.")) from None


class ExportingAdmin(Exporting):
    """The part of the workflows' admin that exports and imports."""

    section = "workflows"

    def get_urls(self) -> list[URLPattern]:
        """Add the page of imports."""
        view = self.admin_site.admin_view(self.import_view)
        return [path("import/", view, name="lingstream_workflow_import"), *super().get_urls()]

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a document would change; posted again as it was, change it."""
        changes = (f"{verb}_{model}" for model in ("workflow", "prompt") for verb in ("add", "change"))
        if not any(request.user.has_perm(f"lingstream.{name}") for name in changes):
            raise PermissionDenied
        form = DocumentForm(request.POST or None, request.FILES or None)
        found, missing = None, list[str]()
        if form.is_valid():
            document, is_meant = form.cleaned_data["document"], "_import" in request.POST
            found, missing = self._import(request, form, document, dry_run=not is_meant)
            if is_meant and found and not (found.problems or missing):
                return self._done(request, found)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Import"),
            "opts": self.opts,
            "media": self.media,
            "form": form,
            "found": found,
            "shown": _shown(found.changes) if found and not missing else [],
            "missing": missing,
            "publishes": may_publish(request),
            "document": written(form.cleaned_data["document"], "json") if found else "",
        }
        return TemplateResponse(request, "lingstream/admin/workflows/import.html", context)

    def _import(
        self, request: HttpRequest, form: DocumentForm, document: Any, *, dry_run: bool
    ) -> tuple[Imported | None, list[str]]:
        """What a document changes, and the permissions that it takes and who asks does not have."""
        sections = [name for name in MODELS if isinstance(document, dict) and document.get(name)]
        examples = {f"{verb}_example" for verb in ("view", "add", "change") if _has_examples(document)}
        if missing := lacking(request, to_see(sections) | examples):
            return Imported(), missing  # what differs would show what is there
        try:
            with transaction.atomic():
                publish = may_publish(request)
                found = import_document(
                    document,
                    by=request.user,
                    publish=publish,
                    dry_run=dry_run,
                    scope=tenant(request) or "",
                )
                if missing := lacking(request, _to_change(found.changes)):
                    transaction.set_rollback(True)
        except LingError as error:
            form.add_error(None, error.message)
            return None, []
        return found, missing

    def _done(self, request: HttpRequest, found: Imported) -> HttpResponse:
        changed = [change for change in found.changes if change.action != "unchanged"]
        for change in changed:
            column = "name" if change.section == "providers" else "slug"
            row = MODELS[change.section]._default_manager.get(**{column: change.name})
            self.log_change(request, row, _("Imported"))
        messages.success(request, _("Imported: %d changed.") % len(changed))
        for name in found.missing:
            messages.warning(request, _("There is no collection “%s”, which steps ask for.") % name)
        sees = request.user.has_perm("lingstream.view_workflow")
        return redirect(f"admin:lingstream_{'workflow' if sees else 'prompt'}_changelist")


def _shown(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """What changes, each with what differs, before what stays; of what is new, all of it."""
    return [
        {
            "change": change,
            "kind": MODELS[change.section]._meta.verbose_name,
            "hunks": hunks(differences(change.before, change.after)),
        }
        for change in sorted(changes, key=lambda change: change.action == "unchanged")
    ]


def _to_change(changes: Iterable[Change]) -> set[str]:
    needed: set[str] = set()
    for change in changes:
        if change.action != "unchanged":
            needed.add(f"{'add' if change.action == 'created' else 'change'}_{name_of(change.section)}")
            parts = PARTS.get(change.section, ())
            needed |= {f"{verb}_{part}" for part in parts for verb in ("add", "change", "delete")}
            needed |= {"publish_prompt"} if change.section == "prompts" else set()
    return needed


def _has_examples(document: Any) -> bool:
    """Whether a document, which may be anything so far, has examples of some workflow."""
    workflows = document.get("workflows") if isinstance(document, dict) else None
    entries = workflows.values() if isinstance(workflows, dict) else ()
    return any(isinstance(entry, dict) and entry.get("examples") for entry in entries)
