"""One page or file from the web, at a cost that is known before: so much time, so many bytes and requests.

1. Each address that is asked, also by a redirect, is one that the caller allows, and its host is judged by
   the guard when the connection is opened (:mod:`lingstream.access.network`).
2. Whatever a server does is one of five answers here; only what breaks in this process is raised.
3. A host has one request at a time, a pause between two, and rest when it asks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import httpx2

from lingstream.access.network import AddressRefused
from lingstream.access.responses import ENCODINGS, BodyRefused, body_pieces, may_pass, retry_after
from lingstream.core.phrases import Phrase

from .links import normalise
from .pace import Pace

__all__ = [
    "MOST_BYTES",
    "MOST_REDIRECTS",
    "MOST_SECONDS",
    "Answer",
    "Failed",
    "Fetched",
    "Fetcher",
    "Gone",
    "Moved",
    "Unchanged",
]

MOST_BYTES = 20 * 1024 * 1024
MOST_REDIRECTS = 10
#: Seconds for all requests of one fetch, from the first byte sent to the last that came.
MOST_SECONDS = 30.0
_CONNECT = 10.0  # of these, until a connection is open
_PATIENCE = 10.0  # seconds that a host's wish to be left alone is waited for
_MOST_REST = 3_600.0  # seconds of it that are believed
_MOVES = frozenset((301, 302, 303, 307, 308))
_ACCEPT = "text/html,application/xhtml+xml,application/pdf;q=0.9,text/*;q=0.8,*/*;q=0.7"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What is at an address.

    :param url: the address, after redirects.
    :param mime: what the server calls it, without parameters.
    :param charset: the encoding that the server names, ``""`` for none.
    :param etag: a validator for the next request, and so is ``modified``.
    :param robots: the values of its headers ``X-Robots-Tag``.
    """

    url: str
    body: bytes
    mime: str = ""
    charset: str = ""
    etag: str = ""
    modified: str = ""
    robots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unchanged:
    """It is as it was when it had the validators that were given."""


@dataclass(frozen=True, slots=True)
class Gone:
    """There is nothing (404), and never will be (``for_good``: 410)."""

    for_good: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """It is elsewhere: ``url`` is normalised, and was not followed."""

    url: str


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no answer that helps.

    :param code: ``http-<status>``, ``address``, ``unreachable``, ``timed-out``, ``incomplete``,
        ``too-large``, ``encoding``, ``redirects``, ``resting``.
    :param message: what was expected and what came, for staff.
    :param retryable: the same may succeed later.
    :param retry_after: seconds after which the host wants to be asked again.
    """

    code: str
    message: str
    retryable: bool = False
    retry_after: float | None = None


Answer: TypeAlias = Fetched | Unchanged | Gone | Moved | Failed


class Fetcher:
    """Fetches with one client; for one event loop.

    :param client: a client that follows no redirects (:func:`lingstream.access.client.shared_client`).
    :param agent: what ``User-Agent`` says.
    :param pause: seconds between two requests to a host.
    :param headers: returns the headers that an address gets beside ours.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        agent: str,
        *,
        pause: float,
        headers: Callable[[str], Mapping[str, str]] = lambda url: {},
    ) -> None:
        self._client = client
        self._ours = {"user-agent": agent, "accept": _ACCEPT, "accept-encoding": ENCODINGS}
        self._headers = headers
        self.pace = Pace(pause)

    async def fetch(
        self,
        url: str,
        *,
        etag: str = "",
        modified: str = "",
        most: int = MOST_BYTES,
        follow: Callable[[str], bool] = lambda url: False,
    ) -> Answer:
        """Return what is at an address.

        :param url: normalised, and allowed.
        :param etag: validators of what is known of it, and so is ``modified``.
        :param most: bytes of its body, after decompression.
        :param follow: whether a redirect to this address is followed; if not, the answer is :class:`Moved`.
        """
        known = {
            name: value for name, value in (("if-none-match", etag), ("if-modified-since", modified)) if value
        }
        first, seconds = url, MOST_SECONDS
        for _ in range(MOST_REDIRECTS + 1):
            answer, seconds = await self._ask(url, known, most, seconds)
            if not (isinstance(answer, Moved) and follow(answer.url)):
                return answer
            url = answer.url
        message = Phrase(
            "%(host)s redirects more than %(most)s times", host=_host(first), most=MOST_REDIRECTS
        )
        return Failed("redirects", message)

    async def _ask(
        self, url: str, known: Mapping[str, str], most: int, seconds: float
    ) -> tuple[Answer, float]:
        """Make one request; return the answer, and the seconds that are left."""
        loop = asyncio.get_running_loop()
        host = _host(url)
        async with self.pace.turn(host, _PATIENCE) as rest:
            if rest:
                left = f"{rest:.0f}"
                message = Phrase("%(host)s wants to be left alone for %(seconds)s s", host=host, seconds=left)
                return Failed("resting", message, True, rest), seconds
            begun = loop.time()
            try:
                async with asyncio.timeout(seconds), self._sent(url, known) as response:
                    answer = await self._answer(response, most, bool(known))
            except (httpx2.HTTPError, AddressRefused, TimeoutError) as error:
                answer = _loss(host, error)
            return answer, seconds - (loop.time() - begun)

    @asynccontextmanager
    async def _sent(self, url: str, known: Mapping[str, str]) -> AsyncIterator[httpx2.Response]:
        headers = {**self._ours, **known, **self._headers(url)}
        timeout = httpx2.Timeout(None, connect=_CONNECT)
        request = self._client.build_request("GET", url, headers=headers, timeout=timeout)
        response = await self._client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    async def _answer(self, response: httpx2.Response, most: int, conditional: bool) -> Answer:
        status, host = response.status_code, response.request.url.host
        if status in (200, 203):
            return await _fetched(response, most)
        if status == 304 and conditional:
            return Unchanged()
        if status in (404, 410):
            return Gone(for_good=status == 410)
        if status in _MOVES:
            location = response.headers.get("location", "").strip()
            url = normalise(location, str(response.request.url)) if location else ""
            message = Phrase("%(host)s redirects to what is no address", host=host)
            return Moved(url) if url else Failed("redirects", message)
        rest = retry_after(response.headers.get("retry-after", ""))
        if rest is not None and may_pass(status):
            rest = min(rest, _MOST_REST)
            self.pace.leave_alone(host, rest)
        message = Phrase("%(host)s answered %(status)s", host=host, status=status)
        return Failed(f"http-{status}", message, may_pass(status), rest)


async def _fetched(response: httpx2.Response, most: int) -> Fetched | Failed:
    headers, host = response.headers, response.request.url.host
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most:
        message = Phrase(
            "expected up to %(most)s bytes from %(host)s, it announces %(got)s",
            most=most,
            host=host,
            got=length[:20],
        )
        return Failed("too-large", message)
    try:
        async with aclosing(body_pieces(response, most)) as pieces:
            body = b"".join([piece async for piece in pieces])
    except BodyRefused as error:
        return Failed(error.code, error.message)
    return Fetched(
        url=str(response.request.url),
        body=body,
        mime=headers.get("content-type", "").partition(";")[0].strip().lower()[:100],
        charset=(response.charset_encoding or "")[:50],
        etag=_validator(headers.get("etag", ""), 500),
        modified=_validator(headers.get("last-modified", ""), 100),
        robots=tuple(headers.get_list("x-robots-tag")),
    )


def _validator(text: str, most: int) -> str:
    """A header as it may be sent back; one that is none, or that no row takes, is not kept."""
    return text if len(text) <= most and text.isascii() and text.isprintable() else ""


def _loss(host: str, error: Exception) -> Failed:
    if isinstance(error, AddressRefused):
        return Failed("address", error.message)
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        message = Phrase("%(host)s cannot be reached: %(why)s", host=host, why=str(error))
        return Failed("unreachable", message, retryable=True)
    if isinstance(error, TimeoutError):
        message = Phrase("%(host)s took longer than %(seconds)s s", host=host, seconds=f"{MOST_SECONDS:g}")
        return Failed("timed-out", message, retryable=True)
    message = Phrase("%(host)s broke off its answer: %(why)s", host=host, why=str(error))
    return Failed("incomplete", message, retryable=True)


def _host(url: str) -> str:
    return httpx2.URL(url).host
