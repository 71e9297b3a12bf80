"""A run: executes a plan, or a workflow written in Python, as one task group.

There is no polling: steps call their observers as fields settle, a trigger that matches starts the next step
at once, and the group ends when nothing is left to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.document.canonical import crc32
from lingstream.core.exceptions import Fenced, LingError
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Message

from .authoring import Authoring
from .bot import Bot, Deferred
from .epoch import Frames
from .host import RunResult
from .inline import InlineStep
from .plan import BotPlan, Plan, StepPlan
from .registry import function_of
from .step import StepRun
from .trace import CAUSE, Origin, trace_of

__all__ = ["Run", "RunResult", "done_body"]

logger = logging.getLogger("lingstream")


class Run(Authoring):
    """One execution of a workflow: what a function gets, and what :meth:`execute` drives.

    Its arguments are those of :class:`Host`.
    """

    _began = 0.0  # in the time of the event loop

    @property
    def trace(self) -> tuple[dict[str, Any], ...]:
        """Its step runs so far, in the order of their beginning; see :func:`.trace.trace_of`."""
        return trace_of(self.place.begun, self._began)

    async def execute(self) -> RunResult:
        """Do the work from the opening snapshot to ``done``.

        :raises Fenced: another runner has taken the run; nothing more was written.
        :raises CancelledError: the task was cancelled from outside; the log stays open for a later epoch.
        """
        self.observers.tell("run_started", self.info)
        self._began = asyncio.get_running_loop().time()
        if self.epoch == 1:
            await self.ready()
        await self._work.run(self._begin)
        await self.ready()  # where every bot has been replayed, this is when the epoch opens
        result = self._result()._replace(trace=self.trace)
        await self.flush()
        await self._store(result)
        self.observers.tell("run_ended", self.info, result.status)
        self.write("done", done_body(result.status, result.usage.to_wire(), result.document))
        await self.flush()
        return result

    async def perform(self) -> str:
        """Do the work and no more, as what is executed inside another run does; return the status."""
        await self._log.open(lambda: False)
        await self._work.run(self._begin)
        return self._result().status

    def new_step(
        self,
        plan: StepPlan,
        instance: str,
        root: str,
        depth: int | None = None,
        told: Sequence[Message] | Deferred = (),
    ) -> StepRun:
        """See :meth:`Host.new_step`."""
        plan, depth = self.place.plan(plan), self.place.depth if depth is None else depth
        self.meter.begin(plan, depth)
        if isinstance(plan, BotPlan):
            step: StepRun = Bot(self, plan, instance, root, told, depth)
        elif plan.kind == "workflow":
            step = InlineStep(self, plan, instance, root, depth)
        else:
            step = StepRun(self, plan, instance, root, depth)
        step.origin = self._cause()
        self.steps.append(step)
        self.place.begun.append((jsonuri.concat(self.place.root, root), step))
        if self.place.hear:
            step.relay(self.place.hear)
        return step

    def _cause(self) -> Origin:
        """What starts a step, where no trigger says it: a step of this very run, or what it is inside of."""
        cause = CAUSE.get()
        if cause and not cause.over:
            for step in self.steps:
                if step is cause.step:
                    return Origin(step.id, cause.event)
        return Origin(self.place.step)

    async def workflow(self, slug: str) -> Plan:
        """See :class:`InlineHost`; a plan that only a function names is stored when it is asked for."""
        if slug in self.plan.workflows:
            return self.plan.workflows[slug]
        return Plan.from_json(await self.once(f"workflow {slug}", self.services.workflow, slug))

    def inside(self, plan: Plan, input: Any, log: Frames, step: InlineStep) -> Run:
        """See :class:`InlineHost`."""
        shown = self.plan.show_reasoning  # as the workflow says that was started
        steps = (replace(step, show_reasoning=shown and step.show_reasoning) for step in plan.steps)
        inner = Run(
            replace(
                plan,
                steps=tuple(steps),
                show_reasoning=shown and plan.show_reasoning,
                limits=self.plan.limits,
                acts=self.acts,
                workflows={**self.plan.workflows, **plan.workflows},
            ),
            input,
            log=log,
            services=self.services,
            journal=self.journal,
            history=self.history,
            meter=self.meter,
            observers=self.observers,
            identity=self.identity,
            name=self.info.id,
            began=self.stamp.now,
            place=self.place.inside(step.plan, step.root, step.depth + 1, self.ready, step.hear, step.id),
        )
        inner.info = self.info
        return inner

    def _begin(self) -> None:
        if self.plan.python:
            self.spawn(self._call())
        else:
            self._triggers.begin(self.input)

    async def _call(self) -> None:
        await function_of(self.plan.workflow)(self)

    async def _store(self, result: RunResult) -> None:
        """Store the result before the log says ``done``: who asks the database then must find it."""
        try:
            if self._end:
                await self._end(result)
        except Fenced:
            raise
        except Exception:
            logger.exception("the result of a run of %s is not stored", self.plan.workflow)
            self.write(
                "error", LingError(Phrase("the result could not be stored"), code="not-stored").to_wire()
            )

    def _result(self) -> RunResult:
        failed = self.error or any(step.error and not step.plan.optional for step in self.steps)
        status = "canceled" if self._work.canceled else "failed" if failed else "finished"
        optional = set[str]()
        for _, step in self.place.begun:  # the outer ones before those inside
            if step.plan.optional or step.inside in optional:
                optional.add(step.id)
        errors = sorted(self.errors, key=lambda error: error.get("bot") in optional)
        document = self.document
        declined = self.declined or (isinstance(document, dict) and document.get("say") is False)
        return RunResult(status, document, self.usage, tuple(errors), declined)


def done_body(status: str, usage: dict[str, Any], document: Any) -> dict[str, Any]:
    """Return the body of the ``done`` frame; ``usage`` as :meth:`Usage.to_wire` writes it."""
    return {"status": status, "usage": usage, "crc32": crc32(document)}
