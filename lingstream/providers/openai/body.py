"""The body of an answer: packets as the network brings them, and the end of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

import httpx2

from lingstream.core.exceptions import ProviderError
from lingstream.core.provider import Chunk

from .decoder import Decoder

__all__ = ["DRAIN_SECONDS", "chunks_of", "give_up", "packets_of", "whole_body"]

# Bytes of an answer that is no stream: 256 vectors of 4,096 numbers in digits are 15 MB.
LONGEST_ANSWER = 64_000_000
# After [DONE] only the end of the HTTP body is missing; with it, the connection can be used again.
DRAIN_SECONDS = 0.2


def packets_of(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """Return the body's bytes as they come."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return response.aiter_bytes()  # a server that compresses although it was asked not to
    # aiter_raw would cut and count what comes, for 5 µs a token.
    return cast("AsyncGenerator[bytes, None]", aiter(cast(httpx2.AsyncByteStream, response.stream)))


async def whole_body(response: httpx2.Response) -> bytes:
    """Return a body that is no stream.

    :raises ProviderError: ``provider-bad-response``: it is longer than 64 MB.
    """
    body = bytearray()
    async for data in packets_of(response):
        body += data
        if len(body) > LONGEST_ANSWER:
            message = f"expected an answer of up to {LONGEST_ANSWER} bytes, got more"
            raise ProviderError(message, code="provider-bad-response")
    return bytes(body)


async def chunks_of(packets: AsyncIterator[bytes], decoder: Decoder) -> AsyncGenerator[Chunk, None]:
    """Yield what the decoder makes of packets.

    :raises ProviderError: what the server said, or that its answer had no end.
    """
    try:
        async for data in packets:
            for chunk in decoder.feed(data):
                yield chunk
            if decoder.error or decoder.done:
                break
        else:
            for chunk in decoder.close():
                yield chunk
    except httpx2.HTTPError:
        if not decoder.finished:
            raise
    if decoder.error:
        raise decoder.error


async def give_up(response: httpx2.Response, packets: AsyncGenerator[bytes, None], *, drain: bool) -> None:
    """Give up the connection, for another request if it is drained."""
    try:
        if drain:
            async with asyncio.timeout(DRAIN_SECONDS):
                async for _ in packets:
                    pass
        await packets.aclose()
    except (TimeoutError, httpx2.HTTPError):
        pass
    finally:
        await response.aclose()
