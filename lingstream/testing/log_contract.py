"""The contract of a run log, as a test suite that every implementation runs.

Subclass it in a test module of yours, with pytest-asyncio in its ``auto`` mode::

    class TestMyLog(RunLogContract):
        async def make_log(self, max_frames: int | None = None) -> RunLog:
            return MyLog("run-1", max_frames=max_frames)

A log that several processes share overrides :meth:`RunLogContract.another` too.
"""
# ruff: noqa: S101  # asserts are what a test suite is made of

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lingstream.core.document.ops import Append, Op, Set
from lingstream.core.exceptions import Fenced, JsonUriError, UsageError
from lingstream.core.log.frames import Frame, FrameId, Kind
from lingstream.core.log.ports import LogReader, RunLog
from lingstream.core.log.state import RunState, empty_snapshot

__all__ = ["PATIENCE", "RunLogContract", "Viewer"]

PATIENCE = 60.0  # seconds that nothing waits for, however busy the machine is
"""Seconds after which a read that hangs fails its test."""

Entry = tuple[Kind, Any]

CLOSED = {"event": "string-response", "bot": "a#1", "step": "a", "root": "", "uri": "answer"}
DONE: Entry = ("done", {"status": "finished", "usage": {}, "crc32": 0})
STORY: Sequence[Entry] = (
    ("event", {"event": "started"}),
    ("ops", [Set("", {}), Append("answer", "Clo")]),
    ("ops", [Append("answer", "uds")]),
    ("event", {"event": "reasoning", "bot": "b#1", "step": "b", "root": "", "data": "hm, "}),
    ("event", {"event": "reasoning", "bot": "b#1", "step": "b", "root": "", "data": "yes"}),
    ("ops", [Set("list", []), Set("list/0", {}), Append("list/0/t", "x"), Append("answer", " are")]),
    ("event", CLOSED),
    ("error", {"code": "provider", "message": "gone", "retryable": True, "bot": "b#1"}),
    ("ops", [Set("list/1", 7), Append("list/0/t", "y")]),
    ("ops", [Set("list", [1], True)]),
    ("ops", [Append("list/1", "z")]),
    DONE,
)
STORY_DOCUMENT = {"answer": "Clouds are", "list": [1, "z"]}


class Viewer:
    """Folds what a reader returns, and checks what holds for every batch.

    :param snapshot: what the viewer knows already; ``None`` for one that joins.
    """

    def __init__(self, reader: LogReader, snapshot: dict[str, Any] | None = None) -> None:
        self.reader = reader
        self.frames: list[Frame] = []
        self.state = RunState(snapshot) if snapshot else None
        self.ended = False

    @property
    def document(self) -> Any:
        """The document as this viewer sees it."""
        assert self.state is not None, "nothing has come yet"
        return self.state.document.value

    async def read(self) -> list[Frame]:
        """Read one batch and fold it in."""
        async with asyncio.timeout(PATIENCE):
            batch = await self.reader.read()
        for frame in batch:
            self._take(frame)
        return batch

    async def read_to(self, place: FrameId) -> None:
        """Read until the frame ``place`` is there."""
        while not self.frames or self.frames[-1].id < place:
            assert await self.read(), f"expected to get to {place}, but the log ended"

    async def read_to_end(self) -> None:
        """Read until ``done``; then nothing may follow, however often one asks."""
        while not self.ended:
            assert await self.read(), "expected done at the end of the log"
        assert await self.read() == []
        assert await self.read() == []

    def _take(self, frame: Frame) -> None:
        assert not self.ended, f"expected nothing after done, got {frame}"
        if self.frames:
            assert frame.id > self.frames[-1].id, f"expected ids that grow, got {frame.id}"
        self.frames.append(frame)
        if frame.kind == "snapshot":
            self.state = RunState(frame.body)
            return
        assert self.state is not None, f"expected a snapshot before {frame}"
        self.state.apply(frame.kind, frame.body)
        self.ended = frame.kind == "done"


class RunLogContract:
    """What every run log promises; see :class:`~lingstream.core.log.ports.RunLog`."""

    async def make_log(self, max_frames: int | None = None) -> RunLog:
        """Return the log of a run that nobody has written to.

        :param max_frames: how many frames it should keep, about; ``None`` for as many as it likes.
        """
        raise NotImplementedError

    async def another(self, log: RunLog) -> RunLog:
        """Return the log of the same run as another process has it; the same object where that is none."""
        return log

    # -- writing -----------------------------------------------------------------------------------

    async def test_a_fresh_log_is_empty(self) -> None:
        log = await self.make_log()
        assert log.last_id == FrameId(0, 0)
        assert not log.ended

    async def test_ids_have_no_gaps(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        assert log.last_id == FrameId(1, 1)
        written = [log.write(1, kind, body) for kind, body in STORY]
        assert written == [FrameId(1, seq) for seq in range(2, len(STORY) + 2)]
        assert log.last_id == written[-1]

    async def test_the_state_is_the_fold(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY)
        assert log.state.document.value == STORY_DOCUMENT
        assert log.state.status == "finished"
        assert log.state.snapshot()["reasoning"] == {"b#1": "hm, yes"}

    async def test_an_epoch_begins_with_what_its_snapshot_holds(self) -> None:
        log = await self.make_log()
        body = {**empty_snapshot(), "document": {"answer": "Clo"}}
        await log.open(3, body)
        viewer = Viewer((await self.another(log)).reader())
        await write(log, 3, [("ops", [Append("answer", "uds")]), DONE])
        await viewer.read_to_end()
        assert viewer.document == {"answer": "Clouds"}

    async def test_the_opening_snapshot_is_not_the_callers_any_more(self) -> None:
        log = await self.make_log()
        body = {**empty_snapshot(), "document": {"list": []}}
        await log.open(1, body)
        await write(log, 1, [("ops", [Set("list/0", "x")]), DONE])
        assert body["document"] == {"list": []}

    async def test_an_op_that_does_not_fit_keeps_those_before_it(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        ops: list[Op] = [Set("", {}), Append("answer", "yes"), Set("no/parent", 1), Append("answer", "!")]
        with raises(JsonUriError):
            log.write(1, "ops", ops)
        with raises(JsonUriError):
            log.write(1, "ops", [Set("no/parent", 1)])
        await write(log, 1, [("ops", [Append("answer", ".")]), DONE])
        viewer = Viewer((await self.another(log)).reader())
        await viewer.read_to_end()
        assert viewer.document == log.state.document.value == {"answer": "yes."}

    # -- one end -----------------------------------------------------------------------------------

    async def test_nothing_is_written_after_done(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        await write(log, 1, [DONE])
        assert log.ended
        for entry in (DONE, ("ops", [Set("", {})]), ("event", {"event": "late"})):
            with raises(UsageError):
                await write(log, 1, [entry])
        viewer = Viewer((await self.another(log)).reader())
        await viewer.read_to_end()
        assert [frame.kind for frame in viewer.frames].count("done") == 1
        assert viewer.document is None

    async def test_who_resumes_behind_done_is_not_kept_waiting(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY)
        async with asyncio.timeout(PATIENCE):
            assert await (await self.another(log)).reader(str(log.last_id)).read() == []

    # -- reading -----------------------------------------------------------------------------------

    async def test_who_came_before_the_log_was_opened_gets_all(self) -> None:
        log = await self.make_log()
        elsewhere = await self.another(log)
        viewers = [Viewer(elsewhere.reader(after)) for after in (None, "0-0", "1-7", "garbage")]
        tasks = [asyncio.create_task(viewer.read_to_end()) for viewer in viewers]
        async for _ in steps():
            assert not any(task.done() for task in tasks)
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY)
        await asyncio.gather(*tasks)
        for viewer in viewers:
            assert viewer.frames[0].kind == "snapshot"
            assert viewer.document == STORY_DOCUMENT

    async def test_who_keeps_up_gets_every_frame_as_it_was_written(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        viewer = Viewer((await self.another(log)).reader("1-0"))
        assert [frame.kind for frame in await viewer.read()] == ["snapshot"]
        for kind, body in STORY:
            place = log.write(1, kind, body)
            await log.flush()
            assert await viewer.read() == [Frame(place, kind, body)]
        assert viewer.ended

    async def test_resuming_after_any_frame_gives_the_same_end(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        known = [log.state.snapshot()]
        for kind, body in STORY:
            log.write(1, kind, body)
            known.append(log.state.snapshot())
        await log.flush()
        elsewhere = await self.another(log)
        for seq, snapshot in enumerate(known[:-1], 1):
            viewer = Viewer(elsewhere.reader(f"1-{seq}"), snapshot)
            await viewer.read_to_end()
            assert viewer.state is not None
            assert viewer.state.snapshot() == known[-1]

    async def test_joining_at_any_time_gives_the_same_end(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        elsewhere = await self.another(log)
        viewers: list[Viewer] = []
        async with asyncio.TaskGroup() as group:
            for kind, body in STORY:
                for after in (None, str(log.last_id)):
                    viewers.append(Viewer(elsewhere.reader(after), log.state.snapshot()))
                    group.create_task(viewers[-1].read_to_end())
                async for _ in steps(len(viewers) % 3):
                    pass
                log.write(1, kind, body)
            await log.flush()
        for viewer in viewers:
            assert viewer.document == STORY_DOCUMENT
            assert viewer.frames[-1].id == log.last_id

    async def test_an_unknown_place_gets_a_snapshot_and_the_tail(self) -> None:
        log = await self.make_log()
        await log.open(2, empty_snapshot())
        await write(log, 2, STORY[:6])
        elsewhere = await self.another(log)
        late = [None, "", "garbage", "0-0", "1-3", "2-999", "3-1", "9-9", "2-3+1", "-1", "2-", "٢-٣"]
        viewers = {after: Viewer(elsewhere.reader(after)) for after in late}
        for after, viewer in viewers.items():
            first = await viewer.read()
            assert [frame.kind for frame in first] == ["snapshot"], f"after {after!r}"
            assert first[0].id == log.last_id
            assert viewer.document == log.state.document.value
        await write(log, 2, STORY[6:])
        for viewer in viewers.values():
            await viewer.read_to_end()
            assert viewer.document == STORY_DOCUMENT

    async def test_who_comes_after_the_end_gets_a_snapshot_and_done(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY)
        viewer = Viewer((await self.another(log)).reader())
        await viewer.read_to_end()
        assert [frame.kind for frame in viewer.frames] == ["snapshot", "done"]
        assert viewer.frames[-1].id == log.last_id
        assert viewer.document == STORY_DOCUMENT

    async def test_a_snapshot_does_not_change_after_it_was_read(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        await write(log, 1, [("ops", [Set("", {"list": []}), Append("answer", "x")])])
        frame = (await (await self.another(log)).reader().read())[0]
        await write(log, 1, [("ops", [Set("list/0", 1), Append("answer", "y")]), ("event", CLOSED)])
        assert frame.body["document"] == {"list": [], "answer": "x"}
        assert frame.body["bots"] == {}

    async def test_a_reader_says_whether_it_has_news(self) -> None:
        log = await self.make_log()
        reader = (await self.another(log)).reader()
        assert not reader.ready
        await log.open(1, empty_snapshot())
        for kind, body in STORY:
            log.write(1, kind, body)
            await log.flush()
            async with asyncio.timeout(PATIENCE):
                await reader.wait()
            assert reader.ready
            batch = await reader.read()
            assert reader.ready == (batch[-1].kind == "done")

    async def test_a_wait_ends_when_the_reader_is_interrupted(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        viewer = Viewer((await self.another(log)).reader())
        await viewer.read_to(log.last_id)
        for _ in range(2):
            task = asyncio.create_task(viewer.reader.wait())
            async for _ in steps():
                assert not task.done()
            viewer.reader.interrupt()
            async with asyncio.timeout(PATIENCE):
                await task
            assert not viewer.reader.ready
        await write(log, 1, STORY)
        await viewer.read_to_end()
        assert viewer.document == STORY_DOCUMENT

    async def test_who_listens_is_told_once_and_can_call_it_off(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        elsewhere = await self.another(log)
        told, called_off = Viewer(elsewhere.reader()), Viewer(elsewhere.reader())
        for viewer in (told, called_off):
            await viewer.read_to(log.last_id)
        news, times = asyncio.Event(), 0

        def tell() -> None:
            nonlocal times
            times += 1
            news.set()

        def never() -> None:
            raise AssertionError("expected nothing after it was called off")

        called_off.reader.listen(never)
        called_off.reader.listen(None)
        for round in (1, 2):
            told.reader.listen(tell)
            with raises(UsageError):
                told.reader.listen(tell)
            news.clear()
            await write(log, 1, [("event", {"event": "status", "data": round})])
            await write(log, 1, [("event", {"event": "status", "data": round})])
            async with asyncio.timeout(PATIENCE):
                await news.wait()
            await told.read_to(log.last_id)
            assert times == round
        told.reader.listen(tell)
        told.reader.interrupt()
        assert times == 3
        await write(log, 1, [DONE])
        await told.read_to_end()
        assert times == 3

    async def test_a_reader_is_for_one_task(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        viewer = Viewer((await self.another(log)).reader())
        await viewer.read_to(log.last_id)
        for waits in (viewer.reader.wait, viewer.reader.read):
            task = asyncio.create_task(waits())
            async for _ in steps():
                assert not task.done()
            for call in (viewer.reader.wait, viewer.reader.read):
                with raises(UsageError):
                    async with asyncio.timeout(PATIENCE):
                        await call()
            task.cancel()
            await asyncio.wait([task], timeout=PATIENCE)
        await write(log, 1, STORY)
        await viewer.read_to_end()
        assert viewer.document == STORY_DOCUMENT

    async def test_a_log_that_is_given_up_ends_its_readers_without_done(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        elsewhere = await self.another(log)
        waiting, late = Viewer(elsewhere.reader()), Viewer(elsewhere.reader())
        await write(log, 1, STORY[:3])
        await waiting.read_to(log.last_id)
        task = asyncio.create_task(waiting.read())
        async for _ in steps():
            assert not task.done()
        elsewhere.abandon()
        async with asyncio.timeout(PATIENCE):
            assert await task == []
        while await late.read():
            assert late.document == {"answer": "Clouds"}
        assert not elsewhere.ended

    async def test_who_only_reads_has_nothing_to_flush(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        elsewhere = await self.another(log)
        await write(log, 1, STORY[:3])
        await Viewer(elsewhere.reader()).read_to(log.last_id)
        async with asyncio.timeout(PATIENCE):
            await elsewhere.flush()

    # -- readers that are slow, or leave -----------------------------------------------------------

    async def test_who_is_behind_gets_merged_frames(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        viewer = Viewer((await self.another(log)).reader())
        await write(log, 1, [("ops", [Set("", {}), Append("other", "")])])
        await viewer.read_to(log.last_id)
        await write(log, 1, [("ops", [Append("answer", "x"), Append("other", "y")])] * 200)
        before = len(viewer.frames)
        await viewer.read_to(log.last_id)
        assert len(viewer.frames) - before < 20
        await write(log, 1, [DONE])
        await viewer.read_to_end()
        assert viewer.document == {"other": "y" * 200, "answer": "x" * 200}

    async def test_who_is_behind_gets_a_snapshot_where_that_is_shorter(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        viewer = Viewer((await self.another(log)).reader("1-1"), empty_snapshot())
        await write(log, 1, [("ops", [Set("", {})])])
        await write(log, 1, [("ops", [Set("progress", number)]) for number in range(2_000)])
        await viewer.read_to(log.last_id)
        assert sum(len(frame.body) for frame in viewer.frames if frame.kind == "ops") < 1_000
        assert viewer.document == {"progress": 1_999}

    async def test_who_is_behind_what_is_kept_gets_a_snapshot_and_the_tail(self) -> None:
        log = await self.make_log(max_frames=10)
        await log.open(1, empty_snapshot())
        elsewhere = await self.another(log)
        waiting, resuming = Viewer(elsewhere.reader()), Viewer(elsewhere.reader("1-2"))
        await waiting.read()
        await write(log, 1, [("ops", [Set("", {})])])
        resuming.state = RunState(log.state.snapshot())
        for number in range(100):
            await write(log, 1, [("ops", [Append("answer", f"{number} ")])])
        await write(log, 1, [("ops", [Append("answer", "end")]), DONE])
        for viewer in (
            waiting,
            resuming,
            Viewer(elsewhere.reader("1-2"), {**empty_snapshot(), "document": {}}),
        ):
            await viewer.read_to_end()
            assert viewer.document == {"answer": "".join(f"{number} " for number in range(100)) + "end"}

    async def test_giving_up_on_a_read_loses_nothing(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        viewer = Viewer((await self.another(log)).reader())
        await viewer.read()
        for number in range(8):
            task = asyncio.create_task(viewer.reader.read())
            async for _ in steps(number % 4):
                pass
            if number % 2:  # news and the cancel at the same time
                log.write(1, "ops", [Set("", {"number": number})])
            task.cancel()
            if not (await asyncio.wait([task], timeout=PATIENCE))[1] and not task.cancelled():
                for frame in task.result():
                    viewer._take(frame)
            if number % 2 == 0:
                log.write(1, "ops", [Set("", {"number": number})])
            await log.flush()
            await viewer.read_to(log.last_id)
            assert viewer.document == {"number": number}

    async def test_one_reader_leaving_does_not_hurt_the_others(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        elsewhere = await self.another(log)
        leaving, staying = Viewer(elsewhere.reader()), Viewer(elsewhere.reader())
        await leaving.read()
        gone = asyncio.create_task(leaving.read())
        rest = asyncio.create_task(staying.read_to_end())
        async for _ in steps():
            pass
        gone.cancel()
        await asyncio.wait([gone], timeout=PATIENCE)
        await write(log, 1, STORY)
        await rest
        assert staying.document == STORY_DOCUMENT

    async def test_many_readers_at_their_own_pace(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        elsewhere = await self.another(log)
        viewers = [Viewer(elsewhere.reader()) for _ in range(50)]

        async def watch(number: int, viewer: Viewer) -> None:
            while not viewer.ended:
                await viewer.read()
                async for _ in steps(number % 7):
                    pass

        async with asyncio.TaskGroup() as group:
            for number, viewer in enumerate(viewers):
                group.create_task(watch(number, viewer))
            await write(log, 1, [("ops", [Set("", {})])])
            for number in range(100):
                await write(log, 1, [("ops", [Append(f"field{number % 3}", f"{number} ")])])
                async for _ in steps(number % 5):
                    pass
            await write(log, 1, [DONE])
        for viewer in viewers:
            assert viewer.document == log.state.document.value

    # -- epochs ------------------------------------------------------------------------------------

    async def test_a_new_epoch_begins_with_its_snapshot(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY[:5])
        claimer = await self.another(log)
        await claimer.open(2, empty_snapshot())
        assert claimer.last_id == FrameId(2, 1)
        assert claimer.state.document.value is None
        assert claimer.write(2, "ops", [Set("", {})]) == FrameId(2, 2)

    async def test_readers_of_the_old_epoch_begin_anew(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        await write(log, 1, STORY[:5])
        elsewhere = await self.another(log)
        waiting, behind = Viewer(elsewhere.reader()), Viewer(elsewhere.reader("1-2"), empty_snapshot())
        await waiting.read_to(log.last_id)
        task = asyncio.create_task(waiting.read_to(FrameId(2, 1)))
        async for _ in steps():
            pass
        claimer = await self.another(log)
        await claimer.open(2, {**empty_snapshot(), "document": {"kept": "yes"}})
        await task
        assert waiting.frames[-1].kind == "snapshot"
        await write(claimer, 2, [("ops", [Append("kept", "!")]), DONE])
        resumed = Viewer(elsewhere.reader("1-3"))
        for viewer in (waiting, behind, resumed):
            await viewer.read_to_end()
            assert viewer.document == {"kept": "yes!"}

    async def test_a_writer_that_lost_the_run_changes_nothing(self) -> None:
        log = await self.make_log()
        await log.open(1, empty_snapshot())
        await write(log, 1, [("ops", [Set("", {}), Append("answer", "old")])])
        claimer = await self.another(log)
        viewer = Viewer(claimer.reader())
        await viewer.read()
        await claimer.open(2, empty_snapshot())
        await write(claimer, 2, [("ops", [Set("", {}), Append("answer", "ne")])])
        for entry in (("ops", [Append("answer", "er")]), ("event", {"event": "status"}), DONE):
            with raises(Fenced):
                await write(log, 1, [entry])
        await write(claimer, 2, [("ops", [Append("answer", "w")]), DONE])
        late = Viewer(claimer.reader())
        for each in (viewer, late):
            await each.read_to_end()
            assert each.document == {"answer": "new"}
            assert all(frame.kind != "event" for frame in each.frames)

    async def test_an_epoch_is_opened_once(self) -> None:
        log = await self.make_log()
        await log.open(2, empty_snapshot())
        claimer = await self.another(log)
        for epoch in (1, 2):
            with raises(Fenced):
                await claimer.open(epoch, empty_snapshot())
        await write(log, 2, STORY)
        assert log.state.document.value == STORY_DOCUMENT


async def write(log: RunLog, epoch: int, entries: Sequence[Entry]) -> None:
    """Write entries, and wait until every process can read them."""
    for kind, body in entries:
        log.write(epoch, kind, body)
    await log.flush()


async def steps(count: int = 5) -> AsyncIterator[None]:
    """Give the other tasks a few turns of the event loop: they get to where they wait."""
    for _ in range(count):
        await asyncio.sleep(0)
        yield


@contextmanager
def raises(expected: type[Exception]) -> Iterator[None]:
    """As pytest's, without the dependency."""
    try:
        yield
    except expected:
        return
    raise AssertionError(f"expected {expected.__name__}, but nothing was raised")
