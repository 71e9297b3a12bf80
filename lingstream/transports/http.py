"""HTTP: start a run, ask for its state, follow it or many from any place, cancel it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from lingstream.conf import app_settings
from lingstream.core.exceptions import UsageError
from lingstream.core.wire.dialect import DialectKind, for_media_type, media_types, named
from lingstream.core.wire.json import loads
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start, introduce
from lingstream.execution.storage import in_database, run_to_cancel, run_to_read, runs_to_read

from .accept import preferred
from .addresses import run_url
from .feed import Feed, answer
from .requests import answer_json, api, identity_of, name_run, name_visitor, token_of
from .response import stream
from .viewer import at_end, beginning, started, stored_state

__all__ = ["cancel", "events", "feed", "runs", "state"]

_NO_STREAM = "application/json"  # the answer 202


@api("POST")
async def runs(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Start a run of the workflow ``slug``.

    Body: ``{"input", "key"?, "conversation"?}``. Answered as ``?dialect=`` or else ``Accept`` asks: with the
    run's frames as SSE, JSON lines or what the site's apps have registered, or with 202 and where to find
    them. ``Location``, ``Ling-Run``, ``Ling-Token`` and ``Ling-Share`` name the run in all of them, and
    ``Ling-Visitor`` who has begun a conversation without login and session. Who
    accepts none is refused before anything is started.
    """
    identity = await identity_of(request, acts=True)
    dialect = _asked_for(request) or _accepted(request)
    start = Start.from_json(loads(_body(request)), slug)
    identity, visitor = introduce(start, identity)
    run, new = await get_runner().start(start, identity)
    if dialect:
        response: HttpResponseBase = stream(request, run, dialect.factory, beginning() if new else None)
    else:
        told = {**started(run), "status": run.status, "events": run_url(request, "events", run)}
        response = answer_json(told, 202)
    return name_visitor(request, name_run(response, run, run_url(request, "run", run)), visitor)


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
    dialect = _asked_for(request) or named("sse")
    run = await in_database(run_to_read, run_id, await identity_of(request), token_of(request))
    after = request.headers.get("Last-Event-ID") or request.GET.get("after") if dialect.resumes else None
    if await at_end(run, after):
        return HttpResponse(status=204)
    return stream(request, run, dialect.factory, after)


@api("POST")
async def feed(request: HttpRequest) -> HttpResponseBase:
    """Follow many runs in one response.

    Body: ``{"runs": [{"run", "after"?, "token"?}], "wait"?}``. Without ``wait`` it streams server-sent
    events, with the socket's messages as data, until all runs have ended. With it, it is one turn of a long
    polling: JSON lines, at once if there are any, else after ``wait`` seconds at most. A run that is refused
    is told so in a message of its own, and the others are followed all the same.
    """
    asked = Feed.from_json(loads(_body(request)))
    identity = await identity_of(request, acts=True, shows=all(each.token for each in asked.runs))
    names = [(each.run, each.token) for each in asked.runs]
    return answer(request, asked, await in_database(runs_to_read, names, identity))


@api("POST")
async def cancel(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """Stop the run; one that has ended stays as it is."""
    token = token_of(request)
    identity = await identity_of(request, acts=True, shows=bool(token))
    run = await in_database(run_to_cancel, run_id, identity, token)
    await get_runner().cancel(run)
    return answer_json({"run": str(run.pk), "status": run.status}, 202)


def _body(request: HttpRequest) -> bytes:
    limit = app_settings().max_body
    length = request.headers.get("Content-Length") or "0"
    if not length.isdecimal() or len(length) > 18:
        raise UsageError(f"expected Content-Length to be a number, got {length!r:.80}", code="bad-request")
    if int(length) > limit or len(body := request.body) > limit:
        raise UsageError(f"expected a body of up to {limit} bytes, got more", code="too-large")
    return body


def _asked_for(request: HttpRequest) -> DialectKind | None:
    """The dialect that the client names, as several share a media type."""
    name = request.GET.get("dialect")
    return None if name is None else named(name)


def _accepted(request: HttpRequest) -> DialectKind | None:
    """The dialect that the client accepts most; ``None`` for 202."""
    accept = request.headers.get("Accept")
    offers = [_NO_STREAM, *media_types()]
    wanted = preferred(accept, offers)
    if wanted is None:
        message = f"expected Accept to admit one of {', '.join(offers)}, got {accept!r:.200}"
        raise UsageError(message, code="not-acceptable")
    return for_media_type(wanted)
