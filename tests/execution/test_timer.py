"""The one timer: looks at its pace, takes what is due, and goes on whatever fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError

from lingstream.execution import timer
from lingstream.execution.retention import BATCH, Pruning
from lingstream.execution.runner import Runner
from lingstream.execution.timer import MOST, Timer, due
from tests.chaos.patience import within


class Rows:
    """What is due, in memory."""

    def __init__(self, *rows: Any, every: float = 0.0) -> None:
        self.every = every
        self.rows = list(rows)
        self.taken: list[Any] = []
        self.looks = 0
        self.done = asyncio.Event()

    def find(self, most: int) -> list[Any]:
        self.looks += 1
        return self.rows[:most]

    def take(self, found: Any) -> bool:
        if isinstance(found, Exception):
            raise found
        self.rows.remove(found)
        self.taken.append(found)
        if not self.rows:
            self.done.set()
        return True


async def call(function: Any, *given: Any) -> Any:
    return function(*given)


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(timer, "_registered", {})
    yield


async def test_all_that_is_due_is_done_a_look_at_a_time() -> None:
    many, few = Rows(*range(MOST + 5)), Rows("a")
    due("many", many)
    due("few", few)
    clock = Timer(call, 0.01)
    await clock.look()
    assert (len(many.taken), few.taken) == (MOST, ["a"])
    await clock.look()
    assert (len(many.taken), many.rows, few.looks) == (MOST + 5, [], 2)


async def test_a_kind_with_a_pace_is_looked_at_at_once_only_while_there_is_more() -> None:
    slow = Rows(1, every=60)
    due("slow", slow)
    clock = Timer(call, 0.01)
    for _ in range(5):
        await clock.look()
    assert (slow.looks, slow.taken) == (2, [1])


async def test_what_fails_is_logged_and_in_no_others_way(caplog: Any) -> None:
    rows = Rows(ValueError("broken"), "b")
    due("rows", rows)
    await Timer(call, 0.01).look()
    assert rows.taken == ["b"] and "what was due of rows has failed" in caplog.text


async def test_a_database_that_is_away_is_told_of_once_and_waited_for(caplog: Any) -> None:
    rows = Rows(OperationalError("away"), OperationalError("away"))
    due("rows", rows)
    task = asyncio.create_task(Timer(call, 0.001).run())
    async with within():
        while rows.looks < 5:
            await asyncio.sleep(0)
        rows.rows[:] = ["b"]
        await rows.done.wait()
    task.cancel()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1


async def test_a_process_that_executes_runs_looks(
    transactional_db: None, fresh_runner: None, settings: Any
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "HEARTBEAT_EVERY": 0.05, "DEAD_AFTER": 5}
    rows = Rows("a")
    due("rows", rows)
    inline, worker = Runner(), Runner("worker")
    async with within():
        await worker.ensure_registered()  # which executes nothing here
        assert not any("timer" in task.get_name() for task in worker._life)
        await inline.ensure_registered()
        await rows.done.wait()
    await inline.aclose()
    await worker.aclose()


@pytest.mark.django_db
def test_pruning_goes_by_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [BATCH, 3]
    monkeypatch.setattr("lingstream.execution.retention.prune", lambda limit: batches.pop(0))
    kind = Pruning()
    assert [kind.take(each) for _ in range(2) for each in kind.find(MOST)] == [True, False]
