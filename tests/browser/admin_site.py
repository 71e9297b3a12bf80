"""The demo's settings for the admin: one more kind of steps, and nothing inline.

Django's own pages need forms that may be sent, images in their style sheets, and scripts that assign markup,
which Trusted Types would refuse: who asks with ``Reports: trusted-types`` gets reports of these.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.common import MiddlewareMixin

from lingsite.settings import *  # noqa: F403
from lingsite.settings import LINGSTREAM as DEMO
from lingsite.settings import MIDDLEWARE as DEMO_MIDDLEWARE

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'"
)
REPORTED = "require-trusted-types-for 'script'"
MIDDLEWARE = [f"{__name__}.Policy", *DEMO_MIDDLEWARE]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # many people sign in
LINGSTREAM = {**DEMO, "STEP_KINDS": ["tests.outside.letter.Letter"]}


class Policy(MiddlewareMixin):
    """Puts the policy on every response, of an icon too, which Django's admin has not.

    A route of playwright for the icon would turn off the browser's cache: all files again for each page.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        return HttpResponse(status=204) if request.path == "/favicon.ico" else None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response["Content-Security-Policy"] = POLICY
        if request.headers.get("Reports") == "trusted-types":
            response["Content-Security-Policy-Report-Only"] = REPORTED
        return response
