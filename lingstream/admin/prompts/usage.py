"""Who uses a prompt: steps of workflows, functions in Python by these, other prompts, conversations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lingstream.core.engine.registry import registered

from ...models import QUIET, Prompt, PromptVersion, PublishedStep, Run, Step
from .figures import Figures

__all__ = ["Usage", "Use", "usage"]

_MOST = 100  # steps


class Use(NamedTuple):
    """A step that has the prompt, in the draft of its workflow or as it is published.

    :param asks: for which label, or for which version.
    :param state: ``draft`` or ``published`` where the two differ, else ``""``.
    :param function: which takes the step from its row (``run.bot(step=…)``); ``""`` without one.
    """

    step: Step | PublishedStep
    asks: str
    state: str
    function: str

    @classmethod
    def of(cls, step: Step | PublishedStep, state: str) -> Use:
        """Return the use of a step."""
        function: Any = registered().get(step.workflow.slug)
        path = f"{function.__module__}.{function.__qualname__}" if function else ""
        return cls(step, _asks(step), state, path)


class Usage(NamedTuple):
    """Who uses a prompt.

    :param other: workflows whose latest runs used it, and that have no such step now.
    :param writes: what it writes for conversations.
    """

    steps: list[Use]
    prompts: list[PromptVersion]
    other: list[str]
    writes: str

    def __bool__(self) -> bool:
        return any(self)


def usage(prompt: Prompt, found: Sequence[Figures]) -> Usage:
    """Return who uses a prompt.

    :param found: its figures, as the runs that there were tell of what no row says.
    """
    steps = _steps(prompt)
    known = {use.step.workflow.slug for use in steps}
    ran = {slug for each in found for slug in each.workflows}
    return Usage(steps, prompt.included_by(), sorted(ran - known), _written_by(prompt.slug))


def _steps(prompt: Prompt) -> list[Use]:
    """Those of drafts and those that are published; once where it is the same."""
    drafts, published = (
        {(row.workflow.slug, row.name, _asks(row)): row for row in rows.select_related("workflow")[:_MOST]}
        for rows in (prompt.steps.order_by("pk"), prompt.published_steps.order_by("pk"))
    )
    found = []
    for key in sorted(drafts.keys() | published.keys()):
        step = published.get(key) or drafts[key]
        both = (key in published and key in drafts) or not step.workflow.published_id
        found.append(Use.of(step, "" if both else "published" if key in published else "draft"))
    return found


def _asks(step: Step | PublishedStep) -> str:
    return f"v{step.pinned}" if step.pinned else step.label


def _written_by(slug: str) -> str:
    return next((str(Run.Cause(cause).label) for cause in QUIET if slug == f"chat-{cause}"), "")
