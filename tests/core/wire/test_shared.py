"""A frame's text is written once for all who are given that frame, and for nobody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lingstream.core.document.ops import Append, Set
from lingstream.core.log.frames import Frame, FrameId
from lingstream.core.wire.ling import JSONL, SSE
from lingstream.core.wire.shared import LastText
from lingstream.core.wire.socket import SocketMessages

ONE = Frame(FrameId(1, 7), "ops", [Append("answer", "clouds ")])
TWO = Frame(FrameId(1, 8), "ops", [Append("answer", "are "), Set("done", True)])
EVENT = Frame(FrameId(1, 9), "event", {"event": "reasoning", "bot": "b#1", "data": "hm"})
FAULT = Frame(FrameId(1, 9), "error", {"code": "http", "message": "what the site's staff may read"})

Encode = Callable[[Frame], bytes]


def socket(run: str, after: FrameId | None = None) -> Encode:
    messages = SocketMessages(run, str(after) if after else None)
    return lambda frame: "\n".join(messages.encode(frame)).encode()


ENCODERS: dict[str, Callable[[str, FrameId | None], Encode]] = {
    "socket": socket,
    "sse": lambda run, after: SSE(run, after).encode,
    "jsonl": lambda run, after: JSONL(run, after).encode,
}


class Writes:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: Frame) -> bytes:
        self.count += 1
        return str(frame.body).encode()


@pytest.fixture
def writes() -> Writes:
    return Writes()


def test_the_same_frame_is_written_once(writes: Writes) -> None:
    last = LastText()
    assert {last.of(ONE, "run", writes) for _ in range(100)} == {str(ONE.body).encode()}
    assert writes.count == 1


def test_another_frame_of_the_same_place_has_a_text_of_its_own(writes: Writes) -> None:
    """So it is for who is told of an error in other words, or may not see all of a frame."""
    last = LastText()
    told = FAULT._replace(body={"code": "http", "message": "a sentence"})
    for frame in (FAULT, told, FAULT):
        assert last.of(frame, "run", writes) == str(frame.body).encode()
    assert writes.count == 3
    assert last.of(FAULT._replace(), "run", writes) and writes.count == 4, "equal, but not the same"


def test_what_it_depends_on_beside_the_frame_tells_texts_apart(writes: Writes) -> None:
    last = LastText()
    for key in ("run", "other", ("run", FrameId(1, 6)), ("run", FrameId(1, 5))):
        last.of(ONE, key, writes)
        last.of(ONE, key, writes)
    assert writes.count == 4


def test_a_long_text_is_not_kept(writes: Writes) -> None:
    last = LastText()
    last.of(ONE, "run", writes)
    long = Frame(FrameId(1, 8), "ops", [Append("answer", "x" * 70_000)])
    for _ in range(3):
        assert len(last.of(long, "run", writes)) > 65_536
    assert writes.count == 4
    last.of(ONE, "run", writes)
    assert writes.count == 4


@pytest.mark.parametrize("name", ENCODERS)
def test_viewers_who_share_a_text_get_what_each_would_have_got_alone(name: str) -> None:
    """In turn, as they are woken: from other places, of other runs, one that was away among them."""
    places = [("run", FrameId(1, 6)), ("run", FrameId(1, 6)), ("run", FrameId(1, 5)), ("other", None)]
    together = [ENCODERS[name](run, after) for run, after in places]
    got = [[encode(frame) for encode in together] for frame in (ONE, TWO, EVENT, TWO)]
    for number, (run, after) in enumerate(places):
        alone = ENCODERS[name](run, after)
        fresh = [frame._replace() for frame in (ONE, TWO, EVENT, TWO)]
        assert [texts[number] for texts in got] == [alone(frame) for frame in fresh]


def test_ids_within_a_frame_are_those_of_the_viewer() -> None:
    near, far = SSE("run", FrameId(1, 7)), SSE("run", FrameId(1, 3))
    assert b"id: 1-7+1\n" in near.encode(TWO)
    assert b"id: 1-3+1\n" in far.encode(TWO)
