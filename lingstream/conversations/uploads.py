"""Attachments by HTTP: uploaded before their message, or with it; served so that they run nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http.multipartparser import MultiPartParserError

from lingstream.access.identity import Identity
from lingstream.conf import app_settings
from lingstream.core.engine.chat import MOST_IN_MESSAGE
from lingstream.core.exceptions import UsageError
from lingstream.core.wire.json import loads
from lingstream.execution.storage import in_database
from lingstream.models import Attachment, Conversation
from lingstream.transports.requests import answer_json, api, identity_of
from lingstream.transports.starting import length_of

from .changing import opened
from .downloads import file_response
from .files import attachment_of, discard, shown_file, store_file

__all__ = ["attachment", "attachments", "form_in_thread", "form_of", "is_form"]

_FIELDS = ("text", "id", "parent")  # no key: the same files would be others, sent once more


@api("POST")
async def attachments(request: HttpRequest) -> HttpResponseBase:
    """Keep a file for a message to come: a form with ``conversation`` and ``file``; its ``id`` is told."""
    identity = await identity_of(request, acts=True)
    row = await in_database(_stored, request, identity)
    return answer_json(shown_file(row), 201)


@api("GET", "DELETE")
async def attachment(request: HttpRequest, name: str) -> HttpResponseBase:
    """Return a file to the owner of its conversation, or delete it.

    Only pictures may be shown in a page; all else is to be saved. Nothing of it is executed.
    """
    identity = await identity_of(request, acts=request.method == "DELETE")
    row = await in_database(attachment_of, name, identity)
    if request.method == "DELETE":
        await in_database(row.delete)
        return HttpResponse(status=204)
    return await in_database(file_response, row)


def is_form(request: HttpRequest) -> bool:
    """Whether a message comes as a form, with its files."""
    return request.content_type == "multipart/form-data"


@asynccontextmanager
async def form_of(request: HttpRequest, name: str, identity: Identity) -> AsyncIterator[dict[str, Any]]:
    """Give the message in a form, as JSON would have it, with its files stored.

    Where it is refused in the block, they go as well. Not if the client only went away: its turn may begin.

    :raises UsageError: a form that cannot be read, or a file that the workflow does not take.
    """
    kept: list[Attachment] = []
    try:
        yield await in_database(_message, request, name, identity, kept)
    except Exception:
        await in_database(discard, kept)
        raise


@contextmanager
def form_in_thread(request: HttpRequest, name: str, identity: Identity) -> Iterator[Mapping[str, Any]]:
    """As :func:`form_of`, for code that may use the ORM; a form without files is taken as it is."""
    if not is_form(request):
        yield request.POST
        return
    kept: list[Attachment] = []
    try:
        yield _message(request, name, identity, kept)
    except Exception:
        discard(kept)
        raise


def _message(request: HttpRequest, name: str, identity: Identity, kept: list[Attachment]) -> dict[str, Any]:
    """:param kept: gets the files as they are stored."""
    conversation = opened(name, identity)
    form = _form(request)
    data: dict[str, Any] = {field: form[field] for field in _FIELDS if form.get(field)}
    if form.get("input"):
        data["input"] = loads(form["input"])
    for file in request.FILES.getlist("file"):
        kept.append(store_file(conversation, identity, file))
    if kept:
        parts = [{"type": "file", "attachment": str(row.pk)} for row in kept]
        text = data.pop("text", "")
        data["parts"] = [{"type": "text", "text": text}, *parts] if text else parts
    return data


def _stored(request: HttpRequest, identity: Identity) -> Attachment:
    conversation: Conversation = opened(_form(request).get("conversation", ""), identity)
    files = request.FILES.getlist("file")
    if len(files) != 1:
        raise UsageError(f"expected a form with one file, got {len(files)}")
    return store_file(conversation, identity, files[0])


def _form(request: HttpRequest) -> Any:
    """Reading a form may write temporary files: for a thread."""
    if not is_form(request):
        raise UsageError(f"expected a form with files, got {request.content_type!r:.80}", code="bad-request")
    most = MOST_IN_MESSAGE + app_settings().max_body
    if length_of(request) > most:
        raise UsageError(f"expected a form of up to {most} bytes, got more", code="attachment-too-large")
    try:
        return request.POST
    except MultiPartParserError as error:
        raise UsageError(f"expected a form that can be read: {error}", code="bad-request") from error
