"""How a start by HTTP is answered: with the run's frames in the dialect that is wanted, or with 202."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from lingstream.access.identity import Identity
from lingstream.conf import app_settings
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.wire.dialect import DialectKind, for_media_type, media_types, named
from lingstream.execution.disconnect import is_bound
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start, introduce

from .accept import preferred
from .addresses import run_url
from .requests import answer_json, name_run, name_visitor
from .response import stream
from .viewer import beginning, started

__all__ = ["asked_for", "body_of", "length_of", "respond", "wanted"]

_NO_STREAM = "application/json"  # the answer 202


def body_of(request: HttpRequest) -> bytes:
    """Return the body.

    :raises UsageError: ``too-large``: it is longer than ``MAX_BODY``; ``bad-request``.
    """
    limit = app_settings().max_body
    if length_of(request) > limit or len(body := request.body) > limit:
        message = Phrase("expected a body of up to %(most)s bytes, got more", most=limit)
        raise UsageError(message, code="too-large")
    return body


def length_of(request: HttpRequest) -> int:
    """Return how long the body is said to be, in bytes.

    :raises UsageError: ``bad-request``: by what is no number.
    """
    length = request.headers.get("Content-Length") or "0"
    if not length.isdecimal() or len(length) > 18:
        message = Phrase("expected Content-Length to be a number, got %(got)s", got=f"{length!r:.80}")
        raise UsageError(message, code="bad-request")
    return int(length)


def asked_for(request: HttpRequest) -> DialectKind | None:
    """Return the dialect that the client names, as several share a media type."""
    name = request.GET.get("dialect")
    return None if name is None else named(name)


def wanted(request: HttpRequest) -> DialectKind | None:
    """Return the dialect that ``?dialect=`` names, or else ``Accept`` wants most; ``None`` for 202.

    :raises UsageError: ``not-acceptable``, ``unknown-dialect``: there is none to answer in.
    """
    if found := asked_for(request):
        return found
    accept = request.headers.get("Accept")
    offers = [_NO_STREAM, *media_types()]
    best = preferred(accept, offers)
    if best is None:
        message = Phrase(
            "expected Accept to admit one of %(known)s, got %(got)s",
            known=", ".join(offers),
            got=f"{accept!r:.200}",
        )
        raise UsageError(message, code="not-acceptable")
    return for_media_type(best)


async def respond(
    request: HttpRequest, start: Start, identity: Identity, dialect: DialectKind | None
) -> HttpResponseBase:
    """Start a run and answer with it.

    :param dialect: as :func:`wanted` returned it, before anything else was looked at.
    """
    identity, visitor = introduce(start, identity)
    bound = dialect is not None and await is_bound(start)
    run, new = await get_runner().start(start, identity)
    if dialect:
        after = beginning() if new else None
        response: HttpResponseBase = stream(request, run, dialect.factory, after, binding=bound)
    else:
        told = {**started(run), "status": run.status, "events": run_url(request, "events", run)}
        response = answer_json(told, 202)
    return name_visitor(request, name_run(response, run, run_url(request, "run", run)), visitor)
