"""HTTP: start a run, ask for its state, follow it from any place, cancel it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from lingstream.conf import app_settings
from lingstream.core.exceptions import UsageError
from lingstream.core.wire.json import loads
from lingstream.core.wire.ling import JSONL, SSE
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start
from lingstream.execution.storage import in_database, run_to_cancel, run_to_read

from .accept import preferred
from .addresses import run_url
from .requests import answer_json, api, identity_of, name_run, stream, token_of
from .viewer import at_end, beginning, started, stored_state

__all__ = ["cancel", "events", "runs", "state"]

_ENCODERS: dict[str, type[SSE | JSONL] | None] = {
    "application/json": None,
    "text/event-stream": SSE,
    "application/jsonl": JSONL,
}


@api("POST")
async def runs(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Start a run of the workflow ``slug``.

    Body: ``{"input", "key"?, "conversation"?}``. Answered as ``Accept`` asks: with the run's events as SSE or
    JSON lines, or with 202 and where to find them. ``Location``, ``Ling-Run``, ``Ling-Token`` and
    ``Ling-Share`` name the run in all three. Who accepts none of them is refused before anything is started.
    """
    identity = await identity_of(request, acts=True)
    encoder = _encoder(request)
    start = Start.from_json(loads(_body(request)), slug)
    run, new = await get_runner().start(start, identity)
    if encoder:
        response: HttpResponseBase = stream(request, run, encoder, beginning() if new else None)
    else:
        told = {**started(run), "status": run.status, "events": run_url(request, "events", run)}
        response = answer_json(told, 202)
    return name_run(response, run, run_url(request, "run", run))


@api("GET", "HEAD")
async def state(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """Return the run's status and document."""
    run = await in_database(run_to_read, run_id, await identity_of(request), token_of(request))
    return answer_json(await stored_state(run))


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


@api("POST")
async def cancel(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """Stop the run; one that has ended stays as it is."""
    token = token_of(request)
    identity = await identity_of(request, acts=not token)
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


def _encoder(request: HttpRequest) -> type[SSE | JSONL] | None:
    """What writes the answer that the client wants most; ``None`` for 202."""
    accept = request.headers.get("Accept")
    wanted = preferred(accept, list(_ENCODERS))
    if wanted is None:
        message = f"expected Accept to admit one of {', '.join(_ENCODERS)}, got {accept!r:.200}"
        raise UsageError(message, code="not-acceptable")
    return _ENCODERS[wanted]
