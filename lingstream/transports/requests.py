"""What the HTTP views share: who asks, CSRF, and errors as JSON."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.signals import got_request_exception
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.http.request import UnreadablePostError
from django.utils.log import log_response
from django.views.decorators.csrf import csrf_exempt

from lingstream.access import csrf
from lingstream.access.faults import told
from lingstream.access.identity import Identity, identify
from lingstream.access.origins import allow, foreign_origin, preflight
from lingstream.access.tokens import check_share, make_share, make_token
from lingstream.access.visitors import SESSION_KEY, make_visitor_token, renewed
from lingstream.core.exceptions import (
    AccessError,
    InternalError,
    LingError,
    NotFound,
    RateLimited,
    UsageError,
)
from lingstream.core.phrases import Phrase
from lingstream.core.wire.json import dumps
from lingstream.core.wire.ling import PROTOCOL
from lingstream.execution.away import AWAY, told_away
from lingstream.execution.nul import without_nul
from lingstream.execution.storage import in_database
from lingstream.models import Run

__all__ = [
    "answer_json",
    "api",
    "identity_of",
    "name_run",
    "name_visitor",
    "page",
    "status_of",
    "token_of",
]

P = ParamSpec("P")
V = TypeVar("V", bound=Callable[..., Any])
View = Callable[Concatenate[HttpRequest, P], Coroutine[Any, Any, HttpResponseBase]]

_STATUSES = {
    "bad-request": 400,
    "forbidden": 403,
    "chat-disabled": 403,
    "not-found": 404,
    "unknown-workflow": 404,
    "busy": 503,
    "no-runner": 503,
    "database": 503,
    "too-large": 413,
    "attachment-too-large": 413,
    "attachment-type": 415,
    "key-reused": 409,
    "conversation-busy": 409,
    "method": 405,
    "not-acceptable": 406,
    "unknown-dialect": 406,
    "asgi-required": 501,
    "rate-limited": 429,
    "internal": 500,
}

# What Django raises, and the site's own functions: first match wins, the rest is a fault of the server.
_DJANGOS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, Phrase], ...] = (
    (
        RequestDataTooBig,
        "too-large",
        Phrase("expected a body within the site's DATA_UPLOAD_MAX_MEMORY_SIZE, got more"),
    ),
    ((SuspiciousOperation, BadRequest), "bad-request", Phrase("the site refused this request as malformed")),
    ((UnreadablePostError, UnicodeError), "bad-request", Phrase("expected a body that can be read")),
    (PermissionDenied, "forbidden", Phrase("the site refused this request")),
    (Http404, "not-found", Phrase("the site has nothing here")),
)


def api(*methods: str) -> Callable[[View[P]], View[P]]:
    """Make an async function a view that answers every error as JSON, those that Django raises too.

    CSRF is left to :func:`identity_of`, because calls by token, and anonymous ones without a cookie, need
    none. ``ATOMIC_REQUESTS`` does not hold for the view: Django refuses it for async ones, and a run must be
    committed before its process, or another one, executes it.
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        async def wrapped(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            try:
                response = await _answered(request, *args, **kwargs)
            except DisallowedHost:
                raise
            except Exception as error:
                response = await _error(request, error)
                if response.status_code == 405:
                    response["Allow"] = ", ".join(methods)
            response["Ling-Protocol"] = PROTOCOL
            if fresh := renewed(request.headers.get("Authorization", "")):
                response["Ling-Visitor"] = fresh
            await allow(request, response)
            return response

        async def _answered(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            _check_asgi(request)
            if request.method == "OPTIONS":
                return preflight(methods)
            if request.method not in methods:
                message = Phrase(
                    "expected the method %(known)s, got %(got)s", known=", ".join(methods), got=request.method
                )
                raise UsageError(message, code="method")
            return await view(request, *args, **kwargs)

        return _commits(csrf_exempt(wrapped))

    return decorate


def page(view: V) -> V:
    """Make a function a view that answers errors of ours by Django's pages, committed as an :func:`api`."""

    @wraps(view)
    def wrapped(request: HttpRequest, /, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            with without_nul():
                response: HttpResponseBase = view(request, *args, **kwargs)
                return response
        except AccessError as error:
            raise PermissionDenied(told(error)["message"]) from error
        except LingError as error:
            raise BadRequest(told(error)["message"]) from error

    return _commits(cast(V, wrapped))


def answer_json(data: Any, status: int = 200) -> HttpResponse:
    """Return ``data`` as a JSON response that no cache keeps."""
    response = HttpResponse(dumps(data), content_type="application/json", status=status)
    response["Cache-Control"] = "no-store"
    return response


async def identity_of(request: HttpRequest, *, acts: bool = False, shows: bool = False) -> Identity:
    """Return who asks, as Django's middleware has it.

    :param acts: the request changes something in this person's name, so that a cookie is not enough.
    :param shows: it shows a token for all that it asks. Without a CSRF token that is all there is: the cookie
        speaks for nobody.
    :raises AccessError: a cookie speaks for it, and the CSRF token does not fit (code ``csrf``).
    """
    return await in_database(_identify, request, acts, shows)


def token_of(request: HttpRequest) -> str | None:
    """Return the run's token from ``Authorization: Ling …``, or its share from ``?token=``.

    :raises AccessError: a token in the URL that is more than a share.
    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "ling":
        return token.strip()
    if shown := request.GET.get("token"):
        check_share(shown)
    return shown


def name_run(response: HttpResponseBase, run: Run, location: str) -> HttpResponseBase:
    """Add the headers that name a run to whoever started it."""
    response["Location"] = location
    response["Ling-Run"] = str(run.pk)
    response["Ling-Token"] = make_token(run.pk)
    response["Ling-Share"] = make_share(run.pk)
    return response


def name_visitor(request: HttpRequest, response: HttpResponseBase, visitor: str) -> HttpResponseBase:
    """Let who has become a visitor be known when he comes back: by his session, or without one by a token.

    No session is made for it: from then on a POST would need a CSRF token, which a page without one lacks.

    :param visitor: the id, or ``""`` for nobody new.
    """
    session = getattr(request, "session", None)
    if visitor and session is not None and session.session_key:
        session[SESSION_KEY] = visitor
    elif visitor:
        response["Ling-Visitor"] = make_visitor_token(visitor)
    return response


def status_of(error: LingError, code: str) -> int:
    """Return the HTTP status of an error.

    :param code: as it is told, which may hide the error's own.
    """
    if status := _STATUSES.get(code):
        return status
    if isinstance(error, AccessError):
        return 403
    if isinstance(error, NotFound):
        return 404
    return 400 if isinstance(error, UsageError) else 500


def _commits(view: V) -> V:
    """Keep a view out of ``ATOMIC_REQUESTS``: a run must be committed before a process executes it."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def _identify(request: HttpRequest, acts: bool, shows: bool) -> Identity:
    identity = identify(request)
    if acts and not foreign_origin(request):
        try:
            csrf.check(request, signed_in=identity.owner_id is not None)
        except AccessError:
            if not shows:
                raise
            return identity.unproven()
    return identity


def _check_asgi(request: HttpRequest) -> None:
    """Refuse WSGI: each request has an event loop of its own there, with which a run would end."""
    if not hasattr(request, "scope"):
        message = Phrase(
            "lingstream needs ASGI, and this request came by WSGI: serve the site with daphne or uvicorn"
        )
        raise LingError(message, code="asgi-required")


async def _error(request: HttpRequest, error: Exception) -> HttpResponse:
    fault = error if isinstance(error, LingError) else _translated(error)
    body = told(fault)
    response = answer_json({"error": body}, status_of(fault, body["code"]))
    if isinstance(fault, RateLimited):
        response["Retry-After"] = str(fault.retry_after)
    elif fault.retryable:
        response["Retry-After"] = "1"
    if fault is not error and response.status_code >= 500:
        # As Django's own handler does: whoever listens for the signal, and the log with its traceback. By
        # way of a thread, which sees the exception that is handled here; `asend` sends from a task, without.
        await sync_to_async(got_request_exception.send)(sender=None, request=request)
        text = "%s: %s"
        log_response(text, fault.code, request.path, response=response, request=request, exception=error)
    return response


def _translated(error: Exception) -> LingError:
    if isinstance(error, AWAY):
        return told_away(error)
    for kinds, code, message in _DJANGOS:
        if isinstance(error, kinds):
            return LingError(message, code=code)
    return InternalError(Phrase("the request"))
