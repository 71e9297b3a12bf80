"""The HTTP client that the SDK is given: room for hundreds of streams, and cheap reads."""

from __future__ import annotations

import ssl
from functools import lru_cache
from urllib.request import getproxies

import httpcore2
import httpx2

from .network import AsyncioBackend

__all__ = ["http_client", "ssl_context"]

KEEPALIVE_SECONDS = 60.0
MOST_IDLE = 100


def http_client(connections: int) -> httpx2.AsyncClient:
    """Return a client with up to ``connections`` connections that follows no redirects.

    A redirect would take messages where no editor and no setting has sent them.
    """
    limits = httpx2.Limits(
        max_connections=connections,
        max_keepalive_connections=min(connections, MOST_IDLE),
        keepalive_expiry=KEEPALIVE_SECONDS,
    )
    transport = _transport(limits)
    if not {"http", "https", "all"} & set(getproxies()):
        return httpx2.AsyncClient(transport=transport)
    # Behind a proxy httpx chooses a transport for each address: its own for the proxy, which is the
    # operator's and decides what it reaches, and ours for what NO_PROXY names.
    client = httpx2.AsyncClient(verify=ssl_context(), limits=limits)
    client._transport = transport
    return client


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
