"""A hub that is written against the port alone: it passes the contract, and a site runs on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("lingstream.testing.hub_contract", "lingstream.testing.log_contract")

from lingstream.execution.runner import get_runner  # noqa: E402
from lingstream.hubs import get_hub  # noqa: E402
from lingstream.testing import HubContract  # noqa: E402
from tests.core.test_imports import private_names  # noqa: E402
from tests.site import Site, fold_sse, read_sse  # noqa: E402

from . import hub as module  # noqa: E402
from .hub import Board, BoardHub  # noqa: E402


class TestOneProcess(HubContract):
    @pytest.fixture(autouse=True)
    async def _board(self) -> AsyncIterator[None]:
        self.board = Board()
        async with AsyncExitStack() as self.stack:
            yield

    async def make_hub(self, max_frames: int | None = None) -> BoardHub:
        hub = BoardHub(self.board, max_frames=max_frames or 5_000)
        self.stack.push_async_callback(hub.aclose)
        return hub


class TestTwoProcesses(TestOneProcess):
    elsewhere = True


def test_it_uses_no_private_name() -> None:
    assert not list(private_names(Path(module.__file__).read_text()))


async def test_a_site_runs_on_it(settings: Any, site: Site) -> None:
    board = Board()
    options = {"HUB": "tests.outside.hub.BoardHub", "HUB_OPTIONS": {"board": board}}
    settings.LINGSTREAM = {**settings.LINGSTREAM, **options}
    await site.cloud_facts()
    elsewhere = BoardHub(board)
    async with site.stream("cloud-facts") as response:
        run = response.headers["ling-run"]
        log = await elsewhere.find(run, running=True)
        assert log is not None
        document = fold_sse([event async for event in read_sse(response)])
    await get_runner().wait(run)
    assert isinstance(get_hub(), BoardHub) and run in board.runs
    reader = log.reader()
    while await reader.read():
        pass
    assert log.state.document.value == document and "answer" in document
    await elsewhere.aclose()
