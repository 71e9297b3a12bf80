"""Attachments: what may be attached, what it is, who gets it, and what a model sees of it."""

from __future__ import annotations

import codecs
import hashlib
from base64 import b64encode
from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _

from lingstream.access.identity import Identity
from lingstream.access.permissions import check_conversation
from lingstream.access.throttle import UPLOAD, check_throttle
from lingstream.core.engine.chat import MOST_IN_MESSAGE, Chat
from lingstream.core.exceptions import NotFound, UsageError
from lingstream.models import Attachment, Conversation, Run

from .chats import chat_of, check_enabled
from .messages import attachments_of

__all__ = [
    "IMAGES",
    "attachment_of",
    "discard",
    "parts_for_model",
    "shown_file",
    "sniffed",
    "store_file",
    "with_files",
]

#: What a browser may show in a page: pictures made of dots. SVG and HTML are documents that run.
IMAGES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
)
_HEAD = 4_096
_MOST_WAITING = 50  # files that wait for a message, in one conversation


def sniffed(head: bytes) -> str:
    """Return the type of a file by how it begins; of text ``text/plain``, whatever that may say."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if "\x00" in text else "text/plain"


def store_file(conversation: Conversation, identity: Identity, file: UploadedFile[Any]) -> Attachment:
    """Keep a file for a message to come.

    :raises UsageError: the conversation's workflow does not take it; ``attachment-too-large``; ``too-many``.
    :raises RateLimited: this person has sent too many.
    """
    chat = chat_of(conversation.workflow)
    _check_taken(chat)
    check_throttle(conversation.workflow, identity, UPLOAD)
    if (file.size or 0) > chat.max_size:
        sizes = {"most": chat.max_size, "size": file.size}
        text = _("expected a file of up to %(most)s bytes, got %(size)s") % sizes
        raise UsageError(text, code="attachment-too-large")
    if Attachment.objects.filter(conversation=conversation, run=None).count() >= _MOST_WAITING:
        text = _("%(count)s files wait for their message already") % {"count": _MOST_WAITING}
        raise UsageError(text, code="too-many")
    kind = sniffed(file.read(_HEAD))
    if chat.attachments == "images" and kind not in IMAGES:
        kinds = {"kinds": ", ".join(IMAGES), "kind": kind}
        text = _("expected a picture (%(kinds)s), got %(kind)s") % kinds
        raise UsageError(text, code="attachment-type")
    file.seek(0)
    return Attachment.objects.create(
        conversation=conversation,
        file=file,
        name=_name(file.name or ""),
        content_type=kind,
        size=file.size or 0,
        sha256=_digest(file),
        **identity.owned,
    )


def discard(rows: Collection[Attachment]) -> None:
    """Delete files whose message was refused; one that a turn has is left alone."""
    for row in Attachment.objects.filter(pk__in=[row.pk for row in rows], run=None):
        row.delete()


def attachment_of(name: str, identity: Identity) -> Attachment:
    """Return the attachment for the owner of its conversation.

    :raises NotFound: there is none, or its conversation was deleted.
    :raises AccessError: it is somebody else's.
    """
    try:
        rows = Attachment.objects.select_related("conversation").filter(conversation__deleted_at=None)
        found = rows.get(pk=UUID(name))
    except (Attachment.DoesNotExist, ValueError):
        raise NotFound(f"there is no attachment {name[:60]!r}") from None
    check_conversation(found.conversation, identity)
    return found


def with_files(conversation: Conversation, message: Mapping[str, Any], chat: Chat) -> Mapping[str, Any]:
    """Return the message with what its files are called.

    :raises NotFound: a file that is not of this conversation.
    :raises UsageError: more files than the workflow takes; ``attachment-too-large``.
    """
    names = attachments_of(message)
    if not names:
        return message
    _check_taken(chat)
    if len(names) > chat.max_files:
        counts = {"most": chat.max_files, "count": len(names)}
        raise UsageError(_("expected up to %(most)s files, got %(count)s") % counts, code="too-many")
    files = _files(conversation.pk, names)
    for name in names:
        if name not in files:
            raise NotFound(f"there is no attachment {name[:60]!r} in this conversation")
    if sum(files[name].size for name in names) > MOST_IN_MESSAGE:
        text = _("expected files of up to %(most)s bytes in one message, got more")
        raise UsageError(text % {"most": MOST_IN_MESSAGE}, code="attachment-too-large")
    return {**message, "parts": [_named(part, files) for part in message["parts"]]}


def parts_for_model(run: Run) -> list[dict[str, Any]]:
    """Return the files of a turn's message as OpenAI content parts; one that is gone is left out."""
    names = attachments_of(run.message) if run.message else []
    files = _files(run.conversation_id, names) if names and run.conversation_id else {}
    return [_part(files[name]) for name in names if name in files and _is_there(files[name])]


def shown_file(row: Attachment) -> dict[str, Any]:
    """Return what a client is told of a file."""
    return {"id": str(row.pk), "name": row.name, "content_type": row.content_type, "size": row.size}


def _check_taken(chat: Chat) -> None:
    check_enabled(chat)
    if chat.attachments == "none":
        raise UsageError(_("expected no file: this workflow takes none"), code="attachment-type")


def _files(conversation: UUID, names: list[str]) -> dict[str, Attachment]:
    keys = {}
    for name in names:
        try:
            keys[UUID(name)] = name
        except ValueError:
            continue
    rows = Attachment.objects.filter(conversation_id=conversation, pk__in=keys)
    return {keys[row.pk]: row for row in rows}


def _named(part: dict[str, Any], files: Mapping[str, Attachment]) -> dict[str, Any]:
    if part["type"] != "file":
        return part
    row = files[part["attachment"]]
    return {**part, "name": row.name, "content_type": row.content_type, "size": row.size}


def _part(row: Attachment) -> dict[str, Any]:
    with row.file.open("rb") as file:
        url = f"data:{row.content_type};base64,{b64encode(file.read()).decode()}"
    if row.content_type in IMAGES:
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": row.name, "file_data": url}}


def _is_there(row: Attachment) -> bool:
    return bool(row.file.name and row.file.storage.exists(row.file.name))


def _name(name: str) -> str:
    """What a file is called, without folders and what is not to be printed."""
    shown = "".join(each for each in PurePath(name.replace("\\", "/")).name if each.isprintable())
    return shown[-255:] or "file"


def _digest(file: UploadedFile[Any]) -> str:
    found = hashlib.sha256()
    for chunk in file.chunks():
        found.update(chunk)
    file.seek(0)
    return found.hexdigest()
