"""``python -m tests.chaos.races``: threads that want the same runs at the same time."""

import django

django.setup()

import random  # noqa: E402
from collections.abc import Callable  # noqa: E402
from threading import Barrier, Thread  # noqa: E402
from uuid import UUID, uuid4  # noqa: E402

from django.db import connection, transaction  # noqa: E402

from lingstream.core.engine.run import RunResult  # noqa: E402
from lingstream.core.provider import Usage  # noqa: E402
from lingstream.execution import ownership  # noqa: E402
from lingstream.execution.journal import Write, result_of, store  # noqa: E402
from lingstream.models import Run  # noqa: E402

RUNS = 150


def race(*contestants: Callable[[], None]) -> None:
    """Start all at once."""
    start = Barrier(len(contestants))

    def enter(contestant: Callable[[], None]) -> None:
        start.wait()
        try:
            contestant()
        finally:
            connection.close()

    threads = [Thread(target=enter, args=(contestant,)) for contestant in contestants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def overtake() -> None:
    """Claim a run while its cancel is under way: the claim does not wait for it, and does not get the run."""
    run = Run.objects.create(workflow="x")
    taken: list[Run] = []
    me = uuid4()
    ownership.register(me, "worker")

    def claim() -> None:
        try:
            taken.extend(ownership.claim(me, 60, attempts=3, most=1))
        finally:
            connection.close()

    with transaction.atomic():
        ownership.request_cancel(run)
        claimer = Thread(target=claim)
        claimer.start()
        claimer.join()
    claim()
    run.refresh_from_db()
    assert (taken, run.status) == ([], "canceled")


def shuffled(runs: list[Run]) -> list[Run]:
    return random.sample(runs, len(runs))


def main() -> None:
    overtake()
    Run.objects.all().delete()
    taken: list[UUID] = []
    canceled: list[UUID] = []
    finished: list[UUID] = []

    def claim() -> None:
        me = uuid4()
        ownership.register(me, "worker")
        while rows := ownership.claim(me, 60, attempts=3, most=7):
            taken.extend(row.pk for row in rows)

    def cancel() -> None:
        canceled.extend(run.pk for run in shuffled(queued) if ownership.request_cancel(run))

    def finish() -> None:
        result = RunResult("finished", {}, Usage())
        writes = [Write(run, 1, columns=result_of(result, "1-3")) for run in shuffled(owned)]
        for first in range(0, RUNS, 5):
            batch = writes[first : first + 5]
            finished.extend(write.run.pk for write, mine in zip(batch, store(batch), strict=True) if mine)

    queued = [Run.objects.create(workflow="x") for _ in range(RUNS)]
    owned = [Run.objects.create(workflow="x", status="running", epoch=1, attempts=1) for _ in range(RUNS)]
    race(*[claim] * 4, cancel, finish)
    assert len(taken) == len(set(taken)), "a run was taken twice"
    assert set(taken).isdisjoint(canceled), "a cancelled run was taken"
    assert set(taken).isdisjoint(finished), "a finished run was taken"
    assert len(taken) + len(canceled) + len(finished) == 2 * RUNS
    ended = {"canceled": canceled, "finished": finished, "running": taken}
    for status, runs in ended.items():
        assert set(Run.objects.filter(status=status).values_list("pk", flat=True)) == set(runs), status
    print("taken", len(taken), "canceled", len(canceled), "finished", len(finished))


if __name__ == "__main__":
    main()
