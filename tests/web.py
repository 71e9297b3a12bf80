"""A web server for tests: answers as it is told, in pieces if need be, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias, cast

from lingstream.core.ending import end_tasks

__all__ = ["Answer", "Asked", "WebServer", "web"]

Pieces: TypeAlias = Iterable[bytes | asyncio.Event]


@dataclass(frozen=True)
class Answer:
    """One answer.

    :param body: pieces are written one by one, and an event between two of them is waited for.
    :param drop: the connection is closed before the answer is complete.
    :param length: what ``Content-Length`` says, be it true or not; without it the body comes in chunks.
    """

    body: bytes | Pieces = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    length: int | None = None


@dataclass
class Asked:
    """One request, and what became of its answer."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    closed_early: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


class WebServer:
    """Answers by path: an :class:`Answer`, a list of one per request, or a function of the request.

    ``requests`` holds what has come so far.
    """

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.requests: list[Asked] = []
        self.port = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def asked(self, count: int = 1) -> Asked:
        """Wait until ``count`` requests have come in all; return the last of these."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self.tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        self.tasks.discard(task)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read(reader)
        async with self._news:
            self.requests.append(request)
            self._news.notify_all()
        playing = asyncio.ensure_future(_write(self._answer(request), request, writer))
        watching = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({playing, watching}, return_when=asyncio.FIRST_COMPLETED)
            request.closed_early = not playing.done()
            return playing.done() and playing.result()
        finally:
            request.ended.set()
            for each in (playing, watching):
                each.cancel()
            await asyncio.gather(playing, watching, return_exceptions=True)

    def _answer(self, request: Asked) -> Answer:
        found = self.answers.get(request.path.partition("?")[0], Answer(status=404))
        if isinstance(found, list):
            found = found.pop(0)
        if isinstance(found, Callable):  # type: ignore[arg-type]
            found = found(request)
        return found if isinstance(found, Answer) else Answer(found)


@asynccontextmanager
async def web(answers: Mapping[str, Any] | None = None) -> AsyncIterator[WebServer]:
    """Serve on a free port of this machine, in this loop."""
    served = WebServer(answers or {})
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        await end_tasks(*served.tasks)
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    method, path, _ = head.split(" ")
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def _write(answer: Answer, request: Asked, writer: asyncio.StreamWriter) -> bool:
    pieces = [answer.body] if isinstance(answer.body, bytes) else answer.body
    chunked = answer.length is None
    framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(answer.length)}
    headers = {**framing, **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    for piece in pieces if request.method != "HEAD" else ():
        if isinstance(piece, asyncio.Event):
            await piece.wait()
        elif piece:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
    if answer.drop:
        return False
    if chunked and request.method != "HEAD":
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True
