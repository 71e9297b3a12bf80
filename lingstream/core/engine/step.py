"""A step run: one execution of a step of a workflow, from its start to its end in log and journal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol

from lingstream.core.ending import consume
from lingstream.core.exceptions import Fenced, InternalError, LimitExceeded, LingError, ProviderError
from lingstream.core.provider import Chunk, Usage

from .events import Field, StepEvents
from .journal import Call, CallResult, Journal
from .lifecycle import advance
from .observers import Observers, RunInfo
from .plan import BotPlan
from .writer import StepWriter, WriterHost

__all__ = ["StepHost", "StepRun"]

logger = logging.getLogger("lingstream")


class StepHost(WriterHost, Protocol):
    """What a step run needs of the run that it belongs to."""

    journal: Journal
    observers: Observers
    info: RunInfo

    async def flush(self) -> None:
        """Return when the log holds everything that was written."""

    async def ready(self) -> None:
        """Return when the log is open, which it must be before a model is called."""

    def spawn(self, work: Awaitable[None]) -> None:
        """Run ``work`` in the run's task group."""


class StepRun(StepEvents):
    """One execution of a step.

    :param host: the run.
    :param plan: the step.
    :param instance: its name in this run, ``details#3``.
    :param root: uri below which it writes.
    :param depth: how many triggers led to it.
    """

    def __init__(self, host: StepHost, plan: BotPlan, instance: str, root: str = "", depth: int = 0) -> None:
        super().__init__(instance, host.spawn)
        self.plan = plan
        self.root = root
        self.depth = depth
        self.text = ""
        """The model's output as it came; complete once the step run has ended."""
        self._step_host = host
        self._writer = StepWriter(host, plan, instance, root, self._settle, self._emit, self._began)
        self._reserved = False
        self._estimated: Usage | None = None

    @property
    def value(self) -> Any:
        """What it has written so far."""
        return self._writer.value

    @property
    def usage(self) -> Usage:
        """Tokens, as the provider reported them or as they are estimated at the end."""
        return self._estimated or self._writer.usage

    def fail(self, error: LingError) -> None:
        """End a step run that could not be started."""
        self.status, self.error = advance(self.status, "failed"), error
        self._writer.error(error)
        self._emit("error", Field(self.root, error.message))
        self._end()

    def _begin(self) -> None:
        self.status, self.replaying = advance(self.status, "running"), True
        self._tell("step_started")

    def _began(self) -> None:
        if self._reserved:  # else it is played back
            self._tell("first_chunk")

    def _end(self) -> None:
        super()._end()
        self._tell("step_ended")

    def _tell(self, event: str, *more: object) -> None:
        self._step_host.observers.tell(event, self._step_host.info, self, *more)

    async def _perform(self, call: Call, source: Callable[[], AsyncGenerator[Chunk, None]]) -> None:
        """Do the call, or play back what it said before a crash.

        :param source: asks the model.
        """
        try:
            self._writer.begin()
            await self._pump(call, source)
            await self._writer.close()
            self.status = advance(self.status, "finished")
        except asyncio.CancelledError:
            self.status = advance(self.status, "canceled")
            raise
        except (LimitExceeded, Fenced) as error:
            self.status, self.error = advance(self.status, "failed"), error
            raise
        except LingError as error:
            self._failed(error)
        except Exception:
            logger.exception("bot %s failed", self.id)
            self._failed(InternalError("the bot"))
        finally:
            try:
                await self._finish(call)
            finally:
                self._end()

    async def _pump(self, call: Call, source: Callable[[], AsyncGenerator[Chunk, None]]) -> None:
        host = self._step_host
        if recorded := host.journal.recorded(call):
            self._writer.usage = recorded.usage
            self._writer.take(Chunk(recorded.output, recorded.reasoning, finish=recorded.finish or None))
            return
        stream = source()
        self.replaying = False
        await host.ready()
        await host.meter.reserve(call)
        self._reserved = True
        await consume(stream, self._writer.take)

    def _failed(self, error: LingError) -> None:
        """What fails while the run is being stopped was cut off, whatever an SDK makes of that."""
        task = asyncio.current_task()
        if task and task.cancelling():
            self.status = advance(self.status, "canceled")
            return
        self.status, self.error = advance(self.status, "failed"), error
        if isinstance(error, ProviderError):
            self._tell("provider_error", error)

    async def _finish(self, call: Call) -> None:
        """Settle the accounts."""
        writer = self._writer
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
        host, writer = self._step_host, self._writer
        if self.status == "failed" and self.error and not isinstance(self.error, LimitExceeded):
            writer.error(self.error)  # a limit is the run's, and written by it
        elif self.status == "finished":
            more = {} if writer.finish in (None, "stop") else {"data": {"finish": writer.finish}}
            writer.event("inference-done", self.root, **more)
            self._emit("inference-done", Field(self.root, self.value))
        # Side by side: a crash between the two costs nothing, as what the journal has is played back. The
        # journal at once and not in a task: what it has not got when a process dies is paid again.
        flushing = asyncio.create_task(host.flush()) if self.status == "finished" else None
        try:
            await host.journal.finish(call, _result_of(self, writer))
        finally:
            if flushing:
                await flushing
        if self.status == "finished":
            writer.event("response", self.root)
            self._emit("response", Field(self.root, self.value))
        elif self.status == "failed" and self.error:
            self._emit("error", Field(self.root, self.error.message))


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
    )
