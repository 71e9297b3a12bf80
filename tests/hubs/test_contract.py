"""The contract of run logs, kept by Redis: in one process, and with readers and claimers in another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.register_assert_rewrite("lingstream.testing.log_contract")

from lingstream.core.log.ports import RunLog  # noqa: E402
from lingstream.hubs.redis import RedisHub  # noqa: E402
from lingstream.testing.log_contract import RunLogContract  # noqa: E402


class TestOneProcess(RunLogContract):
    @pytest.fixture(autouse=True)
    def _redis(self, shared_redis: Any, client: Any, make_hub: Callable[..., RedisHub]) -> None:
        self.new_hub = lambda **options: make_hub(shared_redis, **options)

    async def make_log(self, max_frames: int | None = None) -> RunLog:
        self.options = {"max_frames": max_frames} if max_frames else {}
        return self.new_hub(**self.options).create("run")


class TestTwoProcesses(TestOneProcess):
    async def another(self, log: RunLog) -> RunLog:
        found = await self.new_hub(**self.options).find("run", running=True)
        assert found is not None and found is not log
        return found
