"""The options of a kind (of steps, of sources) as form fields, made from its JSON schema.

Each property is a field of the row's form, so that labels, help and errors are Django's own. A field holds
what is typed, as text; what that means is read once it is known which kind has been chosen. What nobody has
changed is kept as it is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.forms import BaseForm
from django.forms.utils import pretty_name
from django.utils.html import escape
from django.utils.translation import gettext as _

from lingstream.core.document import jsonuri
from lingstream.core.engine.kinds import step_kinds
from lingstream.core.exceptions import UsageError
from lingstream.core.validation import compile_schema

from ..models.phrases import translated
from .display import said
from .fields import ABSENT, OptionField, option_field

__all__ = ["FURTHER", "KindForm", "Read", "forms_of", "option_name"]

#: Stands for all options that have no field of their own.
FURTHER = "*"


class Read(NamedTuple):
    """What has been typed.

    :param errors: the option that each is about, or ``""``, and what is wrong.
    """

    options: dict[str, Any]
    errors: list[tuple[str, str]]


def forms_of(kind: str = "", stored: Mapping[str, Any] | None = None) -> dict[str, KindForm]:
    """Return the forms of all kinds that this process knows and that have options.

    :param kind: of the step that is shown; ``stored`` are its options.
    """
    return {
        name: KindForm(name, known.options_schema, stored if name == kind else None)
        for name, known in step_kinds().items()
        if known.options_schema
    }


def option_name(kind: str, option: str) -> str:
    """Return the name of a field of the row's form."""
    return f"options-{kind}-{option}"


class KindForm:
    """The options of one kind.

    :param schema: of its options.
    :param stored: those of a row of that kind.
    """

    def __init__(self, kind: str, schema: Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> None:
        self.kind = kind
        self._schema = schema
        self._stored = dict(stored or {})
        self._properties: Mapping[str, Any] = self._schema.get("properties", {})
        self.fields = dict(self._make())

    @property
    def named(self) -> dict[str, OptionField]:
        """The fields by their names in the row's form."""
        return {option_name(self.kind, name): field for name, field in self.fields.items()}

    def read_from(self, form: BaseForm) -> dict[str, Any]:
        """Return the options that were typed into a row's form, which is told what is wrong with them."""
        typed = {name: form.cleaned_data.get(option_name(self.kind, name)) for name in self.fields}
        options, errors = self.read(typed)
        for name, message in errors:
            form.add_error(option_name(self.kind, name) if name else None, message)
        return options

    def read(self, typed: Mapping[str, Any]) -> Read:
        """Return the options that were typed, and what is wrong with them.

        :param typed: by the option's name.
        """
        options, errors = self._kept(), list[tuple[str, str]]()
        for name, field in self.fields.items():
            try:
                value = self._value(name, field, typed.get(name))
                if name == FURTHER:
                    options.update(self._further(value))
                elif value is not ABSENT:
                    options[name] = value
                elif field.required:
                    raise ValidationError(_("This field is required."))
            except ValidationError as error:
                errors += [(name, message) for message in error.messages]
        return Read(options, errors + self._misfits(options, bool(errors)))

    def place(self, uri: str) -> tuple[str, str]:
        """Return the option that a uri in the options lies in, or ``""``, and the rest of the uri."""
        name, *rest = [str(segment) for segment in jsonuri.split(uri)] or [""]
        if name in self.fields:
            return name, jsonuri.join(*rest)
        return (FURTHER if FURTHER in self.fields else ""), uri

    def _make(self) -> Iterator[tuple[str, OptionField]]:
        required = self._schema.get("required", ())
        for name, schema in self._properties.items():
            found = _plain(schema, self._schema)
            field = option_field(found, required=name in required)
            field.label = said(found.get("title")) or pretty_name(name)
            field.help_text = escape(" ".join(filter(None, (said(found.get("description")), field.hint))))
            if name in self._stored:
                field.show_stored(self._stored[name])
            yield name, field
        if self._is_open:
            field = option_field({"type": "object"}, required=False)
            field.label = _("Further options") if self._properties else _("Options")
            field.help_text = escape(field.hint)
            if more := {name: value for name, value in self._stored.items() if name not in self._properties}:
                field.show_stored(more)
            yield FURTHER, field

    @property
    def _is_open(self) -> bool:
        """Whether the schema says on purpose that there may be options that it does not list."""
        if not self._schema or FURTHER in self._properties:
            return False
        more = self._schema.get("additionalProperties", not self._properties)
        return more is not False or bool(self._schema.get("patternProperties"))

    def _kept(self) -> dict[str, Any]:
        """Options that no field shows; those that the schema forbids are of an earlier one."""
        if self._is_open or self._schema.get("additionalProperties") is False:
            return {}
        return {name: value for name, value in self._stored.items() if name not in self._properties}

    def _value(self, name: str, field: OptionField, typed: Any) -> Any:
        if field.has_changed(field.initial, typed):
            return field.read(typed)
        if name in self._stored:
            return self._stored[name]
        return field.read(typed) if field.required or name == FURTHER else ABSENT

    def _further(self, value: Any) -> dict[str, Any]:
        if value is ABSENT:
            return {}
        if not isinstance(value, dict):
            raise ValidationError(_('Expected a JSON object like {"name": …}.'))
        if taken := [name for name in value if name in self._properties]:
            raise ValidationError(
                _("Expected options that have no field of their own, got %(names)s.")
                % {"names": ", ".join(taken)}
            )
        return value

    def _misfits(self, options: dict[str, Any], told: bool) -> list[tuple[str, str]]:
        """What the schema says; where something is wrong already, only of what is there."""
        if not self._schema:
            return []
        try:
            failures = compile_schema(dict(self._schema)).failures(options)
        except UsageError as error:
            return [("", translated(error.message))]
        found = list[tuple[str, str]]()
        for failure in failures:
            message = translated(failure.phrase)
            if failure.path:
                name, rest = self.place(jsonuri.join(*failure.path))
                found.append((name, f"{rest}: {message}" if rest else message))
            elif not told:
                found.append(("", message))
        return found


def _plain(schema: Any, whole: Mapping[str, Any], hops: int = 5) -> dict[str, Any]:
    """A property's schema without a reference, and without the alternative that it is null."""
    found = dict(schema) if isinstance(schema, Mapping) else {}
    if not hops:
        return found
    ref, alternatives = found.get("$ref"), found.get("anyOf", found.get("oneOf"))
    if isinstance(ref, str) and ref.startswith("#/"):
        target: Any = whole
        for key in ref[2:].split("/"):
            key = key.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, Mapping) else None
        del found["$ref"]
        return {**_plain(target, whole, hops - 1), **found}
    if isinstance(alternatives, list):
        others = [each for each in alternatives if each != {"type": "null"}]
        if len(others) == 1:
            rest = {key: value for key, value in found.items() if key not in ("anyOf", "oneOf")}
            return {**_plain(others[0], whole, hops - 1), **rest}
    return found
