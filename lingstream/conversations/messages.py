"""What a person sends, as the parts of a message, and what of it is text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from lingstream.core.exceptions import UsageError

__all__ = ["attachments_of", "message_from", "message_of", "text_of", "told"]

_MOST_PARTS = 50
_LONGEST_ID = 200  # as the column


def message_of(text: str) -> dict[str, Any]:
    """Return the message that is one text."""
    return {"parts": [{"type": "text", "text": text}]}


def message_from(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message in what a client sends: ``parts`` or ``text``, and perhaps ``id``.

    :raises UsageError: it has another shape, or says nothing.
    """
    parts = data.get("parts")
    if parts is None:
        parts = [{"type": "text", "text": data.get("text")}]
    if not isinstance(parts, list) or not 0 < len(parts) <= _MOST_PARTS:
        raise UsageError(f'expected a "text", or 1 to {_MOST_PARTS} "parts", got {parts!r:.80}')
    message: dict[str, Any] = {"parts": [_part(part) for part in parts]}
    if not attachments_of(message) and not text_of(message).strip():
        raise UsageError(_("expected a message with some text in it, or a file"))
    if (name := data.get("id")) is not None:
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_ID or not name.isprintable():
            raise UsageError(f"expected id to be up to {_LONGEST_ID} printable characters, got {name!r:.80}")
        message["id"] = name
    return message


def text_of(message: Mapping[str, Any]) -> str:
    """Return what of a message is text: its text parts, each on lines of its own."""
    return "\n".join(part["text"] for part in message["parts"] if part["type"] == "text")


def told(message: Mapping[str, Any]) -> str:
    """Return what is remembered of a message: its text, and the names of its files."""
    names = [f"[{part['name']}]" for part in message["parts"] if part.get("name")]
    return "\n".join([text_of(message), *names]).strip("\n")


def attachments_of(message: Mapping[str, Any]) -> list[str]:
    """Return the ids of the files in a message."""
    return [part["attachment"] for part in message["parts"] if part["type"] == "file"]


def _part(part: Any) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind == "file" and isinstance(part.get("attachment"), str):
        return {"type": "file", "attachment": part["attachment"]}
    raise UsageError(
        'expected parts like {"type": "text", "text": "…"} or {"type": "file", "attachment": "<id>"}, got '
        f"{part!r:.80}"
    )
