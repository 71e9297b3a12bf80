"""Statements whose SQL is written once, for whatever values they are given.

Django writes it anew for each query set, which takes longer than SQLite takes to answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import cached_property, lru_cache
from itertools import chain, count, islice
from typing import Any, NamedTuple, TypeAlias

from django.core.exceptions import EmptyResultSet
from django.db import connections, models, router
from django.db.models.sql import DeleteQuery, UpdateQuery

from .locks import silence
from .rows import as_one

__all__ = ["Joined", "Prepared", "PreparedDelete", "PreparedUpdate"]

_FAR = 1_000_000_007  # stands for a number; no constant of a query is so large
#: What stands for a value, by its kind and a number.
_STAND_INS: dict[type, Callable[[int], Any]] = {
    int: lambda number: _FAR + number,
    float: lambda number: _FAR + number + 0.5,
    str: lambda number: f"stand-in {number}",
    list: lambda number: [_FAR + number],
}
_PLAIN = frozenset({int, float, str})

_Kinds: TypeAlias = tuple[type, ...]


class _Statement(NamedTuple):
    """A statement as the database is given it.

    :param values: each with the place of what it stands for among those of the question; ``None``: itself.
    :param columns: what is read.
    :param converted: places of those whose values are not what the database gives. How they are converted is
        the connection's to say, and that is the thread's that asks.
    """

    sql: str
    values: list[tuple[Any, int | None]]
    columns: Sequence[Any] = ()
    converted: Sequence[int] = ()

    def given(self, values: Iterable[Any], connection: Any) -> tuple[str, list[Any]]:
        """Return the SQL with what it is executed with."""
        known = [as_one(value, connection) if type(value) is list else value for value in values]
        return self.sql, [value if at is None else known[at] for value, at in self.values]


class Prepared:
    """A query that differs in values only, and in how many there are.

    :param model: the model that is asked for.
    :param make: gives the query by its values, of which each is numbers and texts alone, and lists of them
        for :class:`~.rows.Among`; ``values_list`` says what is read, or ``only``.
    :param locks: it does, by :func:`~lingstream.models.locks.locked`.
    """

    def __init__(
        self,
        model: type[models.Model],
        make: Callable[..., models.QuerySet[Any, Any]],
        *,
        locks: bool = False,
    ) -> None:
        self._model = model
        self._make = make
        self._locks = locks
        self._statement = lru_cache(256)(self._written)

    def rows(self, *values: Sequence[Any], using: str | None = None) -> list[list[Any]]:
        """Return what the query gives for some values.

        :param values: what ``make`` takes. With a value of another kind it is a query like any other.
        :param using: another database than the router's.
        """
        alias, shape = using or self._alias, _shape(values)
        if shape is None:
            return [[*row] for row in self._make(*values).using(alias)]
        return self._asked(alias, shape, values)[1]

    def objects(self, *values: Sequence[Any]) -> list[Any]:
        """Return objects of the model, with the columns that ``only`` names; see :meth:`rows`."""
        alias, shape = self._alias, _shape(values)
        if shape is None:
            return [*self._make(*values).using(alias)]
        columns, rows = self._asked(alias, shape, values)
        names = {column.target.attname for column in columns}  # each field of each row is looked up in it
        return [self._model.from_db(alias, names, row) for row in rows]

    @property
    def _alias(self) -> str:
        return (router.db_for_write if self._locks else router.db_for_read)(self._model)

    def _asked(
        self, alias: str, shape: Sequence[_Kinds], values: Sequence[Sequence[Any]]
    ) -> tuple[Sequence[Any], list[list[Any]]]:
        """What is read, and the rows that have come."""
        try:
            statement = self._statement(alias, shape, silence() if self._locks else None)
        except EmptyResultSet:  # it is asked for one of nothing
            return [], []
        connection = connections[alias]
        with connection.cursor() as cursor:
            cursor.execute(*statement.given(chain.from_iterable(values), connection))
            rows = [[*row] for row in cursor.fetchall()]
        for place in statement.converted:
            column = statement.columns[place]
            for convert in _converters(column, connection):
                for row in rows:
                    row[place] = convert(row[place], column, connection)
        return statement.columns, rows

    def _written(self, alias: str, shape: Sequence[_Kinds], silence: float | None) -> _Statement:
        """Ask with what stands for the values, and see where it has come to stand.

        :param silence: of the thread, where it is a part of what is written.
        """
        values = _stand_ins(shape)
        compiler: Any = self._make(*values).using(alias).query.get_compiler(alias)
        statement = _statement(compiler, values)
        columns = [column for column, *_ in compiler.select]
        converted = [place for place, each in enumerate(columns) if _converters(each, compiler.connection)]
        return statement._replace(columns=columns, converted=converted)


class PreparedUpdate:
    """A change of rows that differs in values only, in how many there are, and in the columns it is of.

    :param model: the model whose rows are changed.
    :param make: gives the rows by values, as that of :class:`Prepared`.
    :param locks: as there.
    """

    def __init__(
        self, model: type[models.Model], make: Callable[..., models.QuerySet[Any]], *, locks: bool = False
    ) -> None:
        self._model = model
        self._make = make
        self._locks = locks
        self._statement = lru_cache(256)(self._written)

    def change(self, *values: Sequence[Any], **columns: Any) -> int:
        """Change columns of the rows; return how many rows that were.

        :param values: what ``make`` takes, as for :meth:`Prepared.rows`.
        :param columns: as :meth:`~django.db.models.query.QuerySet.update` takes them. Expressions, truth
            values and nothing are a part of what is written.
        """
        alias, shape = router.db_for_write(self._model), _shape(values)
        said = {name: value for name, value in columns.items() if type(value) in _PLAIN}
        others = tuple((name, value) for name, value in columns.items() if name not in said)
        if shape is None or not all(_is_written(value) for _, value in others):
            return self._make(*values).using(alias).update(**columns)
        kinds = tuple(map(type, said.values()))
        try:
            statement = self._statement(
                alias, (*shape, kinds), tuple(columns), others, silence() if self._locks else None
            )
        except EmptyResultSet:
            return 0
        connection = connections[alias]
        with connection.cursor() as cursor:
            cursor.execute(*statement.given(chain(*values, said.values()), connection))
            return cursor.rowcount  # type: ignore[no-any-return]

    def _written(
        self,
        alias: str,
        shape: Sequence[_Kinds],
        names: Sequence[str],
        others: Sequence[tuple[str, Any]],
        silence: float | None,
    ) -> _Statement:
        """As that of :class:`Prepared`.

        :param shape: the last of it is that of what columns are changed to.
        :param names: of all columns that are changed.
        :param others: those that are changed to what is written itself.
        """
        values = _stand_ins(shape)
        *asked, said = values
        query: Any = self._make(*asked).using(alias).query.chain(UpdateQuery)
        query.clear_ordering(force=True)
        written, left = dict(others), iter(said)
        query.add_update_values({name: written[name] if name in written else next(left) for name in names})
        return _statement(query.get_compiler(alias), values)


class PreparedDelete:
    """A deletion of rows of one table that differs in values only, and in how many there are.

    What refers to the rows is not asked, nor is anybody told.

    :param model: the model whose rows go.
    :param make: gives the rows by values, as that of :class:`Prepared`.
    """

    def __init__(self, model: type[models.Model], make: Callable[..., models.QuerySet[Any]]) -> None:
        self._model = model
        self._make = make
        self._statement = lru_cache(256)(self._written)

    def delete(self, *values: Sequence[Any]) -> int:
        """Delete the rows; return how many rows that were.

        :param values: numbers, texts and lists of them.
        """
        alias, shape = router.db_for_write(self._model), _shape(values)
        assert shape is not None, values  # noqa: S101  # it has no values of other kinds
        connection = connections[alias]
        with connection.cursor() as cursor:
            cursor.execute(*self._statement(alias, shape).given(chain.from_iterable(values), connection))
            return cursor.rowcount  # type: ignore[no-any-return]

    def _written(self, alias: str, shape: Sequence[_Kinds]) -> _Statement:
        values = _stand_ins(shape)
        query: Any = self._make(*values).using(alias).query.chain(DeleteQuery)
        query.clear_ordering(force=True)
        return _statement(query.get_compiler(alias), values)


class Joined:
    """Objects of models that belong together, out of one row: ``select_related`` for ``values_list``.

    :param model: the first of them.
    :param paths: to the others, by names of relations; what is nearer comes first.
    """

    def __init__(self, model: type[models.Model], *paths: str) -> None:
        self._model, self._paths = model, paths

    @cached_property
    def _parts(self) -> dict[str, type[models.Model]]:
        """The models by their paths; not before all apps are loaded."""
        parts: dict[str, Any] = {"": self._model}
        for path in self._paths:
            above, _, name = path.rpartition("__")
            parts[path] = parts[above]._meta.get_field(name).related_model
        return parts

    @property
    def names(self) -> list[str]:
        """What is to be read of a row, for ``values_list``."""
        return [
            f"{path}__{name}" if path else name
            for path, model in self._parts.items()
            for name in _names(model)
        ]

    def made(self, alias: str, row: Sequence[Any]) -> Any:
        """Return the first object, with the others at its relations; ``None`` where there is no other.

        :param alias: of the database that has given the row.
        :param row: begins with the values of ``names``.
        """
        made: dict[str, Any] = {}
        values = iter(row)
        for path, model in self._parts.items():
            names = _names(model)
            one = made[path] = model.from_db(alias, names, [*islice(values, len(names))])
            if path:
                above, _, name = path.rpartition("__")
                setattr(made[above], name, None if one.pk is None else one)
        return made[""]


def _names(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def _converters(column: Any, connection: Any) -> list[Any]:
    """What makes what a database gives the value of a column, one after the other."""
    return [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]


def _shape(values: Sequence[Sequence[Any]]) -> tuple[_Kinds, ...] | None:
    """The kinds of values; ``None``: there is one that nothing can stand for."""
    shape = tuple(tuple(map(type, some)) for some in values)
    return shape if all(kind in _STAND_INS for kinds in shape for kind in kinds) else None


def _is_written(value: Any) -> bool:
    """Whether it is one of few, and may be a part of a statement that is kept."""
    return value is None or isinstance(value, (bool, Enum)) or hasattr(value, "resolve_expression")


def _stand_ins(shape: Sequence[_Kinds]) -> list[list[Any]]:
    numbers = count()
    return [[_STAND_INS[kind](next(numbers)) for kind in kinds] for kinds in shape]


def _statement(compiler: Any, stand_ins: Iterable[Iterable[Any]]) -> _Statement:
    """What is written with something that stands for each value, of which each is to be there once."""
    sql, values = compiler.as_sql()
    known = [
        as_one(each, compiler.connection) if type(each) is list else each
        for each in chain.from_iterable(stand_ins)
    ]
    places = [(each, known.index(each) if each in known else None) for each in values]
    if sorted(at for _, at in places if at is not None) != [*range(len(known))]:
        raise AssertionError(f"expected each value of a query in it once, got {sql:.500}")
    return _Statement(sql, places)
