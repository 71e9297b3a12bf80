"""What a step run says: text through a parser, and whole values as if somebody had said them at once."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from lingstream.core.exceptions import LingError, NoJson, SchemaFailure, UsageError
from lingstream.core.parsing.output import BotOutput
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Chunk, Usage

from .calls import Enough
from .data import json_text
from .events import Field
from .frames import StepFrames, WriterHost
from .journal import CallResult
from .kinds import Note, Put, Said, Spent, Text, check_event
from .plan import BotPlan, StepPlan
from .trailing import Trailing
from .values import Values

__all__ = ["CUT_BY", "StepWriter"]

logger = logging.getLogger("lingstream")

#: Finish reasons of an answer that may end in the middle of a value, and what is told of it then.
CUT_BY = {
    "length": Phrase("the answer was cut off by a limit on its length"),
    "content_filter": Phrase("the answer was cut off by a content filter"),
}
_FINISH = re.compile(r"[\w-]{1,50}", re.ASCII)
_NOTHING = {
    "tool_calls": Phrase("only a tool call"),
    "content_filter": Phrase("a refusal"),
}  # by finish reason


class StepWriter:
    """Takes what one step run says.

    :param root: uri below which it writes.
    :param frames: where it goes.
    :param emit: told of events of the kind's own.
    :param began: called before the first of it is taken.
    """

    def __init__(
        self,
        host: WriterHost,
        plan: StepPlan,
        root: str,
        frames: StepFrames,
        emit: Callable[[str, Field], None],
        began: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._root = root
        self._frames = frames
        self._emit = emit
        self._began = began
        self._charge = host.meter.charge
        self.output = plan.output(root)
        self.trailing = Trailing(self.output, plan.text_options, timed=isinstance(plan, BotPlan))
        self._parts: list[str] = []
        self._reasoning: list[str] = []
        self._values = Values(frames, root, self._charge)
        self.said: list[list[Any]] = []
        """The values and events beside the text, in their order, as the journal keeps them."""
        self.usage = Usage()
        self.answered = False
        self.finish: str | None = None
        """Why it ended, in a provider's word."""

    @property
    def text(self) -> str:
        """The text as it came."""
        return "".join(self._parts)

    @property
    def reasoning(self) -> str:
        """What the model thought."""
        return "".join(self._reasoning)

    @property
    def value(self) -> Any:
        """What has been written so far."""
        if not self._values:
            return self.output.parser.value
        return self._values.over(self.output.parser.value if self._parts else None)

    @property
    def is_cut(self) -> bool:
        """Whether something stopped the model in the middle of its answer."""
        return self.finish in CUT_BY

    def take(self, said: Said) -> Awaitable[None] | None:
        """Take what the step says; what is returned is still to be waited for.

        :raises UsageError: what no step may say.
        :raises Enough: a document has ended, and more than a little has come behind it.
        """
        if not self.answered:
            self.answered = True
            self._began()
        if type(said) is Chunk:  # first, because most of what is said is
            self._write(said)
        elif isinstance(said, Put):
            put, rest = self._values.put(said)
            self.said.append(["put", *put])
            return rest
        elif isinstance(said, Note):
            self._notify(said)
        else:
            self._write(_chunk_of(said))
        return None

    async def replay(self, recorded: CallResult) -> None:
        """Take what the step said before a crash; nobody is told that it begins."""
        self.answered, self.usage = True, recorded.usage
        with suppress(Enough):
            self.take(Chunk(recorded.output, recorded.reasoning, finish=recorded.finish or None))
        for what, name, value in recorded.result or ():
            if rest := self.take(Put(name, value) if what == "put" else Note(name, value)):
                await rest

    async def close(self) -> None:
        """All has been said: settle what is open, and judge it by the schema.

        :raises NoJson: JSON was wanted, and none came.
        :raises SchemaFailure: it does not fit.
        """
        if not (self._parts or isinstance(self._plan, BotPlan)):
            return  # only models have to write
        self._frames.settle(self.output.close(cut=self.is_cut), self._root)
        if self.output.is_empty:
            raise NoJson(Phrase("expected JSON, got %(got)s", got=_instead(self)), retryable=True)
        await _judge(self.output, len(self.text), CUT_BY.get(self.finish or ""))

    def keep_rest(self) -> None:
        """Cut off, it keeps what the parser still withheld; nobody is told of half a field."""
        try:
            if ops := self.output.close(cut=True).ops:
                self._frames.write(ops, self._root)
        except LingError:
            logger.debug("%s: the rest of a broken output is not shown", self._plan.name)

    def _write(self, chunk: Chunk) -> None:
        text, reasoning, usage, finish, _, _ = chunk
        if usage:
            self.usage = usage
        if finish:
            self.finish = finish if _FINISH.fullmatch(finish) else "other"
        self._charge(len(text) + len(reasoning))
        if reasoning:
            self._reasoning.append(reasoning)
            self._frames.note("reasoning", reasoning)
        if text:
            self._parts.append(text)
            output = self.output.feed(text)
            self._frames.settle(output, self._root)
            behind = self.output.parser.behind
            if behind is not None or self.trailing.behind is not None:
                self.trailing.come(behind)

    def _notify(self, note: Note) -> None:
        check_event(note.event)
        text = json_text(note.data, "a step")
        self._charge(len(text))
        data = json.loads(text)
        self.said.append(["note", note.event, data])
        self._frames.event(note.event, self._root, data=data)
        self._emit(note.event, Field(self._root, data))


def _chunk_of(said: object) -> Chunk:
    if isinstance(said, Text):
        return Chunk(said.text, said.reasoning)
    if isinstance(said, Spent):
        return Chunk(usage=said.usage, finish=said.finish)
    message = Phrase("expected a step to say Text, Put, Note or Spent, got %(got)s", got=type(said).__name__)
    raise UsageError(message)


def _instead(writer: StepWriter) -> Phrase:
    """What came in place of JSON: of the text no more than its length, which anybody may see."""
    said = len(writer.text)
    if writer.finish in _NOTHING and not said:
        return _NOTHING[writer.finish]
    if not said:
        return Phrase("only reasoning") if writer.reasoning else Phrase("an empty answer")
    refused = writer.finish == "content_filter"
    what = Phrase("a refusal") if refused else Phrase("text without any")
    if writer.is_cut and not refused:
        return Phrase("%(what)s (%(number)s characters, cut off)", what=what, number=said)
    return Phrase("%(what)s (%(number)s characters)", what=what, number=said)


async def _judge(output: BotOutput, size: int, cut_by: Phrase | None) -> None:
    """Judge an output by its schema; a long one in a thread, so that other runs go on."""
    try:
        if output.is_quick(size):
            output.check()
        else:
            await asyncio.to_thread(output.check)
    except SchemaFailure as error:
        if cut_by is None:
            raise
        message = Phrase("%(cut)s: %(why)s", cut=cut_by, why=error.message)
        raise SchemaFailure(message, uri=error.uri, retryable=error.retryable) from error
