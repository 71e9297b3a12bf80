"""The admin's list of runs and the dashboard at a million runs, on SQLite and on PostgreSQL.

Usage: python bench/admin.py [--rows 1000000] [--postgresql]

Each page is asked for through the whole of Django, three times; the fastest and the slowest count. Runs are
spread over a week, ten workflows and a thousand people; one in a hundred has failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

CHUNK = 5_000  # runs that the ORM stores
COPIED = 100_000  # at a time
CACHE = 400_000  # KB
RUNNER = UUID(int=1)
WORDS = ["cloud", "rain", "sun", "wind", "snow", "storm", "light", "water", "drop", "sky"]


def main() -> None:
    measured(_measure, rows=1_000_000, about=__doc__)


def measured(measure: Callable[[int], list[str] | None], *, rows: int, about: str | None) -> None:
    """Measure in an empty database of the kind that the command line asks for.

    :param measure: gets the number of rows; returns what is above a bound, if it knows bounds.
    :param rows: unless the command line says another number.
    :param about: the help.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--rows", type=int, default=rows)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--check", action="store_true", help="fail if a bound is passed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = configure(Path(folder), postgresql=given.postgresql)
        try:
            missed = measure(given.rows)
        finally:
            if server:
                server.close()
    if missed:
        print(*missed, sep="\n", file=sys.stderr)
        sys.exit(int(given.check))


def configure(folder: Path, *, postgresql: bool):  # type: ignore[no-untyped-def]
    """Set Django up with an empty database; return the server, if it has one of its own, to be closed."""
    server = None
    if postgresql:
        from tests.chaos.services import Postgres

        server = Postgres(shared_buffers="512MB", work_mem="16MB")
        server.start()
        os.environ["TEST_DATABASE"] = json.dumps(server.database)
    else:
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "bench.sqlite3")}
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"
        options = {"init_command": pragmas, "transaction_mode": "IMMEDIATE", "timeout": 60}
        os.environ["TEST_DATABASE"] = json.dumps({**database, "OPTIONS": options})
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    return server


def _measure(rows: int) -> None:
    from django.contrib.auth.models import User
    from django.core.cache import cache
    from django.db import connection
    from django.test import Client

    began = time.monotonic()
    middle = fill(rows)
    print(f"{connection.vendor}: {rows} runs stored in {time.monotonic() - began:.0f} s")
    client = Client(HTTP_HOST="localhost")
    client.force_login(User.objects.create_superuser("root"))
    url = "/admin/lingstream/run/"
    print(f"{'page':44}{'fastest':>10}{'slowest':>10}")
    for name, address, query in [
        ("the first page", url, {}),
        ("a page in the middle", url, {"before": middle}),
        ("a workflow", url, {"workflow": "w3"}),
        ("a version of it that few runs are", url, {"workflow": "w3", "version": "2"}),
        ("the runs of an owner", url, {"owner__id__exact": str(User.objects.get(username="user77").pk)}),
        ("failed ones", url, {"status__exact": "failed"}),
        ("lost ones, of which there are none", url, {"status__exact": "lost"}),
        ("failed ones of a workflow", url, {"status__exact": "failed", "workflow": "w3"}),
        ("an error code", url, {"error_code": "provider"}),
        ("a common word", url, {"q": "cloud"}),
        ("two common words and a beginning", url, {"q": "rain sun clo"}),
        ("a rare word", url, {"q": "needle"}),
        ("a word that nobody said", url, {"q": "nowhere"}),
        ("an owner", url, {"q": "user77"}),
        ("the beginning of an id", url, {"q": "abcd1"}),
        ("the dashboard", "/admin/lingstream/", {}),
    ]:
        times = []
        for _number in range(3):
            cache.clear()
            began = time.perf_counter()
            response = client.get(address, query)
            times.append(time.perf_counter() - began)
            assert response.status_code == 200, response
        print(f"{name:44}{min(times) * 1000:8.0f} ms{max(times) * 1000:8.0f} ms", flush=True)


def fill(rows: int, *, analyze: bool = True) -> str:
    """Store some runs by the ORM and multiply them in the database; return a place in their middle.

    One process has executed them all, and none after its last word.

    :param analyze: make SQLite's statistics too, which a site has only if it asked for them. PostgreSQL makes
        its own.
    """
    from django.contrib.auth.models import User
    from django.db import connection
    from django.utils import timezone

    from lingstream.models import Run, Runner

    Runner.objects.create(pk=RUNNER)
    people = User.objects.bulk_create(User(username=f"user{number}") for number in range(1_000))
    known = Run.objects.bulk_create(_runs(min(rows, CHUNK), people, timezone.now()))
    ours = ("id", "created_at", "finished_at")
    columns = [field.column for field in Run._meta.concrete_fields if field.name not in ours]
    sqlite = connection.vendor == "sqlite"
    copied = ", ".join(columns)
    statements = {
        # As materialized, or SQLite rolls the dice for each of the two times.
        "copy": f"INSERT INTO lingstream_run ({', '.join(ours)}, {copied}) WITH more AS MATERIALIZED "
        f"(SELECT {_ID[sqlite]} AS id, {_AT[sqlite]} AS at, {copied} FROM lingstream_run LIMIT %s) "
        f"SELECT id, at, at, {copied} FROM more",
        "texts": "INSERT INTO lingstream_runtext (run_id, input, words) SELECT id, 'x', "
        + " || ' ' || ".join([_WORD[sqlite]] * 4)
        + f" || {_NEEDLE[sqlite]} FROM lingstream_run ORDER BY created_at",
    }
    with connection.cursor() as cursor:
        with _without_indexes(cursor, sqlite=sqlite):
            count = len(known)
            while count < rows:
                more = min(count, rows - count, COPIED)
                cursor.execute(statements["copy"], [more])
                count += more
            cursor.execute(statements["texts"])
            if sqlite:  # as the index is that grew in months, and not one that its next entry has to merge
                cursor.execute(
                    "INSERT INTO lingstream_runtext_words (lingstream_runtext_words) VALUES ('optimize')"
                )
        if analyze or not sqlite:
            cursor.execute("ANALYZE")
    middle = Run.objects.order_by("created_at")[rows // 2]
    return f"{middle.created_at.isoformat()}~{middle.pk}"


@contextmanager
def _without_indexes(cursor: Any, *, sqlite: bool) -> Iterator[None]:
    """Make the indexes of the two tables at the end, which takes a small part of the time.

    Those of primary keys and constraints stay; ids are random, so SQLite needs them in memory.
    """
    cursor.execute(_INDEXES[sqlite])
    indexes = cursor.fetchall()
    if sqlite:
        cursor.execute("PRAGMA cache_size")
        ((pages,),) = cursor.fetchall()
        cursor.execute(f"PRAGMA cache_size = -{CACHE}")
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    if not sqlite:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks to come takes no index
    for _, statement in indexes:
        cursor.execute(statement)
    if sqlite:
        cursor.execute(f"PRAGMA cache_size = {pages}")


# By whether it is SQLite.
_INDEXES = {
    True: "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
    "AND tbl_name IN ('lingstream_run', 'lingstream_runtext')",
    False: "SELECT indexname, indexdef FROM pg_indexes "
    "WHERE schemaname = 'public' AND tablename IN ('lingstream_run', 'lingstream_runtext') "
    "AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexname::regclass)",
}
_ID = {True: "lower(hex(randomblob(16)))", False: "gen_random_uuid()"}
_AT = {
    True: "datetime(created_at, '-' || (abs(random()) % 604800) || ' seconds')",
    False: "created_at - random() * interval '7 days'",
}
_WORD = {
    True: f"json_extract('{json.dumps(WORDS)}', '$[' || (abs(random()) % {len(WORDS)}) || ']')",
    False: f"(ARRAY{WORDS})[1 + floor(random() * {len(WORDS)})::int]",
}
_NEEDLE = {
    True: "CASE abs(random()) % 100000 WHEN 0 THEN ' needle' ELSE '' END",
    False: "CASE WHEN random() < 0.00001 THEN ' needle' ELSE '' END",
}


def _runs(count: int, people, now) -> Iterator:  # type: ignore[no-untyped-def,type-arg]
    from lingstream.models import Run

    for number in range(count):
        owner = people[number % len(people)]
        failed = number % 100 == 7
        yield Run(
            pk=uuid4(),
            workflow=f"w{number % 10}",
            published=2 if number % 1_000 == 3 else 3,
            status="failed" if failed else "finished",
            error_code="provider" if failed else "",
            owner=owner,
            owner_key=f"user:{owner.pk}",
            input={"question": "x" * 100},
            document={"answer": "y" * 500},
            created_at=now - timedelta(minutes=number),
            finished_at=now - timedelta(minutes=number + 1),
            runner_id=RUNNER,
            first_token=0.3,
            prompt_tokens=100,
            completion_tokens=300,
        )


if __name__ == "__main__":
    main()
