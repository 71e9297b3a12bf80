"""The providers of a process: each built once, and asked no more at a time than it allows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from .conf import app_settings
from .core.ending import bounded
from .core.plan import ProviderPlan
from .core.provider import ChatOptions, Chunk, Message, Provider
from .loading import provider_key
from .providers import build_provider

__all__ = ["ProviderPool", "Throttled"]

logger = logging.getLogger("lingstream")

_CLOSING = 2.0  # seconds for a provider to close its connections


class ProviderPool:
    """Builds each provider once and keeps to its limit of calls at the same time."""

    def __init__(self) -> None:
        self._built: dict[str, Provider] = {}

    def get(self, plan: ProviderPlan) -> Provider:
        """Return the provider for these settings.

        :raises UsageError: no such kind, or its key may not be used.
        """
        key = provider_key(plan)
        name = repr((plan, key))
        if name not in self._built:
            provider = build_provider(plan, key, app_settings().provider_kinds)
            self._built[name] = (
                Throttled(provider, plan.max_concurrency) if plan.max_concurrency else provider
            )
        return self._built[name]

    async def aclose(self) -> None:
        """Close all providers, as far as they let themselves be closed."""
        built, self._built = self._built, {}
        closing = [bounded(provider.aclose(), _CLOSING) for provider in built.values()]
        for error in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(error, Exception):
                logger.warning("a provider did not close: %s", error)


class Throttled:
    """A provider that makes calls wait for their turn.

    :param calls: how many may be under way at the same time.
    """

    def __init__(self, provider: Provider, calls: int) -> None:
        self._provider = provider
        self._turns = asyncio.Semaphore(calls)

    async def stream(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Chunk, None]:
        """See :meth:`Provider.stream`."""
        async with self._turns, aclosing(self._provider.stream(messages, options)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def aclose(self) -> None:
        """See :meth:`Provider.aclose`."""
        await self._provider.aclose()
