"""CSRF: asked whenever a cookie speaks for a request, and of nobody else.

Django's middleware asks it of every POST; a client that shows a token, or that is nobody, has no cookie that
another site could ride on, and mostly no way to a CSRF token.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.request import HttpHeaders
from django.middleware.csrf import REASON_NO_CSRF_COOKIE, CsrfViewMiddleware
from django.utils.translation import gettext as _

from ..core.exceptions import AccessError

__all__ = ["CsrfError", "check"]

# Credentials that a browser sends by itself to a site that it knows, like a cookie; and ours, which opens a
# run and signs nobody in.
_PROVES_NOTHING = frozenset(("", "basic", "digest", "negotiate", "ntlm", "ling"))


class CsrfError(AccessError):
    """A cookie speaks for a request that does not prove which page it comes from.

    :param message: for who asks: what is missing, and what helps.
    :param advice: for the site's staff: what to configure.
    """

    code = "csrf"

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


def check(request: HttpRequest, *, signed_in: bool) -> None:
    """Check the CSRF token of a request that a cookie speaks for.

    That is one with a session cookie, be the session's visitor signed in or not, and one whose user was
    signed in by anything that a browser sends by itself (a "remember me" cookie, a proxy's login).

    :param signed_in: the request has a user.
    :raises CsrfError: it came without its CSRF token (code ``csrf``).
    """
    by_session = settings.SESSION_COOKIE_NAME in request.COOKIES
    scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
    if scheme == "ling-visitor" or not (by_session or (signed_in and scheme in _PROVES_NOTHING)):
        return  # a visitor's token was asked for alone, and no page of another site can send one
    middleware = _Check(_unused)
    middleware.process_request(request)
    reason: Any = middleware.process_view(request, _unused, (), {})
    if reason is not None:
        raise _fault(request, reason)


def _fault(request: HttpRequest, reason: str) -> CsrfError:
    header = HttpHeaders.parse_header_name(settings.CSRF_HEADER_NAME)
    named = {"header": header}
    if reason == REASON_NO_CSRF_COOKIE:
        message = _("expected the CSRF cookie, got none: allow this site's cookies and reload the page")
        return CsrfError(message, f"{reason} The page has to be rendered with {{% lingstream_script %}}.")
    if "checking failed" in reason:
        message = _("expected a page of this site to ask, got one of another address: open the page anew")
        return CsrfError(message, f"{reason} {_of_origin(request)}")
    if not request.META.get(settings.CSRF_HEADER_NAME):
        message = _("expected the CSRF token in the header %(header)s, got none: reload the page") % named
        return CsrfError(message, f"{reason} A proxy that drops {header} has to pass it on.")
    message = _("expected this session's CSRF token in the header %(header)s: reload the page") % named
    return CsrfError(message, reason)


def _of_origin(request: HttpRequest) -> str:
    """What a proxy in front of the site did not say, as far as the request tells."""
    asked = urlsplit(request.headers.get("Origin") or request.headers.get("Referer") or "")
    try:
        host = request.get_host()
    except DisallowedHost:
        host = ""
    found = f"The request has the host {host!r} and the scheme {request.scheme!r}."
    if asked.netloc == host:
        hint = "A proxy has to send X-Forwarded-Proto, and SECURE_PROXY_SSL_HEADER to name it"
    else:
        hint = "A proxy has to pass the header Host on (nginx: proxy_set_header Host $http_host)"
    return f"{found} {hint}; or list the origin in CSRF_TRUSTED_ORIGINS."


def _unused(request: HttpRequest) -> HttpResponse:
    raise AssertionError("the CSRF check calls no view")


class _Check(CsrfViewMiddleware):
    """Django's check, with the reason for an answer instead of a page."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason
