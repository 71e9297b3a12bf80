"""The contract of a hub, and of its logs, as a test suite that every implementation runs.

Subclass it in a test module of yours, with pytest-asyncio in its ``auto`` mode; what ``make_hub`` makes is
closed by a fixture of yours::

    class TestMyHub(HubContract):
        async def make_hub(self, max_frames: int | None = None) -> Hub:
            return MyHub("server", max_frames=max_frames or 5_000)

    class TestMyHubInTwoProcesses(TestMyHub):
        elsewhere = True
"""
# ruff: noqa: S101  # asserts are what a test suite is made of

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

from lingstream.core.document.ops import Append, Set
from lingstream.core.exceptions import Fenced
from lingstream.core.log.frames import FrameId
from lingstream.core.log.ports import Hub, LogReader, RunLog
from lingstream.core.log.state import empty_snapshot

from .log_contract import (
    DONE,
    PATIENCE,
    STORY,
    STORY_DOCUMENT,
    RunLogContract,
    Viewer,
    raises,
    steps,
    write,
)
from .notices_contract import NoticesContract

__all__ = ["HubContract"]


class HubContract(RunLogContract, NoticesContract):
    """What every hub promises, see :class:`~lingstream.core.log.ports.Hub`, its logs and its notices."""

    elsewhere = False
    """Whether the readers and claimers of the log tests are in another process: for a hub that is shared."""

    max_frames: int | None = None

    async def make_hub(self, max_frames: int | None = None) -> Hub:
        """Return a hub as a new process has it, that reaches what the earlier ones reach.

        :param max_frames: how many frames its logs should keep, about; ``None`` for as many as they like.
        """
        raise NotImplementedError

    async def make_log(self, max_frames: int | None = None) -> RunLog:
        """See :meth:`RunLogContract.make_log`."""
        self.run, self.max_frames = new_run(), max_frames
        return (await self.make_hub(max_frames)).create(self.run)

    async def another(self, log: RunLog) -> RunLog:
        """See :meth:`RunLogContract.another`."""
        if not self.elsewhere:
            return log
        found = await (await self.make_hub(self.max_frames)).find(self.run, running=True)
        assert found is not None and found is not log
        return found

    # -- finding -----------------------------------------------------------------------------------

    async def test_a_run_without_a_log_is_not_found(self) -> None:
        hub = await self.make_hub()
        assert await hub.find(new_run()) is None

    async def test_a_log_is_found_once_it_was_created(self) -> None:
        hub, run = await self.make_hub(), new_run()
        log = hub.create(run)
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY[:3])
        assert hub.create(run).last_id == log.last_id
        viewer = Viewer(await found(hub, run))
        await write(log, 1, STORY[3:])
        await viewer.read_to_end()
        assert viewer.document == STORY_DOCUMENT
        assert await hub.find(new_run()) is None

    async def test_each_run_has_a_log_of_its_own(self) -> None:
        hub = await self.make_hub()
        runs = {new_run(): text for text in ("one", "two")}
        for run, text in runs.items():
            log = hub.create(run)
            await log.open(1, {**empty_snapshot(), "document": text})
            await write(log, 1, [DONE])
        for run, text in runs.items():
            viewer = Viewer(await found(hub, run))
            await viewer.read_to_end()
            assert viewer.document == text

    async def test_who_waits_for_the_writer_gets_all_of_it(self) -> None:
        hub, run = await self.make_hub(), new_run()
        viewers = [Viewer(await found(hub, run, running=True)) for _ in range(2)]
        tasks = [asyncio.create_task(viewer.read_to_end()) for viewer in viewers]
        async for _ in steps():
            assert not any(task.done() for task in tasks)
        log = hub.create(run)
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY)
        await asyncio.gather(*tasks)
        assert [viewer.document for viewer in viewers] == [STORY_DOCUMENT] * 2

    # -- letting go --------------------------------------------------------------------------------

    async def test_an_ended_log_is_kept_for_a_while(self) -> None:
        hub, run = await self.make_hub(), new_run()
        log = hub.create(run)
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY)
        hub.release(run)
        async for _ in steps():
            viewer = Viewer(await found(hub, run))
            await viewer.read_to_end()
            assert viewer.document == STORY_DOCUMENT

    async def test_a_log_that_has_not_ended_goes_on_where_somebody_opens_it(self) -> None:
        hub, run = await self.make_hub(), new_run()
        log = hub.create(run)
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY[:3])
        viewer = Viewer(log.reader())
        await viewer.read_to(log.last_id)
        hub.release(run)
        task = asyncio.create_task(viewer.read_to_end())
        async for _ in steps():
            assert not task.done()
        claimed = hub.create(run)
        await claimed.open(2, empty_snapshot())
        await write(claimed, 2, STORY)
        await task
        assert viewer.document == STORY_DOCUMENT
        assert viewer.frames[-1].id.epoch == 2

    async def test_a_log_that_is_dropped_ends_its_readers_without_done(self) -> None:
        hub, run = await self.make_hub(), new_run()
        log = hub.create(run)
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY[:3])
        viewer = Viewer(await found(hub, run))
        await viewer.read_to(log.last_id)
        task = asyncio.create_task(viewer.read())
        async for _ in steps():
            assert not task.done()
        hub.drop(run)
        async with asyncio.timeout(PATIENCE):
            assert await task == []
        assert not viewer.ended
        assert await hub.find(run) is None

    async def test_what_is_not_there_can_be_let_go(self) -> None:
        hub = await self.make_hub()
        for let_go in (hub.release, hub.drop):
            let_go(new_run())
        await hub.aclose()

    async def test_closing_ends_the_readers_and_may_come_twice(self) -> None:
        hub, run = await self.make_hub(), new_run()
        log = hub.create(run)
        await log.open(1, empty_snapshot())
        waiting = [log.reader(), await found(hub, new_run(), running=True)]
        tasks = [asyncio.create_task(read_on(reader)) for reader in waiting]
        async for _ in steps():
            pass
        for _ in range(2):
            async with asyncio.timeout(PATIENCE):
                await hub.aclose()
        async with asyncio.timeout(PATIENCE):
            assert "done" not in [kind for kinds in await asyncio.gather(*tasks) for kind in kinds]
        assert await hub.find(run) is None

    # -- who watches -------------------------------------------------------------------------------

    async def test_a_run_is_watched_as_long_as_some_process_says_so(self) -> None:
        hub, run = await self.make_hub(), new_run()
        assert not await hub.is_watched(run)
        hub.set_watched(run, True)
        assert await hub.is_watched(run) and not await hub.is_watched(new_run())
        other = await self.make_hub()
        if other.shared:
            await until(lambda: other.is_watched(run))
            other.set_watched(run, True)
        hub.set_watched(run, False)
        if other.shared:
            await until(lambda: hub.is_watched(run))
            other.set_watched(run, False)

        async def unwatched() -> bool:
            return not await hub.is_watched(run)

        await until(unwatched)

    # -- other processes ---------------------------------------------------------------------------

    async def test_a_log_can_be_read_elsewhere_if_the_hub_says_so(self) -> None:
        hub, other, run = await self.make_hub(), await self.make_hub(), new_run()
        log = hub.create(run)
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY[:3])
        if not hub.shared:
            assert await other.find(run) is None
            return
        viewer = Viewer(await found(other, run))
        await write(log, 1, STORY[3:])
        await viewer.read_to_end()
        assert viewer.document == STORY_DOCUMENT

    async def test_a_run_can_be_taken_over_elsewhere_if_the_hub_says_so(self) -> None:
        hub, other, run = await self.make_hub(), await self.make_hub(), new_run()
        log = hub.create(run)
        await log.open(1, empty_snapshot())
        await write(log, 1, [("ops", [Set("", {}), Append("answer", "old")])])
        viewer = Viewer(log.reader())
        await viewer.read_to(log.last_id)
        claimed = other.create(run)
        await claimed.open(2, empty_snapshot())
        if not hub.shared:
            assert log.last_id == FrameId(1, 2), "what is not shared is not fenced either"
            return
        with raises(Fenced):
            await write(log, 1, [("ops", [Append("answer", "er")])])
        await write(claimed, 2, STORY)
        await viewer.read_to_end()
        assert viewer.document == STORY_DOCUMENT


def new_run() -> str:
    """An id as runs have it: servers of a test session are shared."""
    return str(uuid4())


async def found(hub: Hub, run: str, *, running: bool = False) -> LogReader:
    """Return a reader of a log that must be there."""
    log = await hub.find(run, running=running)
    assert log is not None, f"expected the log of {run}, found none"
    return log.reader()


async def read_on(reader: LogReader) -> list[str]:
    """Return the kinds of all that comes, until there is nothing more."""
    kinds: list[str] = []
    while batch := await reader.read():
        kinds += [frame.kind for frame in batch]
    return kinds


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what no reader tells of."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110  # no event: that is the point
            await asyncio.sleep(0.01)
