"""A bot: prompt + provider → parser → log, and the events that others wait for.

The names and the order of the events are Ling's: ``string-response`` and ``object-response`` as values
settle, ``inference-done`` when the model has stopped, ``response`` when everything is in the log.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Any, NamedTuple, Protocol

from lingstream.core.document import jsonuri
from lingstream.core.document.filters import UriFilter
from lingstream.core.document.ops import Closed, Op
from lingstream.core.document.shared import SharedDocument
from lingstream.core.ending import consume
from lingstream.core.exceptions import (
    ConflictError,
    Fenced,
    InternalError,
    LimitExceeded,
    LingError,
    NoJson,
    SchemaFailure,
    UsageError,
)
from lingstream.core.log.frames import Kind
from lingstream.core.parsing.output import BotOutput, Output
from lingstream.core.provider import ChatOptions, Chunk, Message, Provider, Usage

from .journal import Call, CallResult, Journal, Occurrences
from .lifecycle import StepStatus, advance
from .meter import Meter
from .plan import EVENTS, BotPlan, ProviderPlan

__all__ = ["Bot", "BotHost", "Deferred", "Field", "Observer"]

logger = logging.getLogger("lingstream")

_CHARACTERS_PER_TOKEN = 4  # OpenAI's rule of thumb, for usage that a provider does not report
_CUT = "length"  # the finish reason of an answer that met the limit on its length
_FINISH = re.compile(r"[\w-]{1,50}", re.ASCII)
_NOTHING = {"tool_calls": "only a tool call", "content_filter": "a refusal"}  # by finish reason


class Field(NamedTuple):
    """A value that has settled, or the end of a bot (then ``uri`` is its root and ``value`` all it wrote).

    :param match: what the stars of the pattern stood for.
    :param cut: the model's answer was cut off inside it.
    """

    uri: str
    value: Any
    match: tuple[str, ...] = ()
    cut: bool = False


Observer = Callable[["Bot", str, Field], None]
#: Makes a text that takes too long for the event loop; called in a thread, once.
Deferred = Callable[[], str]


class BotHost(Protocol):
    """What a bot needs of the run that it belongs to."""

    journal: Journal
    occurrences: Occurrences
    shared: SharedDocument
    history: Sequence[Message]
    meter: Meter

    def write(self, kind: Kind, body: Any) -> None:
        """Append a frame to the run's log."""

    async def flush(self) -> None:
        """Return when the log holds everything that was written."""

    async def ready(self) -> None:
        """Return when the log is open, which it must be before a model is called."""

    def provider(self, plan: ProviderPlan) -> Provider:
        """Return the provider, with its key."""
        ...

    def spawn(self, work: Awaitable[None]) -> None:
        """Run ``work`` in the run's task group."""


class Bot:
    """One execution of a step: made by ``run.bot(…)``, started by :meth:`chat`.

    :param host: the run.
    :param plan: the step.
    :param instance: its name in this run, ``details#3``.
    :param root: uri below which it writes.
    :param system: the system message, rendered or to be rendered; ``""`` sends none.
    :param depth: how many triggers led to it.
    """

    def __init__(
        self,
        host: BotHost,
        plan: BotPlan,
        instance: str,
        root: str = "",
        system: str | Deferred = "",
        depth: int = 0,
    ) -> None:
        self.id = instance
        self.plan = plan
        self.root = root
        self.depth = depth
        self.status: StepStatus = "waiting"
        self.replaying = False
        """Asked, and not yet at the point where it calls a model or has played back what it said before."""
        self.error: LingError | None = None
        self.usage = Usage()
        self.text = ""
        """The model's output as it came; complete once the bot has ended."""
        self._host = host
        self._charge = host.meter.charge
        self._reserved = False
        self._system = system
        self._history: list[Message] = []
        self._output = BotOutput(plan.format, plan.schema, root)
        self._filter = UriFilter(root, plan.only, plan.exclude)
        self._observers: list[Observer] = []
        self._fields: list[Field] = []
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._parts: list[str] = []
        self._reasoning: list[str] = []
        self._answered = False
        self._stopped_by: str | None = None

    # -- for authors of workflows ------------------------------------------------------------------

    def add_history(self, messages: Sequence[Message]) -> Bot:
        """Put ``messages`` between the prompt and what is asked; return the bot."""
        self._history.extend(messages)
        return self

    def on(self, event: str, callback: Callable[[Field], Any], *, partial: bool = False) -> Bot:
        """Call ``callback(field)`` at each ``event`` of this bot; return the bot.

        A coroutine function runs beside the bot, in the run's task group. What a callback raises counts as
        raised by the workflow: it does not fail the bot.

        :param partial: call it, too, for a field that was cut off with the model's answer.
        :raises UsageError: an event that bots do not have.
        """
        if event not in EVENTS:
            raise UsageError(f"expected one of the events {', '.join(EVENTS)}, got {event!r}")

        def observe(_: Bot, name: str, field: Field) -> None:
            if name == event and (partial or not field.cut):
                try:
                    result = callback(field)
                except Exception as error:
                    result = _raise(error)
                if inspect.isawaitable(result):
                    self._host.spawn(result)

        return self.observe(observe)

    def chat(self, message: str | list[dict[str, Any]] = "") -> Bot:
        """Ask the model; returns at once, with the bot at work.

        :param message: the user message, text or OpenAI content parts; ``""`` sends none.
        :raises UsageError: the bot has been started before.
        """
        if self.status != "waiting":
            raise UsageError(f"expected a new bot, but {self.id} is {self.status}: each chat needs its own")
        self.status, self.replaying = advance(self.status, "running"), True
        if isinstance(self._system, str):
            self._host.spawn(self._run(self._messages(self._system, message)))
        else:
            self._host.spawn(self._prepare(self._system, message))
        return self

    async def fields(self, pattern: str = "**", *, partial: bool = False) -> AsyncIterator[Field]:
        """Yield each value that settles at a uri matching ``pattern``, from the bot's first one on.

        :param pattern: glob of absolute uris (the bot's root included).
        :param partial: yield, too, a field that was cut off with the model's answer.
        :raises LingError: the bot failed.
        :raises UsageError: the bot has not been started.
        """
        self._check_started()
        position = 0
        while True:
            while position < len(self._fields):
                field = self._fields[position]
                position += 1
                if field.cut and not partial:
                    continue
                if (found := jsonuri.match(pattern, field.uri)) is not None:
                    yield field._replace(match=found)
            if self._ended.is_set():
                break
            self._news.clear()
            await self._news.wait()
        if self.error:
            raise self.error

    async def result(self) -> Any:
        """Wait for the end and return what the bot wrote; awaiting the bot itself does the same.

        :raises LingError: the bot failed.
        :raises UsageError: the bot has not been started.
        """
        self._check_started()
        await self._ended.wait()
        if self.error:
            raise self.error
        return self.value

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    @property
    def value(self) -> Any:
        """What the bot has written so far."""
        return self._output.parser.value

    # -- for the engine ----------------------------------------------------------------------------

    def observe(self, observer: Observer) -> Bot:
        """Call ``observer(bot, event, field)`` at every event; return the bot."""
        self._observers.append(observer)
        return self

    def fail(self, error: LingError) -> None:
        """End a bot that could not be started."""
        self.status, self.error = advance(self.status, "failed"), error
        self._write_error(error)
        self._emit("error", Field(self.root, error.message))
        self._end()

    async def _prepare(self, system: Deferred, message: str | list[dict[str, Any]]) -> None:
        """Render the prompt beside the loop, then ask."""
        try:
            text = await asyncio.to_thread(system)
        except LingError as error:
            self.fail(error)
            return
        except asyncio.CancelledError:
            self.status = advance(self.status, "canceled")
            self._end()
            raise
        await self._run(self._messages(text, message))

    async def _run(self, messages: list[Message]) -> None:
        host = self._host
        options = ChatOptions(self.plan.model, _response_format(self.plan), self.plan.params)
        call = host.occurrences.call(self.id, self.plan, self.root, messages, options)
        try:
            if not self.plan.quiet:
                self._write_ops(host.shared.begin(self.id, self.root))
            await self._pump(call)
            self._settle(self._output.close(cut=self._is_cut))
            if self._output.is_empty:
                raise NoJson(f"expected JSON, got {self._said()}", retryable=True)
            await self._check()
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

    async def _check(self) -> None:
        """Judge the output by its schema; a long one in a thread, so that other runs go on."""
        try:
            if self._output.is_quick(sum(map(len, self._parts))):
                self._output.check()
            else:
                await asyncio.to_thread(self._output.check)
        except SchemaFailure as error:
            if not self._is_cut:
                raise
            message = f"the answer was cut off by a limit on its length: {error.message}"
            raise SchemaFailure(message, uri=error.uri, retryable=error.retryable) from error

    @property
    def _is_cut(self) -> bool:
        """Whether the model stopped because its answer met a limit, and not because it had said all."""
        return self._stopped_by == _CUT

    def _said(self) -> str:
        """What came in place of JSON: of the text no more than its length, which anybody may see."""
        said = sum(map(len, self._parts))
        if self._stopped_by in _NOTHING and not said:
            return _NOTHING[self._stopped_by]
        if not said:
            return "only reasoning" if self._reasoning else "an empty answer"
        what = "a refusal" if self._stopped_by == "content_filter" else "text without any"
        return f"{what} ({said} characters{', cut off' if self._is_cut else ''})"

    def _failed(self, error: LingError) -> None:
        """What fails while the run is being stopped was cut off, whatever an SDK makes of that."""
        task = asyncio.current_task()
        if task and task.cancelling():
            self.status = advance(self.status, "canceled")
        else:
            self.status, self.error = advance(self.status, "failed"), error

    async def _finish(self, call: Call) -> None:
        """Settle the accounts."""
        self.text = "".join(self._parts)
        self._keep_rest()
        self._host.shared.finish(self.id)
        if self.usage == Usage() and (self._answered or self.status == "canceled"):
            self.usage = _estimate(call.messages, self.text, self._reasoning)
        if self._reserved:
            self._host.meter.settle(call, self.usage)
        if not isinstance(self.error, Fenced):
            await self._report(call)

    async def _pump(self, call: Call) -> None:
        """Take the model's stream, or the stored output of the same call before a crash."""
        if recorded := self._host.journal.recorded(call):
            self.usage = recorded.usage
            self._take(Chunk(recorded.output, recorded.reasoning, finish=recorded.finish or None))
            return
        provider = self._host.provider(self.plan.provider)
        self.replaying = False
        await self._host.ready()
        await self._host.meter.reserve(call)
        self._reserved = True
        await consume(provider.stream(call.messages, call.options), self._take)

    def _take(self, chunk: Chunk) -> None:
        text, reasoning = chunk.text, chunk.reasoning
        self._answered = True
        if chunk.usage:
            self.usage = chunk.usage
        if chunk.finish:
            self._stopped_by = chunk.finish if _FINISH.fullmatch(chunk.finish) else "other"
        self._charge(len(text) + len(reasoning))
        if reasoning:
            self._reasoning.append(reasoning)
            self._note("reasoning", reasoning)
        if text:
            self._parts.append(text)
            self._settle(self._output.feed(text))

    def _settle(self, output: Output) -> None:
        """Write what came, then tell who waits for it."""
        if output.ops:
            self._write_ops(output.ops, filtered=True)
        if output.preamble:
            self._note("preamble", output.preamble)
        if output.reasoning:
            self._note("reasoning", output.reasoning)
        for closed in output.closed:
            self._close(closed)

    def _close(self, closed: Closed) -> None:
        uri, value, cut = closed
        field = Field(uri, value, cut=cut)
        self._fields.append(field)
        self._news.set()
        container = isinstance(value, (dict, list))
        if container or isinstance(value, str):
            event = "object-response" if container else "string-response"
            if not self._filter or self._filter.shows(uri, container):
                self._write_event(event, uri, **({"cut": True} if cut else {}))
            self._emit(event, field)

    async def _report(self, call: Call) -> None:
        """Say how it ended: in the log, in the journal and to who waits."""
        host = self._host
        if self.status == "failed" and self.error:
            if not isinstance(self.error, LimitExceeded):  # that one is the run's, and written by it
                self._write_error(self.error)
        elif self.status == "finished":
            more = {} if self._stopped_by in (None, "stop") else {"data": {"finish": self._stopped_by}}
            self._write_event("inference-done", self.root, **more)
            self._emit("inference-done", Field(self.root, self.value))
        # Side by side: a crash between the two costs nothing, as what the journal has is played back. The
        # journal at once and not in a task: what it has not got when a process dies is paid again.
        flushing = asyncio.create_task(host.flush()) if self.status == "finished" else None
        try:
            await host.journal.finish(call, self._call_result())
        finally:
            if flushing:
                await flushing
        if self.status == "finished":
            self._write_event("response", self.root)
            self._emit("response", Field(self.root, self.value))
        elif self.status == "failed" and self.error:
            self._emit("error", Field(self.root, self.error.message))

    def _keep_rest(self) -> None:
        """A bot that was cut off keeps what the parser still withheld; nobody is told of half a field."""
        if self.status == "finished":
            return
        try:
            self._write_ops(self._output.close(cut=True).ops, filtered=True)
        except LingError:
            logger.debug("%s: the rest of a broken output is not shown", self.id)

    def _write_ops(self, ops: list[Op], *, filtered: bool = False) -> None:
        """Write ops as far as they may go into the shared document."""
        host = self._host
        if self.plan.quiet:
            return
        if filtered:
            if self._filter:
                ops = self._filter(ops)
            try:
                ops = host.shared.admit(self.id, self.root, ops)
            except ConflictError as error:
                if error.admitted:
                    host.write("ops", error.admitted)
                raise
        if ops:
            host.write("ops", ops)

    def _write_event(self, event: str, uri: str, **more: Any) -> None:
        if not self.plan.quiet:
            self._host.write("event", {"event": event, **self._names(), "uri": uri, **more})

    def _write_error(self, error: LingError) -> None:
        self._host.write("error", {**error.to_wire(), "bot": self.id})

    def _note(self, event: str, text: str) -> None:
        if not self.plan.quiet and (event != "reasoning" or self.plan.show_reasoning):
            self._host.write("event", {"event": event, **self._names(), "data": text})

    def _names(self) -> dict[str, Any]:
        return {"bot": self.id, "step": self.plan.name, "root": self.root}

    def _emit(self, event: str, field: Field) -> None:
        for observer in self._observers:
            observer(self, event, field)

    def _check_started(self) -> None:
        if self.status == "waiting":
            raise UsageError(f"expected a bot at work, but {self.id} was not started: call its chat() first")

    def _end(self) -> None:
        self.replaying = False
        self._ended.set()
        self._news.set()

    def _messages(self, system: str, message: str | list[dict[str, Any]]) -> list[Message]:
        messages: list[Message] = []
        if system:
            messages.append({"role": "system", "content": system})
        if self.plan.history:
            messages.extend(self._host.history)
        messages.extend(self._history)
        if message:
            messages.append({"role": "user", "content": message})
        return messages

    def _call_result(self) -> CallResult:
        return CallResult(
            status=self.status,
            output=self.text,
            reasoning="".join(self._reasoning),
            repairs=self._output.repairs,
            usage=self.usage,
            error=self.error.to_wire() if self.error else None,
            finish=self._stopped_by or "",
        )


def _response_format(plan: BotPlan) -> dict[str, Any] | None:
    if plan.schema is None or plan.format != "json":
        return None
    name = "".join(char if char.isalnum() or char in "_-" else "_" for char in plan.name)[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "schema": plan.schema}}


def _estimate(messages: Sequence[Message], text: str, reasoning: Sequence[str]) -> Usage:
    asked = sum(len(message["content"]) for message in messages)
    said = len(text) + sum(map(len, reasoning))
    return Usage(asked // _CHARACTERS_PER_TOKEN, -(-said // _CHARACTERS_PER_TOKEN), estimated=True)


async def _raise(error: Exception) -> None:
    raise error
