"""HTTP clients that connect to where the guard lets them: room for hundreds of streams, and cheap reads."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import cast
from urllib.request import getproxies

import httpcore2
import httpx2

from .connect import AsyncioBackend

__all__ = ["http_client", "shared_client", "ssl_context"]

KEEPALIVE_SECONDS = 60.0
MOST_IDLE = 100
LONGEST_ERROR = 256 * 1024  # bytes of a body that says why a request has failed, as they come


def http_client(connections: int) -> httpx2.AsyncClient:
    """Return a client with up to ``connections`` connections that follows no redirects.

    A redirect would take messages where no editor and no setting has sent them. Of the body of an error
    only the first 256 KiB are read, as its reader may take it whole.
    """
    limits = _limits(connections)
    transport = _transport(limits)
    if not {"http", "https", "all"} & set(getproxies()):
        return httpx2.AsyncClient(transport=transport, event_hooks=_HOOKS)
    # Behind a proxy httpx chooses a transport for each address: one to the proxy, which is the operator's
    # and decides what it reaches, and ours for what NO_PROXY names.
    client = httpx2.AsyncClient(verify=ssl_context(), limits=limits, event_hooks=_HOOKS)
    client._transport = transport
    for mounted in client._mounts.values():
        # What a SOCKS proxy says first is no HTTP, in which our sockets look for the end of a head.
        if isinstance(mounted, httpx2.AsyncHTTPTransport) and not isinstance(
            mounted._pool, httpcore2.AsyncSOCKSProxy
        ):
            mounted._pool._network_backend = AsyncioBackend(guarded=False)
    return client


def shared_client(connections: int) -> httpx2.AsyncClient:
    """Return a client for requests of many runs to anywhere; it follows no redirects by itself.

    It keeps no cookies, which would be one visitor's in the request of the next. It goes through no proxy:
    that would connect to where the guard does not let us.
    """
    nobodys = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    transport = _transport(_limits(connections))
    return httpx2.AsyncClient(transport=transport, cookies=nobodys, trust_env=False)


class _Shortened(httpx2.AsyncByteStream):
    """The beginning of a body."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        left = LONGEST_ERROR
        async for packet in self._body:
            yield packet[:left]
            left -= len(packet)
            if left <= 0:
                return

    async def aclose(self) -> None:
        """Give up the connection."""
        await self._body.aclose()


async def _shorten_errors(response: httpx2.Response) -> None:
    if response.is_error:
        response.stream = _Shortened(cast(httpx2.AsyncByteStream, response.stream))


_HOOKS = {"response": [_shorten_errors]}


def _limits(connections: int) -> httpx2.Limits:
    return httpx2.Limits(
        max_connections=connections,
        max_keepalive_connections=min(connections, MOST_IDLE),
        keepalive_expiry=KEEPALIVE_SECONDS,
    )


def _transport(limits: httpx2.Limits) -> httpx2.AsyncHTTPTransport:
    transport = httpx2.AsyncHTTPTransport(verify=ssl_context(), limits=limits)
    # httpcore's pool takes a network backend, but httpx has no argument to pass one on.
    transport._pool = httpcore2.AsyncConnectionPool(
        ssl_context=ssl_context(),
        max_connections=limits.max_connections,
        max_keepalive_connections=limits.max_keepalive_connections,
        keepalive_expiry=limits.keepalive_expiry,
        network_backend=AsyncioBackend(),
    )
    return transport


@lru_cache(maxsize=1)
def ssl_context() -> ssl.SSLContext:
    """Return the one TLS context: reading the certificates takes longer than all else about a client."""
    return httpx2.create_ssl_context()
