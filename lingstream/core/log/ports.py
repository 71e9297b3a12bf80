"""The ports of the run log: ordered frames, written once, read by cursor.

Readers hold a *cursor*, never a queue. Who is behind gets the frames in between merged, who is further behind
than the log reaches (or than a merge pays) gets a snapshot: so a reader costs the log nothing, memory is
bounded and the writer never waits. ``lingstream.testing`` has the contract as a test suite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..notices import Notices
from .frames import Frame, FrameId, Kind
from .state import RunState

__all__ = ["Hub", "LogReader", "RunLog"]


class LogReader(Protocol):
    """A cursor in a log, for one task.

    :meth:`wait` and :meth:`read` raise UsageError where another task waits or listens: it would miss what
    this one gets.
    """

    @property
    def ready(self) -> bool:
        """Whether :meth:`read` returns at once."""
        ...

    def listen(self, news: Callable[[], None] | None) -> None:
        """Call ``news`` once, as soon as it may be ready; at once is not meant: ask :attr:`ready` before.

        It is called from within what the writer does, so it only makes a note; ``None`` calls it off.

        :raises UsageError: another one waits.
        """
        ...

    async def wait(self) -> None:
        """Return when it is ready, or interrupted. Cancelling the wait loses nothing."""
        ...

    def interrupt(self) -> None:
        """Let :meth:`wait` return, or tell who listens, though nothing came."""
        ...

    async def read(self) -> list[Frame]:
        """Wait for news and return it, merged; the last batch ends with the ``done`` frame, then ``[]``.

        ``[]`` from a log that has not ended says that it is gone: the database knows how the run went on.
        """
        ...


class RunLog(Protocol):
    """The port. One writer per epoch (who holds the run), any number of readers."""

    @property
    def state(self) -> RunState:
        """The fold of all frames: the writer's view of its own document."""
        ...

    @property
    def last_id(self) -> FrameId:
        """Place of the newest frame; ``0-0`` before the first."""
        ...

    @property
    def ended(self) -> bool:
        """Whether ``done`` is in the log."""
        ...

    async def open(self, epoch: int, snapshot: dict[str, Any]) -> None:
        """Open ``epoch`` with its snapshot frame, which shuts out the writers of earlier epochs.

        :raises Fenced: the log is in that epoch or a later one already.
        """
        ...

    def write(self, epoch: int, kind: Kind, body: Any) -> FrameId:
        """Append a frame; never waits.

        :raises Fenced: another writer has opened a later epoch.
        :raises UsageError: the log has ended.
        :raises JsonUriError: an op does not fit; the ops before it are in the log.
        """
        ...

    async def flush(self) -> None:
        """Return when everything written can be read by viewers in every process.

        :raises Fenced: as :meth:`write`.
        """
        ...

    def reader(self, after: str | None = None) -> LogReader:
        """Return a cursor behind the frame ``after``; a snapshot comes first if that place is unknown.

        ``<epoch>-0`` is the place before an epoch's first frame, also while nothing is written yet.
        """
        ...

    def abandon(self) -> None:
        """End the readers without ``done``: this process will hear no more of the run."""
        ...


class Hub(Protocol):
    """The port: where run logs live."""

    shared: bool
    """Whether a log that is written in one process can be read in the others."""

    notices: Notices
    """How processes tell each other that a conversation has changed; across them where the hub is shared."""

    def create(self, run: str) -> RunLog:
        """Return the log of ``run`` for its writer, a new one if there is none."""
        ...

    async def find(self, run: str, *, running: bool = False) -> RunLog | None:
        """Return the log of ``run`` for readers, or ``None`` where this hub cannot reach it.

        :param running: the database says that the run has not ended: where there is no log yet, one is
            returned that waits for its writer.
        """
        ...

    def release(self, run: str) -> None:
        """This process writes no more: keep an ended log for a while, then forget it; the database answers
        from then on. One that has not ended stays for who reads it, and goes on where somebody opens it."""
        ...

    def drop(self, run: str) -> None:
        """Forget the log of ``run`` in this process at once; its readers ask the database."""
        ...

    def set_watched(self, run: str, watched: bool) -> None:
        """Say whether this process has a viewer of ``run`` that its owner should know of."""
        ...

    async def is_watched(self, run: str) -> bool:
        """Whether any process has said so."""
        ...

    async def aclose(self) -> None:
        """Drop all logs, release connections and timers."""
        ...
