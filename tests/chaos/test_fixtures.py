"""The services that tests share are there for each of them, whatever the one before has left."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from .services import TABLES, Postgres, shared

redis = pytest.importorskip("redis")


def test_a_set_up_that_fails_is_not_that_of_the_next_test() -> None:
    servers: list[Postgres] = []

    def fail(server: Postgres) -> None:
        raise RuntimeError("no tables")

    def make_tables(server: Postgres) -> None:
        for table in TABLES:
            server.rows(f"CREATE TABLE {table} (id int)")

    try:
        with pytest.raises(RuntimeError, match="no tables"):
            shared(servers, fail)
        assert shared(servers, make_tables) is shared(servers, fail)
    finally:
        for server in servers:
            server.close()


@pytest.mark.parametrize("leave", [Postgres.stop, Postgres.clear], ids=["stopped", "with a session"])
def test_postgresql_is_there_for_the_next_test(
    postgres_server: Postgres, leave: Callable[[Postgres], None]
) -> None:
    leave(postgres_server)
    with suppress(psycopg.OperationalError):
        left = psycopg.connect(host="127.0.0.1", port=postgres_server.port, user="postgres")
        left.execute("LOCK lingstream_run")
    postgres_server.renew()
    assert postgres_server.rows("SELECT id FROM lingstream_run") == []


@pytest.mark.parametrize("leave", ["stopped", "frozen", "full"])
def test_redis_is_there_for_the_next_test(redis_server: Any, leave: str) -> None:
    with redis.Redis.from_url(redis_server.url, protocol=2) as client:
        client.set("left", "behind")
        if leave == "stopped":
            redis_server.stop()
        if leave == "frozen":
            redis_server.freeze(signal.SIGSTOP)
        redis_server.renew()
        assert client.dbsize() == 0
