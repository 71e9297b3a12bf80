"""The ASGI application of a site with lingstream, and its part in the server's life."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from types import FrameType
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator

from .consumers import DIRECT_SEND
from .hubs import get_hub
from .runner import get_runner

__all__ = ["application"]

logger = logging.getLogger("lingstream")


def application(django_app: Any) -> Any:
    """Return ``django_app`` with ``ws/ling/`` beside it, behind the origin check and Django's login.

    The first call of any kind (the start, under servers that say it) brings this process's runner to life, so
    that runs which a dead process left behind go on.

    :param django_app: what ``get_asgi_application()`` returned; call that first, as Django's apps must be
        ready before models are imported.
    """
    from .routing import websocket_urlpatterns

    socket = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)))
    return _Site(ProtocolTypeRouter({"http": django_app, "websocket": socket, "lifespan": _lifespan}))


class _Site:
    """The router, and the runner that lives as long as it does."""

    def __init__(self, router: Any) -> None:
        self._router = router
        self._alive: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        loop = asyncio.get_running_loop()
        if self._alive is None or self._alive.get_loop() is not loop:
            self._alive = loop.create_task(_come_alive())
        if scope["type"] == "websocket":
            scope = {**scope, DIRECT_SEND: send}
        await self._router(scope, receive, send)


async def _come_alive() -> None:
    _drain_at_sigterm()
    try:
        runner = get_runner()
        await runner.come_alive()
    except Exception:
        logger.warning("the runner will start with the first run", exc_info=True)


async def _lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Drain before the server goes away (daphne does not ask; SIGTERM does it there)."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await _drain()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _drain() -> None:
    await get_runner().drain()
    await get_hub().aclose()


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
        self._draining: asyncio.Task[None] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._draining is None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._begin, number)
        else:
            self.previous(number, frame)

    def _begin(self, number: int) -> None:
        if self._draining is None:
            self._draining = self._loop.create_task(self._drain_and_stop(number))

    async def _drain_and_stop(self, number: int) -> None:
        with contextlib.suppress(Exception):
            await _drain()
        self.previous(number, None)
