"""The tape behaves like a list of frames."""

from __future__ import annotations

import gc

import pytest

from lingstream.core.document.ops import Append, Op, Set
from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.log.tape import Tape

BODIES: list[list[Op]] = [
    [Append("a", "x")],
    [Append("", "")],
    [Set("a", 1)],
    [Append("a", "x"), Append("b", "y")],
    [],
]
FRAMES = [Frame(FrameId(3, 5 + number), "ops", body) for number, body in enumerate(BODIES)]
FRAMES.append(Frame(FrameId(3, 10), "event", {"event": "started"}))
FRAMES.append(Frame(FrameId(3, 11), "done", {"status": "finished"}))


def full() -> Tape:
    tape = Tape()
    for frame in FRAMES:
        tape.append(frame)
    return tape


@pytest.mark.parametrize(
    "part", [slice(None), slice(2, 4), slice(-1, None), slice(5, 99), slice(4, 2)], ids=str
)
def test_it_gives_the_frames_back(part: slice) -> None:
    assert full()[part] == FRAMES[part]
    assert all(type(op) is type(known) for op, known in zip(full()[:2][0].body, BODIES[0], strict=True))


def test_it_is_cut_in_front() -> None:
    tape = full()
    tape.cut(3)
    assert (len(tape), tape[:], tape.last) == (4, FRAMES[3:], FRAMES[-1])


def test_it_starts_anywhere_after_it_was_cleared() -> None:
    tape = full()
    tape.clear()
    assert not tape[:]
    tape.append(FRAMES[4])
    assert tape[:] == FRAMES[4:5]


def test_appends_leave_nothing_to_the_garbage_collector() -> None:
    tape = Tape()
    gc.collect()
    before = len(gc.get_objects())
    for seq in range(1, 1_000):
        tape.append(Frame(FrameId(1, seq), "ops", [Append("a", str(seq))]))
    gc.collect()
    assert len(gc.get_objects()) - before < 100
