"""What the core says in English, in the language of who reads it."""

from __future__ import annotations

from django.utils.translation import gettext

from ..core.phrases import Phrase

__all__ = ["translated"]


def translated(text: str) -> str:
    """Return a message of the core as the catalogs have it; what is no phrase stays as it is."""
    return text.said(gettext) if isinstance(text, Phrase) else text
