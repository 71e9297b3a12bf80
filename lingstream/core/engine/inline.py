"""The kind ``workflow``: a step that executes another workflow inside the run, below its root.

Inside, uris and names are those of the inner workflow alone; outside, all that it writes is the step's. The
journal knows no difference: inner steps are stored and played back as others are, the step itself is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Protocol

from lingstream.core.document import jsonuri
from lingstream.core.exceptions import LimitExceeded, LingError, UsageError
from lingstream.core.log.frames import FrameId, Kind
from lingstream.core.log.state import RunState
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Usage

from .calls import within
from .epoch import Frames
from .events import FIELD_EVENTS, REPLACED, Field
from .inputs import check_input
from .journal import Call
from .kinds import Said, StepCall, StepKind, register_kind, withheld
from .place import Place
from .plan import Plan, StepPlan
from .step import StepHost, StepRun

__all__ = ["InlineHost", "InlineStep", "Inner", "InnerLog", "inner_workflows"]


class WorkflowKind(StepKind):
    """Executes another workflow; the engine does it (:class:`InlineStep`): no other kind has steps inside."""

    kind = "workflow"
    title = "Another workflow, inside"
    pure = True
    options_schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["workflow"],
        "properties": {
            "workflow": {
                "type": "string",
                "title": "Workflow",
                "description": "The slug of what is executed inside; who may start it is not asked.",
                "minLength": 1,
                "maxLength": 100,
                "x-template": "none",
            }
        },
    }

    def run(self, call: StepCall) -> AsyncIterator[Said]:
        """See :meth:`StepKind.run`: there is nothing to say, as the steps inside say it."""
        raise UsageError(Phrase("a workflow inside another one is executed by the engine"))


register_kind(WorkflowKind())


def inner_workflows(steps: Iterable[StepPlan]) -> list[str]:
    """Return the slugs of the workflows that ``steps`` execute inside, in their order and each once."""
    slugs = [step.options.get("workflow") for step in steps if step.kind == WorkflowKind.kind]
    return [slug for slug in dict.fromkeys(slugs) if isinstance(slug, str)]


class Inner(Protocol):
    """A run of the inner workflow."""

    error: LingError | None

    @property
    def steps(self) -> Sequence[StepRun]:
        """Its step runs so far."""
        ...

    @property
    def document(self) -> Any:
        """What it has written, without the uri below which the step writes it."""
        ...

    @property
    def usage(self) -> Usage:
        """Tokens of all its steps so far."""
        ...

    @property
    def replaying(self) -> bool:
        """Whether something in it still plays back what it said before a crash."""
        ...

    async def perform(self) -> str:
        """Do its work; return its status."""
        ...


class InlineHost(StepHost, Protocol):
    """What the step needs of its run beside what others do."""

    place: Place

    async def workflow(self, slug: str) -> Plan:
        """Return the plan of a workflow that is executed inside.

        :raises UsageError: there is none.
        """
        ...

    def inside(self, plan: Plan, input: Any, log: Frames, step: InlineStep) -> Inner:
        """Make a run of it."""
        ...


class InnerLog:
    """The log of the inner run: its own document, and frames of the outer run for what becomes of it."""

    def __init__(self, step: InlineStep) -> None:
        self._step = step
        self.state: RunState

    async def open(self, epoch: int, snapshot: dict[str, Any]) -> None:
        """See :meth:`RunLog.open`: the outer log is opened by whoever calls somebody."""
        self.state = RunState(snapshot)

    def write(self, epoch: int, kind: Kind, body: Any) -> FrameId:
        """See :meth:`RunLog.write`."""
        self.state.apply(kind, body)
        self._step.forward(kind, body)
        return FrameId(epoch, 0)

    async def flush(self) -> None:
        """See :meth:`RunLog.flush`."""
        await self._step.flush()


class InlineStep(StepRun):
    """One execution of a step of the kind ``workflow``; its arguments are those of :class:`StepRun`."""

    def __init__(
        self, host: InlineHost, plan: StepPlan, instance: str, root: str = "", depth: int = 0
    ) -> None:
        self._inner: Inner | None = None
        self._asking = False  # for the plan, or whether the input fits it
        super().__init__(host, plan, instance, root, depth)
        self._outer = host

    @property
    def value(self) -> Any:
        """See :attr:`StepRun.value`."""
        return self._inner.document if self._inner else None

    @property
    def usage(self) -> Usage:
        """See :attr:`StepRun.usage`."""
        return self._inner.usage if self._inner else Usage()

    @property
    def replaying(self) -> bool:
        """Until it has begun, and as long as something inside is."""
        if self._inner:
            return self._inner.replaying
        return self.status == "running" and not self._asking

    @replaying.setter
    def replaying(self, value: bool) -> None:
        """What is inside decides."""

    def forward(self, kind: Kind, body: Any) -> None:
        """Write what the inner run writes."""
        if kind == "ops":
            self._frames.write([op._replace(uri=jsonuri.concat(self.root, op.uri)) for op in body], self.root)
        elif kind == "event":
            self._frames.forward(body)
        elif kind == "error" and "bot" in body:
            self._outer.write("error", body)  # an error of the inner run as a whole is this step's

    def hear(self, event: str, field: Field) -> None:
        """Something inside has settled, or (with an event) is told of: so it is here."""
        field = field._replace(uri=jsonuri.concat(self.root, field.uri))
        if not event:
            self._settle(field)
        elif event in (*FIELD_EVENTS, REPLACED):
            self._emit(event, field)

    async def flush(self) -> None:
        """Return when the outer log holds everything that was written."""
        await self._outer.flush()

    async def _answer(self, call: Call) -> None:
        slug = call.options["workflow"]
        self._asking = True
        plan = await self._outer.workflow(slug)
        if plan.python and not self._outer.acts:
            self.writer.take(withheld(call))  # nobody can hold back what its function does
            return
        if plan.input_schema:
            await asyncio.to_thread(check_input, plan.input_schema, call.input)
        inner = self._inner = self._outer.inside(plan, call.input, InnerLog(self), self)
        status = await within(self.plan.timeout, self.id, inner.perform())
        if isinstance(inner.error, LimitExceeded):
            raise inner.error  # it is a limit of the whole run
        if status == "failed":
            raise _error_of(inner)
        if status == "canceled":  # by its own function
            raise LingError(Phrase("the workflow %(slug)r stopped itself", slug=slug), code="canceled")


def _error_of(inner: Inner) -> LingError:
    found = (step.error for step in inner.steps if step.error and not step.plan.optional)
    return inner.error or next(found)
