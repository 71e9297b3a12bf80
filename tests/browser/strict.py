"""The demo's settings, with the strictest Content-Security-Policy that the client must live with.

``/there/?body=…`` is a page with that markup and our script; ``/painted/?run=…&body=…`` has the body rendered
as a template, by an asynchronous view that has the run in hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from lingsite.settings import *  # noqa: F403
from lingsite.settings import MIDDLEWARE as DEMO_MIDDLEWARE

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
PAGE = (
    '<!DOCTYPE html><html><head><link rel="icon" href="/static/demo/icon.svg">'
    '<script type="module" src="/static/lingstream/index.js" data-lingstream></script></head>'
    "<body>%s</body></html>"
)
MIDDLEWARE = [f"{__name__}.Policy", *DEMO_MIDDLEWARE]


class Policy:
    """Puts the policy on every response that has none, of the page of tests too."""

    policy = POLICY
    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        from asgiref.sync import markcoroutinefunction

        self._get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path == "/there/":
            response: HttpResponseBase = HttpResponse(PAGE % request.GET["body"])
        elif request.path == "/painted/":
            response = HttpResponse(PAGE % await self._painted(request))
        else:
            response = await self._get_response(request)
        response.setdefault("Content-Security-Policy", self.policy)
        return response

    async def _painted(self, request: HttpRequest) -> str:
        from django.template import Context, Template

        from lingstream.models import Run

        run = await Run.objects.aget(pk=request.GET["run"])
        source = "{% load lingstream %}" + request.GET["body"]
        return Template(source).render(Context({"run": run}))
