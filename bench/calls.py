"""A model server that remembers each call: ``python bench/calls.py BOTS DELTAS SECONDS [PORT]``.

A request is known by what its user says: ``r17`` asks for an outline of ``BOTS - 1`` topics, and its topics
``r17 1``, ``r17 2``, … are what the next bots ask for. So each call of each bot of each run has a name, the
same whoever executes the run, and a name that comes twice is a call that was paid twice.

Each answer comes in ``DELTAS`` pieces over about ``SECONDS``. ``GET /calls`` tells all calls there were: its
name, when it was asked, when its last byte was sent (``null`` if the caller went away before).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)
EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1767225600,"model":"bench",'
    b'"choices":[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]}\n\n'
)
LAST = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Calls:
    """What was asked and answered, and what to answer."""

    def __init__(self, bots: int, deltas: int, seconds: float) -> None:
        self._bots = bots
        self._deltas = deltas
        self.seconds = seconds
        self.made: list[list[object]] = []

    def begin(self, name: str) -> list[object]:
        """Note a call; its last item is set when it has been answered."""
        self.made.append([name, time.time(), None])
        return self.made[-1]

    def answer(self, name: str) -> list[str]:
        """The pieces of the answer to a call."""
        if " " in name:
            return [f"{name}, part {number} of the text; " for number in range(self._deltas)]
        topics = [json.dumps({"topic": f"{name} {number}"}) for number in range(1, self._bots)]
        return ['{"outline": [', *(f"{topic}, " for topic in topics[:-1]), f"{topics[-1]}", "]}"]


class Caller(asyncio.Protocol):
    """One connection, with one request after the other."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._data = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        self._transport = transport  # uvloop's is no subclass of asyncio's

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._data = b""
        if head.startswith(b"GET /calls"):
            self._tell(self._calls.made)
        else:
            self._stream(next(m["content"] for m in json.loads(body)["messages"] if m["role"] == "user"))

    def _tell(self, data: object) -> None:
        body = json.dumps(data).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def _stream(self, name: str) -> None:
        call = self._calls.begin(name)
        pieces = self._calls.answer(name)
        # No two callers in step: they would all end, and be stored, in the same moment.
        pause = self._calls.seconds / len(pieces) * random.uniform(0.8, 1.2)
        self._transport.write(HEAD + _chunk(b'{"role":"assistant","content":""}'))
        self._send(call, iter(pieces), pause)

    def _send(self, call: list[object], pieces: Iterator[str], pause: float) -> None:
        if (piece := next(pieces, None)) is not None:
            self._transport.write(_chunk(json.dumps({"content": piece}).encode()))
            self._timer = asyncio.get_running_loop().call_later(pause, self._send, call, pieces, pause)
            return
        self._transport.write(_chunk(b"{}", b'"stop"') + LAST)
        call[2] = time.time()


def _chunk(delta: bytes, finish: bytes = b"null") -> bytes:
    event = EVENT % (delta, finish)
    return b"%x\r\n%b\r\n" % (len(event), event)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _serve(bots: str, deltas: str, seconds: str, port: str = "0") -> None:
    calls = Calls(int(bots), int(deltas), float(seconds))
    server = await asyncio.get_running_loop().create_server(
        lambda: Caller(calls), "127.0.0.1", int(port), backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main(arguments: Sequence[str]) -> None:
    """Serve for ever."""
    gc.disable()
    try:
        from uvloop import run
    except ImportError:
        from asyncio import run
    with contextlib.suppress(KeyboardInterrupt):
        run(_serve(*arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
