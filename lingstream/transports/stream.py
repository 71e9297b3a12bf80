"""Streams of HTTP, sent by our own ASGI wrapper once Django has answered.

Django's handler keeps a thread, and with ``CONN_MAX_AGE`` a database connection, for as long as a response is
being sent: 300 viewers, 300 threads. So a view only says what is to be streamed. The request goes through all
middleware, and when Django's handler has returned, its thread is free and :class:`Streams` sends the head
that it made, and then the stream.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing

from django.db import connections
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import translation

from lingstream.core.wire.dialect import EndStream

from .asgi import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Streams", "streamed"]

logger = logging.getLogger("lingstream")

_KEY = "lingstream.streams"  # in the ASGI scope of a request
_PIECE = 65_536  # bytes that the server gets at once: its send waits before a piece, not within one
_MARK = "Ling-Stream"  # the header of a response whose body is to be streamed; it is never sent


class Streams:
    """Wraps Django's ASGI application.

    :param app: what ``get_asgi_application()`` returned, or what stands in front of it.
    """

    made = 0
    """How many there are in this process; the check ``lingstream.W010`` asks."""

    def __init__(self, app: ASGIApp) -> None:
        Streams.made += 1
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        await self._app({**scope, _KEY: answer}, receive, answer.send)
        if answer.head is not None:
            with translation.override(answer.language):  # Django's middleware said so in a task of its own
                await _stream(answer.head, answer.parts, receive, send)


def streamed(
    request: HttpRequest, parts: AsyncGenerator[bytes, None], content_type: str
) -> StreamingHttpResponse:
    """Return the response to ``request`` whose body is ``parts``.

    Behind :class:`Streams` it has no body of its own: middleware sees a streaming response, and cannot change
    what is streamed.
    """
    answer = getattr(request, "scope", {}).get(_KEY)
    if answer is None:
        return StreamingHttpResponse(parts, content_type=content_type)
    response = _Head(_nothing(), content_type=content_type)
    response[_MARK] = answer.hand_over(parts)
    return response


class _Head(StreamingHttpResponse):
    """What middleware gets to see."""

    def close(self) -> None:
        """Called in the request's thread, which ends now: its connections would live until they are found."""
        super().close()
        connections.close_all()


class _Answer:
    """What Django says to one request; what a view has handed over is held back."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._mark = ""
        self.parts: AsyncGenerator[bytes, None] = _nothing()
        self.head: Message | None = None
        self.language: str | None = None

    def hand_over(self, parts: AsyncGenerator[bytes, None]) -> str:
        """Keep what is to be streamed; return what its response is known by: middleware may send another."""
        self.parts, self._mark = parts, secrets.token_hex(8)
        self.language = translation.get_language()
        return self._mark

    async def send(self, message: Message) -> None:
        """The ``send`` that Django gets."""
        if self.head is not None:
            return  # the empty body
        if message["type"] == "http.response.start" and self._mark:
            name, mark = _MARK.lower().encode(), self._mark.encode()
            headers = message["headers"]
            if any(key.lower() == name and value == mark for key, value in headers):
                left = [(key, value) for key, value in headers if key.lower() != name]
                self.head = {**message, "headers": left}
                return
        await self._send(message)


async def _stream(head: Message, body: AsyncGenerator[bytes, None], receive: Receive, send: Send) -> None:
    """Send the head and the parts, until they end or the client is gone."""
    sending = asyncio.current_task()
    assert sending is not None  # noqa: S101
    over = False

    def stop(gone: asyncio.Task[None]) -> None:
        if not over and not gone.cancelled():
            sending.cancel()

    gone = asyncio.create_task(_disconnected(receive))
    gone.add_done_callback(stop)
    try:
        async with aclosing(body) as parts:
            await send(head)
            async for part in parts:
                for start in range(0, len(part), _PIECE):
                    piece = part[start : start + _PIECE]
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
    except EndStream:
        _break(send)
    except OSError:
        return  # the client is gone, and the server says so at a send
    except asyncio.CancelledError:
        if not gone.done() or sending.uncancel():
            raise
    except Exception:
        # Not the server's matter: daphne would answer with a head once more, fail at that, and look after no
        # connection any more.
        logger.exception("a stream broke off")
        _break(send)
    finally:
        over = True
        gone.cancel()


def _break(send: Send) -> None:
    """Leave the body unfinished, so that the client's reading fails.

    ASGI has no message for that. Servers close the connection of an application that returns too early;
    daphne keeps it open for ever, and has to be asked: its ``send`` is bound to Twisted's request.
    """
    for bound in getattr(send, "args", ()):
        if close := getattr(bound, "loseConnection", None):
            close()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> AsyncGenerator[bytes, None]:
    return
    yield b""  # which makes it a generator
