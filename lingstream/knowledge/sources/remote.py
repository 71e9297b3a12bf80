"""What sources on the web share: who asks, with which key, and how fast."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from django.conf import settings

import lingstream
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase
from lingstream.providers.options import CLIENT_HEADERS, HEADER_NAMES
from lingstream.providers.policy import carries, check_key, request_key

from .port import Failed

if TYPE_CHECKING:
    from ..web import fetch
    from ..web.fetch import Fetcher

__all__ = [
    "ADDRESS",
    "AGENT",
    "KEYS",
    "LEAST_DELAY",
    "address",
    "check_keys",
    "failed",
    "fetcher",
    "key_of",
    "user_agent",
]

#: The name that robots.txt knows us by.
AGENT = "lingstream"
LEAST_DELAY = 0.5  # seconds between two requests to a host

_CONNECTIONS = 20
_LONGEST_KEY = 500

ADDRESS: Mapping[str, Any] = {"type": "string", "minLength": 1, "maxLength": 2_000}
#: Options of a source behind a login.
KEYS: Mapping[str, Any] = {
    "key": {
        "type": "string",
        "title": "key",
        "description": "Behind a login: the name of a key in LINGSTREAM['PROVIDER_KEYS'], which says where "
        "it may be sent.",
        "pattern": r"^[A-Za-z_][A-Za-z0-9_]{0,199}$",
    },
    "key_header": {
        "type": "string",
        "title": "header of the key",
        "default": "Authorization",
        "maxLength": 100,
        "pattern": HEADER_NAMES["pattern"],
        "not": {"pattern": f"^(?i:{'|'.join(sorted(CLIENT_HEADERS))})$"},
    },
    "key_prefix": {
        "type": "string",
        "title": "before the key",
        "default": "Bearer ",
        "maxLength": 100,
        "pattern": r"^[ -~]*$",
    },
}


@asynccontextmanager
async def fetcher(config: Mapping[str, Any]) -> AsyncIterator[Fetcher]:
    """Give what fetches for a source with this configuration.

    :raises UsageError: its key is not listed; ``package-missing``.
    """
    check_keys(config)
    await asyncio.to_thread(_load)
    from lingstream.access.client import shared_client

    from ..web.fetch import Fetcher

    pause = max(float(config.get("delay", LEAST_DELAY)), LEAST_DELAY)
    async with shared_client(_CONNECTIONS) as client:
        yield Fetcher(client, user_agent(), pause=pause, headers=_headers(config))


def user_agent() -> str:
    """Return what ``User-Agent`` says: this package, and the site whose robot it is."""
    hosts = (host.lstrip(".") for host in settings.ALLOWED_HOSTS if "*" not in host)
    site = next((host for host in hosts if host.isascii() and host.isprintable()), "")
    return f"{AGENT}/{lingstream.__version__}" + (f" (+{site})" if site else "")


def address(link: str) -> str:
    """Return an address of a configuration in its one form.

    :raises UsageError: it is none.
    """
    from ..web.links import normalise

    if found := normalise(link):
        return found
    message = Phrase("expected an address like https://example.com/docs/, got %(got)s", got=f"{link!r:.120}")
    raise UsageError(message, code="option")


def key_of(name: str) -> str:
    """Return a document's key, short where its name is long."""
    if len(name) <= _LONGEST_KEY:
        return name
    return f"{name[:400]}…{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}"


def check_keys(config: Mapping[str, Any]) -> None:
    """Check the name of the key.

    :raises UsageError: ``key-not-listed``.
    """
    if name := config.get("key"):
        check_key(name)


def failed(answer: fetch.Failed) -> Failed:
    """Return a failure as the port has it."""
    untried = answer.code == "resting"
    return Failed(answer.code, answer.message, answer.retryable, answer.retry_after, untried)


def _load() -> None:
    """Import what asks and reads, and read the certificates, beside the event loop: it takes 0.5 s.

    :raises UsageError: ``package-missing``.
    """
    try:
        from lingstream.access.client import ssl_context

        from ..web import feed, page, robots  # noqa: F401
    except ImportError as error:
        message = Phrase("expected the packages of lingstream[knowledge]: %(problem)s", problem=str(error))
        raise UsageError(message, code="package-missing") from None
    ssl_context()


def _headers(config: Mapping[str, Any]) -> Callable[[str], Mapping[str, str]]:
    name, header = config.get("key", ""), config.get("key_header", "Authorization")
    prefix = config.get("key_prefix", "Bearer ")

    def headers(url: str) -> Mapping[str, str]:
        if not name or not carries(name, url):
            return {}
        return {header: prefix + request_key(name, url).strip()}

    return headers
