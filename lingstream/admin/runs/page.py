"""The page of a run: commands, what it does while it runs, its steps as bars, what each was told and said."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from lingstream.conversations.downloads import download
from lingstream.core.engine.plan import Plan
from lingstream.core.exceptions import LingError
from lingstream.core.wire.frames import frame_to_wire
from lingstream.core.wire.json import dumps
from lingstream.execution.recordings import recording_of
from lingstream.execution.storage import plan_of
from lingstream.providers.recorded import Recording, played
from lingstream.transports.stream import streamed

from ...models import OPEN, BotRun, PromptVersion, Run, Workflow
from ..drawn.graph import run_drawing
from ..media import ScopedAdmin
from .actions import not_started, run_again, stop
from .course import Course
from .naming import may_name, nameable, named_plan

__all__ = ["RunPage"]

_SPEED = 10.0  # at which the page plays


class RunPage(ScopedAdmin):
    """What the page has beside its fields. Each view finds the run among those that its reader may see."""

    change_form_template = "lingstream/admin/runs/run.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/steps/", view(self.steps_view), name="lingstream_run_steps"),
            path("<path:object_id>/stop/", view(self.stop_view), name="lingstream_run_stop"),
            path("<path:object_id>/again/<str:plan>/", view(self.again_view), name="lingstream_run_again"),
            path("<path:object_id>/example/", view(self.example_view), name="lingstream_run_example"),
            path("<path:object_id>/play/", view(self.play_view), name="lingstream_run_play"),
            path("<path:object_id>/recording/", view(self.recording_view), name="lingstream_run_recording"),
            *super().get_urls(),
        ]

    def steps_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send its steps as they are now, for its page: the texts of those stored behind ``after``."""
        after = request.GET.get("after", "")
        course = Course(self._run(request, object_id), int(after[:18]) if after.isdecimal() else 0)
        return render(request, "lingstream/admin/runs/steps.html", course.context)

    @method_decorator(require_POST)
    def stop_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stop the run."""
        run = self._run(request, object_id)
        if not request.user.has_perm("lingstream.cancel_run"):
            raise PermissionDenied
        text = _("The run is being stopped.") if stop([run]) else _("The run has ended, or is being stopped.")
        self.message_user(request, text)
        return _to(run)

    @method_decorator(require_POST)
    def again_view(self, request: HttpRequest, object_id: str, plan: str) -> HttpResponse:
        """Run it again, and show that run."""
        run = self._run(request, object_id)
        if not request.user.has_perm("lingstream.start_workflow"):
            raise PermissionDenied
        if plan == "named" and not may_name(request.user):
            raise PermissionDenied
        if plan not in ("same", "today", "named"):
            raise Http404
        try:
            again = run_again(run, request.user, self._plan(request, run, plan))
        except LingError as error:
            self.message_user(request, not_started(error, request.user), messages.ERROR)
            return _to(run)
        self.message_user(request, _("This is the new run, with the same input."))
        return _to(again)

    @method_decorator(require_POST)
    def example_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Keep what was asked as an example of its workflow, under the run's name."""
        run: Any = self._run(request, object_id)
        workflow = Workflow.objects.filter(slug=run.workflow).first()
        if run.withheld or not request.user.has_perm("lingstream.add_example"):
            raise PermissionDenied
        if workflow is None:
            raise Http404
        told = _("What was asked is an example of %(workflow)s already: %(name)s.")
        example, made = workflow.examples.get_or_create(
            scope=run.scope, name=f"run {str(run.pk)[:8]}", defaults={"input": run.input}
        )
        if made:
            told = _("What was asked is kept as an example of %(workflow)s: %(name)s.")
        self.message_user(request, told % {"workflow": workflow, "name": example.name})
        return _to(run)

    @method_decorator(require_POST)
    def play_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Send the frames of a run that has ended as JSON lines, ten times as fast as they came."""
        run = self._run(request, object_id)
        if not _plays(run):
            raise Http404
        response = streamed(request, _frames(recording_of(run)), "application/jsonl")
        response["Cache-Control"] = "private, no-store"
        return response

    def recording_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Send its recording as a file; that has what was asked, and prompts."""
        run: Any = self._run(request, object_id)
        if run.withheld or not request.user.has_perm("lingstream.view_promptversion"):
            raise PermissionDenied
        pieces = (f"{line}\n".encode() for line in recording_of(run).lines())
        return download(request, pieces, "application/jsonl", f"{run.workflow}-{str(run.pk)[:8]}.jsonl")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        run = context.get("original")
        more = self._context(request, run) if isinstance(run, Run) else {}
        return super().render_change_form(request, {**context, **more}, *args, **kwargs)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Refuse runs that have not ended, as rows are refused that others protect."""
        shown, counts, lacking, protected = super().get_deleted_objects(objs, request)
        running = [run for run in objs if run.status in OPEN]
        told = [_("%(run)s has not ended: stop it first") % {"run": run} for run in running]
        return shown, counts, lacking, [*protected, *told]

    def _plan(self, request: HttpRequest, run: Run, plan: str) -> Plan | None:
        """The plan to run it again with; ``None``: today's."""
        if plan == "same":
            return plan_of(run)
        return named_plan(run, request.user, request.POST.dict()) if plan == "named" else None

    def _run(self, request: HttpRequest, object_id: str) -> Run:
        run = self.get_object(request, unquote(object_id))
        if run is None:
            raise Http404
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        return run  # type: ignore[no-any-return]

    def _context(self, request: HttpRequest, run: Any) -> dict[str, Any]:
        course = Course(run)
        rows = course.rows
        workflow = Workflow.objects.filter(slug=run.workflow).first()
        user = request.user
        edits = user.has_perm("lingstream.change_workflow")
        sees = edits or user.has_perm("lingstream.view_workflow")
        told = {row.prompt_version.rpartition(" v")[0] for row in rows if row.prompt_version}
        return {
            **course.context,
            "may_play": _plays(run),
            "workflow": workflow if sees else None,
            "may_try": workflow is not None and edits,
            "may_keep": workflow is not None and not run.withheld and user.has_perm("lingstream.add_example"),
            "may_stop": run.status in OPEN and user.has_perm("lingstream.cancel_run"),
            "may_save": not run.withheld and user.has_perm("lingstream.view_promptversion"),
            "may_start": not run.trial and user.has_perm("lingstream.start_workflow"),
            "nameable": nameable(run, workflow, told, user),
            "drawing": run_drawing(run, course.bars, planned=sees),
            "prompts": _prompts(rows) if user.has_perm("lingstream.view_promptversion") else [],
        }


async def _frames(recording: Recording) -> AsyncGenerator[bytes, None]:
    name = recording.run["name"]
    async with aclosing(played(recording, speed=_SPEED)) as batches:
        async for batch in batches:
            yield b"".join(dumps(frame_to_wire(name, frame)) + b"\n" for frame in batch)


def _plays(run: Run) -> bool:
    """Whether it can be played: not while it goes on, and not what a function in Python has done."""
    return run.status not in OPEN and not run.plan.get("python")


def _to(run: Run) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:lingstream_run_change", args=[run.pk]))


def _prompts(rows: Sequence[BotRun]) -> list[PromptVersion]:
    """The versions of prompts that its bots were told, as their rows name them (``details v3``)."""
    named = {row.prompt_version.rpartition(" v")[::2] for row in rows if row.prompt_version}
    numbers = {int(number) for _slug, number in named if number.isdecimal()}
    found: QuerySet[PromptVersion] = (
        PromptVersion.objects.select_related("prompt")
        .defer("text")
        .filter(prompt__slug__in={slug for slug, _number in named}, number__in=numbers)
    )
    return [each for each in found if (each.prompt.slug, str(each.number)) in named]
