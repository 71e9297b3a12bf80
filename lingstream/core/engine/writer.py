"""What a step run says: text through a parser into the run's document, and events to viewers and who waits.

The names and the order of the events are Ling's: ``string-response`` and ``object-response`` as values
settle, ``inference-done`` when the model has stopped, ``response`` when everything is in the log.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any, Protocol

from lingstream.core.document.filters import UriFilter
from lingstream.core.document.ops import Closed, Op
from lingstream.core.document.shared import SharedDocument
from lingstream.core.exceptions import ConflictError, LingError, NoJson, SchemaFailure
from lingstream.core.log.frames import Kind
from lingstream.core.parsing.output import BotOutput, Output
from lingstream.core.provider import Chunk, Usage

from .events import Field
from .meter import Meter
from .plan import BotPlan

__all__ = ["StepWriter", "WriterHost"]

logger = logging.getLogger("lingstream")

_CUT = "length"  # the finish reason of an answer that met the limit on its length
_FINISH = re.compile(r"[\w-]{1,50}", re.ASCII)
_NOTHING = {"tool_calls": "only a tool call", "content_filter": "a refusal"}  # by finish reason


class WriterHost(Protocol):
    """Where it goes."""

    shared: SharedDocument
    meter: Meter

    def write(self, kind: Kind, body: Any) -> None:
        """Append a frame to the run's log."""


class StepWriter:
    """Writes for one step run.

    :param instance: of the step, ``details#3``.
    :param root: uri below which it writes.
    :param settle: told of each value that settles, numbers and literals too.
    :param emit: told of Ling's events.
    :param began: called before the first chunk is taken.
    """

    def __init__(
        self,
        host: WriterHost,
        plan: BotPlan,
        instance: str,
        root: str,
        settle: Callable[[Field], None],
        emit: Callable[[str, Field], None],
        began: Callable[[], None],
    ) -> None:
        self._host = host
        self._plan = plan
        self._names = {"bot": instance, "step": plan.name, "root": root}
        self._settled = settle
        self._emit = emit
        self._began = began
        self._charge = host.meter.charge
        self.output = BotOutput(plan.format, plan.schema, root)
        self._filter = UriFilter(root, plan.only, plan.exclude)
        self._parts: list[str] = []
        self._reasoning: list[str] = []
        self.usage = Usage()
        self.answered = False
        self.finish: str | None = None
        """Why the model stopped, in its provider's word."""

    @property
    def text(self) -> str:
        """The output as it came."""
        return "".join(self._parts)

    @property
    def reasoning(self) -> str:
        """What the model thought."""
        return "".join(self._reasoning)

    @property
    def value(self) -> Any:
        """What has been parsed so far."""
        return self.output.parser.value

    @property
    def is_cut(self) -> bool:
        """Whether the model stopped because its answer met a limit on its length."""
        return self.finish == _CUT

    def begin(self) -> None:
        """Claim the root for this step run."""
        if not self._plan.quiet:
            self._write_ops(self._host.shared.begin(self._names["bot"], self._names["root"]))

    def take(self, chunk: Chunk) -> None:
        """Take what the model says."""
        text, reasoning = chunk.text, chunk.reasoning
        if not self.answered:
            self.answered = True
            self._began()
        if chunk.usage:
            self.usage = chunk.usage
        if chunk.finish:
            self.finish = chunk.finish if _FINISH.fullmatch(chunk.finish) else "other"
        self._charge(len(text) + len(reasoning))
        if reasoning:
            self._reasoning.append(reasoning)
            self._note("reasoning", reasoning)
        if text:
            self._parts.append(text)
            self._settle(self.output.feed(text))

    async def close(self) -> None:
        """All has been said: settle what is open, and judge it by the schema.

        :raises NoJson: JSON was wanted, and none came.
        :raises SchemaFailure: it does not fit.
        """
        self._settle(self.output.close(cut=self.is_cut))
        if self.output.is_empty:
            raise NoJson(f"expected JSON, got {_instead(self)}", retryable=True)
        await _judge(self.output, len(self.text), cut=self.is_cut)

    def keep_rest(self) -> None:
        """Cut off, it keeps what the parser still withheld; nobody is told of half a field."""
        try:
            self._write_ops(self.output.close(cut=True).ops, filtered=True)
        except LingError:
            logger.debug("%s: the rest of a broken output is not shown", self._names["bot"])

    def event(self, event: str, uri: str, **more: Any) -> None:
        """Tell viewers."""
        if not self._plan.quiet:
            self._host.write("event", {"event": event, **self._names, "uri": uri, **more})

    def error(self, error: LingError) -> None:
        """Tell viewers that it failed."""
        self._host.write("error", {**error.to_wire(), "bot": self._names["bot"]})

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
        self._settled(field)
        container = isinstance(value, (dict, list))
        if container or isinstance(value, str):
            event = "object-response" if container else "string-response"
            if not self._filter or self._filter.shows(uri, container):
                self.event(event, uri, **({"cut": True} if cut else {}))
            self._emit(event, field)

    def _write_ops(self, ops: list[Op], *, filtered: bool = False) -> None:
        """Write ops as far as they may go into the shared document."""
        host = self._host
        if self._plan.quiet:
            return
        if filtered:
            if self._filter:
                ops = self._filter(ops)
            try:
                ops = host.shared.admit(self._names["bot"], self._names["root"], ops)
            except ConflictError as error:
                if error.admitted:
                    host.write("ops", error.admitted)
                raise
        if ops:
            host.write("ops", ops)

    def _note(self, event: str, text: str) -> None:
        if not self._plan.quiet and (event != "reasoning" or self._plan.show_reasoning):
            self._host.write("event", {"event": event, **self._names, "data": text})


def _instead(writer: StepWriter) -> str:
    """What came in place of JSON: of the text no more than its length, which anybody may see."""
    said = len(writer.text)
    if writer.finish in _NOTHING and not said:
        return _NOTHING[writer.finish]
    if not said:
        return "only reasoning" if writer.reasoning else "an empty answer"
    what = "a refusal" if writer.finish == "content_filter" else "text without any"
    return f"{what} ({said} characters{', cut off' if writer.is_cut else ''})"


async def _judge(output: BotOutput, size: int, *, cut: bool) -> None:
    """Judge an output by its schema; a long one in a thread, so that other runs go on."""
    try:
        if output.is_quick(size):
            output.check()
        else:
            await asyncio.to_thread(output.check)
    except SchemaFailure as error:
        if not cut:
            raise
        message = f"the answer was cut off by a limit on its length: {error.message}"
        raise SchemaFailure(message, uri=error.uri, retryable=error.retryable) from error
