"""The frames of a log in memory: what each log is composed of.

It is no log by itself, for it knows of no store and of no other process. A log in memory publishes at once
what it appends; one that processes share publishes what its store has, and receives what others wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lingstream.core.document.ops import Append, copy_json, make
from lingstream.core.exceptions import Fenced, JsonUriError, UsageError

from .frames import Frame, FrameId, Kind, merge, weight
from .state import RunState

__all__ = ["FrameBuffer"]

_MERGED = 1_000  # merged frames past which a reader gets a snapshot instead
_SMALL = 16_384  # characters below which nobody asks whether a snapshot would be shorter


class FrameBuffer:
    """The frames that are kept of a log, the state that all of them give, and who waits for more.

    A *position* is the number of frames that were ever kept before a place, through all epochs: so a cursor
    is one number, and one comparison tells whether it is behind what is kept.

    Memory: up to ``2 * max_frames`` frames, then the older half is trimmed; its readers get a snapshot.

    :param max_frames: how many frames are kept at least.
    :raises UsageError: fewer than one.
    """

    def __init__(self, *, max_frames: int = 5_000) -> None:
        if max_frames < 1:
            raise UsageError(f"expected a log that keeps at least 1 frame, got max_frames = {max_frames}")
        self.max_frames = max_frames
        self.last_id = FrameId(0, 0)
        """Place of the newest frame; ``0-0`` before the first."""
        self.start = 0
        """Position before the oldest frame that is kept."""
        self.end = 0
        """Position behind the newest frame."""
        self.ended = False
        """Whether ``done`` has been written."""
        self.abandoned = False
        """Whether nothing more is heard of the run here."""
        self._state: RunState | None = None
        # Nearly every frame appends to one string. Such a frame is kept as two strings and made anew when it
        # is read: as four objects that the garbage collector has to visit, each token would make all of its
        # full collections longer, for as long as the log is kept (docs/benchmarks.md).
        self._uris: list[str | None] = []  # where a frame appends, or None
        self._bodies: list[Any] = []  # what it appends, or else its kind and body
        self._last: Frame | None = None  # the newest as it came: all who keep up read this one
        self._published = 0  # position behind the last frame that readers may have
        self._joining = False  # whether a reader waits for a snapshot of what is published
        self._joined: tuple[list[Frame], int] = ([], -1)  # the one for them, and the position behind it
        self._merged: list[Frame] = []  # as the last reader got them, for those who read as much
        self._merged_from = (-1, -1)  # between which positions
        self._waiting: dict[Callable[[], None], None] = {}  # in the order in which they came

    @property
    def state(self) -> RunState:
        """The fold of all frames, also of those that are not published yet.

        :raises UsageError: no epoch is open yet.
        """
        if self._state is None:
            raise UsageError("expected an open epoch, but nothing has been written to this log")
        return self._state

    def __len__(self) -> int:
        return self.end - self.start

    # -- writing: nothing is shown to readers before it is published -------------------------------

    def open(self, epoch: int, snapshot: dict[str, Any]) -> FrameId:
        """Open ``epoch`` with its snapshot frame: writers and readers of earlier epochs are cut off.

        :raises Fenced: the log is in that epoch or a later one already.
        """
        if epoch <= self.last_id.epoch:
            raise Fenced(f"expected an epoch past {self.last_id.epoch}, got {epoch}")
        self.abandoned = False
        return self._restart(FrameId(epoch, 1), snapshot)

    def append(self, epoch: int, kind: Kind, body: Any) -> FrameId:
        """Fold in and keep the next frame.

        :raises Fenced: the log is in another epoch.
        :raises UsageError: the log has ended.
        :raises JsonUriError: an op does not fit; the ops before it are kept.
        """
        if epoch != self.last_id.epoch:
            raise Fenced(f"epoch {epoch} lost the log to epoch {self.last_id.epoch}")
        if self.ended:
            raise UsageError(f"expected nothing after done, got {kind}")
        try:
            (self._state or self.state).apply(kind, body)  # the property is asked where it has to raise
        except JsonUriError as error:
            if fitting := body[: error.position]:
                self._keep(kind, fitting)
            raise
        self.ended = kind == "done"
        return self._keep(kind, body)

    def receive(self, frame: Frame) -> bool:
        """Take a frame that another process has written; return whether it fits behind what is here.

        One that is here already is left alone; a snapshot fits anywhere.

        :raises LingError: it is no frame of this run.
        """
        last = self.last_id
        if last.epoch and frame.id <= last:
            return True
        if frame.kind == "snapshot":
            self._restart(frame.id, frame.body)
            return True
        if not last.epoch or frame.id != last.following:
            return False
        self.state.apply(frame.kind, frame.body)
        self.ended = frame.kind == "done"
        self._keep(frame.kind, frame.body)
        return True

    def publish(self, place: FrameId | None = None) -> None:
        """Let readers have what was written up to ``place``, or all of it, and tell those who wait."""
        self._published = self.end if place is None else max(self._published, self.position(place))
        if self._waiting:
            self.notify()

    def forget(self) -> None:
        """Let go of all frames, as if none had come: another writer's snapshot follows. The state stays."""
        self.start = self._published = self.end
        self._uris.clear()
        self._bodies.clear()
        self._last = None
        self.last_id = FrameId(0, 0)
        self.ended = False
        self._joined = ([], -1)

    def abandon(self) -> None:
        """End the readers without ``done``, once they have read what is published."""
        self.abandoned = True
        self.notify()

    # -- places ------------------------------------------------------------------------------------

    def position(self, place: FrameId | None) -> int:
        """Return the position behind the frame ``place``; -1 asks for a snapshot, as that is unknown."""
        epoch, seq, _ = self.last_id
        if place is None or place.seq > seq or place.epoch != (epoch or place.epoch):
            return -1
        return self.end - (seq - place.seq)

    def place(self, position: int) -> FrameId:
        """Return the id of the frame before ``position``."""
        return FrameId(self.last_id.epoch, max(self.last_id.seq - self.end + max(position, 0), 0))

    # -- reading -----------------------------------------------------------------------------------

    def frames(self, start: int = 0, stop: int | None = None) -> list[Frame]:
        """Return the kept frames between two positions, as they were written."""
        stop = self.end if stop is None else min(stop, self.end)
        epoch, seq, _ = self.last_id
        seq -= self.end - 1  # of the frame at position 0, if it were of this epoch
        frames: list[Frame] = []
        for position in range(max(start, self.start), stop):
            index = position - self.start
            uri, body = self._uris[index], self._bodies[index]
            place = FrameId(epoch, seq + position)
            if uri is None:
                frames.append(Frame(place, *body))
            else:
                frames.append(Frame(place, "ops", [Append(uri, body)]))
        return frames

    def snapshot_frames(self) -> list[Frame]:
        """Return a snapshot under the id of the last frame in it; ``done`` still follows by itself."""
        if not (self.ended and self._last):
            return [Frame(self.last_id, "snapshot", self.state.snapshot())]
        before = FrameId(self.last_id.epoch, self.last_id.seq - 1)
        return [Frame(before, "snapshot", self.state.snapshot()), self._last]

    def read_from(self, position: int) -> tuple[list[Frame], int]:
        """Return what is published from ``position`` on, merged, and the position behind it.

        :param position: one that is not :meth:`caught_up`.
        """
        published, all_of_it = self._published, self._published == self.end
        if position < self.start:
            if all_of_it:
                return self.snapshot_frames(), published
            frames, end = self._joined
            return [frame._replace(body=copy_json(frame.body)) for frame in frames], end
        if all_of_it and published - position == 1 and self._last:
            return [self._last], published
        if self._merged_from != (position, published):
            frames = merge(self.frames(position, published))
            if all_of_it and self._outgrown(frames):
                return self.snapshot_frames(), published
            if self.ended:
                return frames, published
            self._merged, self._merged_from = frames, (position, published)
        return self._merged, published

    def caught_up(self, position: int) -> bool:
        """Whether nothing can be read from ``position`` yet."""
        if position >= self.start:
            return position >= self._published
        if self._published == self.end:
            return not self.last_id.seq
        if self.start <= self._joined[1] <= self._published:
            return False
        # The state is ahead of what readers may have: see capture().
        self._joining = True
        return True

    def capture(self) -> None:
        """Take the snapshot that joining readers wait for: all that is here is on its way to the store.

        They get it when that much is published. Without it they would wait until all is, and at full speed
        there is always a frame that is not.
        """
        if self._joining:
            self._joining = False
            self._joined = (self.snapshot_frames(), self.end)

    # -- waiting -----------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether nothing follows what is published."""
        return self.abandoned or (self.ended and self._published == self.end)

    @property
    def waiting(self) -> int:
        """How many readers wait."""
        return len(self._waiting)

    def notify(self) -> None:
        """Let everybody who waits look again."""
        waiting, self._waiting = self._waiting, {}
        for news in waiting:
            news()

    def call(self, news: Callable[[], None]) -> None:
        """Call ``news`` at the next :meth:`notify`, once."""
        self._waiting[news] = None

    def leave(self, news: Callable[[], None]) -> None:
        """Do not call ``news`` any more."""
        self._waiting.pop(news, None)

    # -- helpers -----------------------------------------------------------------------------------

    def _restart(self, place: FrameId, snapshot: dict[str, Any]) -> FrameId:
        """Go on from a snapshot. All else is forgotten, so readers of what was before get it first."""
        self.forget()
        self.last_id = FrameId(place.epoch, place.seq - 1)
        self._state = RunState(copy_json(snapshot))  # the frame keeps the snapshot as it is now
        return self._keep("snapshot", snapshot)

    def _keep(self, kind: Kind, body: Any) -> FrameId:
        epoch, seq, _ = self.last_id
        self.last_id = place = make(FrameId, (epoch, seq + 1, 0))
        if kind == "ops" and len(body) == 1 and type(body[0]) is Append:
            self._uris.append(body[0].uri)
            self._bodies.append(body[0].delta)
        else:
            self._uris.append(None)
            self._bodies.append((kind, body))
        self._last = make(Frame, (place, kind, body))
        self.end += 1
        if self._merged:
            self._merged, self._merged_from = [], (-1, -1)
        if self.end - self.start > 2 * self.max_frames:
            surplus = self.end - self.start - self.max_frames
            del self._uris[:surplus], self._bodies[:surplus]
            self.start += surplus
        return place

    def _outgrown(self, frames: list[Frame]) -> bool:
        """Whether a snapshot is the shorter way to say what ``frames`` do."""
        if len(frames) > _MERGED:
            return True
        size = weight(frames)
        return size > _SMALL and size > self.state.weight(size)
