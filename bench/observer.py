"""What the database says while many runs are under way, looked at by a connection of the bench's own."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg
from fleet import Fleet
from psycopg.rows import dict_row

__all__ = ["Observer", "Spent", "connect", "rows", "spent"]

EVERY = 0.2  # seconds between two looks
OPEN = ("queued", "running")
LINE = re.compile(r"^(worker|web)\|(\d+)\|([^|]*)\|LOG: +(duration|connection authorized)", re.MULTILINE)
CONTROL = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "ROLLBACK TO"}
PROTOCOL = {"PARSE", "BIND", ""}  # steps of one statement, which has a line of its own


class Observer(threading.Thread):
    """Looks every 0.2 s until it is told to stop.

    :ivar silence: the longest time, by the database's clock, for which a living worker said nothing.
    :ivar moves: run and epoch of each later execution → when it was first seen.
    :ivar ended: when no run was open any more.
    """

    def __init__(self, fleet: Fleet, runs: int) -> None:
        super().__init__(daemon=True, name="observer")
        self._fleet = fleet
        self._runs = runs
        self._over = threading.Event()
        self._outage = 0.0
        self._cpu = (0.0, 0.0)
        self.silence = 0.0
        self.moves: dict[tuple[str, int], float] = {}
        self.counts: Counter[str] = Counter()
        self.ended: float | None = None

    def run(self) -> None:
        """See Thread."""
        while not self._over.is_set():
            try:
                with connect(self._fleet) as connection:
                    while not self._over.wait(EVERY):
                        self._look(connection)
            except psycopg.Error:
                self._outage = time.monotonic()
                self._over.wait(EVERY)

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()

    @property
    def postgres_cpu(self) -> float:
        """CPU seconds of the server and all its sessions so far, of a server before a restart too."""
        return sum(self._cpu)

    @property
    def open(self) -> int:
        """Runs that have not ended."""
        return self._runs - sum(count for status, count in self.counts.items() if status not in OPEN)

    def _look(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        now = time.monotonic()
        members = {member.pid: member for member in self._fleet.workers if member.lives}
        sql = "SELECT pid, extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS age"
        for row in connection.execute(f"{sql} FROM lingstream_runner WHERE stopped_at IS NULL"):
            if member := members.get(row["pid"]):
                # Nobody is blamed for a time in which it was stopped, or the database was.
                self.silence = max(
                    self.silence,
                    min(row["age"], now - max(self._outage, member.since)) if member.lives else 0,
                )
        sql = "SELECT status, count(*) AS count FROM lingstream_run GROUP BY status"
        self.counts = Counter({row["status"]: row["count"] for row in connection.execute(sql)})
        # After that: of runs that have ended we know then how often they had moved.
        for row in connection.execute("SELECT id::text, epoch FROM lingstream_run WHERE epoch > 1"):
            self.moves.setdefault((row["id"], row["epoch"]), time.time())
        if not self.open and self.ended is None:
            self.ended = time.time()
        for member in self._fleet.members:
            member.look()
        self._look_at_server()

    def _look_at_server(self) -> None:
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            server = psutil.Process(self._fleet.postgres.pid)
            own = server.cpu_times()
            used = own.user + own.system + own.children_user + own.children_system
            for session in server.children():
                with contextlib.suppress(psutil.Error):
                    used += sum(session.cpu_times()[:2])
            before, last = self._cpu
            if used < last - 1:  # another server: this one has been restarted
                before, last = before + last, 0.0
            self._cpu = (before, max(last, used))


@dataclass
class Spent:
    """What some roles asked of the database."""

    statements: Counter[str] = field(default_factory=Counter)
    transactions: Counter[str] = field(default_factory=Counter)
    sessions: Counter[str] = field(default_factory=Counter)


def spent(fleet: Fleet) -> Spent:
    """Read the server's log: statements without ``BEGIN`` and the like, transactions, sessions, by role."""
    found = Spent()
    inside: set[str] = set()
    for role, pid, tag, what in LINE.findall(fleet.postgres.log.read_text(errors="replace")):
        if what != "duration":
            found.sessions[role] += 1
        elif tag in PROTOCOL:
            continue
        elif tag == "BEGIN":
            inside.add(pid)
        elif tag in ("COMMIT", "ROLLBACK"):
            inside.discard(pid)
            found.transactions[role] += 1
        elif tag not in CONTROL:
            found.statements[role] += 1
            found.transactions[role] += pid not in inside
    return found


@contextlib.contextmanager
def connect(fleet: Fleet) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection in the observer's name, told apart from those that are observed."""
    with psycopg.connect(
        host="127.0.0.1",
        port=fleet.postgres.port,
        user="observer",
        dbname="postgres",
        autocommit=True,
        connect_timeout=5,
        row_factory=dict_row,
    ) as connection:
        yield connection


def rows(fleet: Fleet, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Ask the database once."""
    with connect(fleet) as connection:
        return connection.execute(sql, values).fetchall()
