"""The tabs in which this process shows conversations: who comes is greeted, and who is there is stored."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextvars import Context
from uuid import UUID

from lingstream.conversations import occasions, presence
from lingstream.execution.runner import get_runner
from lingstream.execution.storage import in_database
from lingstream.models import Conversation

__all__ = ["came", "left"]

logger = logging.getLogger("lingstream")

_LINGER = 5.0  # seconds in which a tab that goes may come again: a poll's next turn, a socket's reconnect

_tabs: Counter[UUID] = Counter()
_kept: dict[UUID, Conversation] = {}  # those whose workflows ask who is there
_timers: dict[UUID, asyncio.TimerHandle] = {}
_tasks: set[asyncio.Task[None]] = set()


async def came(conversation: Conversation) -> None:
    """A tab shows a conversation. What fails is logged: the tab goes on without."""
    name = conversation.pk
    _tabs[name] += 1
    if timer := _timers.pop(name, None):
        timer.cancel()
    try:
        if not conversation.count:
            await in_database(occasions.attached, conversation)
        if name in _kept or await in_database(presence.is_kept, conversation.workflow):
            _kept[name] = conversation
            await _keep(name)
    except Exception as error:
        logger.warning("nobody hears that a tab shows the conversation %s: %r", name, error)


def left(conversation: UUID) -> None:
    """A tab shows a conversation no more."""
    _tabs[conversation] -= 1
    if _tabs[conversation] <= 0:
        del _tabs[conversation]
    if conversation in _kept and conversation not in _timers:
        loop = asyncio.get_running_loop()
        _timers[conversation] = loop.call_later(_LINGER, _settle, conversation, context=Context())


def _settle(conversation: UUID) -> None:
    _timers.pop(conversation, None)
    task = asyncio.get_running_loop().create_task(_stay_or_go(conversation))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _stay_or_go(conversation: UUID) -> None:
    try:
        await _keep(conversation, ago=_LINGER)
    except Exception as error:  # it counts as there until this process ends
        logger.warning("nobody hears that a tab has left the conversation %s: %r", conversation, error)


async def _keep(conversation: UUID, ago: float = 0.0) -> None:
    runner = get_runner()
    await runner.ensure_registered()
    row = _kept.get(conversation)
    if row is not None:
        # The number is read where it is stored, one after the other: the newest is the last one stored.
        await in_database(lambda: presence.keep(row, runner.id, _tabs[conversation], ago))
    if not _tabs[conversation]:
        _kept.pop(conversation, None)
