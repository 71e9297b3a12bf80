"""Try it, on a workflow's page; and the addresses that the panels of all pages share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.http import HttpRequest
from django.urls import path, reverse
from django.utils.translation import gettext as _

from lingstream.core.engine.plan import Plan, TriggerPlan
from lingstream.execution.plans import draft_plan, version_plan

from ...core.exceptions import UsageError
from ...models import Step, Workflow
from ..trials import reading
from ..trials.trying import Trying, filled, published, saved
from .graphs import GraphFormSet
from .versions import VersionedAdmin, may_publish

__all__ = ["TryingWorkflows"]

_STORED = {"saved": saved, "published": published}
_MOST_VERSIONS = 50


class TryingWorkflows(Trying, VersionedAdmin):
    """The panel of a workflow's page: it tries what is in the form, what is saved, or any version.

    What went well becomes the draft or is published from there, by the page of versions.
    """

    def draft(self, request: HttpRequest, row: Workflow | None) -> Plan:
        """See :meth:`Trying.draft`; what is stored already is judged as it is."""
        name = request.POST.get("trial-version", "")
        if not (name in _STORED or name.isdecimal()):
            return self._drafted(request, row)
        if row is None:
            raise UsageError(_("This workflow has not been saved yet."))
        return _STORED[name](row) if name in _STORED else _of_version(row, name)

    def trial_context(self, request: HttpRequest, row: Workflow | None) -> dict[str, Any]:
        """See :meth:`Trying.trial_context`."""
        versions = [("", _("what is in the form"))]
        if row is not None:
            versions.append(("saved", _("as it is saved")))
        if row is not None and row.published:
            told = _("as it is published: v%(number)d") % {"number": row.published.number}
            versions.append(("published", told))
        if row is not None:
            live = row.published.number if row.published else 0
            older = row.versions.exclude(number=live).values_list("number", "note")[:_MOST_VERSIONS]
            versions += [(str(number), f"v{number} {note}".strip()) for number, note in older]
        return {
            "start": reverse("admin:lingstream_workflow_trial", args=[row.pk if row else "add"]),
            "workflow": row.slug if row else "",
            "versions": versions,
            "beside": ("published" if row.published else "saved") if row else "",
            "publish": reverse("admin:lingstream_workflow_versions", args=[row.pk]) if row else "",
            "published": row.published.number if row and row.published else 0,
            "differs": bool(row and row.differs),
            "may": {
                "publish": may_publish(request),
                "rewrite": bool(row and self.may_rewrite(request, row)),
            },
            "examples": reading.examples_of(request, [row.slug] if row else []),
            "steps": True,
        }

    def get_urls(self) -> list[Any]:
        """Add the addresses at which panels read and repeat trials, whatever page they stand on."""
        view = self.admin_site.admin_view
        return [
            path("trials/inputs/", view(reading.inputs), name="lingstream_trial_inputs"),
            path("trials/examples/", view(reading.keep_example), name="lingstream_trial_examples"),
            path("trials/<uuid:run_id>/", view(reading.trial), name="lingstream_trial"),
            path("trials/<uuid:run_id>/again/", view(reading.again), name="lingstream_trial_again"),
            *super().get_urls(),
        ]

    def _drafted(self, request: HttpRequest, workflow: Workflow | None) -> Plan:
        """The plan that the posted form amounts to; it has passed the same clean as a save."""
        form, formsets = filled(self, request, workflow)
        draft: Workflow = form.instance
        steps, triggers = _rows(draft, formsets)
        return replace(draft_plan(draft, steps, triggers), input_schema=draft.input_schema)


def _of_version(workflow: Workflow, number: str) -> Plan:
    version = workflow.versions.filter(number=int(number[:9])).first()
    if version is None:
        raise UsageError(_("There is no version %(number)s.") % {"number": number[:20]})
    return version_plan(workflow, version)


def _rows(draft: Workflow, formsets: Sequence[Any]) -> tuple[list[Step], list[TriggerPlan]]:
    """The steps and the triggers in their order, from the first formset that knows all of the page's."""
    page = next((each for each in formsets if isinstance(each, GraphFormSet)), None)
    if page is not None:
        steps, triggers = page.drafted()
        return sorted(steps, key=lambda step: step.position), triggers
    rows = draft.triggers.select_related("source", "target") if draft.pk else ()
    return list(draft.steps.all()) if draft.pk else [], [row.to_plan() for row in rows]
