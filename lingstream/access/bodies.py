"""Bodies of responses, read from the socket: most of what a stream's thousands of small packets cost is HTTP.

The head is httpx's, and so is the end: when the last chunk comes, or anything that is not as it should be,
what has been read of it goes back to the socket, and httpx takes over between two chunks. So trailers,
faults, their exceptions, and whether the connection can be used again are for h11 to judge, and nothing
private to httpx is touched. Whatever is not HTTP/1 over a socket of ours, has a length, or is compressed,
is read by httpx from the beginning.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Protocol, cast

import httpx2

from .connect import Connection, SocketStream
from .pace import Pace

__all__ = ["Body", "Chunked"]

# Whatever else h11 takes for one, it gets.
HEADER = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[^\r\n]*)?[ \t]*\r\n")
LONGEST_HEADER = 1000
END = b"\r\n"


class Body:
    """The body of a response; nobody else reads the response.

    :param pace: how often a stream is read from the socket; one that is to come whole has none.

    ``pace`` may be taken away; ``is_direct`` is true while it is read from the socket.
    """

    def __init__(self, response: httpx2.Response, pace: Pace | None = None) -> None:
        self._response = response
        self.pace = pace
        self._due = 0.0  # when it may be read again
        self._timeout: float | None = response.request.extensions.get("timeout", {}).get("read")
        self._rest: AsyncGenerator[bytes, None] | None = None
        self._direct: tuple[Connection, _Framing] | None = None
        stream, framing = response.extensions.get("network_stream"), _framing(response)
        if framing and isinstance(stream, SocketStream) and stream.at_body:
            self._direct = stream.connection, framing

    @property
    def is_direct(self) -> bool:
        """Whether what comes next is read from the socket."""
        return self._direct is not None

    async def read(self) -> bytes:
        """Return what comes next, however much it is; ``b""`` at the end.

        :raises httpx2.HTTPError: as httpx: nothing came in time, the connection was lost, or what came is
            no body.
        """
        while self._direct:
            connection, framing = self._direct
            pace, late = self.pace, 0.0
            if pace and (early := self._due - pace.clock()) > 0:
                await connection.gather(early)
                late = max(pace.clock() - self._due, 0.0)
            if not connection.readable:
                try:
                    await connection.arrival(self._timeout)
                except TimeoutError:
                    raise httpx2.ReadTimeout("no data in time", request=self._response.request) from None
            if pace:
                self._due = pace.read(pace.clock(), late, len(connection.received))
            is_lost = not connection.received
            data = b"" if is_lost else framing.feed(connection.take())
            if is_lost or framing.is_over:  # what follows is for httpx
                connection.put_back(framing.rest)
                self._direct = None
            if data:
                return data
        return await self._read_rest()

    async def aclose(self) -> None:
        """Give up the connection, which is closed unless all of the body has been read."""
        try:
            if self._rest is not None:
                await self._rest.aclose()
        finally:
            await self._response.aclose()

    async def _read_rest(self) -> bytes:
        if self._rest is None:
            self._rest = _packets(self._response)
        async for data in self._rest:
            if data:  # what a decompressor makes of a packet may be nothing
                return data
        return b""


class _Framing(Protocol):
    is_over: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes: ...


class Chunked:
    """Takes the packets of a chunked body (RFC 9112 §7.1), cut anywhere, and returns what they hold.

    ``is_over`` is true once something comes that is no chunk with data: the last chunk, or a fault. ``rest``
    is what follows the last whole chunk then, and before that what has come of a line that is not complete.
    """

    def __init__(self) -> None:
        self.is_over = False
        self.rest = b""
        self._in_chunk = False
        self._left = 0  # bytes of its data

    def feed(self, data: bytes) -> bytes:
        """Return what of the body ``data`` holds; after ``is_over`` there is nothing to feed."""
        # Most packets are one whole chunk.
        if not (self._in_chunk or self.rest) and (header := HEADER.match(data)):
            start = header.end()
            if data.endswith(END) and len(data) - start - 2 == int(header[1], 16) > 0:
                return data[start:-2]
        return self._parts(self.rest + data)

    def _parts(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        at = 0
        while (after := self._step(data, at, parts)) > at:
            at = after
        self.rest = data[at:] if not (self.is_over and self._in_chunk) else END + data[at:]
        return b"".join(parts)

    def _step(self, data: bytes, at: int, parts: list[bytes]) -> int:
        """Read on at a place; return the next one, or the same where nothing can be read."""
        if self._left:
            part = data[at : at + self._left]
            self._left -= len(part)
            parts.append(part)
            return at + len(part)
        if self._in_chunk:
            behind = data[at : at + 2]
            self._in_chunk = behind != END
            # What httpx sees then is a chunk without a header: it raises what it does for any such fault.
            self.is_over = not END.startswith(behind)
            return at + 2 if not self._in_chunk else at
        header = HEADER.match(data, at)
        if header and (size := int(header[1], 16)):
            self._left, self._in_chunk = size, True
            return header.end()
        self.is_over = header is not None or END in data[at:] or len(data) - at > LONGEST_HEADER
        return at


class UntilClosed:
    """The framing of a body that ends with its connection."""

    is_over = False
    rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return ``data``."""
        return data


def _framing(response: httpx2.Response) -> _Framing | None:
    """Return how a body is framed, ``None`` if it is to be read by httpx."""
    headers = response.headers
    if response.extensions.get("http_version") not in (b"HTTP/1.1", b"HTTP/1.0"):
        return None
    if _is_encoded(response) or response.status_code != httpx2.codes.OK or response.request.method == "HEAD":
        return None
    coding = headers.get("transfer-encoding")
    if coding is not None:
        return Chunked() if coding.lower() == "chunked" else None
    return UntilClosed() if "content-length" not in headers else None


def _packets(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """Return what httpx reads of the body."""
    if _is_encoded(response):
        return response.aiter_bytes()  # a server that compresses although it was asked not to
    # aiter_raw would cut and count what comes.
    return cast("AsyncGenerator[bytes, None]", aiter(cast(httpx2.AsyncByteStream, response.stream)))


def _is_encoded(response: httpx2.Response) -> bool:
    return response.headers.get("content-encoding", "identity") != "identity"
