"""A hub that is written against the port alone: it passes the contract, and a site runs on it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lingstream.core.document.ops import Append, Set
from lingstream.core.log.state import empty_snapshot
from lingstream.core.notices import Notice
from lingstream.execution.runner import get_runner
from lingstream.hubs import get_hub
from lingstream.testing import HubContract
from tests.core.test_imports import private_names
from tests.site import Site, fold_sse, read_sse

from . import hub as module
from .hub import Board, BoardHub


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


PAGE = Path(__file__).parents[2] / "docs" / "hubs.md"


async def test_the_page_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "myapp.hub", SimpleNamespace(MyHub=BoardHub))
    page: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(block, page)
    assert set(page["LINGSTREAM"]) == {"HUB", "HUB_OPTIONS"}
    assert issubclass(page["TestMyHubInTwoProcesses"], HubContract)
    sent: list[Any] = []
    log, other = page["MyLog"](sent.append), page["MyLog"](sent.append)
    log.buffer.open(1, empty_snapshot())
    for body in ([Set("", {})], [Append("answer", "Clouds")]):
        place = log.write(1, "ops", body)
    reader, elsewhere = log.reader("1-2"), other.reader()
    assert sent == [log, log] and not reader.ready
    log.stored(place)
    assert [frame.id for frame in await reader.read()] == [place]
    frames = log.buffer.frames()
    assert not other.heard(frames[1]) and all(map(other.heard, frames))
    assert (await elsewhere.read())[0].body["document"] == {"answer": "Clouds"}
    bus = SimpleNamespace(send_soon=lambda *what: sent.append(what))
    notices, there = page["MyNotices"](bus), page["MyNotices"](bus)
    here, listener = await notices.listen(), await there.listen()
    for each in (here, listener):
        each.add("topic")
    notices.publish(["topic"], Notice("c", 1, "turn", "r"))
    there.heard(*json.loads(json.dumps(sent[-1])))
    assert here.take() == listener.take() == [Notice("c", 1, "turn", "r")]
    log.refused()
    assert (log.heard(frames[0]) and not reader.ready) or await reader.read() == frames[:1]
