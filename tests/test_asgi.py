"""The ASGI application around a site's own: what is the site's stays the site's."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from asgiref.testing import ApplicationCommunicator
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.testing import WebsocketCommunicator
from django.core.asgi import get_asgi_application
from django.db import OperationalError
from django.urls import path

from lingstream import asgi, models
from lingstream.asgi import application
from lingstream.core.log.memory import MemoryHub
from lingstream.execution import ownership
from lingstream.execution.runner import Runner, get_runner

from .chaos.patience import scaled, within
from .site import Site, serve
from .test_wheel import readme_blocks

ROOT = Path(__file__).resolve().parent.parent
ORIGIN = (b"origin", b"http://localhost")


class Echo(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "fail":
            raise ValueError("a fault of the site's")
        await self.send(text_data=f"echo {text_data}")


def channels_site() -> Any:
    """A site with channels routes of its own."""
    routes = URLRouter([path("ws/echo/", Echo.as_asgi())])
    return ProtocolTypeRouter({"http": get_asgi_application(), "websocket": routes})


def http_router() -> Any:
    """A router that has nothing for sockets."""
    return ProtocolTypeRouter({"http": get_asgi_application()})


def framework() -> Any:
    """What other frameworks make: it serves sockets, closes those it does not know, and asserts the rest."""
    echo = Echo.as_asgi()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] in ("http", "websocket")
        if scope["type"] == "http":
            await get_asgi_application()(scope, receive, send)
        elif scope["path"] == "/ws/echo/":
            await echo(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    return app


SITES = {"django": get_asgi_application, "http router": http_router, "channels": channels_site}
SITES["framework"] = framework


@asynccontextmanager
async def serving(make: Callable[[], Any]) -> AsyncIterator[Site]:
    async with serve(application(make())) as running:
        yield running


@pytest.fixture(params=list(SITES))
async def around(
    request: pytest.FixtureRequest, transactional_db: None, fresh_runner: None
) -> AsyncIterator[tuple[str, Site]]:
    async with serving(SITES[request.param]) as running:
        yield request.param, running


async def test_our_socket_and_http_are_served_around_any_site(around: tuple[str, Site]) -> None:
    _, site = around
    await site.cloud_facts()
    async with site.socket() as socket:
        await socket.start("cloud-facts")
        await socket.until("done")
    assert (await site.start("cloud-facts")).status_code == 202


async def test_the_sites_own_sockets_are_served_and_unknown_ones_refused(
    around: tuple[str, Site], caplog: pytest.LogCaptureFixture
) -> None:
    name, site = around
    base = site.base.replace("http", "ws")
    if name in ("channels", "framework"):
        async with websockets.connect(f"{base}/ws/echo/") as socket:
            await socket.send("hi")
            assert await socket.recv() == "echo hi"
    for unknown in ("/", "/ws/", "/ws/ling", "/ws/ling/x/", "/ling/", "/ws/%C3%A4/"):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(base + unknown)
        assert refused.value.response.status_code == 403
    assert not [record for record in caplog.records if record.exc_info or record.levelno > logging.WARNING]


async def test_a_fault_of_the_sites_consumer_is_not_taken_for_an_unknown_path(
    transactional_db: None, fresh_runner: None
) -> None:
    socket = WebsocketCommunicator(application(channels_site()), "/ws/echo/")
    assert (await socket.connect())[0]
    await socket.send_to(text_data="fail")
    with pytest.raises(ValueError, match="a fault of the site's"):
        await socket.wait()


@pytest.mark.parametrize(
    ("prefix", "root_path", "path"),
    [
        (None, "", "/ws/ling/"),
        (None, "/app", "/app/ws/ling/"),
        (None, "/app", "/ws/ling/"),  # a server that does not repeat the prefix in the path
        ("/app", "", "/app/ws/ling/"),
        ("/app/", "/other", "/app/ws/ling/"),
        ("/app", "", "/ws/ling/"),  # a proxy that takes the prefix away
    ],
)
async def test_the_socket_lies_below_the_sites_prefix(
    transactional_db: None, fresh_runner: None, settings: Any, prefix: str | None, root_path: str, path: str
) -> None:
    settings.FORCE_SCRIPT_NAME = prefix
    socket = WebsocketCommunicator(application(get_asgi_application()), path, [ORIGIN])
    socket.scope["root_path"] = root_path
    assert (await socket.connect())[0]
    await socket.send_json_to({"type": "ping", "ref": 1})
    assert await socket.receive_json_from() == {"type": "pong", "ref": 1}
    await socket.disconnect()


@pytest.mark.parametrize("given", ["sockets/ai", "/sockets/ai"])
async def test_the_sockets_path_is_a_setting(
    transactional_db: None, fresh_runner: None, settings: Any, given: str
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SOCKET_PATH": given}
    socket = WebsocketCommunicator(application(get_asgi_application()), "/sockets/ai", [ORIGIN])
    assert (await socket.connect())[0]
    await socket.disconnect()


async def test_other_calls_of_the_site_reach_it(transactional_db: None, fresh_runner: None) -> None:
    heard = []

    async def jobs(scope: Any, receive: Any, send: Any) -> None:
        heard.append((await receive())["type"])

    site = application(ProtocolTypeRouter({"channel": ChannelNameRouter({"jobs": jobs})}))
    call = ApplicationCommunicator(site, {"type": "channel", "channel": "jobs"})
    await call.send_input({"type": "work"})
    await call.wait()
    assert heard == ["work"]


class TestLifespan:
    @pytest.fixture(autouse=True)
    def drained(
        self, transactional_db: None, fresh_runner: None, monkeypatch: pytest.MonkeyPatch
    ) -> list[str]:
        events: list[str] = []

        async def drain() -> None:
            events.append("drain")

        monkeypatch.setattr("lingstream.asgi._drain", drain)
        return events

    async def live(self, app: Any) -> list[str]:
        """Start and stop ``app`` and return what it answered."""
        call = ApplicationCommunicator(application(app), {"type": "lifespan"})
        answers = []
        for name in ("startup", "shutdown"):
            await call.send_input({"type": f"lifespan.{name}"})
            answers.append((await call.receive_output())["type"])
        await call.wait()
        return answers

    async def test_a_site_with_one_keeps_it_and_ends_after_the_drain(self, drained: list[str]) -> None:
        async def site(scope: Any, receive: Any, send: Any) -> None:
            for _ in range(2):
                message = (await receive())["type"]
                drained.append(message)
                await send({"type": f"{message}.complete"})

        assert await self.live(site) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert drained == ["lifespan.startup", "drain", "lifespan.shutdown"]

    @pytest.mark.parametrize("name", list(SITES))
    async def test_a_site_without_one_gets_ours(self, drained: list[str], name: str) -> None:
        answers = await self.live(SITES[name]())
        assert answers == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert drained == ["drain"]

    async def test_a_start_that_fails_is_the_servers_to_hear(self) -> None:
        async def site(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            raise RuntimeError("no licence")

        call = ApplicationCommunicator(application(site), {"type": "lifespan"})
        await call.send_input({"type": "lifespan.startup"})
        with pytest.raises(RuntimeError, match="no licence"):
            await call.wait()


class TestADatabaseThatIsNotThereYet:
    """It keeps the server from nothing, and the runner from starting until it is there."""

    @pytest.fixture
    def opened(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
        """Set when the database is there."""
        opened = threading.Event()
        register = ownership.register

        def ask(*args: Any) -> None:
            self.tries.release()
            if not opened.is_set():
                raise OperationalError("connection refused")
            register(*args)

        self.tries = threading.Semaphore(0)
        monkeypatch.setattr(ownership, "register", ask)
        settings.LINGSTREAM = {**settings.LINGSTREAM, "HEARTBEAT_EVERY": 0.02}
        return opened

    async def begin(self) -> asyncio.Task[None]:
        """Start the server and return its runner's start, which has failed three times."""
        made = application(get_asgi_application())
        made.live()  # type: ignore[attr-defined]
        for _ in range(3):
            assert await asyncio.to_thread(self.tries.acquire, timeout=scaled(10))
        start: asyncio.Task[None] = made._alive  # type: ignore[attr-defined]
        assert not start.done()
        return start

    async def test_is_asked_until_it_is(
        self,
        transactional_db: None,
        fresh_runner: None,
        opened: threading.Event,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO, "lingstream")
        start = await self.begin()
        opened.set()
        async with within(10):
            await start
        assert await models.Runner.objects.filter(pk=get_runner().id, stopped_at=None).aexists()
        told = [record.getMessage() for record in caplog.records if "runner" in record.getMessage()]
        assert told == [
            "the runner does not start yet, trying again: connection refused",
            "the runner has started",
        ]

    async def test_is_asked_no_more_when_the_server_stops(
        self, transactional_db: None, fresh_runner: None, opened: threading.Event
    ) -> None:
        start = await self.begin()
        await get_runner().drain()
        async with within(10):
            await asyncio.wait([start])
        opened.set()
        assert not await models.Runner.objects.aexists()


class Stubborn(MemoryHub):
    """A hub that is closed with an error."""

    closed = 0

    async def aclose(self) -> None:
        Stubborn.closed += 1
        if Stubborn.closed == 1:
            raise OSError("the hub is away")
        await super().aclose()


class TestADrainThatFails:
    """It keeps neither the hub from being closed, nor the site and the server from their own end."""

    @pytest.fixture(autouse=True)
    def failing(
        self, transactional_db: None, fresh_runner: None, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def drain(runner: Runner) -> None:
            raise OSError("the database is away")

        monkeypatch.setattr(Runner, "drain", drain)
        monkeypatch.setattr(Stubborn, "closed", 0)
        settings.LINGSTREAM = {**settings.LINGSTREAM, "HUB": "tests.test_asgi.Stubborn"}

    def assert_told(self, caplog: pytest.LogCaptureFixture) -> None:
        assert Stubborn.closed == 1
        told = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
        assert told == ["the database is away", "the hub is away"]
        assert "the drain failed" in caplog.text

    async def test_a_sites_own_end_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        heard = []

        async def site(scope: Any, receive: Any, send: Any) -> None:
            for _ in range(2):
                heard.append((await receive())["type"])
                await send({"type": f"{heard[-1]}.complete"})

        call = ApplicationCommunicator(application(site), {"type": "lifespan"})
        for name in ("startup", "shutdown"):
            await call.send_input({"type": f"lifespan.{name}"})
            assert (await call.receive_output())["type"] == f"lifespan.{name}.complete"
        await call.wait()
        assert heard == ["lifespan.startup", "lifespan.shutdown"]
        self.assert_told(caplog)

    async def test_a_signal_reaches_the_server(self, caplog: pytest.LogCaptureFixture) -> None:
        stopped = asyncio.Event()
        before = signal.signal(signal.SIGTERM, lambda *_: stopped.set())
        try:
            call = ApplicationCommunicator(application(get_asgi_application()), {"type": "lifespan"})
            await call.send_input({"type": "lifespan.startup"})
            await call.receive_output()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(stopped.wait(), 30)
            call.stop()
        finally:
            signal.signal(signal.SIGTERM, before)
        self.assert_told(caplog)


async def test_a_second_signal_does_not_wait_even_while_the_loop_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drained, ended, told = asyncio.Event(), asyncio.Event(), []

    def stop(number: int, frame: Any) -> None:
        told.append(drained.is_set())
        if drained.is_set():
            ended.set()

    monkeypatch.setattr(asgi, "_drain", drained.wait)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        asgi._drain_at_sigterm()
        signal.raise_signal(signal.SIGTERM)
        assert told == []
        signal.raise_signal(signal.SIGTERM)
        assert told == [False]
        drained.set()
        await asyncio.wait_for(ended.wait(), 30)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told == [False, True]


DJANGOS = """import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

application = get_asgi_application()
"""


@pytest.mark.parametrize("order", ["appended", "sorted"])
def test_the_readmes_asgi_py_loads_however_its_imports_are_sorted(tmp_path: Path, order: str) -> None:
    ours = readme_blocks()["asgi.py"]
    if order == "sorted":
        first, _, rest = ours.partition("\n")
        assert first.startswith("from lingstream.asgi import")
        text = DJANGOS.replace("os.environ", f"{first}\n\nos.environ", 1) + rest
    else:
        text = DJANGOS + ours
    (tmp_path / "site_asgi.py").write_text(text)
    code = "import site_asgi; print(type(site_asgi.application).__module__)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "lingstream.asgi", done.stderr
