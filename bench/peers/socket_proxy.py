"""Peer (b): the floor. A bare ASGI application that forwards the model server's bytes between two sockets."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from urllib.parse import urlsplit

MODEL = urlsplit(os.environ["BENCH_MODEL"])
BODY = json.dumps(
    {"model": "bench", "messages": [{"role": "user", "content": "What time is it?"}], "stream": True}
).encode()
REQUEST = (
    b"POST %b/chat/completions HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (MODEL.path.encode(), MODEL.netloc.encode(), len(BODY), BODY)
)


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    reader, writer = await asyncio.open_connection(MODEL.hostname, MODEL.port)
    try:
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while data := await reader.read(65536):
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        writer.close()
