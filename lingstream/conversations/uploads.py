"""Attachments by HTTP: uploaded before their message, or with it; served so that they run nothing."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http.multipartparser import MultiPartParserError
from django.utils.http import content_disposition_header

from lingstream.access.identity import Identity
from lingstream.core.exceptions import UsageError
from lingstream.core.wire.json import loads
from lingstream.execution.storage import in_database
from lingstream.models import Attachment, Conversation
from lingstream.transports.requests import answer_json, api, identity_of

from .changing import opened
from .files import IMAGES, attachment_of, shown_file, store_file

__all__ = ["attachment", "attachments", "form_of", "is_form"]

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
    response = HttpResponse(await in_database(_content, row), content_type=row.content_type)
    disposition = content_disposition_header(row.content_type not in IMAGES, row.name)
    response["Content-Disposition"] = disposition or "attachment"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


def is_form(request: HttpRequest) -> bool:
    """Whether a message comes as a form, with its files."""
    return request.content_type == "multipart/form-data"


def form_of(request: HttpRequest, name: str, identity: Identity) -> dict[str, Any]:
    """Return the message in a form, as JSON would have it, with its files stored.

    :raises UsageError: a form that cannot be read, or a file that the workflow does not take.
    """
    conversation = opened(name, identity)
    form = _form(request)
    data: dict[str, Any] = {field: form[field] for field in _FIELDS if form.get(field)}
    if form.get("input"):
        data["input"] = loads(form["input"])
    files = [store_file(conversation, identity, file) for file in request.FILES.getlist("file")]
    if files:
        parts = [{"type": "file", "attachment": str(row.pk)} for row in files]
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
    try:
        return request.POST
    except MultiPartParserError as error:
        raise UsageError(f"expected a form that can be read: {error}", code="bad-request") from error


def _content(row: Attachment) -> bytes:
    with row.file.open("rb") as file:
        return bytes(file.read())
