"""Who hears what runs do: logs, metrics and traces hang here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from lingstream.core.exceptions import LingError
from lingstream.core.provider import Usage

from .plan import StepPlan

__all__ = ["Observer", "Observers", "RunInfo", "StepInfo"]

logger = logging.getLogger("lingstream")


class RunInfo(NamedTuple):
    """Which run.

    :param id: of its row; ``""`` for a run without one.
    :param epoch: which execution of it, from 1.
    :param trial: staff tried something: it counts nowhere.
    """

    id: str = ""
    workflow: str = ""
    epoch: int = 1
    trial: bool = False


class StepInfo(Protocol):
    """What there is to see of a step run."""

    id: str
    plan: StepPlan
    error: LingError | None

    @property
    def status(self) -> str:
        """Where in its life it is; see :mod:`lingstream.core.lifecycle`."""
        ...

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        ...


class Observer:
    """The port: a subclass overrides what it wants to hear.

    It is called on the event loop, at the moment in which it happens, and must not wait. What it raises is
    logged, and changes nothing. A step run that is played back after a crash starts and ends anew; its
    ``first_chunk`` comes only from a model.
    """

    def run_started(self, run: RunInfo) -> None:
        """An execution of a run begins."""

    def run_ended(self, run: RunInfo, status: str) -> None:
        """It is over, and the log is about to say so; not for one that goes on elsewhere."""

    def step_started(self, run: RunInfo, step: StepInfo) -> None:
        """A step run is at work."""

    def first_chunk(self, run: RunInfo, step: StepInfo) -> None:
        """Its model has begun to answer."""

    def step_ended(self, run: RunInfo, step: StepInfo) -> None:
        """A step run has ended; its ``status``, ``usage`` and ``error`` say how."""

    def provider_error(self, run: RunInfo, step: StepInfo, error: Exception) -> None:
        """Its provider failed; ``step_ended`` follows."""

    def claimed(self, run_id: str, epoch: int) -> None:
        """This process has taken a run from the database; ``epoch`` > 1: from another, or after a drain."""

    def viewer_opened(self, run_id: str) -> None:
        """Somebody follows a run."""

    def viewer_closed(self, run_id: str, seconds: float) -> None:
        """And does not any more, after so many seconds."""


class Observers:
    """Tells all of them; one that fails keeps nobody else from hearing.

    :param observers: in the order in which they are told.
    """

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def tell(self, event: str, *about: object) -> None:
        """Call the method ``event`` of each observer."""
        for observer in self._observers:
            try:
                getattr(observer, event)(*about)
            except Exception:
                logger.exception("the observer %s failed", type(observer).__name__)
