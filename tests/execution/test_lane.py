"""The runner's threads for the database: apart from requests, with connections that stay."""

from __future__ import annotations

import asyncio
import threading

import pytest
from django.db import OperationalError, connection

from lingstream.execution import lane as lane_module
from lingstream.execution.lane import Lane, patiently

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def lane() -> Lane:
    return Lane(1)


def here() -> tuple[int, int]:
    """This thread and its connection, opened if it was not."""
    connection.ensure_connection()
    return threading.get_ident(), id(connection.connection)


async def test_a_connection_stays_between_two_calls(lane: Lane) -> None:
    first, second = await lane.call(here), await lane.call(here)
    await lane.aclose()
    assert first == second
    assert first[0] != threading.get_ident()


async def test_a_call_that_is_cancelled_before_it_began_is_not_made(lane: Lane) -> None:
    gate = threading.Event()
    made: list[str] = []
    first = asyncio.create_task(lane.call(gate.wait, 10))
    second = asyncio.create_task(lane.call(made.append, "second"))
    await asyncio.sleep(0)
    assert lane.oldest >= 0
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    gate.set()
    await first
    await lane.call(made.append, "third")
    await lane.aclose()
    assert made == ["third"]
    assert lane.oldest == 0


async def test_threads_end_with_the_lane_and_begin_anew(lane: Lane) -> None:
    first = await lane.call(threading.current_thread)
    await lane.aclose()
    assert not first.is_alive()
    second = await lane.call(threading.current_thread)
    assert second is not first
    await lane.aclose()


async def test_a_database_that_is_away_is_asked_again_for_a_while() -> None:
    tries = 0

    async def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OperationalError("the server closed the connection")
        return "stored"

    assert await patiently(attempt) == "stored"
    tries = -10
    with pytest.raises(OperationalError):
        await patiently(attempt, patience=0.2)
    assert tries == -8


async def test_a_database_that_is_away_is_told_of_once_and_not_for_each_who_waits(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lane_module, "_said_at", float("-inf"))
    tries = 0

    async def attempt() -> None:
        nonlocal tries
        tries += 1
        raise OperationalError("the server closed the connection")

    waiting = [patiently(attempt, patience=0.15) for _ in range(50)]
    await asyncio.gather(*waiting, return_exceptions=True)
    assert tries == 100
    assert [record.levelname for record in caplog.records if "the database is away" in record.message] == [
        "WARNING"
    ]
