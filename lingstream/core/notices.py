"""Notices: word that a conversation has changed, for whoever shows it.

1. A notice has no content, and may be lost, late or doubled: its ``seq`` decides. Who is behind asks anew.
2. Publishing never waits and never fails, in any thread.
3. A listener holds the newest notice of each conversation, and no queue; past a bound it holds one notice
   more, :data:`MISSED`, in place of them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias
from weakref import WeakSet

__all__ = ["GONE", "MISSED", "Kind", "Listener", "LocalListener", "MemoryNotices", "Notice", "Notices"]

Kind: TypeAlias = Literal["turn", "ended", "change", "remove", "attached"]

_MOST = 256  # conversations of which one listener may have news


class Notice(NamedTuple):
    """What is told of a conversation.

    :param conversation: its id; ``None`` for all that one hears of.
    :param seq: how often it has changed.
    :param kind: ``turn``: one was added; ``ended``: one has ended; ``change``: anything else; ``remove``: it
        was deleted; ``attached``: it is heard of from here on, and this is its present ``seq``.
    :param run: of a ``turn`` and an ``ended``.
    """

    conversation: str | None
    seq: int | None
    kind: Kind
    run: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the message."""
        return {"notice": self._asdict()}


MISSED = Notice(None, None, "attached")
"""Notices may have been lost: ask anew for all that is heard of."""

GONE = Notice("", None, "remove")
"""Who listens is not who it was: its session has ended. No client is told."""


class Listener(Protocol):
    """What one viewer has not been told yet; used in one event loop."""

    @property
    def ended(self) -> bool:
        """Whether this process goes away, and nothing more is heard."""
        ...

    def add(self, *topics: str) -> None:
        """Hear of these too."""
        ...

    def discard(self, *topics: str) -> None:
        """Hear no more of these."""
        ...

    async def wait(self) -> None:
        """Return when there is news, or it has ended. Cancelling the wait loses nothing."""
        ...

    def take(self) -> list[Notice]:
        """Return the news, in the order of their coming."""
        ...

    def close(self) -> None:
        """Hear no more; it has ended."""
        ...


class Notices(Protocol):
    """The port: how notices get from whoever changes a conversation to the viewers in all processes."""

    def publish(self, topics: Sequence[str], notice: Notice) -> None:
        """Tell the listeners to any of ``topics``, each once; never waits, in any thread or process."""
        ...

    async def listen(self) -> Listener:
        """Return a listener, which hears what is published from now on to the topics that it gets."""
        ...

    def end(self) -> None:
        """Let the listeners of this process end, as it goes away."""
        ...


class MemoryNotices:
    """Notices within one process; others compose what they add to it with :meth:`deliver`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._topics: dict[str, set[LocalListener]] = {}
        self._listeners: WeakSet[LocalListener] = WeakSet()

    def publish(self, topics: Sequence[str], notice: Notice) -> None:
        """See :meth:`Notices.publish`."""
        self.deliver(topics, notice)

    async def listen(self) -> LocalListener:
        """See :meth:`Notices.listen`."""
        listener = LocalListener(self)
        with self._lock:
            self._listeners.add(listener)
        return listener

    def deliver(self, topics: Iterable[str], notice: Notice) -> None:
        """Give ``notice`` to the listeners of this process; in any thread."""
        with self._lock:
            found = set[LocalListener]().union(*(self._topics.get(topic, ()) for topic in topics))
        for listener in found:
            listener.offer(notice)

    def missed(self) -> None:
        """Let every listener of this process know that it may have missed something."""
        for listener in self._all():
            listener.offer(MISSED)

    def end(self) -> None:
        """See :meth:`Notices.end`."""
        for listener in self._all():
            listener.end()

    def attend(self, listener: LocalListener, topic: str) -> None:
        """``listener`` hears of ``topic``."""
        with self._lock:
            self._topics.setdefault(topic, set()).add(listener)

    def ignore(self, listener: LocalListener, topic: str) -> None:
        """``listener`` hears no more of ``topic``."""
        with self._lock:
            left = self._topics.get(topic, set())
            left.discard(listener)
            if not left:
                self._topics.pop(topic, None)

    def _all(self) -> list[LocalListener]:
        with self._lock:
            return list(self._listeners)


class LocalListener:
    """See :class:`Listener`.

    :param most: conversations of which there may be news that was not taken.
    """

    def __init__(self, notices: MemoryNotices, most: int = _MOST) -> None:
        self._notices = notices
        self._most = most
        self._topics: set[str] = set()
        self._news: dict[str | None, Notice] = {}
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._some = asyncio.Event()
        self._ended = False

    @property
    def ended(self) -> bool:
        """See :attr:`Listener.ended`."""
        return self._ended

    def add(self, *topics: str) -> None:
        """See :meth:`Listener.add`."""
        if self._ended:
            return
        self._topics.update(topics)
        for topic in topics:
            self._notices.attend(self, topic)

    def discard(self, *topics: str) -> None:
        """See :meth:`Listener.discard`."""
        self._topics.difference_update(topics)
        for topic in topics:
            self._notices.ignore(self, topic)

    async def wait(self) -> None:
        """See :meth:`Listener.wait`."""
        while not (self._news or self._ended):
            await self._some.wait()
            self._some.clear()

    def take(self) -> list[Notice]:
        """See :meth:`Listener.take`."""
        with self._lock:
            news, self._news = self._news, {}
        return list(news.values())

    def close(self) -> None:
        """See :meth:`Listener.close`."""
        self._ended = True
        self.discard(*self._topics)

    def offer(self, notice: Notice) -> None:
        """Keep ``notice``, unless something newer of the conversation is there; in any thread."""
        with self._lock:
            silent = not self._news
            self._keep(notice)
        if silent:
            self._ring()

    def end(self) -> None:
        """Nothing more is heard; in any thread."""
        self._ended = True
        self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            self._loop.call_soon_threadsafe(self._some.set)

    def _keep(self, notice: Notice) -> None:
        known = self._news.get(notice.conversation)
        if known is not None and (known.seq or 0) > (notice.seq or 0):
            return
        if known is None and len(self._news) >= self._most:
            self._news.clear()
            notice = MISSED
        self._news.pop(notice.conversation, None)
        self._news[notice.conversation] = notice
