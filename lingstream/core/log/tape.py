"""The frames of a log in memory, in few objects."""

from __future__ import annotations

from typing import Any

from lingstream.core.document.ops import Append

from .frames import Frame, FrameId

__all__ = ["Tape"]


class Tape:
    """Consecutive frames of one epoch: a list that grows behind and is cut in front.

    Nearly every frame appends to one string. Such a frame is kept as two strings and made anew when it is
    read: as four objects that the garbage collector has to visit, each token would make all of its full
    collections longer, for as long as the log is kept (``docs/benchmarks.md``).
    """

    def __init__(self) -> None:
        self._first = FrameId(0, 0)
        self._uris: list[str | None] = []  # where the frame appends, or None
        self._bodies: list[Any] = []  # what it appends, or else its kind and body
        self._last: Frame | None = None

    def append(self, frame: Frame) -> None:
        """Add the frame that follows the last one."""
        if not self._uris:
            self._first = frame.id
        body = frame.body
        if frame.kind == "ops" and len(body) == 1 and type(body[0]) is Append:
            self._uris.append(body[0].uri)
            self._bodies.append(body[0].delta)
        else:
            self._uris.append(None)
            self._bodies.append((frame.kind, body))
        self._last = frame

    def cut(self, count: int) -> None:
        """Forget the first ``count`` frames."""
        del self._uris[:count], self._bodies[:count]
        self._first = FrameId(self._first.epoch, self._first.seq + count)

    def clear(self) -> None:
        """Forget all frames; the next one may have any id."""
        self._uris.clear()
        self._bodies.clear()
        self._last = None

    @property
    def last(self) -> Frame:
        """The newest frame; only of a tape that has one."""
        assert self._last is not None  # noqa: S101
        return self._last

    def __len__(self) -> int:
        return len(self._uris)

    def __getitem__(self, part: slice) -> list[Frame]:
        epoch, seq, _ = self._first
        frames: list[Frame] = []
        for index in range(*part.indices(len(self._uris))):
            uri, body = self._uris[index], self._bodies[index]
            place = FrameId(epoch, seq + index)
            if uri is None:
                frames.append(Frame(place, *body))
            else:
                frames.append(Frame(place, "ops", [Append(uri, body)]))
        return frames
