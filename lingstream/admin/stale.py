"""Forms that tell when somebody else has saved the row since they were opened.

1. A page holds a mark of each field that it shows, and of the rows below it: of what is stored, not of what
   is typed, and of nothing that the site writes by itself meanwhile.
2. It is told once, with what is stored now at each field that somebody else has changed and that would be
   changed back: who then saves again does so knowingly.
3. A name that somebody else has given meanwhile is refused at its row; only saves of the very same moment
   are left to the database.
4. Rows that are gone when a page is sent are new ones: what was typed into them stays. Who may not add any
   is told instead. Where there can be one row only, what was typed is meant for the one that is there now.
5. A save writes what people write: what the site itself writes into a row meanwhile is never put back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django import forms
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db.models import Q, UniqueConstraint
from django.forms.models import InlineForeignKeyField
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.functional import SimpleLazyObject, cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

__all__ = ["LastingRows", "StaleForm", "columns_of", "is_still", "marks_of_rows"]

_OPENED, _SAVED = "opened", "saved"  # what else a page holds: when it was opened, and the row was saved
_LONGEST_MARK = 20_000
_LONGEST_OPEN = timedelta(days=3_650)
_LONGEST_SHOWN = 300  # characters of a value
_ID = re.compile(r"[0-9]{1,18}", re.ASCII)


class MarkField(forms.CharField):
    """Never counts as changed: a row's history tells of what somebody has typed."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


class StaleForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of a row that several people may have open."""

    #: Marks of the rows below it by what they are called; set by the page.
    rows_below: Callable[[], Mapping[str, str]] = staticmethod(dict)

    base = MarkField(required=False, max_length=_LONGEST_MARK, widget=forms.HiddenInput)

    def get_initial_for_field(self, field: forms.Field, field_name: str) -> Any:
        """As Django's, and the mark."""
        if field_name == "base":
            return SimpleLazyObject(self.mark) if self.instance.pk else ""  # who only sends it asks for none
        return super().get_initial_for_field(field, field_name)

    def mark(self) -> str:
        """Return the mark of what is stored."""
        about = {_OPENED: timezone.now().isoformat(), _SAVED: _iso(self.instance), "marks": self._marks}
        return json.dumps(about, ensure_ascii=False)

    @cached_property
    def _marks(self) -> dict[str, str]:
        return self.marks()

    def marks(self) -> dict[str, str]:
        """Return a mark of each part of what is stored, by the name of its field."""
        shown = {
            name: _digest(self.get_initial_for_field(field, name))
            for name, field in self.fields.items()
            if self.is_marked(name)
        }
        return {**shown, **self.rows_below()}

    def is_marked(self, name: str) -> bool:
        """Whether a field shows what is stored."""
        return name != "base" and not self.fields[name].disabled

    def _post_clean(self) -> None:
        """As Django's; who has mistakes to mend is told afterwards."""
        super()._post_clean()  # type: ignore[misc]
        if "base" in self.fields and self.instance.pk and not self.errors:
            self._refuse_taken_names()
        base = self.cleaned_data.get("base")
        if base and self.instance.pk and not self.errors and (theirs := self.theirs(base)):
            data: Any = self.data
            self.data = data.copy()
            self.data[self.add_prefix("base")] = self.mark()  # type: ignore[index]  # a copy may change
            self.tell(theirs, _read(base)[_OPENED])

    def _refuse_taken_names(self) -> None:
        """Refuse what the database would, of which Django does not ask where a form has not every field."""
        for constraint in self._meta.model._meta.constraints:
            if isinstance(constraint, UniqueConstraint) and not set(constraint.fields) <= self.fields.keys():
                _refuse(self, constraint)

    def theirs(self, base: str) -> list[str]:
        """Return the parts that somebody else has changed since ``base``, and that this would change back."""
        before, now = _read(base)["marks"], self._marks
        changed = [name for name in now if name in before and before[name] != now[name]]
        return [name for name in changed if self.would_change(name)]

    def would_change(self, name: str) -> bool:
        """Return whether a save would write something else there than what is stored."""
        return name not in self.fields or name in self.changed_data

    def tell(self, theirs: list[str], opened: str) -> None:
        """Say who it was, and at each field what is stored there now."""
        self.add_error(None, ValidationError(self._told(theirs, opened), code="stale"))
        for name in theirs:
            if name in self.fields:
                value = _shown(self.fields[name], self.get_initial_for_field(self.fields[name], name))
                self.add_error(name, _("Stored here meanwhile: %(value)s") % {"value": value})

    def _told(self, theirs: list[str], opened: str) -> SafeString:
        entries = LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(self.instance), object_id=self.instance.pk
        )
        if (since := _time(opened)) is not None:
            entries = entries.filter(action_time__gte=since)
        last = entries.select_related("user").order_by("-action_time").first()
        meta = self.instance._meta
        text = _(
            "%(who)s saved this at %(time)s, while you were editing. What you have typed is still here. Look "
            "at theirs in another tab first, or save again: then yours is put in its place."
        )
        at = last.action_time if last else getattr(self.instance, "updated_at", None) or timezone.now()
        time = date_format(localtime(at), "DATETIME_FORMAT")
        names = {"who": last.user if last else _("Somebody"), "time": time}
        told = [text % names]
        if below := [name for name in theirs if name not in self.fields]:
            listed = _(", ").join(below)
            told.append(_("Changed below: %(names)s.") % {"names": listed})
        return format_html(
            '{} <a href="{}" target="_blank">{}</a>',
            " ".join(told),
            reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[self.instance.pk]),
            _("Open it as it is stored, in a new tab"),
        )


class LastingRows(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """Rows of a page, those among them that somebody has deleted meanwhile as new ones.

    Django refuses them, with an error that no page shows, whatever is typed.
    """

    #: Whether rows that nobody has touched on the page stay as somebody else has saved them meanwhile.
    is_merged = False

    #: Whether who asks may add rows, or change those that there are; set by the page.
    may_add = may_change = True
    _lost = ""  # why something that was typed cannot be kept

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.is_bound and not self.save_as_new and self.instance.pk:
            gone = list(self._gone())
            if (row := self._only(gone)) is not None:
                self.data = self._as_of(row)
            elif gone:
                self.data = self._without(gone)

    def add_fields(self, form: Any, index: int | None) -> None:
        """As Django's; what rows must not share is judged of all of them, also from Django 6.1 on."""
        super().add_fields(form, index)
        form.validate_constraints = lambda: self._validate(form)

    def _validate(self, form: Any) -> None:
        try:
            form.instance.validate_constraints(exclude={*form._get_validation_exclusions(), self.fk.name})
        except ValidationError as error:
            form._update_errors(error)

    def clean(self) -> None:
        """As Django's; who has written something that cannot be kept is told once."""
        super().clean()
        if self.instance.pk:
            self._refuse_taken_names()
        if self._lost:
            raise ValidationError(self._lost, code="gone")

    def save_existing(self, form: Any, obj: Any, commit: bool = True) -> Any:
        """As Django's; what the site writes by itself meanwhile stays."""
        row = form.save(commit=False)
        if commit:
            row.save(update_fields=columns_of(form))
            form.save_m2m()
        return row

    def deletes(self, form: Any) -> bool:
        """Return whether the row of a form is to be deleted, also while something else is wrong."""
        return bool(self._should_delete_form(form))  # type: ignore[attr-defined]  # the stubs lack it

    def _refuse_taken_names(self) -> None:
        """Refuse what the database would, of which Django compares only rows of this page with each other.

        They are stored in their order, new ones last: a name that a row had which is stored or deleted before
        is free by then.
        """
        model: Any = self.model
        changed = [form for form in self.forms if form.has_changed() and not self.deletes(form)]
        written = [form for form in changed if form.is_valid()]
        for constraint in model._meta.constraints if written else ():
            if not isinstance(constraint, UniqueConstraint) or self.fk.name not in constraint.fields:
                continue
            columns = [model._meta.get_field(name).attname for name in constraint.fields]
            last = columns[-1]
            rows = model._base_manager.filter(constraint.condition or Q(), **{self.fk.name: self.instance})
            rows = rows.filter(**{f"{last}__in": [getattr(form.instance, last) for form in written]})
            taken = {tuple(values): pk for pk, *values in rows.values_list("pk", *columns)}
            before = set[Any]()
            for form in self.forms:
                own = form.instance.pk
                values = tuple(getattr(form.instance, column) for column in columns)
                if form in written and taken.get(values, own) not in {*before, own}:
                    _refuse(form, constraint)
                if form in changed or self.deletes(form):
                    before.add(own)

    def _gone(self) -> Iterator[int]:
        """The places of rows that were there when the page was opened.

        One that is there for others is none of these, and refused as a choice that nobody has.
        """
        key, count = self._key, _count(self.data, str(self.prefix), "INITIAL_FORMS")
        sent = [self.data.get(f"{self.prefix}-{index}-{key}", "") for index in range(count)]
        asked = {each for each in sent if _ID.fullmatch(each)}
        model: Any = self.model
        known = (
            set(map(str, model._base_manager.filter(pk__in=asked).values_list("pk", flat=True)))
            if asked
            else ()
        )
        yield from (index for index, each in enumerate(sent) if each in asked and each not in known)

    def _only(self, gone: list[int]) -> Any:
        """The one row that there can be, where somebody has added it since the page was opened.

        Where who asks may not see it, what was sent is left out.
        """
        if not self.fk.unique:
            return None
        stored, total = (
            _count(self.data, str(self.prefix), name) for name in ("INITIAL_FORMS", "TOTAL_FORMS")
        )
        is_new = total > stored == 0 and not self.data.get(f"{self.prefix}-0-DELETE")
        row = next(iter(self.get_queryset()), None) if gone or is_new else None
        model: Any = self.model
        is_hidden = (
            is_new and row is None and model._base_manager.filter(**{self.fk.name: self.instance}).exists()
        )
        if is_hidden or (row is not None and is_new and not self.may_change):
            self._lost = _("Somebody has added this meanwhile, and you may not change it: yours is left out.")
        if is_hidden:
            data: Any = self.data
            self.data = data.copy()
            self.data[f"{self.prefix}-TOTAL_FORMS"] = "0"  # type: ignore[index]  # a copy may change
        return row

    def _as_of(self, row: Any) -> Any:
        """What was sent, as if the page had been opened with this row."""
        data, prefix = self.data.copy(), str(self.prefix)  # type: ignore[attr-defined]  # a copy may change
        data[f"{prefix}-0-{self._key}"] = str(row.pk)
        data[f"{prefix}-INITIAL_FORMS"] = data[f"{prefix}-TOTAL_FORMS"] = "1"
        return data

    def _without(self, gone: list[int]) -> Any:
        """What was sent, with these rows behind the stored ones and without their keys, or left out."""
        sent: Any = self.data
        data, prefix = sent.copy(), str(self.prefix)
        stored, total = (_count(sent, prefix, name) for name in ("INITIAL_FORMS", "TOTAL_FORMS"))
        row = re.compile(rf"(initial-)?{re.escape(prefix)}-([0-9]+)-(.+)", re.DOTALL | re.ASCII)
        found = [(name, match) for name in sent if (match := row.fullmatch(name))]
        hidden = {self._key, self.fk.name}  # which is all that is sent of a row that is shown as text
        written = {int(match[2][:9]) for _name, match in found if not match[1] and match[3] not in hidden}
        again = [each for each in gone if each in written and self.may_add]
        if any(
            each in written and not (self.may_add or sent.get(f"{prefix}-{each}-DELETE")) for each in gone
        ):
            self._lost = _(
                "Somebody has deleted rows of these meanwhile, and you may not add any: they are left out."
            )
        order = [*(each for each in range(stored) if each not in gone), *again, *range(stored, total)]
        places = {str(before): after for after, before in enumerate(order)}
        for name, _match in found:
            del data[name]
        for name, match in found:
            initial, place, field = match.groups(default="")
            if place in places:
                is_key = field == self._key and not initial and int(place) in gone
                values = [""] if is_key else sent.getlist(name)
                data.setlist(f"{initial}{prefix}-{places[place]}-{field}", values)
        data[f"{prefix}-INITIAL_FORMS"] = str(stored - len(gone))
        data[f"{prefix}-TOTAL_FORMS"] = str(len(order))
        return data

    @property
    def _key(self) -> str:
        model: Any = self.model
        return str(model._meta.pk.name)


def _refuse(form: Any, constraint: UniqueConstraint) -> None:
    """Say at the form of a row what a constraint says of it, if it is broken.

    The last of its columns that the form shows is a name.
    """
    shown = [name for name in constraint.fields if name in form.fields]
    names = [name for name in shown if not isinstance(form.fields[name], InlineForeignKeyField)]
    try:
        constraint.validate(type(form.instance), form.instance)
    except ValidationError as error:
        told = _("There is another one of this name, perhaps since you opened this page: choose another.")
        form.add_error(names[-1] if names else None, told if names else error)


def columns_of(form: Any) -> list[str] | None:
    """Return the columns that a form's row, if it was there before, is saved with; ``None``: all of them.

    What nobody can edit is written by the site itself, also while somebody has the row open; a form names
    what it writes of that (``written``).
    """
    columns = [column for column in form.instance._meta.concrete_fields if not column.primary_key]
    edited = [each.name for each in columns if each.editable or getattr(each, "auto_now", False)]
    return [*edited, *getattr(form, "written", ())] if len(edited) < len(columns) else None


def is_still(row: Any, mark: str) -> bool:
    """Return whether nobody has saved a row with ``updated_at`` since a page took the mark."""
    return bool(_read(mark)[_SAVED] == _iso(row))


def marks_of_rows(inlines: Any, request: Any, row: Any) -> dict[str, str]:
    """Return marks of the rows of a page that who looks may change or add to, by what they are called.

    :param inlines: of the page.
    """
    found = {}
    for inline in inlines:
        formset = inline.get_formset(request, row)
        columns = {field.name for field in inline.model._meta.concrete_fields if field.editable}
        may = inline.has_change_permission(request, row) or inline.has_add_permission(request, row)
        is_written = may and columns & formset.form.base_fields.keys()
        if is_written and not getattr(formset, "is_merged", False):
            rows = inline.get_queryset(request).filter(**{formset.fk.name: row}).order_by("pk")
            mark = _digest(list(rows.values_list("pk", *sorted(columns))))
            found[str(inline.opts.verbose_name_plural)] = mark
    return found


def _count(data: Any, prefix: str, name: str) -> int:
    text = data.get(f"{prefix}-{name}", "")
    return min(int(text), 1_000) if _ID.fullmatch(text) else 0


def _read(mark: str) -> Any:
    """What a page holds. One that was forged says nothing, and so does one of an earlier release."""
    try:
        found = json.loads(mark)
        return {_OPENED: str(found[_OPENED]), _SAVED: str(found[_SAVED]), "marks": dict(found["marks"])}
    except (ValueError, TypeError, KeyError, RecursionError):
        return {_OPENED: "", _SAVED: None, "marks": {}}


def _time(text: str) -> datetime | None:
    """When a page was opened, if it may be so."""
    try:
        found = parse_datetime(text)
        return found if found and abs(timezone.now() - found) < _LONGEST_OPEN else None
    except (ValueError, TypeError, OverflowError):
        return None


def _iso(row: Any) -> str:
    saved = getattr(row, "updated_at", None)
    return saved.isoformat() if saved else ""


def _digest(value: Any) -> str:
    text = json.dumps(value, default=_plain, sort_keys=True)
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def _plain(value: Any) -> Any:
    """Something that JSON has, for what it has not; rows are their keys."""
    return [getattr(each, "pk", str(each)) for each in value] if hasattr(value, "__iter__") else str(value)


def _shown(field: forms.Field, value: Any) -> str:
    """A value as people read it."""
    if isinstance(field, forms.BooleanField):
        return _("Yes") if value else _("No")
    if isinstance(field, forms.ModelChoiceField):
        values = value if isinstance(value, (list, tuple)) else [value]
        keys = [getattr(each, "pk", each) for each in values if each is not None]
        rows: Any = field.queryset
        return ", ".join(map(str, rows.filter(pk__in=keys))) or "-"
    text = str(field.prepare_value(value) if value is not None else "")
    if isinstance(field, forms.ChoiceField):
        text = {str(key): str(label) for key, label in _flat(field.choices)}.get(text, text)
    return Truncator(text).chars(_LONGEST_SHOWN) or "-"


def _flat(choices: Any) -> Iterator[tuple[Any, Any]]:
    for key, label in choices:
        if isinstance(label, (list, tuple)):
            yield from label
        else:
            yield key, label
