"""What the step runs of a run did and when, of all kinds: also of those that the journal does not keep."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from .plan import BotPlan

if TYPE_CHECKING:
    from .step import StepRun

__all__ = ["CAUSE", "Cause", "Origin", "Times", "trace_of"]

_MOMENTS = {"step_started": "began", "first_chunk": "answered", "step_ended": "ended"}
_MOST = 1_000  # step runs of one run; those that began after them are left out


class Origin(NamedTuple):
    """What a step run was started by.

    :param source: the instance of the step whose event did it, or inside which it is; ``""``: the run itself.
    :param event: that event, or ``""``.
    """

    source: str = ""
    event: str = ""


class Cause:
    """What a function in Python is at work on: an event of a step run; ``over``: no longer."""

    __slots__ = ("event", "over", "step")

    def __init__(self, step: object, event: str) -> None:
        self.step = step
        self.event = event
        self.over = False


#: Of the field that a function is in the loop of, or whose callback it is.
CAUSE: ContextVar[Cause | None] = ContextVar("cause", default=None)


class Times:
    """When a step run began, said something first, and ended, in the time of the event loop."""

    __slots__ = ("answered", "began", "ended")

    def __init__(self) -> None:
        self.began: float | None = None
        self.answered: float | None = None
        self.ended: float | None = None

    def mark(self, event: str) -> None:
        """Note when it happened that observers are told of; what is played back says nothing first."""
        if name := _MOMENTS.get(event):
            setattr(self, name, asyncio.get_running_loop().time())

    @property
    def first(self) -> float | None:
        """Seconds from its beginning until it said something."""
        return None if self.answered is None or self.began is None else self.answered - self.began


def trace_of(begun: Iterable[tuple[str, StepRun]], since: float) -> tuple[dict[str, Any], ...]:
    """Return an entry for each step run, in the order of their beginning.

    ``source`` and ``event`` say what started it (:class:`Origin`); ``start``, ``first`` (it said
    something) and ``end`` are seconds since the execution began, ``None`` where that did not happen here.

    :param begun: step runs with the absolute uris below which they write.
    :param since: when the execution began, in the time of the event loop.
    """
    entries = list[dict[str, Any]]()
    for root, step in begun:
        if len(entries) == _MOST:
            break
        times = step.times
        start = times.ended if times.began is None else times.began  # one whose templates fail never begins
        if start is not None:
            entries.append(_entry(root, step, start, since))
    return tuple(entries)


def _entry(root: str, step: StepRun, start: float, since: float) -> dict[str, Any]:
    def at(moment: float | None) -> float | None:
        return None if moment is None else round(max(moment - since, 0.0), 4)

    entry: dict[str, Any] = {
        "id": step.id,
        "kind": step.plan.kind,
        "root": root,
        "status": step.status,
        "source": step.origin.source,
        "event": step.origin.event,
        "start": at(start),
        "first": at(step.times.answered),
        "end": at(step.times.ended),
        "repairs": len(step.writer.output.repairs),
    }
    if isinstance(step.plan, BotPlan):
        usage = [step.usage.prompt_tokens, step.usage.completion_tokens]
        entry |= {"provider": step.plan.provider.name, "model": step.plan.model, "tokens": usage}
    return entry
