"""Conversations by HTTP, for their owners and visitors: a run's token opens no conversation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from lingstream.access.identity import Identity
from lingstream.conf import app_settings
from lingstream.core.exceptions import UsageError
from lingstream.core.wire.dialect import DialectKind
from lingstream.core.wire.json import loads
from lingstream.execution.retention import aforget
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start, introduce
from lingstream.execution.storage import in_database
from lingstream.models import Run
from lingstream.transports.requests import answer_json, api, identity_of, name_visitor, token_of
from lingstream.transports.starting import body_of, respond, wanted

from .asking import again, edited, said
from .attending import typed
from .changing import create, delete, opened, patch
from .downloads import export_response
from .exporting import FORMATS
from .listing import Wanted, listed, number_in, shown
from .messages import message_from
from .opinions import give_feedback
from .reading import with_turns
from .turns import LEAF, open_turns, turn_of
from .uploads import form_of, is_form

__all__ = [
    "conversation",
    "conversations",
    "edit",
    "export",
    "feedback",
    "messages",
    "regenerate",
    "stop",
    "typing",
]

_TURNS, _MOST_TURNS = 50, 200
_ANY = 10**9  # above the number of every turn


@api("GET", "HEAD", "POST")
async def conversations(request: HttpRequest) -> HttpResponseBase:
    """List the asker's conversations, or begin one.

    ``?workflow&q&after&archived&limit``: a page, newest first, and ``next``, the ``after`` of the following
    one. A POST of ``{"workflow", "external_id"?, "timezone"?, "data"?}`` is answered with the new
    conversation (201), or with the one that has this external id (200).
    """
    if request.method != "POST":
        identity = await identity_of(request)
        return answer_json(await in_database(listed, identity, Wanted.from_query(request.GET)))
    identity = await identity_of(request, acts=True)
    data = _object(request)
    identity, visitor = introduce(Start(str(data.get("workflow")), conversation="new"), identity)
    row, new = await in_database(create, data, identity)
    response = answer_json(await in_database(shown, row), 201 if new else 200)
    return name_visitor(request, response, visitor)


@api("GET", "HEAD", "PATCH", "DELETE")
async def conversation(request: HttpRequest, name: str) -> HttpResponseBase:
    """Show a conversation with the turns of its path, change it, or delete it.

    ``?before&limit``: the last turns with numbers below ``before``. A PATCH takes some of ``{"title",
    "archived", "read", "leaf", "timezone"}``.
    """
    identity = await identity_of(request, acts=request.method in ("PATCH", "DELETE"))
    if request.method == "PATCH":
        row = await in_database(patch, name, identity, _object(request))
        return answer_json(await in_database(shown, row))
    if request.method == "DELETE":
        for run in await in_database(delete, name, identity):
            await get_runner().cancel(run)
        if app_settings().hard_delete:
            await aforget(UUID(name))
        return HttpResponse(status=204)
    row = await in_database(opened, name, identity)
    limit = number_in(request.GET, "limit", _TURNS, _MOST_TURNS)
    before = number_in(request.GET, "before", _ANY, _ANY)
    return answer_json(await in_database(with_turns, row, identity, before, limit))


@api("POST")
async def messages(request: HttpRequest, name: str) -> HttpResponseBase:
    """Say something: ``{"parts" | "text", "id"?, "input"?, "parent"?, "key"?}``; answered as a start is.

    As a form it may bring its files along, each as ``file``.
    """
    identity = await identity_of(request, acts=True)
    dialect = wanted(request)
    if not is_form(request):
        return await _begun(request, identity, dialect, partial(_said, name, identity, _object(request)))
    async with form_of(request, name, identity) as data:
        return await _begun(request, identity, dialect, partial(_said, name, identity, data))


@api("POST")
async def regenerate(request: HttpRequest, name: str) -> HttpResponseBase:
    """Have a turn answered once more: ``{"run", "key"?}``; answered as a start is."""
    return await _once_more(request, name, _again)


@api("POST")
async def edit(request: HttpRequest, name: str) -> HttpResponseBase:
    """Say something else in a turn: ``{"run", "parts" | "text", "id"?, "key"?}``; answered as a start is."""
    return await _once_more(request, name, _edited)


@api("POST")
async def stop(request: HttpRequest, name: str) -> HttpResponseBase:
    """Stop every turn that has not ended; their runs are named."""
    identity = await identity_of(request, acts=True)
    runs = await in_database(_open, name, identity)
    for run in runs:
        await get_runner().cancel(run)
    return answer_json({"stopped": [str(run.pk) for run in runs]}, 202)


@api("POST")
async def typing(request: HttpRequest, name: str) -> HttpResponseBase:
    """Its owner types, at a page without a socket: bots that speak first wait."""
    identity = await identity_of(request, acts=True)
    await in_database(_typed, name, identity)
    return HttpResponse(status=204)


@api("GET", "HEAD")
async def export(request: HttpRequest, name: str) -> HttpResponseBase:
    """Download a conversation: ``?format=md``, the turns that are shown, or ``json``, all there are."""
    identity = await identity_of(request)
    form = request.GET.get("format", "md")
    if form not in FORMATS:
        raise UsageError(f"expected format to be {' or '.join(FORMATS)}, got {form!r:.40}")
    return export_response(request, await in_database(opened, name, identity), form)


@api("POST")
async def feedback(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """Say what one thinks of an answer: ``{"value": 1 | -1 | 0, "uri"?, "reason"?, "comment"?}``."""
    token = token_of(request)
    identity = await identity_of(request, acts=True, shows=bool(token))
    kept = await in_database(give_feedback, run_id, identity, token, _object(request))
    return answer_json({"run": run_id, "feedback": kept})


async def _once_more(
    request: HttpRequest, name: str, start_of: Callable[[str, Identity, dict[str, Any]], Start]
) -> HttpResponseBase:
    identity = await identity_of(request, acts=True)
    dialect = wanted(request)
    return await _begun(request, identity, dialect, partial(start_of, name, identity, _object(request)))


async def _begun(
    request: HttpRequest, identity: Identity, dialect: DialectKind | None, asked: Callable[[], Start]
) -> HttpResponseBase:
    return await respond(request, await in_database(asked), identity, dialect)


def _object(request: HttpRequest) -> dict[str, Any]:
    data = loads(body_of(request) or b"{}")
    if not isinstance(data, dict):
        raise UsageError(f"expected an object, got {type(data).__name__}")
    return data


def _said(name: str, identity: Identity, data: dict[str, Any]) -> Start:
    row = opened(name, identity)
    parent = data.get("parent")
    after = LEAF if parent is None else turn_of(row, str(parent)).pk
    return said(row, message_from(data), input=data.get("input"), parent=after, key=_key(data))


def _again(name: str, identity: Identity, data: dict[str, Any]) -> Start:
    row = opened(name, identity)
    return again(row, turn_of(row, str(data.get("run"))), key=_key(data))


def _edited(name: str, identity: Identity, data: dict[str, Any]) -> Start:
    row = opened(name, identity)
    return edited(row, turn_of(row, str(data.get("run"))), message_from(data), key=_key(data))


def _open(name: str, identity: Identity) -> list[Run]:
    return open_turns(opened(name, identity))


def _typed(name: str, identity: Identity) -> None:
    typed(opened(name, identity).pk)


def _key(data: dict[str, Any]) -> str:
    return Start.from_json({"input": None, "key": data.get("key")}, "-").key
