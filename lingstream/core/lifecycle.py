"""The life cycle of runs and of step runs: one table for each.

Rows, frames, ownership and the bundled client have these words and no others, and go from one to another only
along these lines. Who changes a status asks :func:`advance`, who reads of a change :func:`follows`; the tests
check the others against the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias, cast, get_args

__all__ = ["RUN", "STEP", "RunStatus", "StepStatus", "advance", "ended", "follows"]

RunStatus: TypeAlias = Literal["queued", "running", "finished", "failed", "canceled", "lost"]
StepStatus: TypeAlias = Literal["waiting", "running", "inferred", "finished", "failed", "canceled"]

RUN: Mapping[RunStatus, frozenset[RunStatus]] = MappingProxyType(
    {
        "queued": frozenset({"running", "canceled"}),
        # To itself: a later epoch, at another owner or after a drain. To lost: no owner is left to try.
        "running": frozenset({"running", "finished", "failed", "canceled", "lost"}),
        "finished": frozenset(),
        "failed": frozenset(),
        "canceled": frozenset(),
        "lost": frozenset(),
    }
)

STEP: Mapping[StepStatus, frozenset[StepStatus]] = MappingProxyType(
    {
        # To failed: a template or a limit that lets it not begin.
        "waiting": frozenset({"running", "failed", "canceled"}),
        # Inferred: all is said, and not yet all in the log; rows know only how it ended.
        "running": frozenset({"inferred", "finished", "failed", "canceled"}),
        "inferred": frozenset({"finished", "failed", "canceled"}),
        "finished": frozenset(),
        "failed": frozenset(),
        "canceled": frozenset(),
    }
)

_WORDS = frozenset({*get_args(RunStatus), *get_args(StepStatus)})


def advance(now: StepStatus, to: StepStatus) -> StepStatus:
    """Return ``to``, which a step run may become from ``now``.

    :raises AssertionError: it may not; a fault of the engine, not of anything that is put into it.
    """
    if not follows(now, to):
        raise AssertionError(
            f"a step run that is {now} becomes {' or '.join(sorted(STEP[now])) or 'nothing'}, not {to}"
        )
    return to


def follows(now: str, to: str) -> bool:
    """Whether a step run that is ``now`` may become ``to``; from a status that is not known leads no line."""
    return to in STEP.get(cast("StepStatus", now), ())


def ended(status: str) -> bool:
    """Whether nothing follows this status of a run or a step run.

    :raises ValueError: no such status.
    """
    if status not in _WORDS:
        raise ValueError(f"expected one of {', '.join(sorted(_WORDS))}, got {status!r}")
    return status not in ("queued", "waiting", "running", "inferred")
