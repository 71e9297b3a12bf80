"""What those that start and execute runs read of a table of many; ``bench/starts.py`` has a million."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bench.admin import fill
from bench.starts import looks
from lingstream.access.identity import Identity
from lingstream.execution import ownership
from lingstream.execution.start import Start, create_run
from tests.plans import check_plan

MANY = 20_000
_MOST_READ = 200  # rows: more than a few that have just ended, and less than all
_OF_RUNS = re.compile(r'(SELECT .* FROM|UPDATE) "lingstream_run"')
_BY_DATE = re.compile(r"(SCAN|SEARCH) lingstream_run USING INDEX lingstream_run_(date|scope|flow)")


@pytest.mark.slow
@pytest.mark.django_db
def test_nothing_that_is_asked_again_and_again_reads_the_table(bounds: Any) -> None:
    bounds(OPEN_RUNS=5)
    fill(MANY, analyze=False)
    runner_id = uuid4()
    ownership.register(runner_id, "worker")
    identity = Identity.of(User.objects.get(username="user7"), None)
    start = Start("cloud-facts-python", {"question": "hi"}, key=str(uuid4()))
    asked = {"a start": lambda: create_run(start, identity), **looks(runner_id)}
    checked = 0
    for name, ask in asked.items():
        told: list[tuple[str, Any]] = []

        def execute(do: Any, sql: str, values: Any, many: bool, context: Any, told: Any = told) -> Any:
            told.append((sql, values))
            return do(sql, values, many, context)

        with connection.execute_wrapper(execute), CaptureQueriesContext(connection) as captured:
            ask()
        for query in list(captured):
            if _OF_RUNS.match(query["sql"]):
                checked += 1
                check_plan(query["sql"], _MOST_READ)
        if connection.vendor == "sqlite":  # with parameters: what it knows of a value changes its plan
            for sql, values in told:
                if _OF_RUNS.match(sql):
                    with connection.cursor() as cursor:
                        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)
                        plan = [row[-1] for row in cursor.fetchall()]
                    assert not [line for line in plan if _BY_DATE.match(line)], (name, sql, plan)
    assert checked > 8
