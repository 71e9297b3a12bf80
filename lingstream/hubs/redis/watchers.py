"""Which runs are watched, from any process."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from lingstream.core.exceptions import LingError

from .streams import WATCHED
from .writer import Writer

__all__ = ["Watchers"]


class Watchers:
    """Each process is a member of the sets of the runs that it watches, and says that it is alive.

    :param lifetime: seconds for which a process that has died without a word still counts.
    """

    def __init__(self, writer: Writer, prefix: str, *, lifetime: float) -> None:
        self._writer = writer
        self._prefix = prefix
        self._lifetime = int(lifetime * 1000)
        self._name = uuid4().hex
        self._runs: set[str] = set()

    def set_watched(self, run: str, watched: bool) -> None:
        """See :meth:`Hub.set_watched`."""
        if watched:
            self._runs.add(run)
            self._say([run])
        else:
            self._runs.discard(run)
            self._writer.post(["SREM", self._key(run), self._name])

    async def is_watched(self, run: str) -> bool:
        """See :meth:`Hub.is_watched`. Where Redis does not answer, somebody may be watching elsewhere."""
        if run in self._runs:
            return True
        try:
            return bool(await self._writer.call(WATCHED.call([self._key(run)], f"{self._prefix}:alive:")))
        except LingError:
            return True

    def renew(self) -> None:
        """Go on counting."""
        if self._runs:
            self._say(self._runs)

    def _say(self, runs: Iterable[str]) -> None:
        self._writer.post(["SET", f"{self._prefix}:alive:{self._name}", "", "PX", self._lifetime])
        for run in runs:
            self._writer.post(["SADD", self._key(run), self._name])
            self._writer.post(["PEXPIRE", self._key(run), self._lifetime])

    def _key(self, run: str) -> str:
        return f"{self._prefix}:watch:{run}"
