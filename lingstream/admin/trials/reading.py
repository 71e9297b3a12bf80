"""What the panel asks for beside the frames of a trial: what its steps were told and said, and inputs to try.

All of it is JSON for staff who may change workflows or prompts. Trials of others, and inputs of runs that are
none, are for who may see runs; those of a private workflow for who may change workflows. Long texts are cut,
lists end: nothing here grows with what a model writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse
from django.utils.formats import date_format
from django.utils.timezone import localtime

from lingstream.access.identity import identify
from lingstream.execution.runner import latest_trace
from lingstream.execution.trials import repeat

from ...models import OPEN, QUIET, BotRun, Example, Run, Workflow
from ...models.fields import encode
from ...models.phrases import shown_error
from ..display import printable
from ..media import of_tenant, tenant
from ..private import withheld_from
from .panel import ACTS
from .trying import FormErrors, answered, json_input, remedy_json, told_start

__all__ = ["MOST_INPUTS", "again", "examples_of", "inputs", "keep_example", "trial"]

#: Inputs of real runs that are offered at once.
MOST_INPUTS = 50
_MOST_STEPS = 200
_LONGEST = 20_000  # characters of a text, and of the JSON of an input
_MOST_ITEMS = 200  # of a list
_MOST_EXAMPLES = 200


def trial(request: HttpRequest, run_id: UUID) -> HttpResponseBase:
    """Return how a trial goes: its errors in full, the steps that have ended, and those that are under way.

    With ``after`` there are of the former only those stored behind that one; ``last`` is the next ``after``.
    """
    run = _trial(request, run_id)
    after = request.GET.get("after", "")
    rows = run.bot_runs.filter(pk__gt=int(after[:18])) if after.isdecimal() else run.bot_runs.all()
    steps = list(rows.order_by("pk")[:_MOST_STEPS])
    return JsonResponse(
        {
            "status": run.status,
            "ended": run.ended,
            "usage": run.usage,
            "errors": [
                {**_cut(shown_error(each)), "remedy": remedy_json(each, request)}
                for each in run.errors[:_MOST_ITEMS]
            ],
            "created": _time(run.created_at),
            "finished": _time(run.finished_at),
            "steps": [_step(step) for step in steps],
            "going": list(_going(run)),
            "last": steps[-1].pk if steps else None,
        }
    )


@answered
def again(request: HttpRequest, run_id: UUID) -> HttpResponseBase:
    """Start a trial with another input and the plan of one that there is already."""
    run = _trial(request, run_id)
    if request.method != "POST":
        raise Http404
    if run.plan.get("acts") and not request.user.has_perm(ACTS):
        raise PermissionDenied
    return told_start(repeat(run, json_input(request), identify(request)))


def inputs(request: HttpRequest) -> HttpResponseBase:
    """Return inputs of real runs: of one (``run``), or of the last ``n`` of a workflow."""
    if not request.user.has_perm("lingstream.view_run"):
        raise PermissionDenied
    rows = _told(request, Run.objects.real()).only("pk", "input", "created_at")
    if name := request.GET.get("run"):
        try:
            found = rows.filter(pk=UUID(name))
        except ValueError:
            raise Http404 from None
    else:
        ended = rows.filter(workflow=request.GET.get("workflow", ""), finished_at__isnull=False)
        ended = ended.exclude(cause__in=QUIET)  # whose input is a conversation, for its title
        wanted = request.GET.get("n", "")
        found = ended.order_by("-finished_at")[
            : min(int(wanted[:4]), MOST_INPUTS) if wanted.isdecimal() else 20
        ]
    told = [
        {
            "run": str(run.pk),
            "title": date_format(localtime(run.created_at), "DATETIME_FORMAT"),
            "input": run.input,
        }
        for run in found
        if len(encode(run.input)) <= _LONGEST
    ]
    return JsonResponse({"inputs": told})


@answered
def keep_example(request: HttpRequest) -> HttpResponseBase:
    """Store an input as an example of a workflow: what was posted, or that of a stored run (``run``)."""
    if request.method != "POST":
        raise Http404
    if not request.user.has_perm("lingstream.add_example"):
        raise PermissionDenied
    workflow = Workflow.objects.filter(slug=request.POST.get("workflow", "")).first()
    if workflow is None:
        raise Http404
    input, scope = _to_keep(request)
    row = Example(workflow=workflow, scope=scope, name=request.POST.get("name", "").strip(), input=input)
    try:
        row.full_clean()
    except ValidationError as error:
        raise FormErrors(
            {"trial-name": [text for texts in error.message_dict.values() for text in texts]}
        ) from error
    row.save()
    return JsonResponse({"name": row.name, "input": row.input}, status=201)


def examples_of(request: HttpRequest, workflows: Sequence[str]) -> list[dict[str, Any]]:
    """Return the examples of workflows that who asks may see, as the panel offers them."""
    rows = of_tenant(request, Example.objects.filter(workflow__slug__in=workflows))
    rows = rows.exclude(workflow__slug__in=withheld_from(request.user)).select_related("workflow")
    return [
        {"workflow": row.workflow.slug, "name": row.name, "input": row.input} for row in rows[:_MOST_EXAMPLES]
    ]


def _to_keep(request: HttpRequest) -> tuple[Any, str]:
    """What is to be an example, and the tenant whose it will be."""
    if not (name := request.POST.get("run")):
        return json_input(request), tenant(request) or ""
    if not request.user.has_perm("lingstream.view_run"):
        raise PermissionDenied
    try:
        run = _told(request, Run.objects.all()).only("input", "scope").get(pk=UUID(name))
    except (ValueError, Run.DoesNotExist):
        raise Http404 from None
    return run.input, run.scope


def _trial(request: HttpRequest, run_id: UUID) -> Run:
    """A trial of who asks; for who may see runs also those of others whose input is not withheld."""
    user = request.user
    if not (user.has_perm(ACTS) or user.has_perm("lingstream.change_prompt")):
        raise PermissionDenied
    rows = of_tenant(request, Run.objects.filter(trial=True))
    seen = Q(owner=user.pk)
    if user.has_perm("lingstream.view_run"):
        seen |= ~Q(workflow__in=withheld_from(user))
    run = rows.filter(seen, pk=run_id).first()
    if run is None:
        raise Http404
    return run


def _told(request: HttpRequest, rows: QuerySet[Run]) -> QuerySet[Run]:
    """Those whose inputs who asks may see."""
    return of_tenant(request, rows).exclude(workflow__in=withheld_from(request.user))


def _step(row: BotRun) -> dict[str, Any]:
    return {
        "instance": row.instance,
        "kind": row.kind,
        "root": row.root,
        "status": row.status,
        "started": _time(row.started_at),
        "finished": _time(row.finished_at),
        "first": row.first_token,
        "messages": _cut(row.messages),
        "output": _cut(row.output),
        "reasoning": _cut(row.reasoning),
        "request": _cut(row.request),
        "result": _cut(row.result),
        "repairs": row.repairs[:_MOST_STEPS],
        "usage": row.usage,
        "finish": row.finish,
        "error": _cut(shown_error(row.error)),
        "provider": row.provider,
        "model": row.model,
        "params": row.params,
        "prompt": row.prompt_version,
    }


def _going(run: Run) -> Iterator[dict[str, Any]]:
    """The steps that have begun and not ended."""
    if run.started_at is None or run.status not in OPEN or run.epoch > 1:
        return  # of a later epoch nobody has written down when it began
    for entry in [each for each in latest_trace(run) if each["end"] is None][:_MOST_STEPS]:
        start, first = entry["start"], entry["first"]
        yield {
            "instance": entry["id"],
            "root": entry["root"],
            "started": _time(run.started_at + timedelta(seconds=start)),
            "first": None if first is None else first - start,
        }


def _time(moment: datetime | None) -> float | None:
    """Milliseconds, as JavaScript counts them."""
    return moment.timestamp() * 1000 if moment else None


def _cut(value: Any) -> Any:
    """``value`` with its texts as UTF-8 can have them, cut where they are long."""
    if isinstance(value, str):
        return printable(value if len(value) <= _LONGEST else value[:_LONGEST] + "…")
    if isinstance(value, dict):
        return {key: _cut(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_cut(each) for each in value[:_MOST_ITEMS]]
    return value
