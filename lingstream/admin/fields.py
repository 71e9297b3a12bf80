"""Form fields for one option each: what is shown and typed is text, what is stored is JSON data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from ..models.fields import JSONFormField
from .display import printable

__all__ = ["ABSENT", "OptionField", "option_field"]

#: What is read where nothing was typed.
ABSENT: Any = object()

_LONG = 200  # characters from which on a text gets a box of several lines
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_MOST_DIGITS = 100
_JSON = JSONFormField(required=False)
_EXAMPLES = {"object": '{"name": "value"}', "array": '["value", "value"]'}


class OptionField(forms.Field):
    """One option. ``required`` marks it; whether it is there is asked of the chosen kind only.

    :param schema: of the option, without references.
    """

    def __init__(self, schema: Mapping[str, Any], *, required: bool) -> None:
        super().__init__(required=required, initial="")
        self.schema = schema
        if schema.get("default") is not None:
            self.offer(schema["default"])

    def offer(self, default: Any) -> None:
        """Show what holds where nothing is typed; where something must be, it is typed already."""
        if self.required:
            self._preset(self.show(default))
        else:
            self.widget.attrs["placeholder"] = self.show(default)

    def show_stored(self, value: Any) -> None:
        """Show the value that the step has."""
        self.initial = self.show(value)

    def clean(self, value: Any) -> Any:
        """Leave the text as it is: of a kind that is not chosen nothing is read."""
        return value

    @property
    def hint(self) -> str:
        """Say how to type it, where that does not go without saying."""
        return ""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(_lines(initial or "") != _lines(data or ""))

    def show(self, value: Any) -> Any:
        """Return what stands in the field for a value."""
        raise NotImplementedError

    def read(self, typed: Any) -> Any:
        """Return the value that was typed, or :data:`ABSENT`.

        :raises ValidationError: it is none.
        """
        raise NotImplementedError

    def _preset(self, shown: Any) -> None:
        """Have it in the field; the page's script takes a field with it for one that nobody has touched."""
        self.initial = shown
        self.widget.attrs["data-ling-preset"] = shown


class TextField(OptionField):
    """A text, mostly a template."""

    def __init__(self, schema: Mapping[str, Any], *, required: bool) -> None:
        long = schema.get("maxLength", 0) > _LONG and schema.get("x-template") != "url"
        self.widget = _box() if long or schema.get("format") == "textarea" else _line(schema)
        super().__init__(schema, required=required)

    def show_stored(self, value: Any) -> None:
        super().show_stored(value)
        if "\n" in self.initial:
            self.widget = _box()  # a line would lose them

    def show(self, value: Any) -> str:
        return printable(value) if isinstance(value, str) else _dumps(value)

    def read(self, typed: Any) -> Any:
        return _lines(typed) if typed and isinstance(typed, str) else ABSENT


class ChoiceField(OptionField):
    """One of some values, which need not be texts."""

    def __init__(self, schema: Mapping[str, Any], *, required: bool) -> None:
        self._values = dict[str, Any]()
        for value in schema["enum"]:
            self._add(value)
        self.widget = forms.Select()
        super().__init__(schema, required=required)
        self._set_choices()

    def offer(self, default: Any) -> None:
        if self.required:
            self._preset(self.show(default))  # or the empty choice says it

    def show_stored(self, value: Any) -> None:
        if self._key(value) is None:
            self._add(value)
            self._set_choices()
        super().show_stored(value)

    def show(self, value: Any) -> str:
        return self._key(value) or ""

    def read(self, typed: Any) -> Any:
        if not typed:
            return ABSENT
        if typed not in self._values:
            raise ValidationError(
                _("Expected one of %(known)s, got “%(got)s”.")
                % {"known": ", ".join(self._values), "got": typed[:80]}
            )
        return self._values[typed]

    def _add(self, value: Any) -> None:
        text = printable(value) if isinstance(value, str) else _dumps(value)
        # A text may read like a number that is another choice, or like no choice at all.
        key = _dumps(value) if text in ("", *self._values) else text
        self._values[key] = value

    def _key(self, value: Any) -> str | None:
        same = (key for key, known in self._values.items() if _dumps(known) == _dumps(value))
        return next(same, None)

    def _set_choices(self) -> None:
        default = self._key(self.schema["default"]) if "default" in self.schema else None
        empty = _("%(value)s (default)") % {"value": default} if default else "---------"
        assert isinstance(self.widget, forms.Select)  # noqa: S101  # made above
        self.widget.choices = [("", empty), *((key, key) for key in self._values)]


class FlagField(OptionField):
    """Yes or no."""

    widget = forms.CheckboxInput

    def offer(self, default: Any) -> None:
        self._preset(self.show(default))

    def show(self, value: Any) -> bool:
        return value is True

    def read(self, typed: Any) -> bool:
        return bool(typed)


class NumberField(OptionField):
    """A number, whole or not."""

    def __init__(self, schema: Mapping[str, Any], *, required: bool) -> None:
        whole = schema["type"] == "integer"
        self.widget = forms.NumberInput(attrs={"step": "1" if whole else "any"})
        super().__init__(schema, required=required)

    def show(self, value: Any) -> str:
        return _dumps(value)

    def read(self, typed: Any) -> Any:
        text = typed.strip() if isinstance(typed, str) else ""
        if not text:
            return ABSENT
        if len(text) > _MOST_DIGITS or not _NUMBER.fullmatch(text):
            raise ValidationError(_("Expected a number, got “%(got)s”.") % {"got": text[:80]})
        try:
            return int(text)
        except ValueError:
            return _finite(float(text))


class JSONField(OptionField):
    """Anything else. A template that stands alone needs no quotes, where a text may stand."""

    def __init__(self, schema: Mapping[str, Any], *, required: bool) -> None:
        types = schema.get("type", "string")
        self._may_be_text = "string" in (types if isinstance(types, list) else [types])
        self.widget = forms.Textarea(attrs={"rows": 4, "class": "ling-code", "spellcheck": "false"})
        super().__init__(schema, required=required)

    @property
    def hint(self) -> str:
        if self._may_be_text:
            return _("JSON, or a template: {{ value }}")
        example = _EXAMPLES.get(str(self.schema.get("type")))
        has_one = any(mark in self.schema.get("description", "") for mark in "{[")
        return _("JSON: %(example)s") % {"example": example} if example and not has_one else _("JSON.")

    def show(self, value: Any) -> str:
        if self._may_be_text and isinstance(value, str) and _is_template(value):
            return printable(value)
        return printable(_dumps(value, indent=2))

    def read(self, typed: Any) -> Any:
        if not isinstance(typed, str) or not typed.strip():
            return ABSENT
        if self._may_be_text and _is_template(typed):
            return _lines(typed.strip())
        found = _JSON.clean(typed)
        return str(found) if isinstance(found, str) else found  # Django has a kind of text of its own


def option_field(schema: Mapping[str, Any], *, required: bool) -> OptionField:
    """Return the field for an option.

    :param schema: of the option, without references.
    """
    types = schema.get("type")
    if isinstance(types, list) and "null" in types and len(types) == 2:
        types = next(each for each in types if each != "null")
        schema = {**schema, "type": types}
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    if isinstance(schema.get("enum"), list):
        return ChoiceField(schema, required=required)
    made = {"string": TextField, "boolean": FlagField, "integer": NumberField, "number": NumberField}
    return made.get(types if isinstance(types, str) else "", JSONField)(schema, required=required)


def _line(schema: Mapping[str, Any]) -> forms.Widget:
    kind = "" if schema.get("x-template") == "none" else " ling-template"
    return forms.TextInput(attrs={"class": f"vTextField{kind}", "spellcheck": "false"})


def _box() -> forms.Widget:
    return forms.Textarea(attrs={"rows": 4, "class": "vLargeTextField", "spellcheck": "false"})


def _lines(text: Any) -> Any:
    """A text with the ends of lines that it was stored with: browsers send two characters for each."""
    return text.replace("\r\n", "\n") if isinstance(text, str) else text


def _is_template(text: str) -> bool:
    """JSON never begins like this."""
    return text.lstrip().startswith("{{")


def _dumps(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _finite(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValidationError(_("Expected numbers that JSON can write, got one without an end.")) from None
    return value
