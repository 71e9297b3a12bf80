"""A model server that costs little: chat completions whose tokens hold the time of their sending.

``lingstream.testing`` has one that speaks the protocol in all its forms. This one answers every request with
the same endless stream, from one thread without asyncio, and takes about 20 µs per token: on a machine with
two cores the server under test must not wait for its model. ``POST /stop`` ends all streams and tells how
many there were, and how many tokens were sent; ``POST /look`` tells the same and ends nothing.

A token is eight hexadecimal digits and a space: microseconds of the monotonic clock, which is one for all
processes of a machine.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import json
import select
import socket
import sys
import time

GOLDEN = 0.618034
EVENT = (
    b'data: {"id":"chatcmpl-Bq3nQ0e4Jm1dX8sVt7uYw2zK5rLhA","object":"chat.completion.chunk",'
    b'"created":1767225600,"model":"bench","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,'
    b'"delta":%b,"logprobs":null,"finish_reason":%b}]}\n\n'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
HEAD += b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


def _chunk(delta: bytes, finish: bytes = b"null") -> bytes:
    event = EVENT % (delta, finish)
    return b"%x\r\n%b\r\n" % (len(event), event)


FIRST = HEAD + _chunk(b'{"role":"assistant","content":""}') + _chunk(b'{"content":"{\\"answer\\": \\""}')
BEFORE, AFTER = _chunk(b'{"content":"%08x "}' % 0).split(b"%08x" % 0)
LAST = _chunk(b'{"content":"\\"}"}') + _chunk(b"{}", b'"stop"') + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class ModelServer:
    """Sends ``rate`` tokens a second on each connection, the connections evenly apart."""

    def __init__(self, rate: float, port: int = 0) -> None:
        self._period = int(1e9 / rate)
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._asking: dict[int, tuple[socket.socket, bytes]] = {}
        self._streams: dict[int, Stream] = {}
        self._due: list[tuple[int, int]] = []
        self._started = 0
        self._sent = 0

    def serve(self) -> None:
        """Serve for ever."""
        while True:
            self._send_due()
            wait = max(0, self._due[0][0] - time.monotonic_ns()) / 1e9 if self._due else None
            # epoll counts in milliseconds; select on the epoll object waits exactly as long as asked.
            if select.select([self._epoll], [], [], wait)[0]:
                for handle, _ in self._epoll.poll(0):
                    self._ready(handle)

    def _send_due(self) -> None:
        due, streams = self._due, self._streams
        while due and due[0][0] <= time.monotonic_ns():
            moment, handle = due[0]
            stream = streams.get(handle)
            if stream is None or not stream.send(
                b"%b%08x%b" % (BEFORE, (time.monotonic_ns() // 1000) & 0xFFFFFFFF, AFTER)
            ):
                heapq.heappop(due)
                self._drop(handle)
                continue
            self._sent += 1
            heapq.heapreplace(due, (moment + self._period, handle))

    def _ready(self, handle: int) -> None:
        if handle == self._listener.fileno():
            client, _ = self._listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setblocking(False)
            self._asking[client.fileno()] = (client, b"")
            self._epoll.register(client, select.EPOLLIN)
        elif handle in self._asking:
            self._read(handle)
        else:
            self._drop(handle)

    def _read(self, handle: int) -> None:
        client, data = self._asking[handle]
        more = client.recv(65536)
        data += more
        head, end, body = data.partition(b"\r\n\r\n")
        self._asking[handle] = (client, data)
        if more and (not end or len(body) < body_length(head)):
            return
        del self._asking[handle]
        if not more or head.startswith((b"POST /stop", b"POST /look")):
            self._epoll.unregister(client)
            if more:
                client.sendall(_answer(self._look() if head.startswith(b"POST /look") else self._stop()))
            client.close()
            return
        self._streams[handle] = stream = Stream(client)
        stream.send(FIRST)
        self._started += 1
        phase = int(self._started * GOLDEN % 1 * self._period)
        heapq.heappush(self._due, (time.monotonic_ns() + phase, handle))

    def _stop(self) -> dict[str, int]:
        """End all streams; return how many there were, and the tokens since the last time."""
        ended = self._look()
        for handle, stream in list(self._streams.items()):
            stream.end(LAST)
            self._drop(handle)
        self._due.clear()
        self._sent = 0
        return ended

    def _look(self) -> dict[str, int]:
        return {"tokens": self._sent, "streams": len(self._streams)}

    def _drop(self, handle: int) -> None:
        if stream := self._streams.pop(handle, None):
            self._epoll.unregister(stream.client)
            stream.client.close()


class Stream:
    """One answer; what the socket does not take at once is kept for the next time."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self._kept = b""

    def send(self, data: bytes) -> bool:
        """Send; return false if the other side is gone."""
        data = self._kept + data if self._kept else data
        try:
            self._kept = data[self.client.send(data) :]
        except BlockingIOError:
            self._kept = data
        except OSError:
            return False
        return True

    def end(self, data: bytes) -> None:
        """Send all that is left, and ``data``."""
        self.client.settimeout(10)
        with contextlib.suppress(OSError):
            self.client.sendall(self._kept + data)


def body_length(head: bytes) -> int:
    """Return how many bytes follow the head of a request."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _answer(data: object) -> bytes:
    body = json.dumps(data).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)


if __name__ == "__main__":
    gc.disable()
    server = ModelServer(float(sys.argv[1]), *map(int, sys.argv[2:]))
    print(server.port, flush=True)
    server.serve()
