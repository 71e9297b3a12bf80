"""An answer that is no stream, and the end of a connection."""

from __future__ import annotations

import asyncio

import httpx2

from lingstream.access.bodies import Body
from lingstream.core.exceptions import ProviderError
from lingstream.core.phrases import Phrase

__all__ = ["DRAIN_SECONDS", "give_up", "whole_body"]

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
            message = Phrase("expected an answer of up to %(most)s bytes, got more", most=LONGEST_ANSWER)
            raise ProviderError(message, code="provider-bad-response")
    return bytes(whole)


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
