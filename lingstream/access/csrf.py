"""CSRF: asked whenever a cookie speaks for a request, and of nobody else.

Django's middleware asks it of every POST; a client that shows a token, or that is nobody, has no cookie that
another site could ride on, and mostly no way to a CSRF token.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from ..core.exceptions import AccessError

__all__ = ["check"]

# Credentials that a browser sends by itself to a site that it knows, like a cookie; and ours, which opens a
# run and signs nobody in.
_PROVES_NOTHING = frozenset(("", "basic", "digest", "negotiate", "ntlm", "ling"))


def check(request: HttpRequest, *, signed_in: bool) -> None:
    """Check the CSRF token of a request that a cookie speaks for.

    That is one with a session cookie, be the session's visitor signed in or not, and one whose user was
    signed in by anything that a browser sends by itself (a "remember me" cookie, a proxy's login).

    :param signed_in: the request has a user.
    :raises AccessError: it came without its CSRF token (code ``csrf``).
    """
    by_session = settings.SESSION_COOKIE_NAME in request.COOKIES
    scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
    if not by_session and not (signed_in and scheme in _PROVES_NOTHING):
        return
    middleware = _Check(_unused)
    middleware.process_request(request)
    reason = middleware.process_view(request, _unused, (), {})
    if reason is not None:
        raise AccessError(f"CSRF check failed: {reason}", code="csrf")


def _unused(request: HttpRequest) -> HttpResponse:
    raise AssertionError("the CSRF check calls no view")


class _Check(CsrfViewMiddleware):
    """Django's check, with the reason for an answer instead of a page."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason
