"""In which order rows are locked, so that nobody waits in a circle.

1. Conversations come before runs, and runs before what hangs on them: bot runs, feedback, attachments.
2. Several of a kind are locked by one query, in the order of their keys, before one of them is changed.
3. What the database locks by itself counts. Deleting a run empties ``Conversation.leaf``, and the ``parent``
   of those behind it; storing one holds its parent's key. Who does either holds the conversation.
4. Who passes over what is locked (``skip``) waits for nobody. Who holds a lock waits for nothing but locks.

===================================  ==============================  =======================================
who                                  conversations                   then
===================================  ==============================  =======================================
``start.create_run``                 ``turns.lock``: its own         stores the run, interrupts open ones
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
===================================  ==============================  =======================================

A site that starts or cancels runs of several conversations in one transaction of its own chooses the order.
"""

from __future__ import annotations

from typing import TypeVar

from django.db import connections, router
from django.db.models import Model, QuerySet

__all__ = ["locked"]

M = TypeVar("M", bound=Model)


def locked(rows: QuerySet[M], *, skip: bool = False, whole: bool = False) -> QuerySet[M]:
    """Return the query with its rows locked, as far as the database can; SQLite locks no rows.

    :param skip: pass over rows that somebody else has locked.
    :param whole: rows that will be deleted; else others may refer to them meanwhile.
    """
    features = connections[router.db_for_write(rows.model)].features
    return rows.select_for_update(
        of=("self",) if features.has_select_for_update_of else (),
        skip_locked=skip and features.has_select_for_update_skip_locked,
        no_key=features.has_select_for_no_key_update and not whole,
    )
