"""What step kinds may ask of the process that executes them: models, requests, and threads that may block."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from django.conf import settings
from django.db import connections
from django.urls import set_script_prefix

from lingstream.core.ending import bounded
from lingstream.core.engine.kinds import Identity, Services

from .lane import Lane
from .pool import ProviderPool

if TYPE_CHECKING:
    from httpx2 import AsyncClient

__all__ = ["RunServices", "SiteServices", "Who", "begin_addresses", "lane_of", "register_search"]

logger = logging.getLogger("lingstream")

T = TypeVar("T")

_THREADS = 16  # functions of steps that block at the same time; more wait for their turn
_CONNECTIONS = 1000  # requests of steps at the same time, as for one provider
_CLOSING = 2.0  # seconds for the connections of requests to close
_KEPT = 60.0  # seconds for which a lane that nobody has is lent again


class SiteServices(Services):
    """The services of one runner, on one event loop; see :class:`Services`."""

    def __init__(self) -> None:
        self._models = ProviderPool()
        super().__init__(self._models.get)
        self._threads = Lane(_THREADS, tidy=leave_no_transaction)
        self._lane: Lane | None = None  # that nobody has
        self._kept_at = 0.0
        self._keeps_lane = True
        self._client: AsyncClient | None = None

    def http(self) -> AsyncClient:
        """See :meth:`Services.http`."""
        if self._client is None:
            from lingstream.access.client import shared_client  # with the certificates it takes 0.3 s

            self._client = shared_client(_CONNECTIONS)
        return self._client

    async def database(self, function: Callable[..., T], *arguments: Any) -> T:
        """See :meth:`Services.database`; a call that is cancelled before it began is not made."""
        return await self._threads.call(_in_shape, function, arguments)

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[Lane]:
        """Lend a thread with a connection that stays open: it is the borrower's alone, and one is kept.

        One that nobody had for a while is not lent again: a firewall drops it, and tells nobody.
        """
        lane, self._lane = self._lane, None
        if lane and time.monotonic() - self._kept_at > _KEPT:
            await lane.aclose()
            lane = None
        lane = lane or Lane(1)
        try:
            yield lane
        finally:
            if self._keeps_lane and self._lane is None and lane.is_idle:
                self._lane, self._kept_at = lane, time.monotonic()
            else:
                await lane.aclose()

    async def end_threads(self) -> None:
        """End the threads, as far as they can be ended: all there is to do where the loop is over."""
        self._keeps_lane = False
        await self._threads.aclose()
        if self._lane:
            await self._lane.aclose()

    async def aclose(self) -> None:
        """Close all of it."""
        await self.end_threads()
        await self._models.aclose()
        client, self._client = self._client, None
        if client:
            with contextlib.suppress(TimeoutError):
                await bounded(client.aclose(), _CLOSING)


def _in_shape(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    """Call a function of a thread that may have been idle for longer than a connection lasts."""
    leave_no_transaction()
    begin_addresses()
    return function(*arguments)


def begin_addresses() -> None:
    """Have addresses that are made in this thread begin as the site's do, as Django does it for requests."""
    set_script_prefix(settings.FORCE_SCRIPT_NAME or "/")


#: Searches for somebody; it calls what uses the ORM by what it is given last.
Searcher: TypeAlias = Callable[..., Awaitable[list[dict[str, Any]]]]

_searchers: list[Searcher] = []


def register_search(searcher: Searcher) -> None:
    """Make known what :meth:`Services.search` asks: an app that this package does not know."""
    _searchers.append(searcher)


class RunServices(Services):
    """The services of one run.

    :param site: those of the process.
    :param plans: returns the plan of a workflow, as JSON data.
    :param who: returns who has started the run.
    """

    def __init__(
        self,
        site: SiteServices,
        plans: Callable[[str], Awaitable[dict[str, Any]]],
        who: Callable[[], Awaitable[Identity]],
    ) -> None:
        super().__init__(site.provider)
        self._site = site
        self._plans = plans
        self._who = who

    def http(self) -> AsyncClient:
        """See :meth:`Services.http`."""
        return self._site.http()

    async def search(self, collection: str | Sequence[str], text: str, **how: Any) -> list[dict[str, Any]]:
        """See :meth:`Services.search`."""
        if not _searchers:
            return await super().search(collection, text, **how)
        return await _searchers[-1](collection, text, await self._who(), self.database, **how)

    async def workflow(self, slug: str) -> dict[str, Any]:
        """See :meth:`Services.workflow`."""
        return await self._plans(slug)

    async def database(self, function: Callable[..., T], *arguments: Any) -> T:
        """See :meth:`Services.database`."""
        return await self._site.database(function, *arguments)


def lane_of(services: Services) -> AbstractAsyncContextManager[Lane]:
    """Lend a thread of the site's; see :meth:`SiteServices.lane`. Where there is no site it is a new one."""
    site = services._site if isinstance(services, RunServices) else services
    return site.lane() if isinstance(site, SiteServices) else aclosing(Lane(1))


def leave_no_transaction() -> None:
    """Close this thread's connections as Django does after a request, and what a function left open, too.

    The threads are many and mostly idle: a connection stays open for ``CONN_MAX_AGE``, as it does for a view.
    """
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            logger.error("a step left a transaction of %r open: it is rolled back", connection.alias)
            connection.close()
            del connections[connection.alias]  # a wrapper that was closed inside a transaction stays in it
        else:
            connection.close_if_unusable_or_obsolete()


class Who:
    """Who has started a run: looked up once, when a step first asks.

    :param load: looks it up.
    """

    def __init__(self, load: Callable[[], Awaitable[Identity]]) -> None:
        self._load = load
        self._asking = asyncio.Lock()
        self._known: Identity | None = None

    async def __call__(self) -> Identity:
        async with self._asking:
            if self._known is None:
                self._known = await self._load()
        return self._known
