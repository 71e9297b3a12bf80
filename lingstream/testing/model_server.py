"""A model server for tests and benchmarks: answers that are streamed over a real socket, and embeddings.

Public as :class:`lingstream.testing.OpenAIServer`. It listens on the loopback interface only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.client import responses
from ssl import SSLContext
from typing import Any, Self, TypeAlias, TypeVar, cast

from lingstream.core.ending import end_tasks

from .model_reply import Answer, Reply, Stamp, completion, packets
from .model_responses import response, response_packets
from .model_vectors import embeddings as embedded

__all__ = ["OpenAIServer", "Request"]

HOST = "127.0.0.1"
CHATS = ("/chat/completions", "/responses")
T = TypeVar("T")
Answers: TypeAlias = str | Reply | Sequence[Answer] | Callable[[dict[str, Any]], Answer]


@dataclass
class Request:
    """One request as it came, and what became of its answer.

    :param path: with the query string.
    :param headers: names in lower case.
    :param json: the body.
    :param closed_early: the client closed the connection before the end of the answer.
    :param ended: set when the answer is over, however it ended.
    """

    path: str
    headers: dict[str, str]
    json: dict[str, Any]
    closed_early: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def route(self) -> str:
        """The path without its query string."""
        return self.path.partition("?")[0]


class OpenAIServer:
    """Answers ``POST …/chat/completions`` and ``…/responses``, streamed or not, and ``…/embeddings``.

    It has a port of its own.

    ``async with OpenAIServer("hello") as server:`` serves in the running loop, ``with OpenAIServer("hello")
    as server:`` in a thread, for synchronous code.

    ``requests`` holds what has come so far, ``connections`` counts those that were opened.

    :param answers: one answer for every request (``str`` or :class:`Reply`), a list of one answer per request
        (HTTP 400 past its end), or a callable ``(request JSON) -> answer``. In the latter two an answer may
        also be a list of pieces, as in ``Reply.content``.
    :param embeddings: a callable ``(request JSON) -> body`` or :class:`Reply` for requests for embeddings; by
        default :func:`lingstream.testing.embeddings`, by whose vectors texts that share words are alike.
    :param key: the API key to demand; any other gets a 401 that repeats it, as some servers do.
    :param port: 0 takes a free one.
    :param ssl: serves ``https``.
    :param defaults: fields of :class:`Reply`, for answers that are none.
    """

    _server: asyncio.Server
    _loop: asyncio.AbstractEventLoop
    _thread: threading.Thread

    def __init__(
        self,
        answers: Answers = "",
        *,
        embeddings: Callable[[dict[str, Any]], Any] = embedded,
        key: str | None = None,
        port: int = 0,
        ssl: SSLContext | None = None,
        **defaults: Any,
    ) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.port = port
        self._reply = _chooser(answers, Reply(**defaults))
        self._embeddings = embeddings
        self._key = key
        self._ssl = ssl
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Condition()

    @property
    def base_url(self) -> str:
        """The URL to give to a provider."""
        return f"{'https' if self._ssl else 'http'}://{HOST}:{self.port}/v1"

    async def received(self, count: int = 1) -> Request:
        """Wait until ``count`` requests have come in all, and return the last of these."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def serve_forever(self) -> None:
        """Serve until cancelled; only after ``async with``."""
        await self._server.serve_forever()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connected, HOST, self.port, ssl=self._ssl, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await end_tasks(*self._tasks)
        await self._server.wait_closed()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self.run(self.__aenter__())

    def __exit__(self, *_: object) -> None:
        self.run(self.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float = 10.0) -> T:
        """Await something (``server.received()``) in the server's thread; only after ``with``.

        :param timeout: seconds.
        """
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        self.connections += 1
        # A connection that ends between two answers, and the server's own end, are no errors.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._serve(reader, writer):
                pass
        self._tasks.discard(task)
        writer.close()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read_request(reader)
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        playing = asyncio.ensure_future(self._respond(request, writer))
        watching = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({playing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                request.closed_early = True
            return playing.done() and not playing.exception() and playing.result()
        finally:
            await _cancel(playing, watching)
            request.ended.set()

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        reply = self._refusal(request) or self._answer(request)
        if reply.before is not None:
            await reply.before.wait()
        if reply.status >= HTTPStatus.BAD_REQUEST or reply.body is not None or not request.json.get("stream"):
            return await _send_whole(reply, request, writer)
        return await _send_stream(reply, request, writer)

    def _answer(self, request: Request) -> Reply:
        if request.route.endswith(CHATS):
            return self._reply(request.json)
        answer = self._embeddings(request.json)
        return answer if isinstance(answer, Reply) else Reply(body=answer)

    def _refusal(self, request: Request) -> Reply | None:
        if not request.route.endswith((*CHATS, "/embeddings")):
            return Reply(status=404)
        got = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._key is None or self._key in (got, request.headers.get("api-key")):
            return None
        message = f"Incorrect API key provided: {got}. You can find your API key in your account."
        return Reply(status=401, body={"error": {"message": message, "code": "invalid_api_key"}})


def _chooser(answers: Answers, defaults: Reply) -> Callable[[dict[str, Any]], Reply]:
    if callable(answers):
        return lambda request: _reply(answers(request), defaults)
    if isinstance(answers, str | Reply):
        return lambda request: _reply(answers, defaults)
    rest = iter(answers)
    none_left = Reply(status=400, body={"error": {"message": "the script has no answer left"}})
    return lambda request: _reply(next(rest, none_left), defaults)


def _reply(answer: Answer, defaults: Reply) -> Reply:
    return answer if isinstance(answer, Reply) else replace(defaults, content=answer)


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(head.split(" ")[1], headers, json.loads(body or b"{}"))


async def _send_whole(reply: Reply, request: Request, writer: asyncio.StreamWriter) -> bool:
    body = reply.body
    if body is None and reply.status >= HTTPStatus.BAD_REQUEST:
        body = {"error": {"message": _phrase(reply.status), "type": "error", "code": None}}
    if body is None:
        whole = response if request.route.endswith("/responses") else completion
        body = whole(reply, request.json)
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    sent = data[: len(data) // 2] if reply.drop else data
    writer.write(_head(reply, "application/json", f"Content-Length: {len(data)}") + sent)
    await writer.drain()
    return not reply.drop


async def _send_stream(reply: Reply, request: Request, writer: asyncio.StreamWriter) -> bool:
    writer.write(_head(reply, "text/event-stream; charset=utf-8", "Transfer-Encoding: chunked"))
    now = asyncio.get_running_loop().time
    due = now()
    streamed = response_packets if request.route.endswith("/responses") else packets
    for packet in streamed(reply, request.json):
        if not isinstance(packet, bytes | Stamp):
            await packet.wait()
            continue
        data = packet if isinstance(packet, bytes) else packet.event()
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await writer.drain()
        due = max(due + 1 / reply.rate, now() - 1) if reply.rate else 0.0
        await asyncio.sleep(max(0.0, due - now()))
    if not reply.drop:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    return not reply.drop


def _phrase(status: int) -> str:
    return responses.get(status, "Unknown")  # servers have statuses of their own, such as 529


def _head(reply: Reply, content_type: str, length: str) -> bytes:
    status = f"HTTP/1.1 {reply.status} {_phrase(reply.status)}"
    headers = [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([status, f"Content-Type: {content_type}", length, *headers, "", ""]).encode("latin-1")


async def _cancel(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
