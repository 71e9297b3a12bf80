"""What all pages share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.widgets import ForeignKeyRawIdWidget
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse

from ..access.faults import told
from ..access.identity import scope_of
from ..core.exceptions import LingError
from .first import tell_next
from .others import OfferedIdWidget, going_of_others
from .stale import LastingRows, StaleForm, columns_of, marks_of_rows

__all__ = [
    "TEMPLATE",
    "Lines",
    "LinesField",
    "LingAdmin",
    "ReadOnlyAdmin",
    "RelatedFilter",
    "Scoped",
    "ScopedAdmin",
    "TableInline",
    "ValueFilter",
    "of_tenant",
    "tenant",
]

Row = TypeVar("Row", bound=models.Model)

#: The widget of a template that is one line.
TEMPLATE = forms.TextInput(attrs={"class": "vTextField ling-template", "spellcheck": "false"})


class LinesField(forms.CharField):
    """A text with the ends of lines that it is stored with: browsers send two characters for each."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if isinstance(text, str) else text


class Lines:
    """Pages and rows whose texts keep the ends of their lines."""

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if type(db_field) is models.TextField:  # those that are made of it have fields of their own
            kwargs.setdefault("form_class", LinesField)
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]


class LingAdmin(Lines, admin.ModelAdmin):  # type: ignore[type-arg]
    """A model's pages with our style, and without links that refuse who follows them.

    Who saves what somebody else has saved since the page was opened is told.
    """

    form = StaleForm

    class Media:
        css = {"all": ("lingstream/admin/admin.css",)}

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All but the mark, which is put onto pages that can be saved."""
        return [name for name in super().get_fields(request, obj) if name != "base"]

    def get_list_filter(self, request: HttpRequest) -> Any:
        """As declared; a relation offers what rows of the list have."""
        return [
            (each, RelatedFilter) if isinstance(each, str) and _is_relation(self.model, each) else each
            for each in super().get_list_filter(request)
        ]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj is None or not issubclass(form, StaleForm):
            return form
        inlines = self.get_inline_instances(request, obj)
        below = partial(marks_of_rows, inlines, request, obj)
        return type(form.__name__, (form,), {"rows_below": staticmethod(below)})

    def get_formsets_with_inlines(self, request: HttpRequest, obj: Any = None) -> Iterator[Any]:
        """As Django's, and rows know whether any may be added or changed."""
        for formset, inline in super().get_formsets_with_inlines(request, obj):
            formset.may_add = inline.has_add_permission(request, obj)
            formset.may_change = inline.has_change_permission(request, obj)
            yield formset, inline

    def get_inline_formsets(
        self, request: HttpRequest, formsets: Any, inline_instances: Any, obj: Any = None
    ) -> list[Any]:
        """As Django's, and rows that are wrong together are not folded away."""
        found: list[Any] = super().get_inline_formsets(request, formsets, inline_instances, obj)
        for inline in found:
            if inline.formset.is_bound and inline.formset.non_form_errors():
                inline.is_collapsible = False
        return found

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """As Django's, with the mark of what is stored."""
        page = context["adminform"]
        if change and "base" in page.form.fields and self.has_change_permission(request, obj):
            (title, options), *rest = page.fieldsets
            page.fieldsets = [(title, {**options, "fields": [*options["fields"], "base"]}), *rest]
        return super().render_change_form(request, context, add, change, form_url, obj)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """As Django's, which links rows of all models, whether who looks may see them or not."""
        return self._open_links(request, super().changeform_view(request, *args, **kwargs))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """As Django's; where rows of other tenants would go with them nothing goes, and none is named."""
        scope = tenant(request)
        if scope is not None and (going := going_of_others(objs, scope)):
            return [], {}, set(), going
        return super().get_deleted_objects(objs, request)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """As Django's, and an id says no more than what may be chosen."""
        field: Any = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field and isinstance(field.widget, ForeignKeyRawIdWidget):
            field.widget = OfferedIdWidget(field.widget, field.queryset)
        return field

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """As Django's; of a row that is there, what the site writes by itself meanwhile stays."""
        obj.save(update_fields=columns_of(form) if change else None)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        """As Django's, and on a site where nothing can be asked yet the next step to that."""
        response = super().response_add(request, obj, post_url_continue)
        if IS_POPUP_VAR not in request.POST:
            tell_next(request, obj)
        return response

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """As Django's, for what our columns link."""
        return self._open_links(request, super().changelist_view(request, *args, **kwargs))

    def _open_links(self, request: HttpRequest, response: Any) -> Any:
        if isinstance(response, TemplateResponse) and (closed := list(self._closed(request))):
            response.add_post_render_callback(lambda page: _unlink(page, closed))
        return response

    def _closed(self, request: HttpRequest) -> Iterator[str]:
        """The beginnings of the addresses of pages that who asks may not see."""
        for model, pages in self.admin_site._registry.items():
            if not pages.has_view_or_change_permission(request):
                name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
                try:
                    yield reverse(name, current_app=self.admin_site.name)
                except NoReverseMatch:
                    continue


class ReadOnlyAdmin(LingAdmin):
    """Pages of rows that only the runner writes; they may be deleted, to which people have a right.

    A list can be filtered by what it offers and by ``more_filters``, and by nothing else: Django lets a URL
    filter by any column of the row itself, and ``session_key__regex`` would read out what no page shows.
    """

    more_filters: tuple[str, ...] = ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        filters = self.get_list_filter(request)
        fields = (item[0] if isinstance(item, (list, tuple)) else item for item in filters)
        offered = {getattr(item, "parameter_name", item) for item in fields}
        known = {*offered, *self.more_filters, self.date_hierarchy}
        allowed = any(f"{lookup}__".startswith(f"{name}__") for name in known)
        return allowed and super().lookup_allowed(lookup, value, request)


class RelatedFilter(admin.RelatedFieldListFilter):
    """A filter by a relation that offers what there are rows of for who looks: Django names all there is."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        rows = model_admin.get_queryset(request).order_by().filter(**{self.field_path: OuterRef("pk")})
        ordering = self.field_admin_ordering(field, request, model_admin)
        return field.get_choices(False, ordering=ordering, limit_choices_to=Q(Exists(rows)))

    def has_output(self) -> bool:
        """Also where a link has chosen what is not offered: what is not shown does not filter."""
        return super().has_output() or bool(self.used_parameters)


class ValueFilter(admin.AllValuesFieldListFilter):
    """A filter by the values that rows of the list have in a column, theirs or a related row's.

    A text that is empty can be chosen, too.
    """

    def __init__(
        self, field: Any, request: HttpRequest, params: Any, model: Any, model_admin: Any, field_path: str
    ) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        rows = model_admin.get_queryset(request).order_by(field_path)
        self.lookup_choices = rows.values_list(field_path, flat=True).distinct()

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or self.empty_value_display}


class TableInline(Lines, admin.TabularInline):  # type: ignore[type-arg]
    """Rows in a table, each of whose fields says what it is; Django's leave it to the head of the column."""

    formset = LastingRows

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)

        class Named(formset):  # type: ignore[misc,valid-type]
            def add_fields(self, form: Any, index: int | None) -> None:
                super().add_fields(form, index)
                for name, field in form.fields.items():
                    widget = getattr(field.widget, "widget", field.widget)  # what adds links to a choice
                    widget.attrs.setdefault("aria-label", field.label or name)

        return Named


class Scoped:
    """Rows of one tenant: of others there are none, on lists as on pages, in searches, actions and deletions.

    :param scope_field: where the tenant stands.
    """

    scope_field = "scope"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return of_tenant(request, super().get_queryset(request), self.scope_field)  # type: ignore[misc]


class ScopedAdmin(Scoped, ReadOnlyAdmin):
    """Rows of one tenant that only the runner writes; on its page one knows its ``reader``."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            row.reader = request.user
        return row


def tenant(request: HttpRequest) -> str | None:
    """Return the tenant of who looks; ``None`` is every one.

    :raises PermissionDenied: the site does not say.
    """
    try:
        return scope_of(request, request.user)
    except LingError as error:
        raise PermissionDenied(told(error)["message"]) from error


def of_tenant(request: HttpRequest, rows: models.QuerySet[Row], field: str = "scope") -> models.QuerySet[Row]:
    """Return those rows that are of the tenant of who looks.

    :param field: where the tenant stands.
    """
    scope = tenant(request)
    return rows if scope is None else rows.filter(**{field: scope})


def _is_relation(model: type[models.Model], path: str) -> bool:
    return bool(get_fields_from_path(model, path)[-1].is_relation)


def _unlink(page: HttpResponse, closed: list[str]) -> None:
    """Leave of links to such addresses what they say; who adds or imports rows need not see the others."""
    beginnings = "|".join(map(re.escape, closed))
    link = re.compile(rf'<a [^>]*?href="(?:{beginnings})(?!add/|import/)[^>]*>(.*?)</a>'.encode(), re.DOTALL)
    page.content = link.sub(rb"\1", page.content)
