"""What is made of the body of an answer, and the end of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import httpx2

from lingstream.access.bodies import Body
from lingstream.core.exceptions import ProviderError
from lingstream.core.provider import Chunk

from .decoder import Decoder

__all__ = ["DRAIN_SECONDS", "chunks_of", "give_up", "whole_body"]

# Bytes of an answer that is no stream: 256 vectors of 4,096 numbers in digits are 15 MB.
LONGEST_ANSWER = 64_000_000
# After [DONE] only the end of the HTTP body is missing; with it, the connection can be used again.
DRAIN_SECONDS = 0.2


async def whole_body(body: Body) -> bytes:
    """Return a body that is no stream.

    :raises ProviderError: ``provider-bad-response``: it is longer than 64 MB.
    """
    whole = bytearray()
    while data := await body.read():
        whole += data
        if len(whole) > LONGEST_ANSWER:
            message = f"expected an answer of up to {LONGEST_ANSWER} bytes, got more"
            raise ProviderError(message, code="provider-bad-response")
    return bytes(whole)


async def chunks_of(body: Body, decoder: Decoder) -> AsyncGenerator[Chunk, None]:
    """Yield what the decoder makes of a body.

    :raises ProviderError: what the server said, or that its answer had no end.
    """
    try:
        while data := await body.read():
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


async def give_up(body: Body, *, drain: bool) -> None:
    """Give up the connection, for another request if it is drained."""
    try:
        if drain:
            body.pace = None
            async with asyncio.timeout(DRAIN_SECONDS):
                while await body.read():
                    pass
    except (TimeoutError, httpx2.HTTPError):
        pass
    finally:
        await body.aclose()
