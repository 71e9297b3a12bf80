"""What is chosen on a list as a document that can be imported: for who may see what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from lingstream.execution.export.texts import written
from lingstream.execution.export.writing import export_document

from ..core.exceptions import LingError
from ..models import Prompt, Provider, Workflow
from ..models.phrases import translated
from .media import tenant
from .private import withheld_from

__all__ = ["MODELS", "PARTS", "Exporting", "lacking", "name_of", "to_see", "told_of"]

MODELS: Mapping[str, type[models.Model]] = {"providers": Provider, "prompts": Prompt, "workflows": Workflow}
#: What a section holds beside rows of its own: to change one is to add, change and delete these. Examples are
#: asked for by themselves: an export goes without, and an import takes none away.
PARTS: Mapping[str, tuple[str, ...]] = {"workflows": ("step", "trigger", "chat", "occasion")}
_TYPES = {"json": "application/json", "yaml": "application/yaml"}


class Exporting(admin.ModelAdmin):  # type: ignore[type-arg]
    """Actions of a list, which export the chosen rows with what they need.

    :cvar section: of documents, which the rows of the list are.
    """

    section: ClassVar[str]
    actions = ("export_json", "export_yaml")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """As Django's; *Import* is for who may change rows, too."""
        more = {"has_change_permission": self.has_change_permission(request)}
        return super().changelist_view(request, {**more, **(extra_context or {})})

    @admin.action(description=gettext_lazy("Export as JSON"), permissions=["view"])
    def export_json(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> HttpResponse | None:
        return self._export(request, queryset, "json")

    @admin.action(description=gettext_lazy("Export as YAML"), permissions=["view"])
    def export_yaml(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> HttpResponse | None:
        return self._export(request, queryset, "yaml")

    def _export(
        self, request: HttpRequest, queryset: models.QuerySet[Any], format: str
    ) -> HttpResponse | None:
        """The chosen rows, and of what they need what one may see."""
        if missing := lacking(request, to_see([self.section])):
            messages.error(request, told_of(missing))
            return None
        sections = [name for name in MODELS if not lacking(request, to_see([name]))]
        slugs = list(queryset.values_list("slug", flat=True))
        sees = request.user.has_perm("lingstream.view_example")
        try:
            found = export_document(
                slugs if self.section == "workflows" else (),
                prompts=slugs if self.section == "prompts" else (),
                sections=[*sections, "collections"],
                scope=(tenant(request) or "") if sees else None,
                withheld=withheld_from(request.user),
            )
            text = written(found, format)
        except LingError as error:
            messages.error(request, translated(error.message))
            return None
        name = slugs[0] if len(slugs) == 1 else self.section
        disposition = {"Content-Disposition": f'attachment; filename="{name}.{format}"'}
        return HttpResponse(text, content_type=f"{_TYPES[format]}; charset=utf-8", headers=disposition)


def to_see(sections: Iterable[str]) -> set[str]:
    """Return the permissions to see all that these sections hold."""
    names = (name for section in sections for name in (name_of(section), *PARTS.get(section, ())))
    return {f"view_{name}" for name in names}


def lacking(request: HttpRequest, names: Iterable[str]) -> list[str]:
    """Return which permissions who asks does not have."""
    return [name for name in sorted(names) if not request.user.has_perm(f"lingstream.{name}")]


def name_of(section: str) -> str:
    """Return the name of the model of a section."""
    return str(MODELS[section]._meta.model_name)


def told_of(missing: list[str]) -> str:
    """Return what is said of permissions that are lacking."""
    return _("You need the permissions %s.") % ", ".join(missing)
