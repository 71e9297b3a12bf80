"""The conversations that one connection hears of: what the socket and the response for many runs share.

Who may is asked at each attach, and not at a notice: it has no content, and a connection stays who it is. Two
things make it somebody else, and then it is attached to nothing: a ``hello`` on a socket, and the end of the
session in which it was attached. It hears of a logout, and asks now and then whether the session has expired.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Any, NamedTuple
from uuid import UUID

from lingstream.access.faults import told
from lingstream.access.identity import Identity
from lingstream.access.sessions import SessionEnded, is_over
from lingstream.conversations.attending import TYPING_EVERY, changes_of, opened_many, typed
from lingstream.conversations.notices import topic_of, topics_of_owner, topics_of_session
from lingstream.core.exceptions import AccessError, LingError, NotFound, UsageError
from lingstream.core.notices import GONE, MISSED, Kind, Listener, Notice
from lingstream.core.wire.json import dumps
from lingstream.execution.storage import in_database
from lingstream.hubs import get_hub
from lingstream.models import Conversation

from . import tabs

__all__ = [
    "MOST_ATTACHED",
    "Attach",
    "Attachments",
    "attach_failed",
    "not_attached",
    "seq_in",
]

logger = logging.getLogger("lingstream")

MOST_ATTACHED = 100
"""Conversations that one connection may be attached to, beside all of its owner's."""

LOOK_EVERY = 300.0
"""Seconds between two looks whether the session of a connection is still there."""

_LONGEST_NAME = 500
_LOGOUT = 1.0  # seconds for the request that ends a session: who comes back at once would be let in again
_LARGEST = 2**63
_OVER = "the session has ended: attach again as who you are now"


class Attach(NamedTuple):
    """One conversation that is asked for.

    :param seq: which the client has.
    """

    conversation: str
    seq: int | None = None

    @classmethod
    def from_json(cls, data: Any) -> Attach:
        """Return what a client asks for.

        :raises UsageError: an object of another shape.
        """
        name = data.get("conversation") if isinstance(data, dict) else None
        if not isinstance(name, str) or len(name) > _LONGEST_NAME:
            raise UsageError(f'expected an object like {{"conversation": "<id>"}}, got {data!r:.80}')
        return cls(name, seq_in(data))


class Attachments:
    """What one connection is attached to; :meth:`close` it with the connection.

    :param session: Django's, of the request that the connection was opened with.
    """

    def __init__(self, session: Any = None) -> None:
        self._session = session
        self._look_at = inf  # by the loop's clock, whether the session is still there
        self._counted: Identity | None = None  # whose conversations are told of together
        self._listener: Listener | None = None
        self._conversations: set[UUID] = set()
        self._typed: dict[UUID, float] = {}
        self._new: list[Conversation] = []  # whose people were not told of this tab yet
        self._owned: tuple[str, ...] = ()

    async def attach(self, asked: Sequence[Attach], identity: Identity) -> list[Notice | LingError]:
        """Hear of conversations; return for each its present ``seq``, or why it is refused."""
        names = {each.conversation: _uuid(each.conversation) for each in asked}
        listener = await self._listening()
        # Of its own, for what happens between the question and the answer: nobody hears of what is refused.
        early = await get_hub().notices.listen()
        early.add(*(topic_of(name) for name in names.values() if name))
        try:
            found = await in_database(opened_many, {name for name in names.values() if name}, identity)
            outcomes = [self._admit(each.conversation, names, found) for each in asked]
            self._heed_session(listener, identity)
            listener.add(*map(topic_of, self._conversations))
            heard = {notice.conversation: notice.seq for notice in early.take()}
        finally:
            early.close()
        return [_later(each, heard) if isinstance(each, Notice) else each for each in outcomes]

    async def attach_all(self, identity: Identity) -> Notice:
        """Hear of all conversations of this person, within the tenant.

        :raises AccessError: nobody is asking.
        """
        topics = await in_database(topics_of_owner, identity)
        if not topics:
            raise AccessError("expected a signed-in user, a visitor or a session, got nobody")
        listener = await self._listening()
        self._heed_session(listener, identity)
        listener.add(*topics)
        self._owned = topics
        return MISSED

    async def settle(self) -> None:
        """Let it be known who is there; after the answer, which does not wait for it."""
        while self._new:
            await tabs.came(self._new.pop())

    async def typing(self, name: str) -> None:
        """Its owner types in a conversation; what comes too soon after the last time asks no database.

        :raises AccessError: this connection is not attached to it.
        """
        conversation = _uuid(name)
        if conversation is None or conversation not in self._conversations:
            raise AccessError("expected typing in a conversation that this connection is attached to")
        now = asyncio.get_running_loop().time()
        if now >= self._typed.get(conversation, 0.0) + TYPING_EVERY.total_seconds():
            self._typed[conversation] = now
            await in_database(typed, conversation)

    async def answers(
        self,
        asked: Sequence[Attach],
        identity: Identity,
        *,
        owned: bool,
        polls: bool = False,
        seq: int | None = None,
    ) -> list[dict[str, Any]]:
        """Attach to all that is asked for; return the messages that answer it.

        :param owned: hear of all conversations of this person.
        :param polls: who asks comes again and again. What it knows is left out, and of those that are owned
            it is told one number, by which it sees with its next question what has happened between the two.
        :param seq: that number, as it has it.
        """
        found: list[dict[str, Any]] = []
        for each, outcome in zip(asked, await self.attach(asked, identity), strict=True):
            if isinstance(outcome, LingError):
                found.append(not_attached(each.conversation, outcome))
            elif not polls or each.seq is None or each.seq < (outcome.seq or 0):
                found.append(outcome.to_wire())
        if owned:
            try:
                answer = await self.attach_all(identity)
                if polls:
                    self._counted = identity
                    answer = await _count(identity, "attached" if seq is None else "change")
                if seq is None or answer.seq != seq:
                    found.append(answer.to_wire())
            except AccessError as fault:
                found.append(not_attached(None, fault))
        return found

    def detach(self, name: str) -> None:
        """Hear no more of a conversation."""
        conversation = _uuid(name)
        if self._listener and conversation in self._conversations:
            self._listener.discard(topic_of(conversation))
            self._leave(conversation)

    def detach_all(self) -> None:
        """Hear no more of all conversations, but of those that were attached by themselves."""
        if self._listener:
            self._listener.discard(*self._owned)
        self._owned = ()

    async def news(self, within: float | None = None) -> list[Notice] | None:
        """Return the notices that have come; none after ``within`` seconds; ``None`` at the process's end.

        :raises SessionEnded: nothing more will.
        """
        listener = await self._listening()
        now = asyncio.get_running_loop().time
        with suppress(TimeoutError):
            async with asyncio.timeout(min(self._look_at - now(), inf if within is None else within)):
                await listener.wait()
        if listener.ended:
            return None
        notices = listener.take()
        if GONE in notices:
            self.clear()
            await asyncio.sleep(_LOGOUT)
            raise SessionEnded(_OVER)
        if now() >= self._look_at:
            self._look_at = now() + LOOK_EVERY
            if await in_database(is_over, self._session):
                self.clear()
                raise SessionEnded(_OVER)
        return await self._together(notices, self._counted) if notices and self._counted else notices

    def clear(self) -> None:
        """Be attached to nothing, and forget what was heard."""
        self.detach_all()
        if self._listener:
            self._listener.discard(*map(topic_of, self._conversations))
            self._listener.take()
        for conversation in list(self._conversations):
            self._leave(conversation)

    def close(self) -> None:
        """The connection has ended."""
        self.clear()
        if self._listener:
            self._listener.close()

    def _leave(self, conversation: UUID) -> None:
        self._conversations.discard(conversation)
        self._typed.pop(conversation, None)
        fresh = [row for row in self._new if row.pk != conversation]
        if len(fresh) == len(self._new):
            tabs.left(conversation)
        self._new = fresh

    def _heed_session(self, listener: Listener, identity: Identity) -> None:
        if topics := topics_of_session(identity):
            listener.add(*topics)
            self._look_at = min(self._look_at, asyncio.get_running_loop().time() + LOOK_EVERY)

    async def _together(self, notices: list[Notice], whose: Identity) -> list[Notice]:
        """Return what is to be told of ``notices`` where those of the person's are told as one."""
        names = set(map(str, self._conversations))
        own = [each for each in notices if each.conversation in names]
        return [*own, await _count(whose, "change")]

    async def _listening(self) -> Listener:
        if self._listener is None:
            listener = await get_hub().notices.listen()
            self._listener = self._listener or listener
        return self._listener

    def _admit(self, name: str, names: dict[str, UUID | None], found: dict[UUID, Any]) -> Notice | LingError:
        conversation = names[name]
        if conversation is None:
            return NotFound(f"there is no conversation {name[:60]!r}")
        row = found[conversation]
        if isinstance(row, LingError):
            return row
        if conversation not in self._conversations and len(self._conversations) >= MOST_ATTACHED:
            return UsageError(
                f"this connection is attached to {MOST_ATTACHED} conversations", code="too-many"
            )
        if conversation not in self._conversations:
            self._conversations.add(conversation)
            self._new.append(row)
        return Notice(str(conversation), row.seq, "attached")


def seq_in(data: Mapping[str, Any]) -> int | None:
    """Return the number of changes that a client says it knows, ``None`` where it says none.

    :raises UsageError: something else.
    """
    seq = data.get("seq")
    if seq is not None and not (type(seq) is int and 0 <= seq < _LARGEST):
        raise UsageError(f"expected seq to be a number of changes, got {seq!r:.80}")
    return seq


def not_attached(conversation: str | None, error: LingError) -> dict[str, Any]:
    """Return the message that a connection is not attached to a conversation; ``None`` for all of them."""
    return {"conversation": conversation, "error": told(error)}


def attach_failed(error: Exception) -> str:
    """Log what a connection failed with; return what its client is told."""
    logger.warning("a connection hears of no more conversations: %r", error)
    fault = LingError("conversations cannot be heard of at the moment; attach again", retryable=True)
    return dumps(not_attached(None, fault)).decode()


async def _count(whose: Identity, kind: Kind) -> Notice:
    return Notice(None, await in_database(changes_of, whose), kind)


def _later(notice: Notice, heard: dict[str | None, int | None]) -> Notice:
    """``notice``, with what has happened while the database was asked."""
    return notice._replace(seq=max(notice.seq or 0, heard.get(notice.conversation) or 0))


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
