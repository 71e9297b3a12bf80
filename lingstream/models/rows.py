"""Many rows of one model in few statements, without what Django does for each row and each of its values.

``bulk_create`` wants an object of the model for each, and asks every field about every value: of a first pass
over a source that was much of the time.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from django.db import connections, models, router

__all__ = ["Among", "as_one", "update_rows", "write_rows"]

_AT_ONCE = 500  # rows of a statement
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
    """Change rows, each its own columns; call it in a transaction.

    :param changes: rows of one model, with values by the names of columns; a value may be an expression.
    """
    if not changes:
        return
    model = type(changes[0][0])
    meta: Any = model._meta
    connection = connections[router.db_for_write(model)]
    compiler = models.sql.UpdateQuery(model).get_compiler(connection=connection)
    quote = connection.ops.quote_name

    @cache
    def column(name: str) -> tuple[str, Callable[[Any], Any] | None]:
        field = meta.get_field(name)
        return quote(field.column), _preparing(field, connection)

    @cache
    def compiled(value: models.Expression) -> tuple[str, Sequence[Any]]:
        made = value.resolve_expression(compiler.query, allow_joins=False, for_save=True)
        return compiler.compile(made)  # type: ignore[no-any-return]

    alike: defaultdict[tuple[str, ...], list[list[Any]]] = defaultdict(list)
    for row, columns in changes:
        settings, values = list[str](), list[Any]()
        for name, value in columns.items():
            named, prepare = column(name)
            if isinstance(value, models.Expression):
                sql, given = compiled(value)
                settings.append(f"{named} = {sql}")
                values += given
            else:
                settings.append(f"{named} = %s")
                values.append(prepare(value) if prepare else value)
        alike[tuple(settings)].append([*values, meta.pk.get_db_prep_save(row.pk, connection)])
    update, key = f"UPDATE {quote(meta.db_table)} SET", quote(meta.pk.column)
    for same, rows in alike.items():
        with connection.cursor() as cursor:
            cursor.executemany(f"{update} {', '.join(same)} WHERE {key} = %s", rows)


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
