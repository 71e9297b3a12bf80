"""What is deleted: runs that have been kept for long enough, and all that is a person's.

Deleting goes in batches, each one short transaction: no lock is held for long, and a process that dies in
between has done the batches before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.db.models import Exists, OuterRef, Q, QuerySet

from lingstream.conf import app_settings
from lingstream.conversations import turns
from lingstream.hubs import get_hub
from lingstream.models import OPEN, Attachment, Conversation, Feedback, Run, Schedule, Workflow
from lingstream.models.clock import Now
from lingstream.models.locks import locked
from lingstream.models.seldom import Seldom

from .ownership import atomically, request_cancel
from .storage import in_database

__all__ = [
    "BATCH",
    "Pruning",
    "aerase",
    "aforget",
    "delete_batch",
    "delete_conversations",
    "delete_runs",
    "erase",
    "expired",
    "prune",
    "sweep",
]

logger = logging.getLogger("lingstream")

#: Runs in one transaction. With ten bots each that is some ten thousand index entries.
BATCH = 500
_PATIENCE = 15.0  # seconds that running runs get to end
_WAITS_FOR = timedelta(days=1)  # after which a file that was uploaded has no message to come
_TRIALS_FOR = timedelta(days=1)  # after their start, whatever their workflow says
_EMPTY_FOR = timedelta(days=1)  # after which nobody will start the first run of a conversation


class Pruning:
    """What the timer deletes: a batch each minute, or at each beat while there is more."""

    every = 60.0

    def find(self, most: int) -> list[int]:
        """See :class:`Due`; which rows those are is asked as they are locked."""
        return [BATCH]

    def take(self, found: int) -> bool:
        """See :class:`Due`."""
        return prune(found) == found


def prune(limit: int = BATCH) -> int:
    """Delete runs that have ended and been kept for as long as their workflow says; return how many.

    One batch: at most ``limit`` of them, with their bot runs, and the conversations that have no other run.
    Many processes may do it at the same time. A workflow without ``retention_days`` keeps its runs. Files go
    too that have waited a day for their message, and trials that were begun a day ago.
    """
    for file in Attachment.objects.filter(run=None, created_at__lt=Now() - _WAITS_FOR)[:limit]:
        file.delete()
    left = min(limit, BATCH)
    for runs in expired():
        if left > 0:
            left -= delete_batch(runs, left)
    return min(limit, BATCH) - left


def expired(days: int | None = None, workflows: list[str] | None = None) -> Iterator[QuerySet[Run]]:
    """Return the runs that may go, one query for each period and workflow, one for deleted conversations, one
    for trials.

    :param days: since their end, in place of what the workflows say, and for those that say nothing.
    :param workflows: slugs, of those in Python too; all unless given.
    """
    if days is not None:
        # One for each workflow: of two at once SQLite would read all that ended before, after ANALYZE.
        given = [Q()] if workflows is None else [Q(workflow=slug) for slug in workflows]
        yield from (_ended(days).filter(chosen) for chosen in given)
        return
    if workflows is None:
        # Not by a join, in an order: SQLite would look up the conversation of each run that there is.
        gone = Conversation.objects.filter(deleted_at__isnull=False).order_by()
        yield Run.objects.filter(Seldom(Q(conversation__in=gone))).exclude(status__in=OPEN).order_by()
        yield _old_trials()
    rows = Workflow.objects.exclude(retention_days=None)
    if workflows is not None:
        rows = rows.filter(slug__in=workflows)
    for slug, kept in rows.values_list("slug", "retention_days"):
        if kept is not None:
            yield _ended(kept).filter(workflow=slug)


def delete_batch(runs: QuerySet[Run], limit: int = BATCH) -> int:
    """Delete up to ``limit`` of ``runs``, and the conversations that have no other; return how many runs.

    Conversations that somebody is at are left for the next time; pages that show the others hear of it.
    """
    with atomically():
        chosen = dict(runs.values_list("pk", "conversation_id")[:limit])
        held = {talk.pk: talk for talk in turns.hold(_talks(chosen), skip=True)}
        deleted = _delete_held([pk for pk, talk in chosen.items() if talk is None or talk in held])
        gone = _forget(held)
        turns.touch(talk for pk, talk in held.items() if pk not in gone)
    return deleted


def delete_runs(runs: QuerySet[Run]) -> int:
    """Delete all of ``runs``, in one transaction; return how many. What still runs is fenced."""
    with atomically():
        chosen = dict(runs.values_list("pk", "conversation_id"))
        held = turns.hold(_talks(chosen))
        deleted = _delete_held(chosen)
        turns.touch(held)
    return deleted


def delete_conversations(conversations: QuerySet[Conversation]) -> list[UUID]:
    """Delete conversations with their runs, in one transaction; return those. What still runs is fenced.

    Pages that show them hear of it.
    """
    with atomically():
        found = turns.hold(list(conversations.values_list("pk", flat=True)), whole=True)
        held = [talk.pk for talk in found]
        runs = list(Run.objects.filter(conversation__in=held).values_list("pk", flat=True))
        _delete_held(runs)
        turns.touch(found, "remove")
        Conversation.objects.filter(pk__in=held).delete()
    return runs


def sweep(limit: int = BATCH) -> int:
    """Delete conversations in which nothing was ever started or is left; return how many.

    Those that their owners have deleted go at once.

    It looks at all conversations, so it is for a command and not for every look.
    """
    empty = ~Exists(Run.objects.filter(conversation_id=OuterRef("pk")))
    gone = Q(deleted_at__isnull=False) | Q(updated_at__lt=Now() - _EMPTY_FOR)
    old = Conversation.objects.filter(empty, gone)
    return len(_forget(set(old.values_list("pk", flat=True)[:limit])))


def erase(user: Any) -> int:
    """As :func:`aerase`, for code that is not async."""
    return async_to_sync(aerase)(user)


async def aerase(user: Any) -> int:
    """Delete all that ``user`` asked and was told, and return how many runs that were.

    Schedules go first, and what runs is cancelled and given 15 seconds to end. Then runs, their bot runs,
    conversations and the logs in the hub are deleted. The account itself is left to the caller. Not to be
    called inside a transaction, which would hide the cancel from the processes that execute the runs. A log
    that this process cannot reach (in another one's memory, in a Redis that does not answer) is forgotten
    ``LOG_TTL`` seconds after the run.
    """
    schedules = Schedule.objects.filter(Q(owner=user) | Q(conversation__owner=user))
    await in_database(schedules.delete)  # first, or one starts another run meanwhile
    await _stop(user)
    erased = 0
    while found := await in_database(_erase_batch, user):
        erased += len(found)
        for run, recent in found.items():
            if recent:
                await _drop_log(str(run))
    await in_database(_erase_conversations, user)
    return erased


async def aforget(conversation: UUID) -> None:
    """Delete a conversation, its runs, and their logs in the hub; what still runs is fenced."""
    runs = await in_database(delete_conversations, Conversation.objects.filter(pk=conversation))
    for run in runs:
        await _drop_log(str(run))


# -- runs -------------------------------------------------------------------------------------------------


def _ended(days: int) -> QuerySet[Run]:
    ended = Run.objects.filter(finished_at__lt=Now() - timedelta(days=days)).exclude(status__in=OPEN)
    return ended.order_by("finished_at")


def _old_trials() -> QuerySet[Run]:
    trials = Run.objects.filter(trial=True, created_at__lt=Now() - _TRIALS_FOR)
    return trials.exclude(status__in=OPEN).order_by("created_at")


def _talks(runs: Mapping[UUID, UUID | None]) -> set[UUID]:
    return {talk for talk in runs.values() if talk}


def _delete_held(runs: Collection[UUID]) -> int:
    """Delete runs whose conversations are held; return how many there were.

    Their bot runs go with them, by one statement, and no document is read. Those behind them are locked as
    well, because they lose their parent.
    """
    rows = Run.objects.filter(Q(pk__in=runs) | Q(parent__in=runs)).order_by("pk")
    found = set(locked(rows, whole=True).values_list("pk", flat=True)).intersection(runs)
    Run.objects.filter(pk__in=found).only("pk").delete()
    return len(found)


def _forget(conversations: Collection[UUID]) -> set[UUID]:
    """Delete those of ``conversations`` that have no run; one that is just getting one is left alone.

    :returns: those; pages that list them hear of it.
    """
    if not conversations:
        return set()
    with atomically():
        # The lock first, or a run that comes between the question and the answer would go as well.
        held = {talk.pk: talk for talk in turns.hold(conversations, skip=True, whole=True)}
        unused = ~Exists(Run.objects.filter(conversation_id=OuterRef("pk")))
        empty = set(Conversation.objects.filter(unused, pk__in=held).values_list("pk", flat=True))
        turns.touch([held[pk] for pk in empty], "remove")
        Conversation.objects.filter(pk__in=empty).delete()
    return empty


# -- a person ---------------------------------------------------------------------------------------------


def _theirs(user: Any) -> QuerySet[Run]:
    return Run.objects.filter(Q(owner=user) | Q(conversation__owner=user))


async def _stop(user: Any) -> None:
    """Cancel what runs, and wait until it has ended or nobody lives who would end it."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE
    while await in_database(_cancel, user):
        if loop.time() > until:
            logger.warning("runs of user %s did not end in time; they are deleted as they are", user.pk)
            return
        await asyncio.sleep(app_settings().tick)


def _cancel(user: Any) -> bool:
    """Ask for the end of what runs; return whether somebody alive still executes some of it."""
    for run in _theirs(user).filter(status__in=OPEN).only("pk", "conversation_id", "cause"):
        request_cancel(run)
    alive = Now() - timedelta(seconds=app_settings().dead_after)
    executed = Q(runner__heartbeat_at__gte=alive, runner__stopped_at=None)
    return _theirs(user).filter(executed, status__in=OPEN).exists()


def _erase_batch(user: Any) -> dict[UUID, bool]:
    """Delete some of a person's runs; return for each whether there may be a log of it."""
    since = Now() - timedelta(seconds=app_settings().log_ttl)
    with atomically():
        runs = dict(_theirs(user).values_list("pk", "conversation_id")[:BATCH])
        turns.hold(_talks(runs))
        recent = Q(finished_at=None) | Q(finished_at__gte=since)
        logged = set(Run.objects.filter(recent, pk__in=runs).values_list("pk", flat=True))
        _delete_held(runs)
    return {run: run in logged for run in runs}


def _erase_conversations(user: Any) -> None:
    delete_conversations(Conversation.objects.filter(owner=user))
    Feedback.objects.filter(owner=user).delete()


async def _drop_log(run: str) -> None:
    """Have the hub forget a log. It drops what it has found, and its next answer comes after the dropping."""
    hub = get_hub()
    await hub.find(run)
    hub.drop(run)
    await hub.find(run)
