"""A frame's text, written once for all viewers that are given the same frame."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from lingstream.core.log.frames import Frame

__all__ = ["LastText"]

_KEPT = 65_536  # bytes of the longest text that is kept


class LastText:
    """What was written last in one dialect of this process.

    The viewers of a run are woken together and read the same frames, one after the other: so whoever writes
    the frame that was written last has its text already. What some viewers may not see, or are told in other
    words, is another frame for them; a text is shared by those who were given the very same one.

    Memory: one frame and its text, up to 64 KB; a longer one is written for each.
    """

    def __init__(self) -> None:
        self._last: tuple[Frame | None, Hashable, bytes] = (None, None, b"")

    def of(self, frame: Frame, key: Hashable, write: Callable[[Frame], bytes]) -> bytes:
        """Return what ``write`` makes of ``frame``.

        :param key: all that the text depends on beside the frame and the dialect.
        """
        known, its_key, text = self._last
        if known is frame and its_key == key:
            return text
        text = write(frame)
        if len(text) <= _KEPT:
            self._last = frame, key, text
        return text
