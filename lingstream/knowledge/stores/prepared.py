"""Queries whose SQL is written once, for whatever values they are asked with.

Django writes it anew for each query set, which takes longer than SQLite takes to answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connections, models, router

from lingstream.models.locks import silence

__all__ = ["Prepared"]

_PLAIN = (int, str)
_FAR = 1_000_000_007  # stands for a number; no constant of a query is so large


class _Statement(NamedTuple):
    """A query as the database is asked it.

    :param values: each with the place of what it stands for among those of the question; ``None``: itself.
    :param columns: what is read. How its values are converted is the connection's to say, and that is the
        thread's that asks.
    """

    sql: str
    values: list[tuple[Any, int | None]]
    columns: list[Any]


class Prepared:
    """A query that differs in values only, and in how many there are.

    :param model: the model that is asked for.
    :param make: gives the query by its values, of which each is numbers and texts alone; ``values_list`` says
        what is read.
    :param locks: it does, by :func:`~lingstream.models.locks.locked`.
    """

    def __init__(
        self,
        model: type[models.Model],
        make: Callable[..., models.QuerySet[Any, tuple[Any, ...]]],
        *,
        locks: bool = False,
    ) -> None:
        self._model = model
        self._make = make
        self._locks = locks
        self._statement = lru_cache(256)(self._written)

    def rows(self, *values: Sequence[Any]) -> list[list[Any]]:
        """Return what the query gives for some values.

        :param values: what ``make`` takes. Where one of them is neither a number nor a text, it is a query
            like any other.
        """
        alias = (router.db_for_write if self._locks else router.db_for_read)(self._model)
        plain = [value for some in values for value in some]
        if not all(type(value) in _PLAIN for value in plain):
            return [[*row] for row in self._make(*values).using(alias)]
        shape = tuple(tuple(type(value) for value in some) for some in values)
        try:
            sql, asked, columns = self._statement(alias, shape, silence() if self._locks else None)
        except EmptyResultSet:  # it is asked for one of nothing
            return []
        connection = connections[alias]
        with connection.cursor() as cursor:
            cursor.execute(sql, [value if at is None else plain[at] for value, at in asked])
            rows = [[*row] for row in cursor.fetchall()]
        for place, column in enumerate(columns):
            for convert in (
                *connection.ops.get_db_converters(column),
                *column.get_db_converters(connection),
            ):
                for row in rows:
                    row[place] = convert(row[place], column, connection)
        return rows

    def _written(self, alias: str, shape: Sequence[Sequence[type]], silence: float | None) -> _Statement:
        """Ask with what stands for the values, and see where it has come to stand.

        :param silence: of the thread, where it is a part of what is written.
        """
        stand_ins: list[Any] = []
        for some in shape:
            for kind in some:
                stand_ins.append(_FAR + len(stand_ins) if kind is int else f"stand-in {len(stand_ins)}")
        left = iter(stand_ins)
        asked = self._make(*([next(left) for _ in some] for some in shape)).using(alias)
        compiler: Any = asked.query.get_compiler(alias)
        sql, values = compiler.as_sql()
        places = [(each, stand_ins.index(each) if each in stand_ins else None) for each in values]
        if sorted(at for _, at in places if at is not None) != [*range(len(stand_ins))]:
            raise AssertionError(f"expected each value of a query in it once, got {sql:.500}")
        return _Statement(sql, places, [column for column, *_ in compiler.select])
