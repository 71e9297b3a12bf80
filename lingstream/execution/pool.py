"""The providers of a process: each built once, and asked no more at a time than it allows."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from contextvars import Context
from functools import partial

from lingstream.conf import app_settings
from lingstream.core.ending import bounded
from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.provider import ChatOptions, Chunk, Message, Provider
from lingstream.providers import build_provider
from lingstream.providers.policy import provider_key

__all__ = ["Pooled", "ProviderPool"]

_KEPT = 64  # providers that a process keeps; each edit of a row, and each key, makes another

logger = logging.getLogger("lingstream")

_CLOSING = 2.0  # seconds for a provider to close its connections


class ProviderPool:
    """Builds each provider once and keeps to its limit of calls at the same time.

    :param most: how many are kept; past that, the one that was not asked for the longest time is given up.
    """

    def __init__(self, most: int = _KEPT) -> None:
        self._most = most
        self._built: OrderedDict[str, Pooled] = OrderedDict()

    def get(self, plan: ProviderPlan) -> Provider:
        """Return the provider for these settings.

        :raises UsageError: no such kind, or its key may not be used.
        """
        key = provider_key(plan)
        name = repr((plan, key))
        known = self._built.get(name)
        if known is None:
            provider = build_provider(plan, key, app_settings().provider_kinds)
            known = self._built[name] = Pooled(provider, plan.max_concurrency)
            # When the pool has given it up and its last call has ended: nobody can ask it any more.
            weakref.finalize(known, _close, asyncio.get_running_loop(), provider).atexit = False
        self._built.move_to_end(name)
        while len(self._built) > self._most:
            self._built.popitem(last=False)
        return known

    async def aclose(self) -> None:
        """Close all providers, as far as they let themselves be closed."""
        built, self._built = self._built, OrderedDict()
        closing = [bounded(provider.aclose(), _CLOSING) for provider in built.values()]
        for error in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(error, Exception):
                logger.warning("a provider did not close: %s", error)


class Pooled:
    """A provider that makes calls wait for their turn.

    :param calls: how many may be under way at the same time; ``None`` for no bound.
    """

    def __init__(self, provider: Provider, calls: int | None = None) -> None:
        self._provider = provider
        self._turns = asyncio.Semaphore(calls) if calls else None

    def stream(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Chunk, None]:
        """See :meth:`Provider.stream`; what it returns holds us, and until it is gone nothing is closed."""
        if self._turns:
            return self._passed(partial(self._provider.stream, messages, options))
        chunks = self._provider.stream(messages, options)
        try:
            weakref.finalize(chunks, _let_go, self).atexit = False  # and no hop more for each token
        except TypeError:  # of a type of its own that cannot be watched
            return self._passed(lambda: chunks)
        return chunks

    async def _passed(self, ask: Callable[[], AsyncGenerator[Chunk, None]]) -> AsyncGenerator[Chunk, None]:
        async with self._turns or contextlib.nullcontext(), aclosing(ask()) as chunks:
            async for chunk in chunks:
                yield chunk

    async def aclose(self) -> None:
        """See :meth:`Provider.aclose`."""
        await self._provider.aclose()


def _let_go(provider: Pooled) -> None:
    """A call of ``provider`` is over: its finalizer has held it, and is gone with this."""


_closing: set[asyncio.Task[None]] = set()


def _close(loop: asyncio.AbstractEventLoop, provider: Provider) -> None:
    def close() -> None:
        task = loop.create_task(provider.aclose())
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    with contextlib.suppress(RuntimeError):  # the loop is closed, and its connections with it
        loop.call_soon_threadsafe(close, context=Context())
