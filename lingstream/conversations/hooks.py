"""Webhooks: another system lets a bot begin, by a request that it has signed.

How it is signed stands in :mod:`lingstream.access.signatures`. Whoever cannot sign is told the same whatever
there is: no occasion, another one, one that is off.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.http import HttpRequest, HttpResponseBase

from lingstream.access.identity import Identity, address_of, scope_of
from lingstream.access.signatures import VALID, digest, is_signed, refusal
from lingstream.access.throttle import check_throttle
from lingstream.core.exceptions import AccessError, NotFound, UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.wire.json import loads
from lingstream.execution.storage import in_database
from lingstream.models import Conversation, Occasion, Run
from lingstream.transports.requests import answer_json, api
from lingstream.transports.starting import body_of

from .nudges import enabled
from .occasions import fire, key_of

__all__ = ["hook"]

_PK = re.compile(r"[0-9]{1,18}")
_NAMES = {"conversation", "external_id", "data"}


@api("POST")
async def hook(request: HttpRequest, name: str) -> HttpResponseBase:
    """Let the bot begin: ``{"conversation" | "external_id", "data"?}``.

    202 with the run, 200 for one that began with the same ``Idempotency-Key`` or the same signature before,
    and 200 with ``{"run": null}`` where the occasion's condition or bounds are against it.
    """
    run, new = await in_database(_take, request, name, body_of(request))
    if run is None:
        return answer_json({"run": None})
    return answer_json({"run": str(run.pk), "conversation": str(run.conversation_id)}, 202 if new else 200)


def _take(request: HttpRequest, name: str, body: bytes) -> tuple[Run | None, bool]:
    scope = scope_of(request, AnonymousUser()) or ""
    check_throttle("", Identity(AnonymousUser(), scope=scope, address=address_of(request)))
    occasion = _signed(request.headers.get("Ling-Signature", ""), name, scope, body)
    data = loads(body or b"{}")
    if not isinstance(data, dict) or not data.keys() <= _NAMES:
        raise UsageError(f"expected an object with some of {', '.join(sorted(_NAMES))}, got {data!r:.120}")
    talk = _conversation(data, occasion.workflow_slug, scope)
    key = request.headers.get("Idempotency-Key") or digest("", request.headers["Ling-Signature"], body)
    _check_key(request.headers["Ling-Signature"], body, key)
    known = Run.objects.filter(conversation=talk, key=key_of(occasion, talk, key)).exists()
    return fire(occasion, talk, key=key, data=data.get("data")), not known


def _signed(header: str, name: str, scope: str, body: bytes) -> Occasion:
    """Return the occasion whose secret has signed the request.

    :raises AccessError: none has, whatever the reason.
    """
    rows = enabled(Occasion.Kind.WEBHOOK).select_related("workflow")
    occasion = rows.filter(pk=int(name)).first() if _PK.fullmatch(name) else None
    good = is_signed(header, occasion.secret(scope) if occasion else "", body)
    if occasion is None or not good:
        raise refusal(Phrase("hook"))
    return occasion


def _check_key(header: str, body: bytes, key: str) -> None:
    """Refuse a signed request that is sent again under another key, which is not signed.

    :raises AccessError: it is. A cache that is away knows nothing of it.
    """
    name = f"lingstream.hook.{digest('', header, body)}"
    known = key
    with contextlib.suppress(Exception):
        known = cache.get_or_set(name, key, 2 * VALID) or key
    if known != key:
        raise AccessError("expected the Idempotency-Key that this signed request was sent with before")


def _conversation(data: dict[str, Any], workflow: str, scope: str) -> Conversation:
    """Return the conversation that is meant, among those of the workflow in the tenant.

    :raises NotFound: there is none, or several have that external id.
    """
    rows = Conversation.objects.filter(workflow=workflow, scope=scope, deleted_at=None)
    pk, external = data.get("conversation"), data.get("external_id")
    if isinstance(pk, str) and external is None:
        with contextlib.suppress(ValueError):
            if found := rows.filter(pk=UUID(pk)).first():
                return found
        raise NotFound(f"there is no conversation {pk[:60]!r} of {workflow!r}")
    if not isinstance(external, str) or not external or pk is not None:
        raise UsageError('expected either "conversation" or "external_id", as text')
    several = list(rows.filter(external_id=external)[:2])
    if len(several) != 1:
        count = "several conversations" if several else "no conversation"
        raise NotFound(f"there is {count} of {workflow!r} with the external id {external[:60]!r}")
    return several[0]
