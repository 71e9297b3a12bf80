"""Validators of the JSON columns: each says what was expected and what came."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from lingstream.core.document import jsonuri
from lingstream.core.engine.plan import Limits

from ..core.exceptions import JsonUriError
from ..core.validation import SchemaFault, compile_schema
from ..core.validation.intended import intended
from .phrases import translated

__all__ = [
    "LISTED",
    "validate_glob",
    "validate_globs",
    "validate_limits",
    "validate_object",
    "validate_prices",
    "validate_schema",
    "validate_variables",
]

_MEANT = {
    "example": _lazy("This is an example, which would allow everything: expected a JSON schema, %(shown)s"),
    "wrapper": _lazy("This is how an API takes a schema: expected the JSON schema alone, %(shown)s"),
}
_LONGEST = 200  # characters of a schema in a message

#: In the place of a price: what the package of this name says.
LISTED = "genai-prices"

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


def validate_prices(value: Any) -> None:
    """Refuse what does not say for each model what a million tokens cost, or who knows."""
    validate_object(value)
    for model, price in value.items():
        if price == LISTED:
            if find_spec("genai_prices") is None:
                raise ValidationError(_("For “%s” install lingstream[prices].") % LISTED)
            continue
        fits = isinstance(price, dict) and price and {*price} <= {"input", "output"}
        if not fits or not all(map(_is_price, price.values())):
            raise ValidationError(
                _('Expected {"input": 2.5, "output": 10} for “%(model)s”, got %(got)s.')
                % {"model": model, "got": f"{price!r:.80}"}
            )


def _is_price(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1_000_000


def validate_schema(value: Any) -> None:
    """Refuse what is not a JSON schema that can be used (draft 2020-12 unless ``$schema`` says otherwise).

    Of what is an example, or an envelope around a schema, the error's ``params`` hold the schema.
    """
    validate_object(value)
    if meant := intended(value):
        schema = json.dumps(meant.schema, ensure_ascii=False)
        shown = schema if len(schema) <= _LONGEST else schema[:_LONGEST] + "…"
        raise ValidationError(
            _MEANT[meant.what], code="no-schema", params={"shown": shown, "schema": meant.schema}
        )
    try:
        compile_schema(value)
    except SchemaFault as error:
        raise ValidationError(
            _("This is not a JSON schema that can be used: at %(where)s: %(message)s")
            % {"where": error.uri or _("the top"), "message": translated(error.message)}
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
            _("Expected a uri pattern like outline/*/topic: %(message)s.")
            % {"message": translated(error.message)}
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
