"""The tables that tests begin with: made by all migrations once, and copied from then on.

``python -m tests.tables COMMAND …`` makes those of a site, and does one command of ``manage.py`` there.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

__all__ = ["Versions", "as_now", "copy_database", "make_tables"]

KEPT = Path(__file__).resolve().parents[1] / "build" / "tests"


def make_tables() -> None:
    """Give the default database the tables of all migrations.

    An SQLite file that is empty yet becomes a copy of the one that an earlier process has made by the same
    migrations: to run them takes seconds, most of it for the states of models in between.
    """
    file = Path(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or (file.exists() and file.stat().st_size):
        call_command("migrate", verbosity=0)
        return
    kept = KEPT / f"tables-{_digest()}.sqlite3"
    connection.close()
    if kept.exists():
        shutil.copyfile(kept, file)
        emit_post_migrate_signal(verbosity=0, interactive=False, db=connection.alias)  # what apps declare
        return
    call_command("migrate", verbosity=0)
    connection.close()
    KEPT.mkdir(parents=True, exist_ok=True)
    made = kept.with_suffix(f".{os.getpid()}")  # others may be at it
    copy_database(str(file), str(made))
    made.replace(kept)


def _digest() -> str:
    """What the tables depend on: the apps that are there, and their migrations."""
    digest = sha256(django.__version__.encode())
    for app in apps.get_app_configs():
        digest.update(app.name.encode())
        for path in sorted(Path(app.path, "migrations").glob("*.py")):
            digest.update(f"{app.name} {path.name} ".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def copy_database(source: str, target: str) -> None:
    """Make the database ``target`` of the kind of the default one; nobody may be connected to ``source``."""
    if connection.vendor == "sqlite":
        _remove(target)
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
        return
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{target}"')
        cursor.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}"')


def drop_database(name: str) -> None:
    """Remove a database of the kind of the default one."""
    if connection.vendor == "sqlite":
        _remove(name)
    else:
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')


def _remove(file: str) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(file + suffix).unlink(missing_ok=True)


@contextmanager
def _connected_to(name: str) -> Iterator[None]:
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


class Versions:
    """The test database as it was at earlier migrations, each made once and copied for who wants it."""

    def __init__(self) -> None:
        self._newest: str = connection.settings_dict["NAME"]
        self._kept: dict[tuple[str, str], str] = {}

    @contextmanager
    def at(self, *target: str) -> Iterator[Any]:
        """Be connected to a copy, which is gone afterwards; yields the apps as they were.

        :param target: an app and its migration.
        """
        app, name = target
        if (app, name) not in self._kept:
            copy_database(self._newest, kept := f"{self._newest}-{app}-{name}")
            with _connected_to(kept):
                MigrationExecutor(connection).migrate([(app, name)])
            self._kept[app, name] = kept
        copy_database(self._kept[app, name], used := f"{self._newest}-used")
        with _connected_to(used):
            yield MigrationExecutor(connection).loader.project_state([(app, name)]).apps
        drop_database(used)

    def close(self) -> None:
        for name in self._kept.values():
            drop_database(name)


def as_now() -> Callable[[Any], None]:
    """Return what stands in for ``TransactionTestCase._fixture_teardown``: it gives all tables today's rows.

    Django empties them by TRUNCATE on PostgreSQL, which makes new files for each table and index, and has
    ``post_migrate`` write content types and permissions anew after each test.
    """
    quote = connection.ops.quote_name
    rows: dict[str, tuple[list[str], list[Any]]] = {}
    with connection.cursor() as cursor:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        for table in tables:
            cursor.execute(f"SELECT * FROM {quote(table)}")
            if found := cursor.fetchall():
                rows[table] = ([column[0] for column in cursor.description], found)
    emptying = [f"DELETE FROM {quote(table)}" for table in tables]
    if connection.vendor == "postgresql":  # which takes them in one
        emptying = ["; ".join(emptying)]

    def restore(test: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in emptying:
                cursor.execute(statement)
            for table, (columns, values) in rows.items():
                names, places = ", ".join(map(quote, columns)), ", ".join(["%s"] * len(columns))
                cursor.executemany(f"INSERT INTO {quote(table)} ({names}) VALUES ({places})", values)

    return restore


if __name__ == "__main__":
    django.setup()
    make_tables()
    if sys.argv[1:]:
        call_command(*sys.argv[1:])
