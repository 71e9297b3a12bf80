"""Lists of tables that grow for ever: no page costs more than the first, and nothing is counted to its end.

1. Rows have one order, newest first, which an index has; a page begins behind the last row of the one before.
2. Counts stop at ``MOST_COUNTED``: from there on the list says “more”.
3. Choices of a filter are looked up in an index, value by value, and never by reading the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

__all__ = ["MOST_COUNTED", "KeysetAdmin", "KeysetChangeList", "ValuesFilter", "values_of"]

MOST_COUNTED = 1_000
_OLDER, _NEWER = "before", "after"
_BETWEEN = "~"  # what the parts of a place have between them
_MOST_CHOICES = 50


class KeysetChangeList(ChangeList):
    """A page of a list, and the places where the pages beside it begin."""

    model_admin: KeysetAdmin
    older = newer = ""
    counted_all = True
    found_most = False
    """Whether a search has found as many as it shows: there may be more."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """The one order."""
        return [f"-{name}" for name in self.model_admin.keyset]

    def get_filters_params(self, params: Any = None) -> Any:
        """All but the place, which is no filter."""
        found = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name not in (_OLDER, _NEWER)}

    def get_results(self, request: HttpRequest) -> None:
        """Read a page, and one row more, which says whether there is another."""
        before, after = request.GET.get(_OLDER, ""), request.GET.get(_NEWER, "")
        for known in (self.params, self.filter_params):  # another filter begins at the top
            known.pop(_OLDER, None)
            known.pop(_NEWER, None)
        rows, more = self._page(before, after)
        counted = self.queryset.order_by()[: MOST_COUNTED + 1].count()
        self.result_list = rows
        self.result_count = min(counted, MOST_COUNTED)
        self.counted_all = counted <= MOST_COUNTED
        self.found_most = bool(self.query) and counted == self.model_admin.most_found
        self.full_result_count = self.result_count  # or Django says how many there are above the list, too
        self.show_full_result_count = self.can_show_all = False
        self.show_admin_actions = bool(rows)
        self.multi_page = counted > self.list_per_page
        if rows and (after or more):
            self.older = self.get_query_string({_OLDER: self._place(rows[-1])})
        if rows and (before or (after and more)):
            self.newer = self.get_query_string({_NEWER: self._place(rows[0])})

    @property
    def narrowed(self) -> bool:
        """Whether something is searched for, or left out."""
        return bool(self.get_filters_params()) or bool(self.query)

    def _page(self, before: str, after: str) -> tuple[list[Any], bool]:
        rows, most = self.queryset, self.list_per_page
        if after:
            rows = rows.filter(self._beyond(after, "gt")).order_by(*self.model_admin.keyset)
        elif before:
            rows = rows.filter(self._beyond(before, "lt"))
        found = list(rows[: most + 1])
        page = found[:most]
        return page[::-1] if after else page, len(found) > most

    def _beyond(self, place: str, way: str) -> Q:
        """What lies beyond a place. The first column alone bounds it, which an index can use."""
        names, values = self.model_admin.keyset, self._values(place)
        if len(names) == 1:
            return Q(**{f"{names[0]}__{way}": values[0]})
        first, last = names
        same = Q(**{first: values[0]}) & ~Q(**{f"{last}__{way}": values[1]})
        return Q(**{f"{first}__{way}e": values[0]}) & ~same

    def _place(self, row: Model) -> str:
        values = (getattr(row, name) for name in self.model_admin.keyset)
        return _BETWEEN.join(each.isoformat() if isinstance(each, datetime) else str(each) for each in values)

    def _values(self, place: str) -> list[Any]:
        parts, names = place.split(_BETWEEN), self.model_admin.keyset
        try:
            fields: list[Any] = [
                self.opts.pk if name == "pk" else self.opts.get_field(name) for name in names
            ]
            return [field.to_python(part) for field, part in zip(fields, parts, strict=True)]
        except (ValueError, ValidationError) as error:
            raise IncorrectLookupParameters(error) from error


class KeysetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The admin of such a list.

    :param keyset: its order, one column or two; the last is the key.
    :param most_found: rows that a search finds at most, if it has a bound of its own.
    """

    keyset: tuple[str, ...] = ("pk",)
    most_found: int | None = None
    change_list_template = "lingstream/admin/runs/keyset_list.html"
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList


class ValuesFilter(admin.SimpleListFilter):
    """A filter by a column whose values stand at the head of an index."""

    column = ""

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        self._rows = model_admin.get_queryset(request)
        super().__init__(request, params, model, model_admin)

    def known(self) -> Iterator[str]:
        """The values that it offers."""
        return values_of(self._rows, self.column)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = self.value()  # what a link has chosen is there, whether it is offered or not
        return [(each, each) for each in sorted({*self.known(), *([chosen] if chosen else [])})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


def values_of(rows: QuerySet[Any], column: str) -> Iterator[str]:
    """Yield up to 50 values of a column but the empty one, each found behind the last one in the index."""
    values, last = rows.order_by(column).values_list(column, flat=True), ""
    for _number in range(_MOST_CHOICES):
        found = values.exclude(**{column: ""}).filter(**{f"{column}__gt": last}).first()
        if found is None:
            return
        yield (last := found)
