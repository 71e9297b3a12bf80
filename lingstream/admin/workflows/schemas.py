"""Columns that hold a JSON schema: of what is none, the schema that was meant is offered at the error."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.translation import gettext as _

__all__ = ["SchemaForm"]


class SchemaForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that offers, by a button that its page's script listens to, what would be a schema."""

    def add_error(self, field: str | None, error: Any) -> None:
        """Add an error, with the button where there is a schema to offer."""
        if hasattr(error, "error_dict"):
            error = ValidationError({name: _offered(each) for name, each in error.error_dict.items()})
        super().add_error(field, error)


def _offered(errors: list[ValidationError]) -> list[ValidationError]:
    return [_with_button(error) if error.code == "no-schema" else error for error in errors]


def _with_button(error: ValidationError) -> ValidationError:
    text = json.dumps((error.params or {}).get("schema"), ensure_ascii=False, indent=2)
    button = format_html(
        '{} <button type="button" class="ling-convert" data-ling-schema="{}">{}</button>',
        " ".join(error.messages),
        text,
        _("Take this schema"),
    )
    return ValidationError(button, code=error.code)
