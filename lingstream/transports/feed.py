"""Many runs, and word of conversations, in one response: as server-sent events to the end of all, or for who
polls a batch at a time.

What is written are the socket's messages, so that browsers, which have six connections a host over HTTP/1.1,
need one of them, and a proxy that holds responses back until they end lets them through.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse

from lingstream.access.identity import Identity
from lingstream.access.sessions import SessionEnded
from lingstream.conf import app_settings
from lingstream.core.ending import end_tasks
from lingstream.core.exceptions import LingError
from lingstream.core.wire.json import dumps
from lingstream.core.wire.socket import SocketMessages
from lingstream.models import Run

from .asked import Feed
from .attached import Attachments, attach_failed, not_attached
from .flow import Budget, Turn, send_waits
from .messages import lost, refusal
from .response import unbuffered
from .viewer import Viewer

__all__ = ["answer"]

_AT_ONCE = 0.02  # seconds in which a poll that has something waits for what else there is
_ALIVE = b": alive\n\n"


def answer(
    request: HttpRequest, feed: Feed, found: Sequence[Run | LingError], identity: Identity
) -> StreamingHttpResponse:
    """Return the response in which the runs are followed, and the conversations heard of.

    :param found: for each that is asked for, in this order, the run or why it is refused.
    """
    refused, opened = list(feed.refused), []
    for asked, run in zip(feed.runs, found, strict=True):
        if isinstance(run, LingError):
            refused.append(refusal(asked.run, run))
        else:
            opened.append((run, asked.after))
    first = [dumps(each).decode() for each in refused]
    session = getattr(request, "session", None)
    response = _Stream(first, session) if feed.wait is None else _Poll(first, session, feed.wait)
    hearing = (feed, identity) if feed.hears else None
    return unbuffered(request, response.parts(opened, hearing), response.content_type)


class _Response(ABC):
    """What a stream and a poll share: how one of the runs is followed, and how conversations are heard of.

    :param session: in which conversations are attached.
    :param heartbeat: seconds of silence after which an empty batch comes.
    """

    content_type = ""

    def __init__(self, session: Any, heartbeat: float | None = None) -> None:
        self._heartbeat = heartbeat
        self._sending = asyncio.Lock()
        self._attached = Attachments(session)

    @abstractmethod
    def parts(
        self, opened: list[tuple[Run, str | None]], hearing: tuple[Feed, Identity] | None
    ) -> AsyncGenerator[bytes, None]:
        """Yield the body.

        :param hearing: what conversations are asked for, and by whom.
        """

    async def _begin(
        self, opened: list[tuple[Run, str | None]], hearing: tuple[Feed, Identity] | None
    ) -> list[asyncio.Task[None]]:
        """Follow all that is asked for; what is to be known of conversations at once is written already."""
        work = [self._follow(*each) for each in opened]
        opened.clear()
        if hearing and await self._attach(*hearing):
            work.append(self._hear())
        return [asyncio.create_task(each) for each in work]

    async def _follow(self, run: Run, after: str | None) -> None:
        name = str(run.pk)
        encode = SocketMessages(name, after).encode
        viewer = Viewer(run, after, self._heartbeat, Turn(self._sending, None))
        del run
        try:
            async with aclosing(viewer):
                async for batch in viewer:
                    if not await self._write(text for frame in batch for text in encode(frame)):
                        return
        except Exception as error:
            await self._say(lost(name, error))

    async def _attach(self, feed: Feed, identity: Identity) -> bool:
        try:
            polls = feed.wait is not None
            attach = self._attached.answers(
                feed.attach, identity, owned=feed.all, polls=polls, seq=feed.seq if polls else None
            )
            going = await self._write([dumps(each).decode() for each in await attach])
            await self._attached.settle()
            return going
        except Exception as error:
            await self._say(attach_failed(error))
            return False

    async def _hear(self) -> None:
        try:
            going = True
            while going and (notices := await self._attached.news(self._heartbeat)) is not None:
                going = await self._write(dumps(each.to_wire()).decode() for each in notices)
        except SessionEnded as fault:
            await self._say(dumps(not_attached(None, fault)).decode())
        except Exception as error:
            await self._say(attach_failed(error))

    @abstractmethod
    async def _write(self, texts: Iterable[str]) -> bool:
        """Write some messages; return whether who says them may say more."""

    @abstractmethod
    async def _say(self, text: str) -> None:
        """Write one message."""


class _Stream(_Response):
    """The messages of many runs as server-sent events, until all of them have ended; notices have no end.

    It begins with a comment: where nothing comes, somebody in between holds the response back.

    :param refused: messages to begin with.
    """

    content_type = "text/event-stream"

    def __init__(self, refused: list[str], session: Any) -> None:
        settings = app_settings()
        super().__init__(session, settings.heartbeat)
        self._longest_silence = settings.heartbeat * 0.9
        self._refused = refused
        self._budget = Budget(None if send_waits() else settings.viewer_budget)
        self._texts: asyncio.Queue[bytes | None] = asyncio.Queue(1)  # viewers wait for who reads
        self._now = asyncio.get_running_loop().time
        self._said_at = self._now()

    async def parts(
        self, opened: list[tuple[Run, str | None]], hearing: tuple[Feed, Identity] | None
    ) -> AsyncGenerator[bytes, None]:
        """See :meth:`_Response.parts`."""
        yield _ALIVE + b"".join(map(_event, self._refused))
        working = asyncio.create_task(self._work(opened, hearing))
        try:
            while (text := await self._texts.get()) is not None:
                yield text
        finally:
            await end_tasks(working)

    async def _write(self, texts: Iterable[str]) -> bool:
        size = 0
        for text in texts:
            size += len(text)
            await self._say(text)
        if size:
            self._said_at = self._now()
        elif self._now() - self._said_at >= self._longest_silence:  # of many silent runs, one says so
            self._said_at = self._now()
            await self._texts.put(_ALIVE)
        if not self._budget.spend(size):
            await self._texts.put(None)  # it resumes behind the last ids that it got
        return True

    async def _say(self, text: str) -> None:
        await self._texts.put(_event(text))

    async def _work(
        self, opened: list[tuple[Run, str | None]], hearing: tuple[Feed, Identity] | None
    ) -> None:
        viewers: list[asyncio.Task[None]] = []
        try:
            viewers = await self._begin(opened, hearing)
            if viewers:
                await asyncio.wait(viewers)
            await self._texts.put(None)
        finally:
            await end_tasks(*viewers)
            self._attached.close()


class _Poll(_Response):
    """What many runs have to say at once, or else the first that one of them says, as JSON lines.

    So it is with conversations: one whose ``seq`` the client does not have is told of at once, and for all
    that are a person's there is one number. A run says one batch at most, and none is begun past the budget.

    :param refused: messages to begin with.
    :param wait: seconds in which nothing need be said.
    """

    content_type = "application/jsonl"

    def __init__(self, refused: list[str], session: Any, wait: float) -> None:
        super().__init__(session)
        self._body = [text + "\n" for text in refused]
        self._wait = wait
        self._budget = Budget(app_settings().viewer_budget)
        self._spent = False

    async def parts(
        self, opened: list[tuple[Run, str | None]], hearing: tuple[Feed, Identity] | None
    ) -> AsyncGenerator[bytes, None]:
        """See :meth:`_Response.parts`."""
        viewers: list[asyncio.Task[None]] = []
        try:
            viewers = await self._begin(opened, hearing)
            await self._something(set(viewers))
        finally:
            await end_tasks(*viewers)
            self._attached.close()
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

    async def _write(self, texts: Iterable[str]) -> bool:
        messages = list(texts)
        if messages and not self._spent:
            self._body += [text + "\n" for text in messages]
            self._spent = not self._budget.spend(sum(map(len, messages)))
        return not messages

    async def _say(self, text: str) -> None:
        self._body.append(text + "\n")


def _event(text: str) -> bytes:
    return b"data: %b\n\n" % text.encode()
