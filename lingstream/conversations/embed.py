"""A chat in a frame on another site's page: ``/ling/embed/<slug>/``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from lingstream.access.embedding import vouched_visitor
from lingstream.access.identity import Identity, scope_of
from lingstream.access.visitors import make_visitor_token, new_visitor
from lingstream.core.exceptions import NotFound, UsageError
from lingstream.core.wire.json import loads
from lingstream.execution.storage import in_database
from lingstream.models import Chat
from lingstream.transports.requests import answer_json, api, page
from lingstream.transports.starting import body_of

from .chats import chat_of
from .showing import chat_for

__all__ = ["embed", "visitor"]


@page
@require_safe
@xframe_options_exempt
def embed(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the chat with a workflow to the pages that its ``origins`` list; to no others a browser shows it.

    Cookies say nothing here: who asks is the visitor whose token the page around the frame keeps, and the
    frame gets it by a message and never in a URL.
    """
    origins = chat_of(slug).origins
    if not origins:
        raise Http404(f"no chat {slug:.60} for pages of other sites")
    somebody = Identity.of(None, None, scope_of(request, AnonymousUser()), visitor=new_visitor())
    with translation.override(_language(request)):
        shown = chat_for(request, somebody, slug, None)
        shown = replace(shown, url=request.path, new_url=f"{request.path}?new", back=request.path)
        context = {"chat": shown, "origins": list(origins), "framed": True, "request": request}
        response = render(request, "lingstream/chat/embed.html", context)
    response["Content-Security-Policy"] = _policy(request, origins)
    response["Referrer-Policy"] = "origin"
    response["Cache-Control"] = "no-cache"
    return response


@api("POST")
async def visitor(request: HttpRequest, slug: str) -> HttpResponse:
    """Return a visitor's token: of whom the site around vouches for, ``{"user": <JWT>}``, or a new one's."""
    data = loads(body_of(request) or b"{}")
    if not isinstance(data, dict) or not isinstance(user := data.get("user", ""), str):
        raise UsageError(f'expected {{"user": "<JWT>"}} or {{}}, got {data!r:.80}')
    return answer_json({"visitor": make_visitor_token(await in_database(_visitor_of, request, slug, user))})


def _visitor_of(request: HttpRequest, slug: str, user: str) -> str:
    if not user:
        return new_visitor()
    chat = Chat.objects.filter(workflow__slug=slug).first()
    if chat is None:
        raise NotFound(f"there is no chat {slug!r:.60} that other sites may vouch for")
    return vouched_visitor(chat, user, scope_of(request, AnonymousUser()) or "")


def _language(request: HttpRequest) -> str:
    """The language of the page around, if the site has it, else the browser's."""
    try:
        return translation.get_supported_language_variant(request.GET.get("lang", "").lower())
    except LookupError:
        return translation.get_language() or settings.LANGUAGE_CODE


def _policy(request: HttpRequest, origins: Any) -> str:
    """What the frame may do. ``frame-ancestors`` is what keeps it out of pages that are not listed.

    A browser tells the server nothing of the page around a frame, so no answer of ours can.
    """
    files = _origin_of(request, settings.STATIC_URL)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {files}",
            f"style-src {files}",
            f"img-src {files} data: blob:",
            f"connect-src 'self' {_socket(request)}",
            "base-uri 'none'",
            "form-action 'self'",
            f"frame-ancestors {' '.join(origins)}",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _origin_of(request: HttpRequest, url: str | None) -> str:
    """``'self'``, or with it the origin of a site that keeps its static files elsewhere."""
    scheme, there, rest = (url or "").partition("//")
    scheme = scheme or f"{request.scheme}:"
    return f"'self' {scheme}//{rest.partition('/')[0]}" if there else "'self'"


def _socket(request: HttpRequest) -> str:
    """The socket by name: not every browser takes ``'self'`` for a WebSocket's origin too."""
    return f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}"
