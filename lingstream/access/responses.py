"""What servers answer, read within bounds: whether to ask again and when, and bodies as they unpack."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NoReturn

import httpx2

from lingstream.core.exceptions import LingError
from lingstream.core.phrases import Phrase

__all__ = ["ENCODINGS", "BodyRefused", "body_pieces", "may_pass", "retry_after"]

#: What ``Accept-Encoding`` may ask for: all else could not be bounded while it is unpacked.
ENCODINGS = "gzip, deflate"

_PASSING = frozenset((408, 425, 429))
_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's words for them
_PIECE = 1024 * 1024  # bytes that unpack in a moment (5 ms)


class BodyRefused(LingError):
    """A body past its bound (``too-large``), or one that does not unpack (``encoding``)."""


def may_pass(status: int) -> bool:
    """Whether the same request may have another status later."""
    return status in _PASSING or status >= 500


def retry_after(text: str) -> float | None:
    """Return the seconds that a header ``Retry-After`` asks for, be it a number or a time."""
    if text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        due = parsedate_to_datetime(text)
        return max(0.0, (due.replace(tzinfo=due.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


async def body_pieces(response: httpx2.Response, most: int) -> AsyncGenerator[bytes, None]:
    """Yield the body as it comes, decompressed.

    What comes and what it unpacks to are bounded both: a few kilobytes of gzip may be gigabytes, and what
    follows its end is never seen.

    :param most: bytes.
    :raises BodyRefused: there is more of it, or it does not unpack.
    :raises httpx2.HTTPError: the connection broke.
    """
    host = response.request.url.host
    unpacker = _Unpacker(response.headers.get("content-encoding", ""), host)
    came = left = most
    async with aclosing(response.aiter_raw()) as packets:
        async for packet in packets:
            came -= len(packet)
            while packet:
                piece, packet = unpacker.feed(packet, min(left + 1, _PIECE))
                left -= len(piece)
                if came < 0 or left < 0:
                    raise BodyRefused(
                        Phrase("%(host)s answered with more than %(most)s bytes", host=host, most=most),
                        code="too-large",
                    )
                yield piece
                if packet:
                    await asyncio.sleep(0)
    if came < most:  # where nothing came, an encoding is only said
        unpacker.end()


class _Unpacker:
    def __init__(self, encoding: str, host: str) -> None:
        self._name = encoding.strip().lower().removeprefix("x-")
        self._said = {"host": host, "encoding": self._name}
        self._inflate = zlib.decompressobj(_GZIP) if self._name == "gzip" else None
        if self._name not in ("", "identity", "gzip", "deflate"):
            message = Phrase(
                "expected %(known)s or nothing from %(host)s, got %(got)r",
                known=ENCODINGS,
                host=host,
                got=encoding[:50],
            )
            raise BodyRefused(message, code="encoding")

    def feed(self, packet: bytes, most: int) -> tuple[bytes, bytes]:
        """Return up to ``most`` bytes of what ``packet`` unpacks to, and what is left of it."""
        if self._name == "deflate" and self._inflate is None:
            # Half of the servers send zlib's format, as they should, and half what is inside it.
            self._inflate = zlib.decompressobj(_ZLIB if packet[0] & 15 == 8 else _RAW)
        if self._inflate is None:
            return packet, b""
        try:
            piece = self._inflate.decompress(packet, most)
        except zlib.error:
            self._refuse(Phrase("%(host)s answered with a %(encoding)s that is broken", **self._said))
        return piece, self._inflate.unconsumed_tail

    def end(self) -> None:
        """Say that the body has ended."""
        if self._inflate and not self._inflate.eof:
            self._refuse(Phrase("%(host)s answered with a %(encoding)s that is not complete", **self._said))

    def _refuse(self, message: Phrase) -> NoReturn:
        raise BodyRefused(message, code="encoding") from None
