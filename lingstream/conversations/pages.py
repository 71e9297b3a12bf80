"""The chat page: all of it from the server, so that it works where no script does."""

from __future__ import annotations

from dataclasses import replace

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from lingstream.access.faults import told
from lingstream.access.identity import Identity
from lingstream.core.exceptions import LingError
from lingstream.models import Conversation
from lingstream.transports.requests import page, status_of

from .buttons import press
from .listing import number_in
from .showing import address_of_chat, chat_for, conversation_for, list_for, person_behind

__all__ = ["chat"]

_ANY = 10**9  # above the number of every turn


@page
@require_http_methods(["GET", "HEAD", "POST"])
@cache_control(private=True, no_cache=True)
@csrf_protect
def chat(request: HttpRequest, slug: str, name: str = "") -> HttpResponse:
    """Show a conversation with a workflow, or what comes before one; a POST is one of its forms.

    ``?before``: only turns with lower numbers. ``?q&after&archived``: which conversations are listed.

    :param name: id of the conversation. One that is not this person's is 404, as one that is not there.
    """
    identity = person_behind(request)
    talk = conversation_for(identity, slug, name) if name else None
    if request.method == "POST":
        return _sent(request, identity, slug, talk)
    return _page(request, identity, slug, talk)


def _page(
    request: HttpRequest,
    identity: Identity,
    slug: str,
    talk: Conversation | None,
    fault: LingError | None = None,
) -> HttpResponse:
    before = number_in(request.GET, "before", _ANY, _ANY)
    shown = chat_for(request, identity, slug, talk, before)
    shown = replace(shown, listed=list_for(identity, slug, request.GET))
    status = 403 if shown.closed and talk is None else 200
    if fault is not None:
        body = told(fault)
        shown = replace(shown, error=body["message"], text=request.POST.get("text", ""))
        status = status_of(fault, body["code"])
    return render(request, "lingstream/chat/page.html", {"chat": shown, "request": request}, status=status)


def _sent(request: HttpRequest, identity: Identity, slug: str, talk: Conversation | None) -> HttpResponse:
    """Do it, and lead to the page that shows it: a reload sends nothing once more."""
    try:
        talk, run = press(request, identity, slug, talk)
    except LingError as fault:
        return _page(request, identity, slug, talk, fault)
    back = request.POST.get("back", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure()):
        back = address_of_chat(request, slug, talk)
    return HttpResponseRedirect(f"{back}#turn-{run}" if run else back)
