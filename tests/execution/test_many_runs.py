"""What those that start and execute runs read of a table of many; ``bench/starts.py`` has a million."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bench.admin import RUNNER, fill
from bench.starts import looks
from lingstream.access.identity import Identity
from lingstream.execution import ownership
from lingstream.execution.start import Start, create_run
from lingstream.models import Run, Runner
from tests.plans import check_plan

MANY = 20_000
_MOST_READ = 200  # rows: more than a few that have just ended, and less than all
_MOST_STEPS = 20_000  # of SQLite's machine, for all that one of them asks; a row takes five or more
_OF_RUNS = re.compile(r'(SELECT .* FROM|UPDATE) "lingstream_run"')


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("analyzed", [False, True], ids=["as it is", "after ANALYZE"])
def test_nothing_that_is_asked_again_and_again_reads_the_table(bounds: Any, analyzed: bool) -> None:
    bounds(OPEN_RUNS=5)
    fill(MANY, analyze=False)
    for number in range(30):  # by its runner a run seems easier to find then than by its status
        runner = Runner.objects.create(kind="worker", hostname="host", pid=number)
        Run.objects.filter(owner__username=f"user{number}").update(runner=runner)
    old = timezone.now() - timedelta(days=60)
    Run.objects.filter(workflow__gte="w5").update(finished_at=old)  # no workflow says how long it keeps them
    if analyzed:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    ownership.register(RUNNER, "worker")
    identity = Identity.of(User.objects.get(username="user7"), None)
    start = Start("cloud-facts-python", {"question": "hi"}, key=str(uuid4()))
    asked = {"a start": lambda: create_run(start, identity), **looks(RUNNER)}
    checked = 0
    for name, ask in asked.items():
        with CaptureQueriesContext(connection) as captured, _steps() as steps:
            ask()
        assert sum(steps) <= _MOST_STEPS, name
        for query in list(captured):
            if _OF_RUNS.match(query["sql"]):
                checked += 1
                check_plan(query["sql"], _MOST_READ)
    assert checked > 8


@contextmanager
def _steps() -> Iterator[list[int]]:
    """Have the steps of SQLite's machine, which are rows and time: what it knows of a parameter changes its
    plan, and ``EXPLAIN`` has no parameters."""
    steps: list[int] = []
    if connection.vendor != "sqlite":
        yield steps
        return
    connection.ensure_connection()
    connection.connection.set_progress_handler(lambda: steps.append(100), 100)
    try:
        yield steps
    finally:
        connection.connection.set_progress_handler(None, 0)
