"""Recordings: what the steps of a run said and when, as a file that can be played at any speed.

The engine itself plays: the plan is executed again, its models say what they said then, and what other steps
did is played back and not done once more. So a recording shows what the parser, triggers and repairs of today
make of the answers of then; a bug report is one, and a test reads it.

A file has JSON lines: the first is the run (``{"recording": 1, "plan", "input", …}``), each other one a call.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from lingstream.core.ending import end_tasks
from lingstream.core.engine.journal import Call, CallResult
from lingstream.core.engine.kinds import Services, kind_of
from lingstream.core.engine.plan import Plan, ProviderPlan
from lingstream.core.engine.run import Run
from lingstream.core.exceptions import LingError, ProviderError, UsageError
from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.log.memory import MemoryLog
from lingstream.core.phrases import Phrase
from lingstream.core.provider import ChatOptions, Chunk, Message, Usage

from .scripted import ScriptedProvider
from .scripts import Piece

__all__ = ["VERSION", "Recording", "played"]

VERSION = 1
_PIECE = 4  # characters of an answer that come together
_MOST_PIECES = 2_000  # of one answer
_MOST_CALLS = 10_000


@dataclass(frozen=True, slots=True)
class Recording:
    """A run, and its calls in the order of their end.

    :param run: ``plan``, ``input``, ``history``, ``name``, ``began``; for people also how it ended.
    :param calls: each with ``step``, ``root``, ``kind``, ``digest``, ``occurrence``, ``messages``, ``first``
        and ``seconds`` (since it began; ``None`` where nobody knows), and what it ended with, as
        :class:`~lingstream.core.engine.journal.CallResult` has it.
    """

    run: Mapping[str, Any]
    calls: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, lines: Iterable[str]) -> Recording:
        """Return the recording in the lines of a file.

        :raises UsageError: they are none, or of a later version.
        """
        try:
            first, *calls = [json.loads(line) for line in lines if line.strip()]
            version = first["recording"]
            Plan.from_json(first["plan"])
            known = all(
                {"step", "root", "kind", "digest", "occurrence", "status"} <= {*each} for each in calls
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            message = Phrase(
                "expected a recording as JSON lines, got something else: %(why)s", why=f"{error!r:.200}"
            )
            raise UsageError(message) from error
        if version != VERSION or not known or len(calls) > _MOST_CALLS:
            message = Phrase(
                "expected a recording of version %(version)s, got %(got)s",
                version=VERSION,
                got=f"{version!r:.20}",
            )
            raise UsageError(message)
        return cls(first, calls)

    def lines(self) -> Iterator[str]:
        """Return the lines of its file."""
        yield json.dumps({"recording": VERSION, **self.run})
        yield from map(json.dumps, self.calls)


async def played(
    recording: Recording, *, speed: float | None = None, cut_at: int | None = None
) -> AsyncGenerator[list[Frame], None]:
    """Yield the frames of a recording, as a viewer of the run gets them.

    :param speed: 1 is that of then; ``None`` plays without a pause.
    :param cut_at: characters of answers after which the connection to each model breaks.
    :raises UsageError: of a workflow in Python, as nobody can hold back what its function does.
    """
    known, log = recording.run, MemoryLog()
    plan = replace(Plan.from_json(known["plan"]), acts=False)  # neither do functions inside it
    if plan.python:
        message = Phrase(
            "the workflow %(workflow)r is a function, which cannot be played", workflow=plan.workflow
        )
        raise UsageError(message)
    models = _Models(recording.calls, speed, cut_at)
    run = Run(
        plan,
        known.get("input"),
        log=log,
        services=Services(models.provider),
        journal=_Journal(recording.calls),
        history=known.get("history") or (),
        name=known.get("name", ""),
        began=known.get("began", ""),
    )
    task, reader = asyncio.create_task(run.execute()), log.reader(str(FrameId(1, 0)))
    task.add_done_callback(lambda _: reader.interrupt())
    try:
        while not (task.done() and not reader.ready):
            await reader.wait()
            if reader.ready and (batch := await reader.read()):
                yield batch
                if batch[-1].kind == "done":
                    break
        await task
    finally:
        with suppress(Exception):
            await end_tasks(task)


@dataclass(slots=True)
class _Left:
    """Characters that models may still say, all together."""

    count: float


@dataclass(frozen=True, slots=True)
class _Pause:
    """A gate that opens after a while."""

    seconds: float

    async def wait(self) -> None:
        await asyncio.sleep(self.seconds)


class _Models:
    """Every provider of the plan: answers are found by what is asked, as the run asks the same again."""

    def __init__(self, calls: Iterable[Mapping[str, Any]], speed: float | None, cut_at: int | None) -> None:
        self._speed = speed
        self._left = _Left(float("inf") if cut_at is None else cut_at)
        self._answers: dict[str, deque[Mapping[str, Any]]] = defaultdict(deque)
        for call in calls:
            if call["kind"] == "bot":
                self._answers[_asked(call.get("messages") or [])].append(call)

    def provider(self, plan: ProviderPlan) -> ScriptedProvider:
        """Return what plays for a provider."""
        return ScriptedProvider(self._answer, rate=None, usage=False)

    def _answer(self, messages: Sequence[Message], options: ChatOptions) -> Iterator[Piece]:
        known = self._answers[_asked(messages)]
        if not known:
            raise ProviderError(Phrase("expected a call that the recording has"), code="not-recorded")
        return _pieces(known.popleft(), self._speed, self._left)


def _asked(messages: Sequence[Any]) -> str:
    return json.dumps(list(messages), sort_keys=True)


def _pieces(call: Mapping[str, Any], speed: float | None, left: _Left) -> Iterator[Piece]:
    """What a model says: thoughts first, then its text, at the pace of then."""
    first, seconds, text = call.get("first") or 0.0, call.get("seconds") or 0.0, call.get("output", "")
    size = max(_PIECE, -(-len(text) // _MOST_PIECES))
    pause = max(seconds - first, 0.0) * size / len(text) if text else 0.0
    if speed:
        yield _Pause(first / speed)
    if call.get("reasoning"):
        yield Chunk(reasoning=call["reasoning"])
    for start in range(0, len(text), size):
        piece = text[start : start + size]
        if len(piece) > left.count:
            yield piece[: int(left.count)]
            yield ProviderError(
                Phrase("the recording is cut here"), code="provider-connection", retryable=True
            )
            return
        left.count -= len(piece)
        yield piece
        if speed:
            yield _Pause(pause / speed)
    yield from _end(call)


def _end(call: Mapping[str, Any]) -> Iterator[Piece]:
    usage = call.get("usage") or {}
    spent = Usage(
        usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0), bool(usage.get("estimated"))
    )
    if call.get("finish"):
        yield Chunk(usage=spent, finish=call["finish"])
    elif error := call.get("error"):  # one after the model's own end comes of itself
        yield ProviderError(str(error.get("message", "")), code=str(error.get("code", "provider")))


class _Journal:
    """Plays back what is not a model's; nothing of it is done once more."""

    def __init__(self, calls: Iterable[Mapping[str, Any]]) -> None:
        names = ("step", "root", "digest", "occurrence")
        self._calls = {tuple(call[name] for name in names): call for call in calls if call["kind"] != "bot"}

    def recorded(self, call: Call) -> CallResult | None:
        """See :class:`~lingstream.core.engine.journal.Journal`.

        :raises LingError: the recording lacks it, or it failed.
        """
        if call.kind == "bot" or (call.kind != "once" and kind_of(call.kind).is_pure(call.plan)):
            return None
        known = self._calls.get(call.key)
        if known is None:
            raise UsageError(Phrase("expected a call that the recording has"), code="not-recorded")
        if error := known.get("error"):
            raise LingError(str(error.get("message", "")), code=str(error.get("code", "internal")))
        return CallResult(
            known["status"],
            known.get("output", ""),
            known.get("reasoning", ""),
            finish=known.get("finish", ""),
            result=known.get("result"),
        )

    async def finish(self, call: Call, result: CallResult) -> None:
        """Keep nothing."""
