"""In which order rows are locked, so that nobody waits in a circle.

1. Conversations come before runs, and runs before what hangs on them: bot runs, feedback, attachments.
2. Several of a kind are locked by one query, in the order of their keys, before one of them is changed.
3. What the database locks by itself counts. Deleting a run empties ``Conversation.leaf``, and the ``parent``
   of those behind it; storing one holds its parent's key. Who does either holds the conversation.
4. Who passes over what is locked (``skip``) waits for nobody. Who holds a lock waits for nothing but locks.
5. A process that stands still keeps no lock, or what is taken from it could not be gone on with: a thread
   that has called :func:`expire` loses its transaction when it is silent in one, where the database can do
   that (PostgreSQL). It finds its connection closed, and tries again.
6. A name (:func:`alone`) comes last, and nothing is locked behind it.

===================================  ==============================  =======================================
who                                  conversations                   then
===================================  ==============================  =======================================
``start.create_run``                 ``turns.lock``: its own         stores the run, interrupts open ones;
                                                                     the name of whom it is counted for
``openings.speak``                   ``turns.lock``: its own         stores the run
``schedules``                        20 at a time, by ``speak``      stores the runs; in one transaction
``execution.schedules``              ``turns.hold``: its own         the schedule, stores the run
``presence``                         ``turns.hold``: its own         its presence
``ownership.request_cancel``         ``turns.hold``: the run's       the run
``ownership.claim``                  none                            runs, ``skip``
``ownership.lose``                   ``turns.hold``: the run's       the run
``journal.store``                    ``turns.hold``: where runs end  the runs, then bot runs
``retention.delete_batch``           ``turns.hold``, ``skip``        the runs with those behind them
``retention``, all else; the admin   ``turns.hold``                  the runs with those behind them
``claims.claim``                     the visitor's                   the visitor's runs, feedback, files
``opinions.give_feedback``           ``turns.touch``: the run's      its feedback
``changing``, ``chores``             ``turns.lock``: its own         none
``knowledge.staleness``              ``turns.hold``: who cite        none; the documents are committed
===================================  ==============================  =======================================

A site that starts or cancels runs of several conversations in one transaction of its own chooses the order.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TypeVar

from django.db import connections, router
from django.db.models import BooleanField, Func, Model, QuerySet, Value

__all__ = ["alone", "expire", "free", "locked", "silence"]

M = TypeVar("M", bound=Model)


class _Thread(threading.local):
    silence: float | None = None


_thread = _Thread()


def expire(silence: float) -> None:
    """Let locks that this thread takes from now on end with their transaction if it is silent in it.

    :param silence: seconds.
    """
    _thread.silence = silence


def silence() -> float | None:
    """Return what :func:`expire` was told in this thread: a query that locks says so, too."""
    return _thread.silence


class _Expires(Func):
    """Bounds the silence in this transaction, and is true.

    A condition of the query that locks, and not a statement of its own: there are thousands of those. Not of
    the session either: behind a pooler the next one in it may be a view that waits for something in peace.
    """

    template = "(set_config('idle_in_transaction_session_timeout', %(expressions)s, true) IS NOT NULL)"
    output_field = BooleanField()


def alone(model: type[Model], name: str) -> None:
    """Wait until no other transaction is here by this name, and be the only one until this one ends.

    Called when it has written: on SQLite nobody else can have done that then. Of other databases only
    PostgreSQL can lock a name; what the next query does not see there, is not committed yet.

    :param model: whose database it is.
    """
    connection = connections[router.db_for_write(model)]
    if connection.vendor == "postgresql":
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def locked(rows: QuerySet[M], *, skip: bool = False, whole: bool = False) -> QuerySet[M]:
    """Return the query with its rows locked, as far as the database can; SQLite locks no rows.

    :param skip: pass over rows that somebody else has locked.
    :param whole: rows that will be deleted; else others may refer to them meanwhile.
    """
    connection = connections[router.db_for_write(rows.model)]
    features = connection.features
    if _thread.silence is not None and connection.vendor == "postgresql":
        rows = rows.filter(_Expires(Value(f"{_thread.silence * 1000:.0f}")))
    return rows.select_for_update(
        of=("self",) if features.has_select_for_update_of else (),
        skip_locked=skip and features.has_select_for_update_skip_locked,
        no_key=features.has_select_for_no_key_update and not whole,
    )


def free(rows: QuerySet[M]) -> QuerySet[M]:
    """Return those of the rows that nobody else has locked, to be changed in the same transaction.

    Of a database that cannot pass over rows it is all of them.
    """
    if not connections[router.db_for_write(rows.model)].features.has_select_for_update_skip_locked:
        return rows
    return rows.model._default_manager.filter(pk__in=locked(rows, skip=True).values("pk"))
