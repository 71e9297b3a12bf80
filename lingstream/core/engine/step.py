"""A step run: one execution of a step of a workflow, from its start to its end in log and journal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any, Protocol, Self

from lingstream.core.exceptions import (
    Fenced,
    InternalError,
    LimitExceeded,
    LingError,
    ProviderError,
    UsageError,
)
from lingstream.core.lifecycle import advance
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Usage

from .calls import Caller, make
from .events import Field
from .frames import StepFrames, WriterHost
from .journal import Call, CallResult, Journal
from .kinds import events_of, kind_of
from .observers import Observers
from .place import Place
from .plan import StepPlan
from .withdrawing import Withdrawable
from .writer import StepWriter

__all__ = ["StepHost", "StepRun"]

logger = logging.getLogger("lingstream")


class StepHost(WriterHost, Caller, Protocol):
    """What a step run needs of the run that it belongs to."""

    journal: Journal
    place: Place
    observers: Observers

    async def flush(self) -> None:
        """Return when the log holds everything that was written."""

    async def ready(self) -> None:
        """Return when the log is open, which it must be before a model is called."""

    def spawn(self, work: Awaitable[None]) -> None:
        """Run ``work`` in the run's task group."""


class StepRun(Withdrawable):
    """One execution of a step.

    :param host: the run.
    :param plan: the step.
    :param instance: its name in this run, ``details#3``.
    :param root: uri below which it writes.
    :param depth: how many triggers led to it.
    """

    def __init__(self, host: StepHost, plan: StepPlan, instance: str, root: str = "", depth: int = 0) -> None:
        super().__init__(instance, root, host.spawn, events_of(plan.kind))
        self.plan, self.depth, self.inside = plan, depth, host.place.step
        self.text = ""  # as it came; complete once the step run has ended
        self._step_host = host
        self._frames = StepFrames(host, plan, instance, root, self._settle, self._emit)
        began = partial(self._tell, "first_chunk")
        self.writer = StepWriter(host, plan, root, self._frames, self._emit, began)
        self._reserved = False
        self._estimated: Usage | None = None

    @property
    def value(self) -> Any:
        """What it has written so far."""
        return self.writer.value

    @property
    def usage(self) -> Usage:
        """Tokens, as the provider reported them or as they are estimated at the end."""
        return self._estimated or self.writer.usage

    def start(self, input: Any, options: Mapping[str, Any]) -> Self:
        """Begin; returns at once, with the step at work.

        :param input: rendered, JSON data.
        :param options: likewise.
        :raises UsageError: it has been started before, or its kind is not known here.
        """
        asked = kind_of(self.plan.kind).asked(input, options)
        call = self._step_host.place.call(self.id, self.plan, self.root, input, options, asked)
        self._begin()
        self._step_host.spawn(self._perform(call))
        return self

    def fail(self, error: LingError) -> None:
        """End a step run that could not be started."""
        self.status, self.error = advance(self.status, "failed"), error
        self._frames.error(error)
        self._emit("error", Field(self.root, str(error.message)))
        self._end()

    def _begin(self) -> None:
        if self.status != "waiting":
            raise _not_new(self)
        self.status, self.replaying = advance(self.status, "running"), True
        self._tell("step_started")

    def _end(self) -> None:
        super()._end()
        self._tell("step_ended")

    def _tell(self, event: str, *more: object) -> None:
        self.times.mark(event)
        self._step_host.observers.tell(event, self._step_host.info, self, *more)

    async def _perform(self, call: Call) -> None:
        """Make the call, or play back what it said before a crash."""
        try:
            self._hear()
            self._frames.open(self.root)
            await self._answer(call)
            await self.writer.close()
            self.status = advance(self.status, "finished")
        except asyncio.CancelledError:
            self.status = advance(self.status, "canceled")
            raise
        except (LimitExceeded, Fenced) as error:
            self.status, self.error = advance(self.status, "failed"), error
            raise
        except Exception as error:
            self._failed(error if isinstance(error, LingError) else _unknown(error, self.id))
        finally:
            try:
                await self._finish(call)
            finally:
                self._end()

    async def _answer(self, call: Call) -> None:
        host, writer, kind = self._step_host, self.writer, kind_of(self.plan.kind)
        if recorded := host.journal.recorded(call):
            await writer.replay(recorded)
            return
        # What is pure is part of the replay, and no reason to open the log.
        if not kind.is_pure(self.plan):
            self.replaying = False
            await host.ready()
            await host.meter.reserve(call)
            self._reserved = True
        await writer.trailing.listen(make(host, kind, call, writer.take, lambda: writer.answered))

    def _failed(self, error: LingError) -> None:
        """What fails while the run is being stopped was cut off, whatever an SDK makes of that."""
        if self._task and self._task.cancelling():
            self.status = advance(self.status, "canceled")
            return
        self.status, self.error = advance(self.status, "failed"), error
        if isinstance(error, ProviderError):
            self._tell("provider_error", error)

    async def _finish(self, call: Call) -> None:
        """Settle the accounts."""
        writer = self.writer
        self.text = writer.text
        if self.status != "finished":
            writer.keep_rest()
        self._step_host.shared.finish(self.id)
        if writer.usage == Usage() and (writer.answered or self.status == "canceled"):
            self._estimated = self._estimate(call)
        if self._reserved:
            self._step_host.meter.settle(call, self.usage)
        if not isinstance(self.error, Fenced):
            await self._report(call)

    def _estimate(self, call: Call) -> Usage:
        """Usage that nobody reported."""
        return Usage()

    async def _report(self, call: Call) -> None:
        """Say how it ended: in the log, in the journal and to who waits."""
        host, writer, frames = self._step_host, self.writer, self._frames
        if self.status == "failed" and self.error and not isinstance(self.error, LimitExceeded):
            frames.error(self.error)  # a limit is the run's, and written by it
        elif self.status == "finished":
            frames.inferred(writer.finish)
            whole = Field(self.root, self.value)  # once: it may be a copy of megabytes
            self._emit("inference-done", whole)
        # Side by side: a crash between the two costs nothing, as what the journal has is played back. The
        # journal at once and not in a task: what it has not got when a process dies is paid again.
        flushing = asyncio.create_task(host.flush()) if self.status == "finished" else None
        try:
            if self._reserved or self.status != "finished":
                await host.journal.finish(call, _result_of(self, writer))
        finally:
            if flushing:
                await flushing
        if self.status == "finished":
            frames.response()
            self._emit("response", whole)
        elif self.status == "failed" and self.error:
            self._emit("error", Field(self.root, str(self.error.message)))


def _unknown(error: Exception, name: str) -> InternalError:
    logger.error("step %s failed", name, exc_info=error)
    return InternalError(Phrase("the step"))


def _not_new(step: StepRun) -> UsageError:
    message = Phrase(
        "expected a new step, but %(step)s is %(status)s: each call needs its own",
        step=step.id,
        status=step.status,
    )
    return UsageError(message)


def _result_of(step: StepRun, writer: StepWriter) -> CallResult:
    """What the journal keeps."""
    return CallResult(
        status=step.status,
        output=step.text,
        reasoning=writer.reasoning,
        repairs=writer.output.repairs,
        usage=step.usage,
        error=step.error.to_wire() if step.error else None,
        finish=writer.finish or "",
        result=writer.said or None,
        first=step.times.first,
    )
