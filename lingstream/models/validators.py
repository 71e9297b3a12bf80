"""Validators of the JSON columns: each says what was expected and what came."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from lingstream.core.document import jsonuri
from lingstream.core.engine.plan import Limits

from ..core.exceptions import JsonUriError
from ..core.validation import SchemaFault, compile_schema

__all__ = [
    "validate_glob",
    "validate_globs",
    "validate_limits",
    "validate_object",
    "validate_schema",
    "validate_variables",
]

_LIMITS = tuple(item.name for item in fields(Limits))


def validate_object(value: Any) -> None:
    """Refuse what is not a JSON object."""
    if not isinstance(value, dict):
        raise ValidationError(
            _('Expected a JSON object like {"name": …}, got %(got)s.') % {"got": _kind(value)}
        )


def validate_variables(value: Any) -> None:
    """Refuse what is not an object whose keys a template can name."""
    validate_object(value)
    bad = [name for name in value if not name.isidentifier()]
    if bad:
        raise ValidationError(
            _("Expected names of letters, digits and _, which a template can write, got %(got)s.")
            % {"got": ", ".join(map(repr, bad))}
        )


def validate_schema(value: Any) -> None:
    """Refuse what is not a JSON schema that can be used (draft 2020-12 unless ``$schema`` says otherwise)."""
    validate_object(value)
    try:
        compile_schema(value)
    except SchemaFault as error:
        raise ValidationError(
            _("This is not a JSON schema that can be used: at %(where)s: %(message)s")
            % {"where": error.uri or _("the top"), "message": error.message}
        ) from error


def validate_limits(value: Any) -> None:
    """Refuse what is not a subset of a run's limits with positive numbers."""
    validate_object(value)
    for name, limit in value.items():
        if name not in _LIMITS:
            raise ValidationError(
                _("Expected limits among %(known)s, got %(got)r.")
                % {"known": ", ".join(_LIMITS), "got": name}
            )
        numbers = (int, float) if name == "seconds" else (int,)
        if isinstance(limit, bool) or not isinstance(limit, numbers) or not 0 < limit < 10**12:
            raise ValidationError(
                _("Expected a positive number for %(name)s, got %(got)r.") % {"name": name, "got": limit}
            )


def validate_glob(value: Any) -> None:
    """Refuse what is not a glob of segments such as ``outline/*/topic``."""
    if not isinstance(value, str):
        raise ValidationError(
            _("Expected a uri pattern like outline/*/topic, got %(got)s.") % {"got": _kind(value)}
        )
    try:
        jsonuri.split(value)
    except JsonUriError as error:
        raise ValidationError(
            _("Expected a uri pattern like outline/*/topic: %(message)s.") % {"message": error.message}
        ) from error


def validate_globs(value: Any) -> None:
    """Refuse what is not a list of globs."""
    if not isinstance(value, list):
        raise ValidationError(
            _('Expected a list of uri patterns like ["answer", "outline/*"], got %(got)s.')
            % {"got": _kind(value)}
        )
    for pattern in value:
        validate_glob(pattern)
        if not pattern:
            raise ValidationError(_("Expected a uri pattern, got an empty string in the list."))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
