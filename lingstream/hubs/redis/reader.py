"""The cursor of a viewer in a log on Redis: it also tells when the log is not, or is again, resumable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lingstream.core.log.frames import Frame
from lingstream.core.log.reader import BufferReader

if TYPE_CHECKING:
    from .log import RedisLog

__all__ = ["RedisReader"]


class RedisReader:
    """See :class:`~lingstream.core.log.ports.LogReader`."""

    def __init__(self, log: RedisLog, after: str | None) -> None:
        self._log = log
        self._reader = BufferReader(log.buffer, after)
        self._resumable = True  # what its viewer believes

    @property
    def ready(self) -> bool:
        """See :attr:`LogReader.ready`."""
        return self._reader.ready or self._resumable != self._log.resumable

    def listen(self, news: Callable[[], None] | None) -> None:
        """See :meth:`LogReader.listen`."""
        self._reader.listen(news)

    async def wait(self) -> None:
        """See :meth:`LogReader.wait`."""
        if not self.ready:
            await self._reader.wait()

    def interrupt(self) -> None:
        """See :meth:`LogReader.interrupt`."""
        self._reader.interrupt()

    async def read(self) -> list[Frame]:
        """See :meth:`LogReader.read`."""
        log, reader = self._log, self._reader
        while not self.ready:
            await reader.wait()
        frames: list[Frame] = []
        if reader.ready:
            frames = await reader.read()
            if not frames:
                return []
        if self._resumable != log.resumable and not reader.ended:
            self._resumable = log.resumable
            # No entry of the log: it is about the log, and differs from process to process.
            notice = {"event": "resumable", "data": log.resumable}
            frames = [*frames, Frame(log.buffer.place(reader.position), "event", notice)]
        return frames
