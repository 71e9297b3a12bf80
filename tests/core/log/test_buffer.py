"""The frames of a log: kept like a list, read by position, shown when they are published."""

from __future__ import annotations

import asyncio
import gc

import pytest

from lingstream.core.document.ops import Append, Op, Set
from lingstream.core.exceptions import Fenced, UsageError
from lingstream.core.log.buffer import FrameBuffer
from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.log.reader import BufferReader
from lingstream.core.log.state import empty_snapshot

BODIES: list[list[Op]] = [
    [Set("", {"a": "", "b": ""})],
    [Append("a", "x")],
    [Append("a", "")],
    [Set("c", 1)],
    [Append("a", "x"), Append("b", "y")],
    [],
]
FRAMES = [Frame(FrameId(3, 5), "snapshot", empty_snapshot())]
FRAMES += [Frame(FrameId(3, 6 + number), "ops", body) for number, body in enumerate(BODIES)]
FRAMES.append(Frame(FrameId(3, 12), "event", {"event": "started"}))
FRAMES.append(Frame(FrameId(3, 13), "done", {"status": "finished"}))


def full(max_frames: int = 100) -> FrameBuffer:
    """A buffer that got all frames from elsewhere."""
    buffer = FrameBuffer(max_frames=max_frames)
    assert all(buffer.receive(frame) for frame in FRAMES)
    buffer.publish()
    return buffer


def opened(texts: int = 0) -> FrameBuffer:
    """A buffer with an epoch of our own: two frames, and some appends."""
    buffer = FrameBuffer(max_frames=100)
    buffer.open(1, empty_snapshot())
    buffer.append(1, "ops", [Set("", {})])
    say(buffer, texts)
    return buffer


def say(buffer: FrameBuffer, texts: int = 1) -> FrameId:
    for _ in range(texts):
        buffer.append(1, "ops", [Append("a", "x")])
    return buffer.last_id


# -- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [(0, 9), (2, 4), (8, 9), (5, 99), (4, 2), (0, 0)], ids=str)
def test_it_gives_the_frames_back(part: tuple[int, int]) -> None:
    frames = full().frames(*part)
    assert frames == FRAMES[slice(*part)]
    assert all(type(op) in (Append, Set) for frame in frames if frame.kind == "ops" for op in frame.body)


def test_older_frames_are_trimmed_and_places_stay() -> None:
    buffer = full(max_frames=4)
    assert (buffer.start, buffer.end, len(buffer)) == (5, 9, 4)
    assert buffer.frames() == buffer.frames(0, 99) == FRAMES[5:]
    assert buffer.frames(6, 8) == FRAMES[6:8]


def test_the_least_that_is_kept_is_the_newest_frame() -> None:
    buffer = full(max_frames=1)
    assert 1 <= len(buffer) <= 2
    assert buffer.frames() == FRAMES[-len(buffer) :]
    assert buffer.read_from(buffer.end - 1) == (FRAMES[-1:], buffer.end)


@pytest.mark.parametrize("max_frames", [0, -1])
def test_a_buffer_that_keeps_nothing_is_refused(max_frames: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1 frame, got max_frames = {max_frames}"):
        FrameBuffer(max_frames=max_frames)


@pytest.mark.parametrize("position", range(1, 10))
def test_places_and_positions_are_the_same_thing(position: int) -> None:
    buffer = full()
    place = buffer.place(position)
    assert place == FRAMES[position - 1].id
    assert buffer.position(place) == position


@pytest.mark.parametrize("place", [None, FrameId(3, 14), FrameId(2, 5), FrameId(4, 1)], ids=str)
def test_a_place_that_is_unknown_asks_for_a_snapshot(place: FrameId | None) -> None:
    position = full().position(place)
    assert position == -1
    assert [frame.kind for frame in full().read_from(position)[0]] == ["snapshot", "done"]


def test_appends_leave_nothing_to_the_garbage_collector() -> None:
    buffer = opened(2)
    gc.collect()
    before = len(gc.get_objects())
    say(buffer, 150)
    gc.collect()
    assert len(buffer) > 150 and len(gc.get_objects()) - before < 20


# -- what is written -----------------------------------------------------------------------------


def test_an_epoch_shuts_out_those_before_it() -> None:
    buffer = opened(3)
    assert buffer.open(2, empty_snapshot()) == FrameId(2, 1)
    assert [frame.kind for frame in buffer.frames()] == ["snapshot"]
    for epoch in (1, 2):
        with pytest.raises(Fenced):
            buffer.open(epoch, empty_snapshot())
    with pytest.raises(Fenced):
        say(buffer)


def test_nothing_can_be_said_of_it_without_an_epoch() -> None:
    with pytest.raises(UsageError, match="expected an open epoch"):
        _ = FrameBuffer().state


def test_frames_from_elsewhere_must_follow() -> None:
    buffer = FrameBuffer()
    assert not buffer.receive(FRAMES[1]), "nothing is there that it could follow"
    assert buffer.receive(FRAMES[0]) and buffer.receive(FRAMES[1])
    assert not buffer.receive(FRAMES[3]), "one is missing"
    assert buffer.receive(FRAMES[1]), "one that is there is left alone"
    assert buffer.frames() == FRAMES[:2]
    later = Frame(FrameId(3, 40), "snapshot", {**empty_snapshot(), "document": "later"})
    assert buffer.receive(later), "a snapshot fits anywhere"
    assert buffer.frames() == [later] and buffer.state.document.value == "later"


def test_what_was_written_for_nothing_can_be_forgotten() -> None:
    buffer = opened(3)
    buffer.forget()
    assert (buffer.last_id, buffer.frames(), len(buffer)) == (FrameId(0, 0), [], 0)
    assert buffer.caught_up(-1) and buffer.caught_up(buffer.end)
    assert buffer.state.document.value == {"a": "xxx"}, "its writer may still ask what it wrote"
    assert buffer.receive(FRAMES[0])


# -- what readers may have -----------------------------------------------------------------------


async def test_nothing_is_read_before_it_is_published() -> None:
    buffer = opened()
    buffer.publish()
    reader, late = BufferReader(buffer, "1-2"), BufferReader(buffer, str(say(buffer, 3)))
    assert not reader.ready
    buffer.publish(FrameId(1, 4))
    assert reader.ready and not late.ready
    assert [frame.id.seq for frame in await reader.read()] == [4]
    assert not reader.ready
    buffer.publish(FrameId(1, 3))
    assert not reader.ready, "what was published once stays published"
    buffer.publish()
    assert [frame.id.seq for frame in await reader.read()] == [5]


async def test_the_end_comes_when_it_is_published() -> None:
    buffer = opened()
    buffer.publish()
    reader, resumed = BufferReader(buffer, "1-2"), BufferReader(buffer, "1-3")
    buffer.append(1, "done", {"status": "finished"})
    assert buffer.ended and not buffer.over and not reader.ready
    buffer.publish()
    assert buffer.over and resumed.ready
    assert [frame.kind for frame in await reader.read()] == ["done"]
    assert await reader.read() == []


async def test_who_joins_while_something_is_always_on_its_way_gets_what_is_published() -> None:
    """The state is ahead: the snapshot is taken when all of it is sent, and read when that has arrived."""
    buffer = opened(1)
    joining = [BufferReader(buffer) for _ in range(2)]
    assert not any(reader.ready for reader in joining)
    buffer.capture()
    sent = buffer.last_id
    say(buffer)
    assert not any(reader.ready for reader in joining)
    buffer.publish(sent)
    [one], [two] = [await reader.read() for reader in joining]
    assert one == two == Frame(sent, "snapshot", {**empty_snapshot(), "document": {"a": "x"}})
    assert one.body["document"] is not two.body["document"]


async def test_readers_that_left_are_forgotten() -> None:
    buffer = opened()
    buffer.publish()
    tasks = [asyncio.create_task(BufferReader(buffer, "1-2").read()) for _ in range(3)]
    await asyncio.sleep(0)
    assert buffer.waiting == 3
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert not buffer.waiting


async def test_readers_who_are_as_far_behind_share_what_was_merged() -> None:
    buffer = opened(3)
    buffer.publish()
    one, two, behind = (BufferReader(buffer, after) for after in ("1-2", "1-2", "1-3"))
    merged, same = await one.read(), await two.read()
    assert merged[0] is same[0] == Frame(FrameId(1, 5), "ops", [Append("a", "xxx")])
    assert await behind.read() == [Frame(FrameId(1, 5), "ops", [Append("a", "xx")])]
    say(buffer, 2)
    buffer.publish()
    assert await one.read() == [Frame(FrameId(1, 7), "ops", [Append("a", "xx")])] == await two.read()
    assert merged == [Frame(FrameId(1, 5), "ops", [Append("a", "xxx")])]


async def test_what_was_merged_is_forgotten_with_the_next_frame() -> None:
    buffer = opened(3)
    buffer.publish()
    await BufferReader(buffer, "1-2").read()
    assert buffer._merged
    say(buffer)
    assert not buffer._merged
    buffer.append(1, "done", {"status": "finished"})
    buffer.publish()
    assert [frame.kind for frame in await BufferReader(buffer, "1-2").read()] == ["ops", "done"]
    assert not buffer._merged, "an ended log is kept for long, and its readers are few"
