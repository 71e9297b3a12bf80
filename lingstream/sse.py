"""HTTP: follow a run as server-sent events, from any place."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from .core.wire.ling import SSE
from .http import api, identity_of, stream, token_of
from .storage import in_database, run_to_read
from .viewer import at_end

__all__ = ["events"]


@api("GET")
async def events(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """Stream the run's frames behind ``Last-Event-ID`` or ``?after=``, to its end.

    Who has seen the end gets 204, or a browser's ``EventSource`` would come back for ever.
    """
    run = await in_database(run_to_read, run_id, await identity_of(request), token_of(request))
    after = request.headers.get("Last-Event-ID") or request.GET.get("after")
    if await at_end(run, after):
        return HttpResponse(status=204)
    return stream(request, run, SSE, after)
