"""Attachments: what may be attached, what it is, who gets it, and what a model sees of it."""

from __future__ import annotations

import codecs
import hashlib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile

from lingstream.access.identity import Identity
from lingstream.access.permissions import check_conversation
from lingstream.core.engine.chat import Chat
from lingstream.core.exceptions import NotFound, UsageError
from lingstream.models import Attachment, Conversation, Run

from .chats import chat_of
from .messages import attachments_of

__all__ = ["IMAGES", "attachment_of", "parts_for_model", "shown_file", "sniffed", "store_file", "with_files"]

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
_MOST_FOR_MODEL = 2_500_000  # bytes of one message's files, which as base64 fit among what a bot remembers


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
    """
    chat = chat_of(conversation.workflow)
    _check_taken(chat)
    if (file.size or 0) > chat.max_size:
        raise UsageError(
            f"expected a file of up to {chat.max_size} bytes, got {file.size}", code="attachment-too-large"
        )
    if Attachment.objects.filter(conversation=conversation, run=None).count() >= _MOST_WAITING:
        raise UsageError(f"{_MOST_WAITING} files wait for their message already", code="too-many")
    kind = sniffed(file.read(_HEAD))
    if chat.attachments == "images" and kind not in IMAGES:
        raise UsageError(f"expected a picture ({', '.join(IMAGES)}), got {kind}", code="attachment-type")
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
        raise UsageError(f"expected up to {chat.max_files} files, got {len(names)}", code="too-many")
    files = _files(conversation.pk, names)
    for name in names:
        if name not in files:
            raise NotFound(f"there is no attachment {name[:60]!r} in this conversation")
    if sum(files[name].size for name in names) > _MOST_FOR_MODEL:
        text = f"expected files of up to {_MOST_FOR_MODEL} bytes in one message, got more"
        raise UsageError(text, code="attachment-too-large")
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
    if chat.attachments == "none":
        raise UsageError("expected no file: this workflow takes none", code="attachment-type")


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
