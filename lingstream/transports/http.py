"""HTTP: start a run, ask for its state, follow it or many from any place, cancel it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from lingstream.access.csrf import CsrfError
from lingstream.core.wire.dialect import named
from lingstream.core.wire.json import loads
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start
from lingstream.execution.storage import in_database, run_to_cancel, run_to_read, runs_to_read

from .asked import Feed
from .feed import answer
from .requests import answer_json, api, identity_of, token_of
from .response import stream
from .starting import asked_for, body_of, respond, wanted
from .viewer import at_end, stored_state

__all__ = ["cancel", "events", "feed", "runs", "state"]


@api("POST")
async def runs(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Start a run of the workflow ``slug``.

    Body: ``{"input", "key"?, "conversation"?}``. Answered as ``?dialect=`` or else ``Accept`` asks: with the
    run's frames as SSE, JSON lines or what the site's apps have registered, or with 202 and where to find
    them. ``Location``, ``Ling-Run``, ``Ling-Token`` and ``Ling-Share`` name the run in all of them, and
    ``Ling-Visitor`` who has begun a conversation without login and session. Who accepts none is refused
    before anything is started.
    """
    identity = await identity_of(request, acts=True)
    dialect = wanted(request)
    start = Start.from_json(loads(body_of(request)), slug)
    return await respond(request, start, identity, dialect)


@api("GET", "HEAD")
async def state(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """Return the run's status and document."""
    run = await in_database(run_to_read, run_id, await identity_of(request), token_of(request))
    return answer_json(await stored_state(run))


@api("GET")
async def events(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """Stream the run's frames behind ``Last-Event-ID`` or ``?after=``, to its end: as SSE, or ``?dialect=``.

    Who has seen the end gets 204, or a browser's ``EventSource`` would come back for ever.
    """
    dialect = asked_for(request) or named("sse")
    run = await in_database(run_to_read, run_id, await identity_of(request), token_of(request))
    after = request.headers.get("Last-Event-ID") or request.GET.get("after") if dialect.resumes else None
    if await at_end(run, after):
        return HttpResponse(status=204)
    return stream(request, run, dialect.factory, after)


@api("POST")
async def feed(request: HttpRequest) -> HttpResponseBase:
    """Follow many runs in one response.

    Body: ``{"runs"?: [{"run", "after"?, "token"?}], "attach"?: [{"conversation", "seq"?}], "all"?: true,
    "wait"?}``. Without ``wait`` it streams server-sent events, with the socket's messages as data, until all
    runs have ended; notices of conversations have no end. With it, it is one turn of a long polling: JSON
    lines, at once if there are any, else after ``wait`` seconds at most. What is refused is told so in a
    message of its own, and the rest is followed all the same: without a CSRF token the runs whose own tokens
    are shown.
    """
    asked = Feed.from_json(loads(body_of(request)))
    try:
        identity = await identity_of(request, acts=True)
    except CsrfError as fault:
        asked = asked.with_tokens(fault)
        identity = await identity_of(request, acts=True, shows=True)
    names = [(each.run, each.token) for each in asked.runs]
    return answer(request, asked, await in_database(runs_to_read, names, identity), identity)


@api("POST")
async def cancel(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """Stop the run; one that has ended stays as it is."""
    token = token_of(request)
    identity = await identity_of(request, acts=True, shows=bool(token))
    run = await in_database(run_to_cancel, run_id, identity, token)
    await get_runner().cancel(run)
    return answer_json({"run": str(run.pk), "status": run.status}, 202)
