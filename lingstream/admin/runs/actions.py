"""What staff do with runs: stop them, and run them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from lingstream.access.identity import Identity
from lingstream.core.engine.plan import Plan
from lingstream.core.engine.registry import declared
from lingstream.core.exceptions import LingError, UsageError
from lingstream.execution import ownership
from lingstream.execution.start import Start, begin

from ...models import OPEN, Run, Workflow
from ...models.phrases import translated
from ..remedies import remedy

__all__ = ["not_started", "run_again", "stop"]


def stop(runs: Iterable[Run]) -> int:
    """Ask for the end of those that have not ended, and that nobody has asked it of; return how many."""
    wanted = [run for run in runs if run.status in OPEN and run.cancel_requested_at is None]
    for run in wanted:
        ownership.request_cancel(run)
    return len(wanted)


def run_again(run: Run, user: Any, plan: Plan | None = None) -> Run:
    """Start another run with the input of one; it is the user's, of the same tenant, in no conversation.

    :param plan: with these prompts, models and steps, in place of today's.
    :raises LingError: it cannot be started, see :func:`~lingstream.start`.
    """
    if run.trial:
        raise UsageError(_("A trial is run again from the panel that it was started in."), code="trial")
    if declared(run.workflow).access == "code":
        raise UsageError(_("Only the site's own code starts this workflow."), code="access")
    if Workflow.objects.filter(slug=run.workflow, enabled=False).exists():
        raise UsageError(_("The workflow is switched off."), code="workflow-disabled")
    return begin(Start(run.workflow, run.input, plan=plan), Identity.of_site(user, scope=run.scope))


def not_started(error: LingError, reader: Any) -> SafeString:
    """Say why a run was not started, and what to do about it."""
    told = remedy(error.to_wire(), reader)
    return format_html("{}{}", translated(error.message), format_html(" {}", told.html) if told else "")
