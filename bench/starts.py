"""What a start costs with a million runs in the table, on SQLite and on PostgreSQL.

Usage: python bench/starts.py [--rows 1000000] [--postgresql] [--check]

The whole request of a person who has signed in, through Django to its 202, with a key and with the default
throttle; and what each process that executes runs asks again and again. Each is done thirty times in an
empty table, again in the full one, and with SQLite once more after ``ANALYZE``, which changes its plans;
PostgreSQL has its statistics from the beginning. ``--check`` fails if a start takes longer than ``MOST`` or
anything costs more than with an empty table: the fastest of each count, which other work on the machine
changes least.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.admin import fill, measured

__all__ = ["MOST", "looks", "missed"]

MOST = 0.054  # seconds
TIMES = 30
DEARER, NOISE = 1.5, 0.002  # × with an empty table, and seconds beside that
START = "a start, the whole request"


def main() -> None:
    measured(_measure, rows=1_000_000, about=__doc__)


def looks(runner_id: Any) -> dict[str, Callable[[], Any]]:
    """Return what a process that executes runs asks the database for, again and again."""
    from lingstream.conf import app_settings
    from lingstream.execution import ownership
    from lingstream.execution.retention import BATCH, prune
    from lingstream.knowledge.due import Tidying

    given = app_settings()
    dead_after, attempts = given.dead_after, given.max_attempts
    return {
        "a heartbeat": partial(ownership.heartbeat, runner_id),
        "whose end is wanted": partial(ownership.cancel_requests, runner_id),
        "which runs are its own": partial(ownership.owned, runner_id),
        "what waits": partial(ownership.claim, runner_id, dead_after, attempts=attempts, most=8),
        "what is lost": partial(ownership.lose, runner_id, dead_after, attempts=attempts),
        "which ends nobody wrote": partial(ownership.orphans, dead_after, within=given.log_ttl),
        "whether it is known": partial(ownership.register, runner_id, "inline"),
        "what may be deleted": prune,
        "which passes may be deleted": partial(Tidying().take, BATCH),
    }


def missed(tables: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    """Yield what takes too long.

    :param tables: seconds by name, of each table by its name; the empty one is the first.
    """
    empty, *others = tables
    for table in others:
        for name, times in tables[table].items():
            most = DEARER * min(tables[empty][name]) + NOISE
            if name == START:
                most = min(most, MOST)
            if min(times) > most:
                yield f"{name}, {table}: {min(times) * 1000:.1f} ms, at most {most * 1000:.1f}"


def _measure(rows: int) -> list[str]:
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import AsyncClient
    from django.test.utils import override_settings, setup_test_environment

    from lingstream import workflow
    from lingstream.execution import ownership
    from lingstream.models import Run

    setup_test_environment()
    workflow("nothing", access="anyone")(_nothing)
    client = AsyncClient()
    client.force_login(User.objects.create(username="ann"))
    runner_id = uuid4()
    ownership.register(runner_id, "worker")
    given = {
        **settings.LINGSTREAM,
        "THROTTLE": "lingstream.access.throttle.CacheThrottle",
        "STARTS_PER_IDENTITY": "1000/s",
    }
    with override_settings(LINGSTREAM=given):
        tables = {"empty": _times(client, runner_id)}
        Run.objects.all().delete()  # each has a key, which no copy may have
        began = time.monotonic()
        fill(rows, analyze=False)
        print(f"{connection.vendor}: {rows} runs stored in {time.monotonic() - began:.0f} s")
        tables[f"{rows:,} runs"] = _times(client, runner_id)
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
            tables["after ANALYZE"] = _times(client, runner_id)
    print(f"{'ms':32}" + "".join(f"{table:>20}" for table in tables))
    for name in tables["empty"]:
        print(f"{name:32}" + "".join(f"{_spread(times[name]):>20}" for times in tables.values()))
    return list(missed(tables))


def _times(client: Any, runner_id: Any) -> dict[str, list[float]]:
    """Do everything ``TIMES`` times, one thing after the other; return what each took, once it was done."""
    found: dict[str, list[float]] = {}
    with asyncio.Runner() as loop:
        for _ in range(TIMES + 1):
            found.setdefault(START, []).append(loop.run(_start(client)))
            for name, look in looks(runner_id).items():
                began = time.perf_counter()
                look()
                found.setdefault(name, []).append(time.perf_counter() - began)
        loop.run(_close())
    return {name: times[1:] for name, times in found.items()}


async def _nothing(run: Any) -> None:
    """A workflow that ends where it begins."""


async def _start(client: Any) -> float:
    """Start a run, and see it end; return the seconds until it was answered."""
    from lingstream.execution.runner import get_runner

    body = {"input": {"question": "hi"}, "key": str(uuid4())}
    began = time.perf_counter()
    response = await client.post(
        "/ling/workflows/nothing/runs/", body, "application/json", headers={"Accept": "application/json"}
    )
    took = time.perf_counter() - began
    assert response.status_code == 202, response.content
    await get_runner().wait(response.json()["run"])
    return took


async def _close() -> None:
    """End the process's runner and hub, so that nobody waits for the database while it is filled."""
    from lingstream import hubs
    from lingstream.execution import runner

    await runner.get_runner().aclose()
    await hubs.get_hub().aclose()
    runner._runner.cache_clear()
    hubs._made.cache_clear()


def _spread(times: list[float]) -> str:
    return f"{min(times) * 1000:.1f} to {max(times) * 1000:.1f}"


if __name__ == "__main__":
    main()
