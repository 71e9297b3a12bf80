"""Many runs in one response: as server-sent events to the end of all, or for who polls a batch at a time.

What is written are the socket's messages, so that browsers, which have six connections a host over HTTP/1.1,
need one of them, and a proxy that holds responses back until they end lets them through.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from django.http import HttpRequest, StreamingHttpResponse

from lingstream.conf import app_settings
from lingstream.core.ending import end_tasks
from lingstream.core.exceptions import LingError, UsageError
from lingstream.core.log.frames import FrameId
from lingstream.core.wire.json import dumps
from lingstream.models import Run

from .flow import Budget, Turn, send_waits
from .messages import MOST_RUNS, batches, lost, refusal
from .response import unbuffered

__all__ = ["Asked", "Feed", "answer"]

_LONGEST_WAIT = 60  # seconds; proxies give up on a silent server after about as many
_AT_ONCE = 0.02  # seconds in which a poll that has something waits for what else there is
_ALIVE = b": alive\n\n"


class Asked(NamedTuple):
    """One run that is asked for.

    :param after: id of the last frame that the viewer has.
    :param token: or the share.
    """

    run: str
    after: str | None = None
    token: str | None = None

    @classmethod
    def from_json(cls, data: Any) -> Asked:
        """Return what a client asks for.

        :raises UsageError: an object of another shape.
        """
        if not isinstance(data, dict) or not isinstance(data.get("run"), str):
            raise UsageError(f'expected runs to have objects like {{"run": "<id>"}}, got {data!r:.80}')
        values: dict[str, Any] = {name: data.get(name) for name in cls._fields}
        for name, value in values.items():
            if value is not None and not (isinstance(value, str) and len(value) <= 500):
                raise UsageError(f"expected {name} to be up to 500 characters, got {value!r:.80}")
        return cls(**values)


class Feed(NamedTuple):
    """The body of a request for many runs.

    :param wait: seconds that a poll may take; ``None`` asks for a stream.
    """

    runs: tuple[Asked, ...]
    wait: float | None = None

    @classmethod
    def from_json(cls, data: Any) -> Feed:
        """Return what a client asks for.

        :raises UsageError: a body of another shape, or too many runs.
        """
        runs = data.get("runs") if isinstance(data, dict) else None
        if not isinstance(runs, list) or not 1 <= len(runs) <= MOST_RUNS:
            found = f"{len(runs)} runs" if isinstance(runs, list) else f"{data!r:.80}"
            raise UsageError(f'expected {{"runs": […]}} with 1 to {MOST_RUNS} runs, got {found}')
        asked = tuple(Asked.from_json(each) for each in runs)
        if len({each.run for each in asked}) < len(asked):
            raise UsageError("expected each run once")
        return cls(asked, _wait(data.get("wait")))


def answer(request: HttpRequest, feed: Feed, found: Sequence[Run | LingError]) -> StreamingHttpResponse:
    """Return the response in which the runs are followed.

    :param found: for each that is asked for, in this order, the run or why it is refused.
    """
    refused, opened = [], []
    for asked, run in zip(feed.runs, found, strict=True):
        if isinstance(run, LingError):
            refused.append(dumps(refusal(asked.run, run)).decode())
        else:
            opened.append((run, asked.after))
    if feed.wait is None:
        return unbuffered(request, _Stream(refused).parts(opened), "text/event-stream")
    return unbuffered(request, _Poll(refused, feed.wait).parts(opened), "application/jsonl")


def _wait(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST_WAIT:
        raise UsageError(f"expected wait to be from 0 to {_LONGEST_WAIT} seconds, got {value!r:.80}")
    return float(value)


class _Stream:
    """The messages of many runs as server-sent events, until all of them have ended.

    It begins with a comment: where nothing comes, somebody in between holds the response back.

    :param refused: messages to begin with.
    """

    def __init__(self, refused: list[str]) -> None:
        settings = app_settings()
        self._refused = refused
        self._heartbeat = settings.heartbeat
        self._budget = Budget(None if send_waits() else settings.viewer_budget)
        self._sending = asyncio.Lock()
        self._texts: asyncio.Queue[bytes | None] = asyncio.Queue(1)  # viewers wait for who reads
        self._now = asyncio.get_running_loop().time
        self._said_at = self._now()

    async def parts(self, opened: list[tuple[Run, str | None]]) -> AsyncGenerator[bytes, None]:
        """Yield the body."""
        yield _ALIVE + b"".join(map(_event, self._refused))
        viewers = [asyncio.create_task(self._follow(*each)) for each in opened]
        opened.clear()
        ending = asyncio.create_task(self._end(viewers))
        try:
            while (text := await self._texts.get()) is not None:
                yield text
        finally:
            await end_tasks(ending, *viewers)

    async def _follow(self, run: Run, after: str | None) -> None:
        name = str(run.pk)
        viewing = batches(run, after, Turn(self._sending, None), self._heartbeat)
        del run
        try:
            async with aclosing(viewing):
                async for batch in viewing:
                    await self._write(batch)
        except Exception as error:
            await self._texts.put(_event(lost(name, error)))

    async def _write(self, batch: Iterator[tuple[FrameId, str]]) -> None:
        size = 0
        for _, text in batch:
            size += len(text)
            await self._texts.put(_event(text))
        if size:
            self._said_at = self._now()
        elif self._now() - self._said_at >= self._heartbeat * 0.9:  # of many silent runs, one says so
            self._said_at = self._now()
            await self._texts.put(_ALIVE)
        if not self._budget.spend(size):
            await self._texts.put(None)  # it resumes behind the last ids that it got

    async def _end(self, viewers: list[asyncio.Task[None]]) -> None:
        if viewers:
            await asyncio.wait(viewers)
        await self._texts.put(None)


class _Poll:
    """What many runs have to say at once, or else the first that one of them says, as JSON lines.

    A run says one batch at most, and none is begun past the budget.

    :param refused: messages to begin with.
    :param wait: seconds in which nothing need be said.
    """

    def __init__(self, refused: list[str], wait: float) -> None:
        self._body = [text + "\n" for text in refused]
        self._wait = wait
        self._budget = Budget(app_settings().viewer_budget)
        self._spent = False
        self._sending = asyncio.Lock()

    async def parts(self, opened: list[tuple[Run, str | None]]) -> AsyncGenerator[bytes, None]:
        """Yield the body."""
        viewers = {asyncio.create_task(self._follow(*each)) for each in opened}
        opened.clear()
        try:
            await self._something(viewers)
        finally:
            await end_tasks(*viewers)
        yield "".join(self._body).encode()

    async def _something(self, viewers: set[asyncio.Task[None]]) -> None:
        now = asyncio.get_running_loop().time
        end = now() + max(self._wait, _AT_ONCE)
        while viewers and not self._spent:
            if self._body:
                end = min(end, now() + _AT_ONCE)
            done, viewers = await asyncio.wait(
                viewers, timeout=max(end - now(), 0), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                return

    async def _follow(self, run: Run, after: str | None) -> None:
        name = str(run.pk)
        viewing = batches(run, after, Turn(self._sending, None))
        del run
        try:
            async with aclosing(viewing):
                async for batch in viewing:
                    messages = list(batch)
                    if messages:
                        self._write(messages)
                        return
        except Exception as error:
            self._body.append(lost(name, error) + "\n")

    def _write(self, messages: list[tuple[FrameId, str]]) -> None:
        if not self._spent:
            self._body += [text + "\n" for _, text in messages]
            self._spent = not self._budget.spend(sum(len(text) for _, text in messages))


def _event(text: str) -> bytes:
    return b"data: %b\n\n" % text.encode()
