"""The ASGI application of a site with lingstream, and its part in the server's life.

Nothing of ours that needs Django's apps is imported before :func:`application` is called: who sorts imports
puts the one of this module before ``get_asgi_application()``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import Context
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .execution.runner import Runner
    from .transports.asgi import ASGIApp, Receive, Scope, Send

__all__ = ["application", "is_used"]

logger = logging.getLogger("lingstream")

_NO = (ValueError, AssertionError, NotImplementedError)  # how applications say that they serve no such thing


def application(site: ASGIApp) -> ASGIApp:
    """Return ``site`` with our socket beside it, behind the origin check and Django's login.

    All else stays the site's: HTTP, its own sockets, its own lifespan, and whatever else it answers. The
    start of the server (or the first call, of one that does not tell of it) brings this process's runner to
    life, so that runs which a dead process left behind go on, and those that a command starts begin.

    :param site: what ``get_asgi_application()`` returned, or what the site has made of that: a
        ``ProtocolTypeRouter``, an application of another framework.
    """
    from channels.auth import AuthMiddlewareStack
    from channels.security.websocket import AllowedHostsOriginValidator

    from .access.origins import ForeignPages
    from .transports.socket import LingConsumer
    from .transports.stream import Streams

    socket = AuthMiddlewareStack(LingConsumer.as_asgi())
    made = _Site(Streams(site), ForeignPages(AllowedHostsOriginValidator(socket), socket))
    _call_at_the_start_of_daphne(made.live)
    return made


def is_used() -> bool:
    """Whether this process has an application that brings the runner to life."""
    return _Site.made > 0


class _Site:
    """The site's application with our socket, and the runner that lives as long as it does."""

    made = 0
    """How many there are in this process; the check ``lingstream.W014`` asks."""

    def __init__(self, site: ASGIApp, socket: ASGIApp) -> None:
        _Site.made += 1
        self._site = site
        self._socket = socket
        self._alive: asyncio.Task[None] | None = None

    def live(self) -> None:
        """Bring the runner to life in this event loop, once."""
        loop = asyncio.get_running_loop()
        if self._alive is None or self._alive.get_loop() is not loop:
            self._alive = loop.create_task(_ensure_registered(), context=Context())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.live()
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] != "websocket":
            await self._site(scope, receive, send)
        elif _is_ours(scope):
            from .transports.socket import DIRECT_SEND

            await self._socket({**scope, DIRECT_SEND: send}, receive, send)
        else:
            await self._other_socket(scope, receive, send)

    async def _other_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A socket of the site's own; where it has none, the path is refused without a traceback."""
        heard = _Heard(receive)
        try:
            await self._site(scope, heard, send)
        except _NO as error:
            if heard.asked:
                raise  # a fault of the site's consumer
            logger.warning("no socket at %.200r: %s", scope["path"], error)
            await receive()
            await send({"type": "websocket.close"})  # the handshake is answered with 403

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Drain before the server goes away, and before the site's own end (daphne asks neither).

        :raises Exception: the site's start or end failed.
        """
        heard = _Heard(receive, {"lifespan.shutdown": _drain})
        try:
            await self._site(scope, heard, send)
        except Exception:
            if heard.asked:
                raise
        if not heard.asked:
            await _lifespan(heard, send)  # the site has none


def _call_at_the_start_of_daphne(function: Callable[[], None]) -> None:
    """Call ``function`` in daphne's event loop, should daphne be the server: it has no lifespan to tell by.

    Whoever has daphne among its apps has imported the reactor; it is running in daphne's own processes only.
    """
    if reactor := sys.modules.get("twisted.internet.reactor"):
        reactor.callWhenRunning(reactor.callLater, 0, function)


class _Heard:
    """The server's ``receive``, which knows whether it was called.

    :param before: what is awaited before a message of this type is passed on.
    """

    def __init__(
        self, receive: Receive, before: Mapping[str, Callable[[], Awaitable[None]]] | None = None
    ) -> None:
        self.asked = False
        self._receive = receive
        self._before = before or {}

    async def __call__(self) -> dict[str, Any]:
        self.asked = True
        message = await self._receive()
        if act := self._before.get(message["type"]):
            await act()
        return message


def _is_ours(scope: Scope) -> bool:
    """Whether the path is our socket's, below the prefix under which the site is served.

    Some servers have the prefix in the path, some do not.
    """
    from django.core.handlers.asgi import get_script_prefix

    from .conf import app_settings

    path: str = scope["path"].removeprefix(get_script_prefix(scope).rstrip("/"))
    return path == "/" + app_settings().socket_path.lstrip("/")


async def _lifespan(receive: Receive, send: Send) -> None:
    while (kind := (await receive())["type"]) != "lifespan.shutdown":
        await send({"type": f"{kind}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _ensure_registered() -> None:
    from .conf import app_settings
    from .execution.processes import warn_of_others
    from .execution.runner import get_runner

    _drain_at_sigterm()
    with _logged("the runner will start with the first run"):
        await _register(get_runner(), app_settings().heartbeat_every)
    with contextlib.suppress(Exception):  # a word of warning; the database says elsewhere that it is away
        await warn_of_others()


async def _register(runner: Runner, pause: float) -> None:
    """Bring the runner to life: a server may be there before its database, or before its tables.

    :param pause: seconds between two tries.
    """
    failed = False
    while not runner.draining:
        try:
            await runner.ensure_registered()
        except Exception as error:
            if not failed:  # once, and not at every try
                logger.warning("the runner does not start yet, trying again: %s", error, exc_info=True)
            failed = True
            await asyncio.sleep(pause)
        else:
            if failed:
                logger.info("the runner has started")
            return


async def _drain() -> None:
    """Let running runs end, and close the hub: what fails of that is logged, and keeps nobody from ending."""
    from .execution.runner import get_runner
    from .hubs import get_hub

    try:
        with _logged("the drain failed, and leaves its runs to other processes"):
            await get_runner().drain()
    finally:
        with _logged("the hub could not be closed"):
            await get_hub().aclose()


@contextlib.contextmanager
def _logged(what: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception(what)


def _drain_at_sigterm() -> None:
    """Let running runs end before the server's own handler stops it; a second signal does not wait.

    A server that waits for open streams would wait for ever for viewers of a run, and one that does not would
    drop runs in mid-word.
    """
    previous = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        return  # there is no server's handler to go on to
    if isinstance(previous, _Sigterm):
        previous = previous.previous
    signal.signal(signal.SIGTERM, _Sigterm(previous, asyncio.get_running_loop()))


class _Sigterm:
    """Our handler in front of the server's."""

    def __init__(self, previous: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.previous = previous
        self._loop = loop
        self._called = False  # and not that it drains: the loop may stand still between the two
        self._draining: asyncio.Task[None] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._called and self._loop.is_running():
            self._called = True
            self._loop.call_soon_threadsafe(self._begin, number)
        else:
            self.previous(number, frame)

    def _begin(self, number: int) -> None:
        self._draining = self._loop.create_task(self._drain_and_stop(number))

    async def _drain_and_stop(self, number: int) -> None:
        await _drain()
        self.previous(number, None)
