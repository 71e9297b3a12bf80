"""What the socket and the responses for many runs say alike of a run that cannot be followed."""

from __future__ import annotations

import logging
from typing import Any

from lingstream.access.faults import told
from lingstream.core.exceptions import LingError
from lingstream.core.wire.json import dumps

__all__ = ["MOST_RUNS", "lost", "refusal"]

logger = logging.getLogger("lingstream")

MOST_RUNS = 100
"""Runs that one connection may follow at the same time."""


def refusal(run: str | None, error: LingError) -> dict[str, Any]:
    """Return the message that a run is not, or no longer, followed; without an id it is none of its log.

    :param run: ``None`` where what was asked for names none.
    """
    return {"run": run, "error": told(error)}


def lost(run: str, error: Exception) -> str:
    """Log what a viewer failed with; return what its client is told."""
    logger.warning("a viewer of run %s was lost: %r", run, error)
    fault = LingError("the run cannot be followed at the moment; subscribe again", retryable=True)
    return dumps(refusal(run, fault)).decode()
