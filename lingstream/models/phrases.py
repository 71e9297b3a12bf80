"""What the core says in English, in the language of who reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext

from ..core.phrases import Phrase, from_parts, parts_of

__all__ = ["shown_error", "stored_error", "translated"]

_PARTS = "phrase"  # the key of what the message of a stored error was made of


def translated(text: str) -> str:
    """Return a message of the core as the catalogs have it; what is no phrase stays as it is."""
    return text.said(gettext) if isinstance(text, Phrase) else text


def stored_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error as it is stored: the message in English, and beside it what that was made of."""
    parts = parts_of(error.get("message", ""))
    return {**error, _PARTS: parts} if parts else dict(error)


def shown_error(error: Any) -> Any:
    """Return a stored error in the language of who reads it; one that was stored without parts as it is."""
    if not (isinstance(error, dict) and isinstance(message := error.get("message"), str)):
        return error
    told = {name: value for name, value in error.items() if name != _PARTS}
    return {**told, "message": translated(from_parts(message, error.get(_PARTS)))}
