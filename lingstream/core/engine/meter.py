"""What a run may spend: asked before it is spent, and told what it was."""

from __future__ import annotations

from typing import Protocol

from lingstream.core.exceptions import LimitExceeded
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Usage

from .journal import Call
from .plan import Limits, StepPlan

__all__ = ["LimitsMeter", "Meter"]


class Meter(Protocol):
    """The port. What it raises as :class:`LimitExceeded` ends the run; run limits are its default."""

    def begin(self, plan: StepPlan, depth: int) -> None:
        """A step is about to start.

        :param depth: how many triggers led to it.
        :raises LimitExceeded: the run may not start it.
        """

    def charge(self, characters: int) -> None:
        """A step wrote so many characters; called for each piece, so it must not wait.

        :raises LimitExceeded: the run has had its share.
        """

    async def reserve(self, call: Call) -> None:
        """A call is about to be made, of a model or of what another kind asks; not one that is played back.

        :raises LimitExceeded: it may not be.
        """

    def settle(self, call: Call, usage: Usage) -> None:
        """The call has ended, however it did; ``usage`` may be estimated."""


class LimitsMeter:
    """The bounds of one run.

    :param limits: of its workflow.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._steps = 0
        self._characters = 0

    def begin(self, plan: StepPlan, depth: int) -> None:
        """See :meth:`Meter.begin`."""
        if depth > self._limits.depth:
            raise LimitExceeded(
                Phrase(
                    "more than %(most)s triggers followed from one another: %(step)s",
                    most=self._limits.depth,
                    step=plan.name,
                )
            )
        if self._steps >= self._limits.bots:
            raise LimitExceeded(Phrase("the run started more than %(most)s bots", most=self._limits.bots))
        self._steps += 1

    def charge(self, characters: int) -> None:
        """See :meth:`Meter.charge`."""
        self._characters += characters
        if self._characters > self._limits.characters:
            raise LimitExceeded(
                Phrase("the run's bots wrote more than %(most)s characters", most=self._limits.characters)
            )

    async def reserve(self, call: Call) -> None:
        """See :meth:`Meter.reserve`: a run's own limits are asked when a step begins."""

    def settle(self, call: Call, usage: Usage) -> None:
        """See :meth:`Meter.settle`."""
