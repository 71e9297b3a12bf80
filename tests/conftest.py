"""What all tests share: nothing of one test's runner or hub reaches the next."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

pytest.register_assert_rewrite("lingstream.testing_log")

from lingstream import hubs, runner  # noqa: E402

from .site import Site, serve  # noqa: E402


@pytest.fixture
async def fresh_runner() -> AsyncIterator[None]:
    """A runner and a hub of the test's own event loop, closed at its end."""
    runner._runner.cache_clear()
    hubs._made.cache_clear()
    yield
    await runner.get_runner().aclose()
    await hubs.get_hub().aclose()
    runner._runner.cache_clear()
    hubs._made.cache_clear()


@pytest.fixture
async def site(transactional_db: None, fresh_runner: None) -> AsyncIterator[Site]:
    """The demo site under uvicorn in the test's event loop, on a port of its own."""
    async with serve() as running:
        yield running
