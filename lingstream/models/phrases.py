"""What the core says in English, in the language of who reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import models
from django.utils.translation import gettext

from ..core.phrases import Phrase, from_parts, parts_of

__all__ = ["PhraseField", "shown_error", "stored_error", "translated"]

_PARTS = "phrase"  # the key of what the message of a stored error was made of
_BEHIND = "\x1f"  # in a column, between a message and what it was made of


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


class PhraseField(models.TextField):  # type: ignore[type-arg]  # not subscriptable at run time
    """A message that is read as the phrase that was written, so that :func:`translated` can tell it.

    The column has the English text, where it can be searched, and behind it what a phrase was made of, as
    JSON. To the database it is the text column that it was: there is nothing to migrate.
    """

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def get_prep_value(self, value: Any) -> Any:
        text = super().get_prep_value(value)
        if isinstance(text, Phrase):
            return f"{text}{_BEHIND}{json.dumps(parts_of(text))}"
        return text.replace(_BEHIND, " ") if isinstance(text, str) else text

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if not value or _BEHIND not in value:
            return value
        text, _, parts = value.rpartition(_BEHIND)
        try:
            return from_parts(text, json.loads(parts))
        except (ValueError, RecursionError):
            return value  # a process of an older version added something
