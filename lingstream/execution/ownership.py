"""Who owns a run: decided by the database and by nothing else.

A run is owned by the runner in its row, under the epoch in its row. Taking one is a single conditional UPDATE
that adds one to the epoch, so of two runners that want it exactly one gets it, and what the loser goes on
writing is fenced by its old epoch. Time is the database's, because clocks of machines differ.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import router, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Greatest

from lingstream.conversations.nudges import is_hidden, plan_nudges
from lingstream.conversations.turns import hold, open_turns, touch
from lingstream.core.exceptions import LingError
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Usage
from lingstream.models import FIRST, OPEN, QUIET, BotRun, Conversation, Run, Runner, add_errors
from lingstream.models.clock import Now
from lingstream.models.locks import locked
from lingstream.models.phrases import stored_error
from lingstream.models.seldom import Seldom

from .failures import report
from .needs import learn, met
from .prices import cost_of, known_prices

__all__ = [
    "adopt",
    "anybody_executes",
    "atomically",
    "cancel_requests",
    "claim",
    "claimable",
    "forgive",
    "heartbeat",
    "hush",
    "interrupt",
    "is_busy",
    "living_web_processes",
    "lose",
    "orphans",
    "owned",
    "register",
    "release",
    "request_cancel",
    "sign_off",
    "spent",
    "taken",
]


_FORGOTTEN = timedelta(days=1)  # after which the row of a silent process is deleted, if no run names it
_LOST = 100  # runs that are given up at one look
_MOST_FORGOTTEN = 1_000  # rows at a time
_LAST_WORDS = timedelta(seconds=10)  # before its last heartbeat in which a process may have ended a run


def atomically() -> Any:
    """Return a transaction in the database that holds the runs, as a context manager."""
    return transaction.atomic(using=router.db_for_write(Run))


def register(runner_id: UUID, kind: str) -> None:
    """Store this process's row, or revive it; rows of processes that are long gone are deleted.

    One that runs still name stays until they are pruned: deleting it would change each of them, and a worker
    may have executed a million.
    """
    named = Exists(Run.objects.filter(runner_id=OuterRef("pk")))
    silent = Runner.objects.filter(~named, heartbeat_at__lt=Now() - _FORGOTTEN)
    gone = list(silent.values_list("pk", flat=True)[:_MOST_FORGOTTEN])
    if gone:
        Runner.objects.filter(~named, pk__in=gone).delete()
    fields = {"kind": kind, "hostname": socket.gethostname(), "pid": os.getpid(), "stopped_at": None}
    Runner.objects.update_or_create(pk=runner_id, defaults={**fields, "heartbeat_at": Now()})


def heartbeat(runner_id: UUID) -> bool:
    """Say that this process lives; return whether its row is still there."""
    return bool(Runner.objects.filter(pk=runner_id).update(heartbeat_at=Now()))


def living_web_processes(dead_after: float, alias: str | None = None) -> int:
    """Return how many processes that execute runs inline have said within ``dead_after`` that they live."""
    return _heard(Runner.Kind.INLINE, dead_after, alias).filter(stopped_at=None).count()


def anybody_executes(kind: str, dead_after: float, alias: str | None = None) -> bool:
    """Whether a process of this kind has said within ``dead_after`` that it lives.

    One that has signed off since counts: mostly it is being restarted, and what is queued waits for that, as
    it would if the process had been killed.
    """
    return _heard(kind, dead_after, alias).exists()


def sign_off(runner_id: UUID) -> None:
    """This process stops; what it still owned may be taken at once, and no attempt is counted for it."""
    mine = Run.objects.running().filter(runner_id=runner_id)
    mine.update(runner=None, attempts=Greatest(F("attempts"), 1) - 1)
    Runner.objects.filter(pk=runner_id).update(stopped_at=Now())


def claimable(dead_after: float, *, attempts: int, takeover: bool = True) -> QuerySet[Run]:
    """Runs that wait for an owner, oldest first: queued, handed over, or of a silent runner.

    What needs a kind of steps that this process does not know is left to others (:mod:`.needs`). A turn of a
    conversation waits until the ones with lower numbers have ended; what is no turn passes beside them.

    :param dead_after: seconds without a heartbeat after which a runner is dead.
    :param attempts: executions that a run gets in all.
    :param takeover: whether to look for silent runners.
    """
    waiting = _unowned(dead_after, takeover=takeover).filter(met(), attempts__lt=attempts)
    return waiting.filter(Q(cause__in=QUIET) | ~_earlier_open()).order_by("created_at")


def claim(
    runner_id: UUID, dead_after: float, *, attempts: int, most: int, takeover: bool = True
) -> list[Run]:
    """Take up to ``most`` runs for a runner and return them as they are now.

    Rows that another process is about to take are skipped where the database can do that; the rest of it is
    decided by the condition of the UPDATE, so a database that drops the lock without a word changes nothing.
    """
    with atomically():
        found = _waiting(dead_after, attempts, most, takeover=takeover)
        # The condition is asked once more, of the rows themselves and in a statement of its own: PostgreSQL
        # asks it again of a row that has changed meanwhile, but never looks up a subquery anew.
        changed = (
            _unowned(dead_after, takeover=takeover)
            .filter(_at_epochs(found), met())
            .update(
                status=Run.Status.RUNNING,
                epoch=F("epoch") + 1,
                attempts=F("attempts") + 1,
                runner_id=runner_id,
                started_at=Coalesce("started_at", Now()),
            )
            if found
            else 0
        )
        mine = Run.objects.running().filter(_at_epochs(found, 1), runner_id=runner_id)
        return list(mine.order_by("created_at")) if changed else []


def lose(runner_id: UUID, dead_after: float, *, attempts: int, takeover: bool = True) -> list[Run]:
    """Give up runs that have had all their executions; return them, owned by ``runner_id`` to say so."""
    lost: list[Run] = []
    error = LingError(
        Phrase("the run was executed %(times)s times, and each time its process died", times=attempts),
        code="lost",
    )
    unowned = _unowned(dead_after, takeover=takeover).filter(status=Run.Status.RUNNING)
    for run in unowned.filter(attempts__gte=attempts)[:_LOST]:
        with _ending(run) as held:
            used = spent(run)
            changed = unowned.filter(pk=run.pk, epoch=run.epoch).update(
                status=Run.Status.LOST,
                usage=used.to_wire(),
                prompt_tokens=used.prompt_tokens,
                completion_tokens=used.completion_tokens,
                cost=cost_of(run.trace, known_prices()),
                hidden=is_hidden(run, Run.Status.LOST, run.document),
                epoch=F("epoch") + 1,
                runner_id=runner_id,
                errors=[stored_error(error.to_wire())],
                error_code=error.code,
                log_id=f"{run.epoch + 1}-3",
                finished_at=Now(),
            )
            if changed:
                add_errors({run.pk: [error.to_wire()]})
                _tell_conversation(held, run)
        if changed:
            lost.append(Run.objects.get(pk=run.pk))
            report(run, Run.Status.LOST, [error.to_wire()])
    return lost


def spent(run: Run) -> Usage:
    """Return what the calls of a run have used that had come to an end, whoever executed it."""
    ended = BotRun.objects.filter(run=run, status=BotRun.Status.FINISHED)
    return sum(map(Usage.from_wire, ended.values_list("usage", flat=True)), Usage())


def owned(runner_id: UUID) -> dict[str, int]:
    """Return the runs that the database says this runner executes, with their epochs."""
    mine = Run.objects.running().filter(runner_id=runner_id)
    return {str(pk): epoch for pk, epoch in mine.values_list("pk", "epoch")}


def taken(runner_id: UUID, runs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return those of ``runs`` (id, epoch) that are not this runner's any more: another's, or deleted.

    One that this runner has just ended is still its own.
    """
    epochs = dict(runs)
    if not epochs:
        return []
    rows = Run.objects.filter(pk__in=epochs, runner_id=runner_id).values_list("pk", "epoch")
    return [*(epochs.items() - {(str(pk), epoch) for pk, epoch in rows})]


def forgive(runner_id: UUID, runs: Iterable[tuple[str, int]]) -> None:
    """Take back the attempt that was counted when ``runs`` were taken from a runner that lives after all."""
    for pk, epoch in runs:
        later = Run.objects.filter(pk=pk, epoch__gt=epoch, attempts__gt=1).exclude(runner_id=runner_id)
        later.update(attempts=F("attempts") - 1)


def release(runner_id: UUID, runs: Iterable[tuple[str, int]]) -> None:
    """Give up ``runs`` (id, epoch) of this runner that it does not execute, for anybody to take."""
    for pk, epoch in runs:
        Run.objects.running().filter(pk=pk, runner_id=runner_id, epoch=epoch).update(runner=None)


def orphans(dead_after: float, *, within: float) -> list[Run]:
    """Return runs that have ended and whose log may not say so, because nobody lived to write it.

    That is: a run that was cancelled before anybody owned it, and one whose process died about when it ended.

    :param within: seconds since the end for which there may be viewers of the log.
    """
    since = Now() - timedelta(seconds=dead_after)
    silent = Q(runner__heartbeat_at__lt=since) | Q(runner__stopped_at__isnull=False)
    last_words = Q(finished_at__gte=F("runner__heartbeat_at") - _LAST_WORDS)
    # SQLite would read all that have ended: of the indexes by status or date, if it could take one of those.
    recent = Run.objects.filter(finished_at__gte=Now() - timedelta(seconds=within)).order_by()
    return list(recent.exclude(status__in=OPEN).filter(Q(runner=None) | (silent & last_words)))


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
    with _ending(run) as held:
        ended = Run.objects.filter(pk=run.pk, status=Run.Status.QUEUED).update(
            status=Run.Status.CANCELED,
            hidden=is_hidden(run, Run.Status.CANCELED, None),
            cancel_requested_at=now,
            finished_at=now,
        )
        Run.objects.filter(pk=run.pk, status=Run.Status.RUNNING).update(cancel_requested_at=now)
        if ended:
            _tell_conversation(held, run)
    return bool(ended)


def cancel_requests(runner_id: UUID) -> list[str]:
    """Return the runs of this runner that somebody wants stopped."""
    wanted = Run.objects.running().filter(runner_id=runner_id, cancel_requested_at__isnull=False)
    return [str(pk) for pk in wanted.values_list("pk", flat=True)]


def is_busy(conversation: Conversation) -> bool:
    """Whether a turn of the conversation has not ended that the bot did not begin by itself."""
    return any(run.cause not in FIRST for run in open_turns(conversation))


def hush(conversation: Conversation) -> None:
    """Ask for the end of what the bot has begun to say by itself: the person speaks."""
    for run in open_turns(conversation):
        if run.cause in FIRST:
            request_cancel(run)


def interrupt(conversation: Conversation) -> list[Run]:
    """Ask for the end of what runs in the conversation; return those runs."""
    runs = open_turns(conversation)
    for run in runs:
        request_cancel(run)
    return runs


@contextmanager
def _ending(run: Run) -> Iterator[list[Conversation]]:
    """A transaction in which a run may end; its conversation's lock comes first, as everywhere."""
    with atomically():
        held = hold([run.conversation_id] if run.conversation_id and run.cause not in QUIET else [])
        # An UPDATE would lock it as well, and keep it locked if this process stands still: see there.
        list(locked(Run.objects.filter(pk=run.pk)).values_list("pk"))
        yield held


def _tell_conversation(held: list[Conversation], run: Run) -> None:
    touch(held, "ended", {each.pk: run.pk for each in held})
    plan_nudges([each.pk for each in held])


def _heard(kind: str, dead_after: float, alias: str | None) -> QuerySet[Runner]:
    since = Now() - timedelta(seconds=dead_after)
    return Runner.objects.using(alias).filter(kind=kind, heartbeat_at__gte=since)


def _unowned(dead_after: float, *, takeover: bool = True) -> QuerySet[Run]:
    running = Q(status=Run.Status.RUNNING)
    if takeover:
        since = Now() - timedelta(seconds=dead_after)
        alive = Runner.objects.filter(pk=OuterRef("runner_id"), heartbeat_at__gte=since, stopped_at=None)
        left = Q(running, ~Exists(alive))
    else:
        stopped = Runner.objects.filter(pk=OuterRef("runner_id"), stopped_at__isnull=False)
        left = Q(running, Q(runner_id=None) | Exists(stopped))
    return Run.objects.open().filter(Q(status=Run.Status.QUEUED) | left)


def _waiting(dead_after: float, attempts: int, most: int, *, takeover: bool) -> dict[UUID, int]:
    """Lock what this process may take, and return it with its epochs."""
    while True:
        waiting = locked(claimable(dead_after, attempts=attempts, takeover=takeover), skip=True)
        rows = list(waiting.values_list("pk", "epoch", "kinds")[:most])
        if not learn({kinds for _, _, kinds in rows}):
            return {pk: epoch for pk, epoch, *_ in rows}


def _at_epochs(runs: Mapping[UUID, int], later: int = 0) -> Q:
    found = Q(pk=None)
    for epoch in set(runs.values()):
        found |= Q(pk__in=[pk for pk, at in runs.items() if at == epoch], epoch=epoch + later)
    return found


def _earlier_open() -> Any:
    # One from before turns were numbered, or of a process from then, has the number 0.
    earlier = Q(number__lt=OuterRef("number")) | Q(
        number=OuterRef("number"), created_at__lt=OuterRef("created_at")
    )
    beside = Run.objects.filter(
        earlier,
        Seldom(Q(conversation_id=OuterRef("conversation_id"))),
        conversation_id__isnull=False,
        status__in=OPEN,
    )
    return Exists(beside.exclude(cause__in=QUIET))
