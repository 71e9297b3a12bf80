"""What people download, as responses in which nothing runs: files, and whole conversations."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import TypeVar

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

from lingstream.execution.storage import in_database
from lingstream.models import Attachment, Conversation
from lingstream.transports.stream import streamed

from .exporting import FORMATS, exported, filename
from .files import IMAGES

__all__ = ["download", "export_response", "file_response"]

Response = TypeVar("Response", bound=HttpResponseBase)


def file_response(row: Attachment) -> HttpResponse:
    """Return a file. Only pictures may be shown in a page; all else is to be saved. For a thread."""
    with row.file.open("rb") as file:
        response = HttpResponse(file.read(), content_type=row.content_type)
    return _harmless(response, row.name, save=row.content_type not in IMAGES)


def export_response(request: HttpRequest, conversation: Conversation, form: str) -> HttpResponseBase:
    """Return a conversation in one of :data:`FORMATS`, written while it is read, some turns at a time."""
    return download(request, exported(conversation, form), FORMATS[form], filename(conversation, form))


def download(request: HttpRequest, pieces: Iterator[bytes], kind: str, name: str) -> HttpResponseBase:
    """Return a file to be saved, written while it is made: each piece in a thread, by ASGI as by WSGI.

    :param kind: the media type.
    """
    if hasattr(request, "scope"):
        response = streamed(request, _parts(pieces), kind)
    else:  # by WSGI, as the admin may be served
        response = StreamingHttpResponse(pieces, content_type=kind)
    return _harmless(response, name, save=True)


async def _parts(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    while (piece := await in_database(next, pieces, None)) is not None:
        yield piece


def _harmless(response: Response, name: str, *, save: bool) -> Response:
    response["Content-Disposition"] = content_disposition_header(save, name) or "attachment"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response
