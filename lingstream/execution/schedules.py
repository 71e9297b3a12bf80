"""Schedules whose time has come: one run for each slot, whatever number of processes look."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.utils.crypto import salted_hmac

from lingstream.conversations.turns import Turn, hold
from lingstream.core.exceptions import LingError, UsageError
from lingstream.core.phrases import Phrase
from lingstream.models import Run, Schedule
from lingstream.models.clock import Now

from .away import AWAY
from .ownership import atomically
from .start import Start, begin, whose
from .timer import due

__all__ = ["Slots", "key_of"]

logger = logging.getLogger("lingstream")

_SALT = "lingstream.schedule"


class Slots:
    """What the timer does about them; see :class:`Due`."""

    every = 0.0

    def find(self, most: int) -> Sequence[Schedule]:
        """See :class:`Due`."""
        rows = Schedule.objects.filter(enabled=True, next_at__lte=Now()).order_by("next_at")
        return list(rows.select_related("owner").annotate(at=Now())[:most])

    def take(self, found: Any) -> bool:
        """Move the schedule behind now, and start its run; of all that have seen the same slot one does.

        What keeps the run from starting is told by the row, and tried again at the next slot.
        """
        with atomically():
            if found.conversation_id:
                hold([found.conversation_id])  # first, as whoever deletes both
            slot, due_at = found.following(found.at)
            row = Schedule.objects.filter(pk=found.pk)
            seen = row.filter(enabled=True, slot_at=found.slot_at, next_at=found.next_at)
            if not seen.update(slot_at=slot, next_at=due_at, last_at=Now()):
                return False
            row.update(**_started(found))
        return True


def key_of(schedule: Schedule) -> str:
    """Return what the run of a schedule's present slot is known by.

    Runs of nobody are found by their key alone, so nobody may guess it.
    """
    name = f"schedule:{schedule.pk}:{schedule.slot_at:%Y-%m-%dT%H:%M:%S%z}"
    return f"{name}:{salted_hmac(_SALT, name, algorithm='sha256').hexdigest()[:32]}"


def _started(schedule: Schedule) -> dict[str, Any]:
    """Start the run; return what the row says of it."""
    try:
        with atomically():
            return {"last_run": _start(schedule).pk, "last_error": ""}
    except AWAY:
        raise
    except LingError as error:
        logger.warning("the schedule %s starts no run of %s: %s", schedule, schedule.workflow, error.message)
        return {"last_error": error.message}
    except Exception as error:  # also a fault of ours: the row would come again before all that are due later
        logger.exception("the schedule %s starts no run of %s", schedule, schedule.workflow)
        return {"last_error": repr(error)}


def _start(schedule: Schedule) -> Run:
    talk = str(schedule.conversation_id or "")
    turn = Turn(Run.Cause.SCHEDULE) if talk else Turn()
    asked = Start(schedule.workflow, schedule.input, key_of(schedule), talk, turn)
    identity = whose(asked, schedule.owner, "", schedule.scope)
    if identity.owner_id is not None and not getattr(identity.user, "is_active", True):
        raise UsageError(Phrase("the account of its owner is switched off"))
    return begin(asked, identity)


due("runs", Slots())
