"""A provider that plays written answers: for the demo without a key, for tests and for benchmarks."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import ProviderError, UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.provider import ChatOptions, Chunk, Message, Usage

from .scripts import Answer, Gate, Piece, Script, registered, script

__all__ = [
    "Answer",
    "Call",
    "Gate",
    "Piece",
    "Script",
    "ScriptedProvider",
    "build",
    "echo",
    "script",
    "text_of",
]

KEPT_CALLS = 1000


@dataclass(slots=True)
class Call:
    """One call of :meth:`ScriptedProvider.stream`.

    :param finished: the answer was played to its end.
    :param closed_early: the reader stopped before it, or was cancelled.
    :param ended: set when the stream is over, however it ended.
    """

    messages: list[Message]
    options: ChatOptions
    finished: bool = False
    closed_early: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


class ScriptedProvider:
    """Plays answers in small chunks at a natural pace, the same way every time.

    An *answer* is a text, which is cut into chunks, or an iterable of pieces, each played as it is: ``str``,
    :class:`Chunk` (for reasoning, usage, finish), an exception (raised in mid-stream) or a *gate* such as an
    ``asyncio.Event`` (waited for, so that a test decides when the model goes on).

    :param answers: one answer for all calls (a ``str``); a list of answers, played in the order of the calls
        (one call more is a ``ProviderError``); a mapping, whose first key that occurs in a message's text has
        the answer (``""`` fits all); or a callable ``(messages, options) -> answer``.
    :param script: the name of a callable that :func:`script` has registered, for options stored as JSON.
    :param rate: chunks (about tokens) per second; ``None`` or 0 plays without a pause.
    :param chunk: smallest and largest number of characters in a chunk of a text.
    :param seed: of the cuts and of the pace.
    :param usage: what is announced at the end: ``True`` an estimate, ``False`` nothing, or this usage.

    ``calls`` holds the last 1000 calls, the latest at the end.
    """

    def __init__(
        self,
        answers: Any = None,
        script: str | None = None,
        rate: float | None = 40.0,
        chunk: tuple[int, int] = (1, 6),
        seed: int = 0,
        usage: Usage | bool = True,
    ) -> None:
        low, high = chunk
        if not 1 <= low <= high:
            raise UsageError(
                Phrase("expected chunk sizes with 1 <= low <= high, got %(got)s", got=f"{chunk!r}")
            )
        self.calls: list[Call] = []
        self._answer = _script(registered(script) if script else answers)
        self._rate = rate or 0.0
        self._chunk = (low, high)
        self._seed = seed
        self._usage = usage

    async def stream(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Chunk, None]:
        """Play the next answer.

        :raises ProviderError: there is no answer for this call, or the answer contains the error.
        """
        call = self._record(messages, options)
        try:
            async with aclosing(self._play(call)) as chunks:
                async for chunk in chunks:
                    yield chunk
            call.finished = True
        except (GeneratorExit, asyncio.CancelledError):
            call.closed_early = True
            raise
        finally:
            call.ended.set()

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""

    def _record(self, messages: Sequence[Message], options: ChatOptions) -> Call:
        call = Call(list(messages), options)
        self.calls.append(call)
        del self.calls[:-KEPT_CALLS]
        return call

    async def _play(self, call: Call) -> AsyncGenerator[Chunk, None]:
        dice = random.Random(self._seed)  # noqa: S311  # a pace, not a secret
        pace = _Pace(self._rate, dice)
        characters, last = 0, Chunk()
        answer = self._answer(call.messages, call.options)
        async with aclosing(_pieces(answer, self._chunk, dice)) as pieces:
            async for piece in pieces:
                if not isinstance(piece, str | Chunk):
                    await _meet(piece)
                    pace.restart()
                    continue
                await pace.wait()
                last = Chunk(piece) if isinstance(piece, str) else piece
                characters += len(last.text) + len(last.reasoning)
                yield last
        if last.usage is None or last.finish is None:
            yield self._end(call.messages, characters, last)

    def _end(self, messages: Sequence[Message], characters: int, last: Chunk) -> Chunk:
        usage = self._usage if isinstance(self._usage, Usage) else None
        if self._usage is True:
            asked = sum(len(text_of(message)) for message in messages)
            usage = Usage(-(-asked // 4), -(-characters // 4), estimated=True)
        return Chunk(usage=None if last.usage else usage, finish=None if last.finish else "stop")


def echo(messages: Sequence[Message], options: ChatOptions) -> str:
    """The answer where none was written: ``{"answer": <the last message>}``."""
    return json.dumps({"answer": text_of(messages[-1]) if messages else ""}, ensure_ascii=False)


def text_of(message: Message) -> str:
    """Return a message's text, also of one whose content is a list of parts."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content)


def build(plan: ProviderPlan, key: str) -> ScriptedProvider:
    """Make the provider of a plan; its options are the arguments of :class:`ScriptedProvider`.

    :raises UsageError: an option that does not exist or does not fit.
    """
    options = dict(plan.options)
    try:
        if "chunk" in options:
            low, high = options["chunk"]
            options["chunk"] = (int(low), int(high))
        return ScriptedProvider(**options)
    except UsageError:
        raise
    except (TypeError, ValueError) as error:
        message = Phrase(
            "expected options of a scripted provider, got %(got)s: %(why)s",
            got=f"{plan.options!r}",
            why=str(error),
        )
        raise UsageError(message) from error


class _Pace:
    """Keeps to a schedule, so that late wake-ups do not add up."""

    def __init__(self, rate: float, dice: random.Random) -> None:
        self._rate = rate
        self._dice = dice
        self._due: float | None = None

    async def wait(self) -> None:
        if not self._rate:
            # Yield all the same: a reader that is never suspended would starve its siblings.
            await asyncio.sleep(0)
            return
        now = asyncio.get_running_loop().time()
        self._due = (now if self._due is None else self._due) + self._dice.uniform(0.4, 1.6) / self._rate
        await asyncio.sleep(max(0.0, self._due - now))

    def restart(self) -> None:
        self._due = None


async def _meet(piece: Exception | Gate) -> None:
    if isinstance(piece, Exception):
        raise piece
    await piece.wait()


def _script(answers: Any) -> Script:
    if answers is None:
        return echo
    if callable(answers):
        return cast(Script, answers)
    if isinstance(answers, str):
        return lambda messages, options: answers
    if isinstance(answers, Mapping):
        return lambda messages, options: _by_text(answers, messages)
    if isinstance(answers, Iterable):
        return _in_order(iter(answers))
    message = Phrase(
        "expected answers as text, list, mapping or callable, got %(got)s", got=type(answers).__name__
    )
    raise UsageError(message)


def _in_order(answers: Iterator[Answer]) -> Script:
    def answer(messages: Sequence[Message], options: ChatOptions) -> Answer:
        for found in answers:
            return found
        raise ProviderError(
            Phrase("expected no further call: the script has no answer left"), code="provider-script"
        )

    return answer


def _by_text(answers: Mapping[str, Answer], messages: Sequence[Message]) -> Answer:
    texts = [text_of(message) for message in messages]
    for key, answer in answers.items():
        if any(key in text for text in texts) or not key:
            return answer
    # The error reaches viewers: it names the script's keys, never what the messages say.
    message = Phrase("expected one of %(known)s in a message, got none", known=str(list(answers)))
    raise ProviderError(message, code="provider-script")


async def _pieces(answer: Answer, chunk: tuple[int, int], dice: random.Random) -> AsyncGenerator[Piece, None]:
    if isinstance(answer, AsyncIterable):
        async for piece in answer:
            yield piece
        return
    for piece in _cut(answer, chunk, dice) if isinstance(answer, str) else answer:
        yield piece


def _cut(text: str, chunk: tuple[int, int], dice: random.Random) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = start + dice.randint(*chunk)
        yield text[start:end]
        start = end
