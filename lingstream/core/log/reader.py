"""The cursor of one viewer in the frames of a log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lingstream.core.exceptions import UsageError

from .buffer import FrameBuffer
from .frames import Frame, parse_id

__all__ = ["BufferReader"]


class BufferReader:
    """A cursor in a :class:`FrameBuffer`; see :class:`~lingstream.core.log.ports.LogReader`.

    :param after: see :meth:`RunLog.reader`.
    :param owner: kept alive by the cursor: a hub may forget a log that nobody reads.
    """

    def __init__(self, buffer: FrameBuffer, after: str | None = None, owner: object = None) -> None:
        self.position = buffer.position(parse_id(after) if after else None)
        """Where it reads on."""
        self.ended = False
        """Whether it has read ``done``."""
        self._buffer = buffer
        self._owner = owner
        self._news: Callable[[], None] | None = None  # whom to tell that there is something to read

    @property
    def ready(self) -> bool:
        """See :attr:`LogReader.ready`."""
        buffer = self._buffer
        return self.ended or not buffer.caught_up(self.position) or buffer.over

    def listen(self, news: Callable[[], None] | None) -> None:
        """See :meth:`LogReader.listen`."""
        if news:
            self._check_alone()
            self._buffer.call(self._tell)
        elif self._news:
            self._buffer.leave(self._tell)
        self._news = news

    async def wait(self) -> None:
        """See :meth:`LogReader.wait`."""
        self._check_alone()
        if not self.ready:
            news = asyncio.get_running_loop().create_future()
            self.listen(lambda: None if news.done() else news.set_result(None))
            try:
                await news
            finally:
                self.listen(None)

    def interrupt(self) -> None:
        """See :meth:`LogReader.interrupt`."""
        if news := self._news:
            self.listen(None)
            news()

    async def read(self) -> list[Frame]:
        """See :meth:`LogReader.read`."""
        self._check_alone()
        buffer = self._buffer
        while self.ended or buffer.caught_up(self.position):
            if self.ended or buffer.over:
                return []  # read to the end, or resumed behind it
            await self.wait()
        frames, self.position = buffer.read_from(self.position)
        self.ended = frames[-1].kind == "done"
        return frames

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news:
            news()

    def _check_alone(self) -> None:
        """Two tasks would share the frames out between them, and the news would reach one of them."""
        if self._news:
            raise UsageError("expected one task at a reader, but another one waits: each needs its own")
