"""Webhooks of sources: another system sends documents, or says which have changed, by requests that it signs.

How they are signed stands in :mod:`lingstream.access.signatures`; whoever cannot sign is told the same,
whatever there is. A request that is sent again changes nothing: documents are compared with what is kept, and
a signature that was good once is answered as it was then, for as long as it is good.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.http import HttpRequest, HttpResponseBase

from lingstream.access.identity import Identity, address_of, scope_of
from lingstream.access.signatures import VALID, digest, is_signed, refusal
from lingstream.access.throttle import check_throttle
from lingstream.core.document import jsonuri
from lingstream.core.exceptions import InvalidInput, UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.validation import compile_schema
from lingstream.core.wire.json import loads
from lingstream.execution.storage import in_database
from lingstream.transports.requests import answer_json, api
from lingstream.transports.starting import length_of

from .asking import ask
from .claims import atomically
from .models import Source, Sync
from .sources.upload import take_back
from .sources.webhook import DOCUMENT, Webhook, keep

__all__ = ["MOST_BYTES", "SENT", "documents", "signed"]

#: Bytes of a request.
MOST_BYTES = 2 * 1024 * 1024

_KEY = {"type": "string", "maxLength": 500, "pattern": r"^[^\x00]+$"}
_KEYS = {"type": "array", "items": _KEY, "maxItems": 1_000}
#: What a request holds.
SENT = {
    "type": "object",
    "properties": {
        "documents": {"type": "array", "items": DOCUMENT, "maxItems": 100},
        "gone": _KEYS,
        "keys": _KEYS,
    },
    "additionalProperties": False,
}


@api("POST")
async def documents(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Take ``{"documents": [{"key", "text" | "html", "title"?, "url"?, "language"?, "metadata"?}]}``.

    ``"gone": [key, …]`` are documents that are to go, and ``"keys"`` those that have changed where a source
    of any kind has them, and are to be looked at. 202 with how many were ``changed``, ``unchanged``, ``gone``
    and ``asked`` for: they are found soon after.
    """
    if length_of(request) > MOST_BYTES or len(request.body) > MOST_BYTES:
        message = Phrase("expected a body of up to %(most)s bytes, got more", most=MOST_BYTES)
        raise UsageError(message, code="too-large")
    done = await in_database(signed, request, slug, request.body, lambda source: _done(source, request.body))
    return answer_json(done, 202)


def signed(
    request: HttpRequest, slug: str, body: bytes, do: Callable[[Source], dict[str, Any]]
) -> dict[str, Any]:
    """Do what a signed request says, once, and return what came of it.

    :raises AccessError: it is not signed with the source's secret, or there is no such source.
    """
    scope = scope_of(request, AnonymousUser()) or ""
    check_throttle("", Identity(AnonymousUser(), scope=scope, address=address_of(request)))
    header = request.headers.get("Ling-Signature", "")
    source = Source.objects.filter(slug=slug).first()
    good = is_signed(header, source.secret() if source else "", body)
    if source is None or not good:
        raise refusal(Phrase("source"))
    name = f"lingstream.source.{source.pk}.{digest('', header, body)}"
    with contextlib.suppress(Exception):  # a cache that is away knows nothing of it
        if known := cache.get(name):
            return dict(known)
    done = do(source)
    with contextlib.suppress(Exception):
        cache.set(name, done, 2 * VALID)
    return done


def _done(source: Source, body: bytes) -> dict[str, int]:
    sent = loads(body)
    if found := compile_schema(SENT).failures(sent):
        where = jsonuri.join(*found[0].path)
        why = found[0].phrase
        raise InvalidInput(Phrase("%(where)s: %(why)s", where=where, why=why) if where else why, uri=where)
    if source.kind != Webhook.kind and (sent.get("documents") or sent.get("gone")):
        message = Phrase(
            "expected only keys for a source of the kind %(kind)s, got documents", kind=source.kind
        )
        raise UsageError(message)
    keys = set(sent.get("keys", ()))
    with atomically():
        kept = keep(source, sent.get("documents", ()))
        gone = sum(take_back(source, key) for key in dict.fromkeys(sent.get("gone", ())))
        if keys:
            ask(source, keys, Sync.Trigger.WEBHOOK)
    return {**kept._asdict(), "gone": gone, "asked": len(keys)}
