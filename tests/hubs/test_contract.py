"""The contract of hubs and their logs, kept by Redis: in one process, and with readers in another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lingstream.hubs.redis import RedisHub
from lingstream.testing.hub_contract import HubContract


class TestOneProcess(HubContract):
    @pytest.fixture(autouse=True)
    def _redis(self, shared_redis: Any, client: Any, make_hub: Callable[..., RedisHub]) -> None:
        self.new_hub = lambda **options: make_hub(shared_redis, **options)

    async def make_hub(self, max_frames: int | None = None) -> RedisHub:
        return self.new_hub(**({"max_frames": max_frames} if max_frames else {}))


class TestTwoProcesses(TestOneProcess):
    elsewhere = True
