"""Many rows of one model in few statements, without what Django does for each row and each of its values.

``bulk_create`` wants an object of the model for each, and asks every field about every value: of a first pass
over a source that was much of the time.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

from django.db import connections, models, router

__all__ = ["Among", "as_one", "update_rows", "write_rows"]

_AT_ONCE = 500  # rows of a statement
_Written: TypeAlias = tuple[str, tuple[Any, ...]]  # SQL with its parameters
#: Fields whose values databases take as they are.
_PLAIN = frozenset(
    (
        *(models.CharField, models.TextField, models.BinaryField),
        *(models.PositiveIntegerField, models.PositiveBigIntegerField, models.IntegerField),
        *(models.AutoField, models.BigAutoField),
    )
)


class Among(models.Func):
    """The condition that a column is one of some numbers or texts, however many: they are one parameter.

    Django's ``in`` looks at each of them six times, and makes another statement of each number of them.

    :param column: its name.
    :param values: as the database has them.
    """

    output_field = models.BooleanField()

    def __init__(self, column: str, values: Sequence[int] | Sequence[str]) -> None:
        super().__init__(column)
        self._values = [*values]

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """See :meth:`django.db.models.Func.as_sql`."""
        template = "%(expressions)s IN (SELECT value FROM json_each(%%s))"
        sql, given = self.as_sql(compiler, connection, template=template)
        return sql, [*given, as_one(self._values, connection)]

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """See :meth:`django.db.models.Func.as_sql`."""
        sql, given = self.as_sql(compiler, connection, template="%(expressions)s = ANY(%%s)")
        return sql, [*given, as_one(self._values, connection)]


def as_one(values: Sequence[Any], connection: Any) -> Any:
    """Return values as the one parameter that :class:`Among` makes of them."""
    return values if connection.vendor == "postgresql" else json.dumps(values, ensure_ascii=False)


def write_rows(
    model: type[models.Model],
    names: Sequence[str],
    values: Sequence[Sequence[Any]],
    *,
    unique: Sequence[str],
    update: Sequence[str] = (),
    keys: bool = False,
) -> list[Any]:
    """Insert rows, or change those that are there already; return their keys, if asked.

    No signal is sent. Call it in a transaction.

    :param model: one with a key of the database's making, unless that is among ``names``.
    :param names: of fields; what else the model has is as its default, or the database's, is.
    :param values: of each row, keys for those of other models; none is there twice.
    :param unique: names of fields by which one is there already.
    :param update: names of what is changed then; nothing, unless given.
    :param keys: in the order of ``values``; with ``update`` only, as the database tells none of what it left.
    """
    if not values:
        return []
    connection = connections[router.db_for_write(model)]
    fields = [model._meta.get_field(name) for name in names]
    others = [
        each
        for each in model._meta.concrete_fields
        if not (each in fields or isinstance(each, models.AutoField) or each.has_db_default())
    ]
    defaults = [each.get_db_prep_save(each.get_default(), connection) for each in others]
    rows = [[*row, *defaults] for row in values]
    for place, field in enumerate(fields):
        if prepare := _preparing(field, connection):
            for row in rows:
                row[place] = prepare(row[place])
    before, one, after = _statement(connection, model, [*fields, *others], unique, update, keys)
    most = min(_AT_ONCE, (connection.features.max_query_params or 50_000) // (len(fields) + len(others)))
    found: dict[tuple[Any, ...], Any] = {}
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
        with connection.cursor() as cursor:
            cursor.execute(
                f"{before} {', '.join([one] * len(some))} {after}", [value for row in some for value in row]
            )
            if keys:
                found |= {tuple(known): key for *known, key in cursor.fetchall()}
    by = [names.index(name) for name in unique]
    return [found[tuple(row[at] for at in by)] for row in rows] if keys else []


def update_rows(changes: Sequence[tuple[models.Model, Mapping[str, Any]]]) -> None:
    """Change rows, each its own columns: of those with the same ones by one statement, where a database can.

    Of what is changed twice in the same columns the last counts. Call it in a transaction.

    :param changes: rows of one model, with values by the names of columns; a value may be an expression.
    """
    if not changes:
        return
    model = type(changes[0][0])
    meta: Any = model._meta
    connection = connections[router.db_for_write(model)]
    compiler = models.sql.UpdateQuery(model).get_compiler(connection=connection)
    preparing = cache(lambda name: _preparing(meta.get_field(name), connection))

    @cache
    def written(value: models.Expression) -> _Written:
        made = value.resolve_expression(compiler.query, allow_joins=False, for_save=True)
        sql, given = compiler.compile(made)
        return sql, tuple(given)

    alike: defaultdict[tuple[tuple[str, _Written | None], ...], dict[Any, list[Any]]] = defaultdict(dict)
    for row, columns in changes:
        kinds, values = list[tuple[str, "_Written | None"]](), list[Any]()
        for name, value in columns.items():
            if isinstance(value, models.Expression):
                kinds.append((name, written(value)))
            else:
                kinds.append((name, None))
                values.append(prepare(value) if (prepare := preparing(name)) else value)
        values.append(meta.pk.get_db_prep_save(row.pk, connection))
        alike[tuple(kinds)][row.pk] = values
    for same, rows in alike.items():
        _update(connection, meta, same, [*rows.values()])


def _update(
    connection: Any, meta: Any, columns: Sequence[tuple[str, _Written | None]], rows: Sequence[list[Any]]
) -> None:
    """Change columns of rows.

    :param columns: names, each with what it becomes in all rows; ``None``: ``rows`` say that.
    :param rows: the values of each, and its key.
    """
    quote = connection.ops.quote_name
    table, key = quote(meta.db_table), quote(meta.pk.column)
    fields = [*(meta.get_field(name) for name, same in columns if same is None), meta.pk]
    at_once = _has_update_from(connection)
    places = (f"v.column{number}" if at_once else "%s" for number in range(1, len(fields) + 1))
    settings = ", ".join(
        f"{quote(meta.get_field(name).column)} = {same[0] if same else next(places)}"
        for name, same in columns
    )
    update = f"UPDATE {table} SET"
    with connection.cursor() as cursor:
        if not at_once:
            for row in rows:
                values = iter(row)
                given = [value for _, same in columns for value in (same[1] if same else [next(values)])]
                cursor.execute(f"{update} {settings} WHERE {key} = %s", [*given, *values])
            return
        fixed = [value for _, same in columns if same for value in same[1]]
        most = min(_AT_ONCE, (connection.features.max_query_params or 50_000) // len(fields))
        for start in range(0, len(rows), most):
            some = rows[start : start + most]
            listed = _listed(connection, fields, len(some))
            chosen = f"FROM (VALUES {listed}) AS v WHERE {table}.{key} = v.column{len(fields)}"
            given = [*fixed, *(value for row in some for value in row)]
            cursor.execute(f"{update} {settings} {chosen}", given)


def _has_update_from(connection: Any) -> bool:
    """Whether a database knows ``UPDATE … FROM (VALUES …)``."""
    if connection.vendor == "sqlite":
        return bool(connection.Database.sqlite_version_info >= (3, 33))
    return bool(connection.vendor == "postgresql")


def _listed(connection: Any, fields: Sequence[Any], number: int) -> str:
    """The places of so many rows in ``VALUES``."""
    first = other = ", ".join(["%s"] * len(fields))
    if connection.vendor == "postgresql":
        # The first row tells it the types of all. Without their bounds: a cast to varchar(5) would cut a
        # text, which the column refuses.
        types = [each.db_type(connection).partition("(")[0] for each in fields]
        first = ", ".join(f"CAST(%s AS {each})" for each in types)
    return ", ".join([f"({first})", *[f"({other})"] * (number - 1)])


def _preparing(field: Any, connection: Any) -> Callable[[Any], Any] | None:
    """What makes a field's value one of the database's; ``None``: it is."""
    if type(getattr(field, "target_field", field)) in _PLAIN:
        return None
    return lambda value: field.get_db_prep_save(value, connection)


def _statement(
    connection: Any,
    model: type[models.Model],
    fields: Sequence[Any],
    unique: Sequence[str],
    update: Sequence[str],
    keys: bool,
) -> tuple[str, str, str]:
    """The begin of a statement, the place of one row in it, and its end."""
    quote = connection.ops.quote_name
    meta: Any = model._meta

    def named(names: Sequence[str]) -> list[str]:
        return [quote(meta.get_field(name).column) for name in names]

    known = ", ".join(named(unique))
    changes = ", ".join(f"{each} = excluded.{each}" for each in named(update))
    told = f" RETURNING {known}, {quote(meta.pk.column)}" if keys else ""
    columns = ", ".join(quote(each.column) for each in fields)
    return (
        f"INSERT INTO {quote(meta.db_table)} ({columns}) VALUES",
        f"({', '.join(['%s'] * len(fields))})",
        f"ON CONFLICT ({known}) DO {f'UPDATE SET {changes}' if changes else 'NOTHING'}{told}",
    )
