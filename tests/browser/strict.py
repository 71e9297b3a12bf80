"""The demo's settings, with the strictest Content-Security-Policy that the client must live with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponseBase

from lingsite.settings import *  # noqa: F403
from lingsite.settings import MIDDLEWARE as DEMO_MIDDLEWARE

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
MIDDLEWARE = [f"{__name__}.Policy", *DEMO_MIDDLEWARE]


class Policy:
    """Puts the policy on every response."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        from asgiref.sync import markcoroutinefunction

        self._get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = await self._get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response
