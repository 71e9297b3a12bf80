"""The steps and triggers of a workflow's page, judged together before any of them is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from lingstream.core.engine.graph import Fault, Graph
from lingstream.core.engine.plan import Limits, TriggerPlan
from lingstream.core.engine.registry import registered

from ...access.identity import scope_of
from ...core.exceptions import LingError
from ...models import QUIET, BotRun, Run, Step, Trigger
from ...models.graphs import graph_faults
from ..media import Lines
from ..stale import LastingRows

__all__ = ["PENDING", "GraphFormSet", "GraphInline", "last_documents", "last_run"]

PENDING = "name:"  # a choice that names a step which this very save creates


class GraphFormSet(LastingRows):
    """The steps, or the triggers, of one page.

    Django validates one formset after the other, and by what its reader may see a page has both, one or none.
    They share the workflow; the first one judges the whole, as errors can still be added to the forms of the
    other.
    """

    request: HttpRequest | None = None
    warnings: Sequence[str] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._page: list[GraphFormSet] = vars(self.instance).setdefault("_formsets", [])
        self._page.append(self)

    def clean(self) -> None:
        super().clean()
        first, *others = self._page
        if self is not first or self.instance.slug in registered():
            return  # or a function decides what starts
        if any(self.errors) or not all(other.is_valid() for other in others):
            return  # what is wrong is told already
        self._judge()

    def kept(self) -> list[Any]:
        """The forms of rows that will be there after the save."""
        deleted = self.deleted_forms
        return [
            form for form in self.forms if form not in deleted and (form.instance.pk or form.has_changed())
        ]

    def _judge(self) -> None:
        rows, edges = self.drafted()
        limits = self.instance.limits if isinstance(self.instance.limits, dict) else {}  # not validated yet
        depth = limits.get("depth", Limits().depth)
        graph = Graph(tuple(row.to_node() for row in rows), tuple(edges), depth)
        documents = last_documents(self.request, self.instance.slug) if self.request else {}
        schema = self.instance.input_schema
        found = graph_faults(graph, documents, schema if isinstance(schema, dict) else {})
        self.warnings = [fault.message for fault in found if fault.level == "warning"]
        errors = [fault for fault in found if fault.level == "error"]
        if loose := [fault.message for fault in errors if not self._show(fault, graph)]:
            raise ValidationError(loose, code="graph")

    def _show(self, fault: Fault, graph: Graph) -> bool:
        """Put the fault where it can be mended; whether the page has such a form."""
        place = fault.trigger
        if fault.step:
            place = [node.name for node in graph.nodes].index(fault.step)
        formset = self._of(Step if fault.step else Trigger)
        if formset is None or place is None:
            return False
        form = formset.kept()[place]
        if form.instance.pk and not formset.may_change:
            return False  # it is shown as text, and without errors
        form.add_error(fault.field if fault.field in form.fields else None, fault.message)
        return True

    def drafted(self) -> tuple[list[Step], list[TriggerPlan]]:
        """Return steps and triggers as they will be; what the page does not show counts as it is stored."""
        workflow, steps, triggers = self.instance, self._of(Step), self._of(Trigger)
        if steps is not None:
            rows = [form.instance for form in steps.kept()]
        else:
            rows = list(workflow.steps.select_related("prompt")) if workflow.pk else []
        names = {str(row.pk): row.name for row in rows if row.pk}
        if triggers is not None:
            edges = [_edge(form, names) for form in triggers.kept()]
        else:
            stored = workflow.triggers.select_related("source", "target") if workflow.pk else ()
            edges = [row.to_plan(names[str(row.source_id)], names[str(row.target_id)]) for row in stored]
        return rows, edges

    def _of(self, model: type[Any]) -> GraphFormSet | None:
        return next((formset for formset in self._page if formset.model is model), None)


class GraphInline(Lines, admin.StackedInline):  # type: ignore[type-arg]
    """Steps, or triggers, which are judged together."""

    formset = GraphFormSet
    extra = 0

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        formset.request = request  # type: ignore[attr-defined]  # ours has it
        return formset


def _edge(form: Any, names: Mapping[str, str]) -> TriggerPlan:
    """A trigger as it will be: its ends may be steps that do not exist yet, or have another name so far."""
    ends = [str(form.cleaned_data[field]) for field in ("when_step", "start_step")]
    source, target = (
        end.removeprefix(PENDING) if end.startswith(PENDING) else names.get(end, "") for end in ends
    )
    plan: TriggerPlan = form.instance.to_plan(source, target)
    return plan


def last_documents(request: HttpRequest, slug: str) -> dict[str, Any]:
    """Return the last document of a workflow for each step that helped to write it, if one may see it."""
    run = last_run(request, slug)
    if run is None:
        return {}
    steps = BotRun.objects.filter(run=run, status=BotRun.Status.FINISHED).values_list("step", flat=True)
    return dict.fromkeys(steps, run.document)


def last_run(request: HttpRequest, slug: str) -> Run | None:
    """Return the last run of a workflow that has finished, with its document, if one may see it."""
    if not request.user.has_perm("lingstream.view_run"):
        return None
    try:
        scope = scope_of(request, request.user)
    except LingError:
        return None
    runs = Run.objects.real().filter(workflow=slug, status=Run.Status.FINISHED, finished_at__isnull=False)
    runs = runs.exclude(cause__in=QUIET)  # which have a plan and a document of their own
    if scope is not None:
        runs = runs.filter(scope=scope)
    return runs.order_by("-finished_at").only("document").first()
