"""The kind ``http``: one request, and what the server answers."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from lingstream.access.network import guard, target
from lingstream.core.engine.kinds import Said, StepCall, StepKind
from lingstream.core.engine.plan import StepPlan
from lingstream.core.exceptions import OptionError, UsageError
from lingstream.core.phrases import Phrase
from lingstream.providers.options import CLIENT_HEADERS, HEADER_NAMES

__all__ = ["Http"]

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
_READS = frozenset(("GET", "HEAD"))
_TEMPLATE = re.compile(r"\{[{%#]")
_ORIGIN = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_TYPES = ["string", "number", "boolean", "null"]
_SCALAR = {"type": _TYPES, "maxLength": 10_000}

_OPTIONS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["url"],
    "properties": {
        "method": {
            "type": "string",
            "title": "Method",
            "description": "GET unless given.",
            "enum": list(_METHODS),
            "default": "GET",
            "x-template": "none",
        },
        "url": {
            "type": "string",
            "title": "Address",
            "description": "https://api.example.com/orders/{{ value }}: what is interpolated is one word of "
            "the path or the query. A host inside the network has to be in LINGSTREAM['ALLOW_HOSTS'].",
            "minLength": 1,
            "maxLength": 4_000,
            "x-template": "url",
        },
        "query": {
            "type": "object",
            "title": "Query",
            "description": "Parameters behind the question mark, by name. A list gives one several times, "
            "null leaves it out.",
            "maxProperties": 100,
            "additionalProperties": {
                **_SCALAR,
                "type": [*_TYPES, "array"],
                "items": _SCALAR,
                "maxItems": 1_000,
            },
        },
        "headers": {
            "type": "object",
            "title": "Headers",
            "description": "Further headers, by name; none that authenticates, which the key is for.",
            "maxProperties": 50,
            "propertyNames": HEADER_NAMES,
            "additionalProperties": {**_SCALAR, "pattern": r"^[^\r\n]*$"},
        },
        "body": {
            "title": "Body",
            "description": "A text is sent as it is, everything else as JSON; without it there is no body.",
        },
        "key": {
            "type": "string",
            "title": "Key",
            "description": "Name of a key in LINGSTREAM['PROVIDER_KEYS'], which says where it may be sent.",
            "pattern": r"^[A-Za-z_][A-Za-z0-9_]{0,199}$",
            "x-template": "none",
        },
        "key_header": {
            "type": "string",
            "title": "Header of the key",
            "description": "Authorization unless given.",
            "default": "Authorization",
            "maxLength": 100,
            "pattern": HEADER_NAMES["pattern"],
            "not": {"pattern": f"^(?i:{'|'.join(sorted(CLIENT_HEADERS))})$"},
            "x-template": "none",
        },
        "key_prefix": {
            "type": "string",
            "title": "Before the key",
            "description": "“Bearer ” unless given.",
            "default": "Bearer ",
            "maxLength": 100,
            "pattern": r"^[ -~]*$",
            "x-template": "none",
        },
        "response": {
            "type": "string",
            "title": "Response",
            "description": "json sets the root to what the body holds, text to the body as a text; stream "
            "passes it on as it comes, as a model's answer; langserve does so with what LangServe's /stream "
            "sends.",
            "enum": ["json", "text", "stream", "langserve"],
            "default": "json",
            "x-template": "none",
        },
        "idempotency_key": {
            "type": "boolean",
            "title": "Send a key for retries",
            "description": "POST and PATCH have the header Idempotency-Key, the same in each try.",
            "default": True,
            "x-template": "none",
        },
    },
}


class Http(StepKind):
    """Makes a request, and writes what is answered below the root."""

    kind = "http"
    title = "HTTP request"
    options_schema = _OPTIONS
    effects = True
    asks_who = False

    def has_effects(self, plan: StepPlan) -> bool:
        """See :meth:`StepKind.has_effects`: what only reads has none."""
        return plan.options.get("method", "GET") not in _READS

    def check(self, plan: StepPlan) -> None:
        """See :meth:`StepKind.check`: where the address is known already, and the name of the key.

        :raises OptionError: ``option``, ``address`` or ``key-not-listed``.
        """
        with _about("url"):
            _check_address(plan.options["url"])
        if name := plan.options.get("key"):
            from lingstream.providers.policy import check_key  # it needs a site

            with _about("key"):
                check_key(name)

    async def run(self, call: StepCall) -> AsyncIterator[Said]:
        """See :meth:`StepKind.run`."""
        if "lingstream.steps.exchange" not in sys.modules:
            await asyncio.to_thread(_load)
        from .answers import READERS
        from .exchange import answer

        read = READERS[call.options.get("response", "json")]
        async with answer(call) as response, aclosing(read(response)) as said:
            async for each in said:
                yield each


def _load() -> None:
    """Import httpx and read the certificates beside the event loop, as both take 0.2 s."""
    from lingstream.access.client import ssl_context

    from . import answers  # noqa: F401

    ssl_context()


@contextmanager
def _about(option: str) -> Iterator[None]:
    """Say of an error which option it is about."""
    try:
        yield
    except UsageError as error:
        raise OptionError(error.message, uri=option, code=error.code) from error


def _check_address(url: str) -> None:
    """Check the part of a template that stands before what is interpolated."""
    known = _TEMPLATE.split(url, maxsplit=1)[0]
    found = _ORIGIN.match(known)
    if found is None:
        message = Phrase(
            "expected an address that begins with https:// or http://, got %(got)s", got=f"{url!r:.80}"
        )
        raise UsageError(message, code="option")
    if found.end() == len(known) and known != url:
        return  # the host is interpolated, and judged when it is asked
    place = target(found[0])
    if place is None or "@" in found[1] or "\\" in found[1]:
        message = Phrase("expected a host and no user, got %(got)s", got=f"{found[0]!r:.80}")
        raise UsageError(message, code="option")
    if watch := guard():
        watch.check(*place)
