"""Who owns a run: decided by the database and by nothing else.

A run is owned by the runner in its row, under the epoch in its row. Taking one is a single conditional UPDATE
that adds one to the epoch, so of two runners that want it exactly one gets it, and what the loser goes on
writing is fenced by its old epoch. Time is the database's, because clocks of machines differ.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Greatest, Now

from .core.exceptions import LingError
from .models import Conversation, Run, Runner

__all__ = [
    "adopt",
    "cancel_requests",
    "claim",
    "claimable",
    "heartbeat",
    "interrupt",
    "is_busy",
    "lose",
    "orphans",
    "owned",
    "register",
    "release",
    "request_cancel",
    "sign_off",
]

OPEN = (Run.Status.QUEUED, Run.Status.RUNNING)

_ENDED = [status for status in Run.Status if status not in OPEN]
_FORGOTTEN = timedelta(days=1)  # after which the row of a silent process is deleted
_LAST_WORDS = timedelta(seconds=10)  # before its last heartbeat in which a process may have ended a run


def register(runner_id: UUID, kind: str) -> None:
    """Store this process's row, or revive it; rows of processes that are long gone are deleted."""
    Runner.objects.filter(heartbeat_at__lt=Now() - _FORGOTTEN).delete()
    fields = {"kind": kind, "hostname": socket.gethostname(), "pid": os.getpid(), "stopped_at": None}
    Runner.objects.update_or_create(pk=runner_id, defaults={**fields, "heartbeat_at": Now()})


def heartbeat(runner_id: UUID) -> bool:
    """Say that this process lives; return whether its row is still there."""
    return bool(Runner.objects.filter(pk=runner_id).update(heartbeat_at=Now()))


def sign_off(runner_id: UUID) -> None:
    """This process stops; what it still owned may be taken at once, and no attempt is counted for it."""
    mine = Run.objects.filter(runner_id=runner_id, status=Run.Status.RUNNING)
    mine.update(runner=None, attempts=Greatest(F("attempts"), 1) - 1)
    Runner.objects.filter(pk=runner_id).update(stopped_at=Now())


def claimable(dead_after: float, *, attempts: int) -> QuerySet[Run]:
    """Runs that wait for an owner, oldest first: queued ones, and those whose runner is silent.

    A run of a conversation waits until the earlier ones of that conversation have ended.

    :param dead_after: seconds without a heartbeat after which a runner is dead.
    :param attempts: executions that a run gets in all.
    """
    return _unowned(dead_after).filter(attempts__lt=attempts).filter(~_earlier_open()).order_by("created_at")


def claim(runner_id: UUID, dead_after: float, *, attempts: int, most: int) -> list[Run]:
    """Take up to ``most`` runs for a runner and return them as they are now."""
    taken: list[Run] = []
    candidates = claimable(dead_after, attempts=attempts).values_list("pk", "epoch")[:most]
    for pk, epoch in list(candidates):
        # The UPDATE asks the condition once more, of its own row and not in a subquery of runs: PostgreSQL
        # asks it again of a row that has changed meanwhile, but never looks up a subquery anew.
        changed = (
            _unowned(dead_after)
            .filter(pk=pk, epoch=epoch)
            .update(
                status=Run.Status.RUNNING,
                epoch=F("epoch") + 1,
                attempts=F("attempts") + 1,
                runner_id=runner_id,
                started_at=Coalesce("started_at", Now()),
            )
        )
        if changed:
            taken.append(Run.objects.get(pk=pk))
    return taken


def lose(runner_id: UUID, dead_after: float, *, attempts: int) -> list[Run]:
    """Give up runs that have had all their executions; return them, owned by ``runner_id`` to say so."""
    lost: list[Run] = []
    error = LingError(f"the run was executed {attempts} times, and each time its process died", code="lost")
    for run in _unowned(dead_after).filter(attempts__gte=attempts, status=Run.Status.RUNNING):
        changed = (
            _unowned(dead_after)
            .filter(pk=run.pk, epoch=run.epoch, status=Run.Status.RUNNING)
            .update(
                status=Run.Status.LOST,
                epoch=F("epoch") + 1,
                runner_id=runner_id,
                errors=[error.to_wire()],
                log_id=f"{run.epoch + 1}-3",
                finished_at=Now(),
            )
        )
        if changed:
            lost.append(Run.objects.get(pk=run.pk))
    return lost


def owned(runner_id: UUID) -> dict[str, int]:
    """Return the runs that the database says this runner executes, with their epochs."""
    mine = Run.objects.filter(runner_id=runner_id, status=Run.Status.RUNNING)
    return {str(pk): epoch for pk, epoch in mine.values_list("pk", "epoch")}


def release(runner_id: UUID, runs: Iterable[str]) -> None:
    """Give up runs of this runner that it does not execute, for anybody to take."""
    for run in runs:
        Run.objects.filter(pk=run, runner_id=runner_id, status=Run.Status.RUNNING).update(runner=None)


def orphans(dead_after: float, *, within: float) -> list[Run]:
    """Return runs that have ended and whose log may not say so, because nobody lived to write it.

    That is: a run that was cancelled before anybody owned it, and one whose process died about when it ended.

    :param within: seconds since the end for which there may be viewers of the log.
    """
    since = Now() - timedelta(seconds=dead_after)
    silent = Q(runner__heartbeat_at__lt=since) | Q(runner__stopped_at__isnull=False)
    last_words = Q(finished_at__gte=F("runner__heartbeat_at") - _LAST_WORDS)
    ended = Run.objects.filter(status__in=_ENDED, finished_at__gte=Now() - timedelta(seconds=within))
    return list(ended.filter(Q(runner=None) | (silent & last_words)))


def adopt(run: Run, runner_id: UUID, *, epoch: bool) -> bool:
    """Make ``runner_id`` the one that writes the end of an orphan; return whether it is.

    :param epoch: in an epoch of its own, snapshot and ``done``; else there is nothing to write.
    """
    more = {"epoch": run.epoch + 1, "log_id": f"{run.epoch + 1}-2"} if epoch else {}
    mine = Run.objects.filter(Q(runner_id=run.runner_id), pk=run.pk, epoch=run.epoch)  # None: nobody's
    return bool(mine.update(runner_id=runner_id, **more))


def request_cancel(run: Run) -> bool:
    """Ask the run's owner to stop it; one that nobody owns yet ends at once, and then this returns true.

    Then it is an orphan, see :func:`orphans`.
    """
    now = Now()
    ended = Run.objects.filter(pk=run.pk, status=Run.Status.QUEUED).update(
        status=Run.Status.CANCELED, cancel_requested_at=now, finished_at=now
    )
    Run.objects.filter(pk=run.pk, status=Run.Status.RUNNING).update(cancel_requested_at=now)
    return bool(ended)


def cancel_requests(runner_id: UUID) -> list[str]:
    """Return the runs of this runner that somebody wants stopped."""
    wanted = Run.objects.filter(
        runner_id=runner_id, status=Run.Status.RUNNING, cancel_requested_at__isnull=False
    )
    return [str(pk) for pk in wanted.values_list("pk", flat=True)]


def is_busy(conversation: Conversation) -> bool:
    """Whether a run of the conversation has not ended."""
    return Run.objects.filter(conversation=conversation, status__in=OPEN).exists()


def interrupt(conversation: Conversation) -> list[Run]:
    """Ask for the end of what runs in the conversation; return those runs."""
    runs = list(Run.objects.filter(conversation=conversation, status__in=OPEN))
    for run in runs:
        request_cancel(run)
    return runs


def _unowned(dead_after: float) -> QuerySet[Run]:
    since = Now() - timedelta(seconds=dead_after)
    alive = Runner.objects.filter(pk=OuterRef("runner_id"), heartbeat_at__gte=since, stopped_at=None)
    return Run.objects.filter(Q(status=Run.Status.QUEUED) | Q(Q(status=Run.Status.RUNNING), ~Exists(alive)))


def _earlier_open() -> Any:
    return Exists(
        Run.objects.filter(
            conversation_id=OuterRef("conversation_id"),
            conversation_id__isnull=False,
            created_at__lt=OuterRef("created_at"),
            status__in=OPEN,
        )
    )
