"""Pages of other origins that chats list: what their browsers let them do, and as whom they ask.

1. They ask as nobody, or as the visitor whose token they show. A cookie that came along speaks for nobody, on
   a socket as over HTTP, so that no listed page can act for who has signed in here.
2. A browser lets them read our answers, and never with credentials.

One list serves the whole site: a listed page can do no more than a program that sends no ``Origin`` at all.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers

from ..core.engine.origins import admits
from ..core.engine.registry import declared, registered
from ..models import Chat

__all__ = ["ForeignPages", "allow", "foreign_origin", "listed_origins", "preflight"]

_FRESH = 5.0  # seconds for which a process keeps the list
_LONGEST = 300

_HEADERS = "Accept, Authorization, Content-Type, Last-Event-ID, X-CSRFToken"
_SHOWN = "Location, Ling-Protocol, Ling-Run, Ling-Share, Ling-Token, Ling-Visitor, Retry-After"
_AGE = "600"  # seconds for which a browser keeps what a preflight said

_kept: tuple[float, tuple[str, ...]] = (float("-inf"), ())


def listed_origins() -> tuple[str, ...]:
    """Return the origins that the site's chats list, as of a few seconds ago; at most one query."""
    global _kept
    now = time.monotonic()
    if now - _kept[0] > _FRESH:
        _kept = (now, _read())
    return _kept[1]


def foreign_origin(request: HttpRequest) -> str:
    """Return the origin of the other site's page that asks, if a chat lists it, else ``""``; it may query."""
    origin = _other_origin(request)
    return origin if origin and any(admits(pattern, origin) for pattern in listed_origins()) else ""


async def allow(request: HttpRequest, response: HttpResponseBase) -> None:
    """Let the page of another origin that asks read the answer, if a chat lists it."""
    if not request.headers.get("Origin"):
        return
    patch_vary_headers(response, ("Origin",))
    if origin := await _foreign_origin(request):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = _SHOWN


def preflight(methods: tuple[str, ...]) -> HttpResponse:
    """Return the answer to a browser's ``OPTIONS``; :func:`allow` says whether it is a yes."""
    response = HttpResponse(status=204)
    response["Allow"] = response["Access-Control-Allow-Methods"] = ", ".join((*methods, "OPTIONS"))
    response["Access-Control-Allow-Headers"] = _HEADERS
    response["Access-Control-Max-Age"] = _AGE
    return response


class ForeignPages:
    """Lets sockets of listed pages in without their cookies; all others go through the site's own check.

    :param own: the application behind the check of the origin.
    :param app: the same without it.
    """

    def __init__(self, own: Callable[..., Awaitable[Any]], app: Callable[..., Awaitable[Any]]) -> None:
        self._own = own
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        request = ASGIRequest({**scope, "method": "GET"}, BytesIO())
        if await _foreign_origin(request):
            bare = [pair for pair in scope["headers"] if pair[0] != b"cookie"]
            await self._app({**scope, "headers": bare}, receive, send)
        else:
            await self._own(scope, receive, send)


async def _foreign_origin(request: HttpRequest) -> str:
    """As :func:`foreign_origin`; the site's own pages, which are most, cost no way through a thread."""
    return await sync_to_async(foreign_origin)(request) if _other_origin(request) else ""


def _other_origin(request: HttpRequest) -> str:
    """The origin of the page that asks, where it is not this site's own."""
    origin = request.headers.get("Origin", "")
    if len(origin) > _LONGEST:
        return ""
    try:
        return "" if origin.partition("://")[2] == request.get_host() else origin
    except DisallowedHost:
        return ""  # of no site: others say so


def _read() -> tuple[str, ...]:
    try:
        rows = dict(Chat.objects.values_list("workflow__slug", "origins"))
    except DatabaseError:
        return _kept[1]
    in_code = (declared(slug).chat for slug in registered() if slug not in rows)
    lists = [*rows.values(), *(chat.origins for chat in in_code if chat)]
    return tuple(dict.fromkeys(origin for origins in lists for origin in origins))
