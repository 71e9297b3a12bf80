"""JSON that is stored as text."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.lookups import Lookup
from django.utils.translation import gettext as _

from lingstream.core.document.depth import MAX_DEPTH, check_depth

from ..core.exceptions import UsageError
from ..core.phrases import Phrase, phrased
from .phrases import translated

__all__ = ["JSONFormField", "JSONTextField", "decode", "encode"]

#: What Python's JSON decoder says.
_OF_PYTHON = (
    Phrase("Expecting value"),
    Phrase("Expecting property name enclosed in double quotes"),
    Phrase("Illegal trailing comma before end of object"),
    Phrase("Illegal trailing comma before end of array"),
    Phrase("Expecting ':' delimiter"),
    Phrase("Expecting ',' delimiter"),
    Phrase("Unterminated string starting at"),
    Phrase("Invalid control character at"),
    Phrase("Invalid \\escape"),
    Phrase("Invalid \\uXXXX escape"),
    Phrase("Extra data"),
)


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode  # `dumps` makes one at each call


def encode(value: Any) -> str:
    """Return ``value`` as ASCII JSON; what JSON cannot write (infinity, NaN) is null, as on the wire."""
    try:
        return _encode(value)
    except ValueError:
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(finite, separators=(",", ":"))


def decode(text: str) -> Any:
    """Return the value that :func:`encode` wrote."""
    return json.loads(text)


class _Finite(json.JSONDecoder):
    """Refuses numbers that are none, or that no double holds: on the wire they would be null."""

    def __init__(self, **kwargs: Any) -> None:
        checks = {"parse_constant": _refuse, "parse_float": _finite(float), "parse_int": _finite(int)}
        super().__init__(**{**kwargs, **checks})


class JSONFormField(forms.JSONField):
    """An indented textarea; left empty it gives the column's empty value instead of ``None``."""

    def __init__(self, *, empty: Callable[[], Any] | None = None, **kwargs: Any) -> None:
        # Only Model fields know encoder and decoder; a form that passes them through must not break.
        kwargs.setdefault("widget", forms.Textarea(attrs={"rows": 4, "cols": 60, "class": "ling-code"}))
        kwargs["decoder"] = _Finite
        super().__init__(**kwargs)
        self.empty = empty

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return self.empty() if self.empty else None
        try:
            found = super().to_python(value)
            check_depth(found)
            # Validators skip empty values, so "[]" would pass where an object is wanted.
            return self.empty() if self.empty and found in self.empty_values else found
        except (ValidationError, RecursionError):
            raise ValidationError(_fault(value), code="invalid") from None
        except UsageError as error:
            raise ValidationError(translated(error.message), code="invalid") from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return super().bound_data(data, initial)
        except (RecursionError, UsageError):
            return forms.fields.InvalidJSONInput(data)

    def has_changed(self, initial: Any, data: Any) -> bool:
        if data in self.empty_values:
            return bool(initial not in self.empty_values)
        return super().has_changed(initial, data)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, forms.fields.InvalidJSONInput):
            return value
        if value in self.empty_values:
            return ""
        return json.dumps(value, ensure_ascii=False, indent=2)


def _finite(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        return read(text) if math.isfinite(float(text)) else _refuse(text)

    return number


def _refuse(text: str) -> NoReturn:
    shown = text if len(text) <= 20 else f"{text[:20]}…"
    raise UsageError(
        _("Expected numbers up to 1.7e308, which JSON can carry, got %(got)s: leave it out, or write null.")
        % {"got": shown}
    )


def _fault(text: Any) -> str:
    try:
        json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        if isinstance(error, RecursionError):
            return _("Expected at most %(most)s levels of nesting, got more.") % {"most": MAX_DEPTH}
        if isinstance(error, json.JSONDecodeError):
            problem = translated(phrased(error.msg, _OF_PYTHON))
            place = {"problem": problem, "line": error.lineno, "column": error.colno}
            return _("This is not JSON: %(problem)s in line %(line)d, column %(column)d.") % place
        return _("This is not JSON: %s.") % error
    return _("This is not JSON.")


class JSONTextField(models.TextField):  # type: ignore[type-arg]  # not subscriptable at run time
    """JSON as ASCII-escaped text.

    Model-made JSON may hold ``\\u0000`` and lone surrogates, which PostgreSQL refuses in ``jsonb`` and in
    ``text``; and ``jsonb`` reorders keys, while the order of a schema's properties is the order in which a
    model writes its fields. The price is that SQL cannot look inside: only ``exact``, ``in`` and ``isnull``.
    """

    # What django-stubs lets a row be given, and gives back.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    empty_strings_allowed = False
    _LOOKUPS = frozenset({"exact", "in", "isnull"})

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else decode(value)

    def get_prep_value(self, value: Any) -> Any:
        if hasattr(value, "resolve_expression"):
            return value
        return None if value is None and self.null else encode(value)

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> Any:
        return self.value_from_object(obj)

    def get_lookup(self, lookup_name: str) -> type[Lookup[Any]] | None:
        return super().get_lookup(lookup_name) if lookup_name in self._LOOKUPS else None

    def formfield(self, **kwargs: Any) -> Any:
        empty = None
        if self.has_default():
            default = self.default
            empty = default if callable(default) else (lambda: copy.deepcopy(default))
        for name in ("max_length", "widget"):
            kwargs.pop(name, None)
        # A callable default would add a hidden field with the initial value to every page.
        kwargs["show_hidden_initial"] = False
        return models.Field.formfield(self, form_class=JSONFormField, empty=empty, **kwargs)
