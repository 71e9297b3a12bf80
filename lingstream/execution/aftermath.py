"""What is done once a run of a conversation has ended, by who is concerned with conversations.

They stand above this room, and say so here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from lingstream.models import Run

from .away import AWAY

__all__ = ["conversation_run_ended", "look_after"]

logger = logging.getLogger("lingstream")

#: Called with the run's id, in a thread that may use the ORM; returns runs that it has queued.
LookAfter = Callable[[UUID], list[Run]]

_told: list[LookAfter] = []


def look_after(function: LookAfter) -> LookAfter:
    """Have ``function`` called after the end of each run of a conversation; what it raises is logged."""
    if function not in _told:
        _told.append(function)
    return function


def conversation_run_ended(run: UUID) -> list[Run]:
    """Tell of an end; return what has been queued because of it."""
    queued: list[Run] = []
    for function in _told:
        try:
            queued += function(run)
        except AWAY:
            raise
        except Exception:
            logger.exception("what follows the end of run %s has failed", run)
    return queued
