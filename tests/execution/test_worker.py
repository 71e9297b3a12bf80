"""``manage.py ling_worker`` and what wakes it; workers as processes are in ``tests/chaos``."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from lingstream.execution import broker
from lingstream.testing.log_contract import PATIENCE
from tests.chaos.patience import scaled
from tests.core.support import ALL, ROOT, Deaf

REDIS = "lingstream.hubs.redis.RedisHub"


@pytest.mark.parametrize(
    ("execution", "concurrency", "expected"),
    [("inline", 10, "web processes execute their runs themselves"), ("worker", 0, "at least 1, got 0")],
)
def test_what_a_worker_refuses(settings: Any, execution: str, concurrency: int, expected: str) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "EXECUTION": execution, "HUB": REDIS}
    with pytest.raises(CommandError, match=expected):
        call_command("ling_worker", concurrency=concurrency, skip_checks=True)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait_for_the_drain(tmp_path: Path, second: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.execution.endless", str(tmp_path / "worker.sqlite3")]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as worker:
        end = threading.Timer(PATIENCE, worker.kill)
        end.start()
        try:
            for said, then in (("it has begun", signal.SIGTERM), ("draining 1 runs", second)):
                assert worker.stdout and any(said in line for line in worker.stdout), said
                worker.send_signal(then)
            assert worker.wait() == -second
        finally:
            end.cancel()
            worker.kill()


class Flaky:
    """A broker whose server restarts between two messages, and forgets its queues."""

    def __init__(self) -> None:
        self.declared = 0
        self.acknowledged = 0
        self.closed = False

    def register_task(self, function: Any, task_name: str) -> None:
        """As taskiq's."""

    async def startup(self) -> None:
        self.declared += 1

    async def shutdown(self) -> None:
        self.closed = True

    async def listen(self) -> AsyncIterator[Any]:
        yield self
        raise ConnectionError("the server went away")

    async def ack(self) -> None:
        self.acknowledged += 1


flaky = Flaky()


async def test_a_listener_that_fails_is_started_anew(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "BROKER": "tests.execution.test_worker.flaky"}
    monkeypatch.setattr(broker, "_PAUSES", (0.01,))
    async with asyncio.timeout(scaled(10)):
        woken = 0
        async for _ in broker.messages():
            woken += 1
            if woken == 3:
                break
    await broker.close()
    assert (flaky.declared, flaky.acknowledged, flaky.closed) == (3, 3, True)


class Deafened(Flaky):
    """A broker whose library loses cancels and goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.code = Deaf(ALL)

    async def startup(self) -> None:
        await self.code.work()
        await super().startup()

    async def shutdown(self) -> None:
        self.code.released.clear()
        await self.code.work()

    def find_task(self, name: str) -> Any:
        raise AssertionError("it did not start")


deafened = Deafened()


async def test_nobody_waits_for_a_broker_that_neither_starts_nor_stops(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "BROKER": "tests.execution.test_worker.deafened"}
    async with asyncio.timeout(scaled(20)):
        await broker.notify("a run")
        assert "Deafened.startup took longer than 1 s" in caplog.text
        deafened.code.released.set()
        assert await broker._broker() is deafened
        await broker.close()
    assert "the broker did not shut down: Deafened.shutdown took longer than 1 s" in caplog.text
    deafened.code.released.set()


async def test_without_a_broker_nobody_is_woken(settings: Any) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "BROKER": ""}
    await broker.notify("a run")
    assert [item async for item in broker.messages()] == []
