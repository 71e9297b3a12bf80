"""The floor of what a further viewer costs: a bare ASGI application that gives one model's bytes to all."""

from __future__ import annotations

import asyncio
from typing import Any

from .socket_proxy import MODEL, REQUEST


class Source:
    """What the model sends, for who waits for it."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[bytes]] = []
        self._task: asyncio.Task[None] | None = None

    def next(self) -> asyncio.Future[bytes]:
        """Return what has the next bytes, or ``b""`` at the end."""
        self._task = self._task or asyncio.create_task(self._read())
        news = asyncio.get_running_loop().create_future()
        self._waiting.append(news)
        return news

    async def _read(self) -> None:
        reader, writer = await asyncio.open_connection(MODEL.hostname, MODEL.port)
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        data = b"?"
        while data:
            data = await reader.read(65536)
            waiting, self._waiting = self._waiting, []
            for news in waiting:
                if not news.done():
                    news.set_result(data)
        writer.close()


source = Source()


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while data := await source.next():
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
