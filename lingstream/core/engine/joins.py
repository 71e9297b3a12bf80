"""Which step runs have led to which, so that something can start when all of them have ended.

A step run *joins* when it has finished and all that it led to, directly or through others, has ended in
whatever way. What starts at a join is led to by nobody: else the join would wait for what it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .events import Field
from .plan import JOINED
from .rendering import Candidate
from .step import StepRun

__all__ = ["Joins"]


@dataclass(slots=True)
class _Family:
    """A step run, and what it led to.

    :param open: runs that have not ended, and starts that wait for their texts.
    """

    run: StepRun
    cause: _Family | None
    led_to: list[StepRun] = field(default_factory=list)
    open: int = 0
    joined: bool = False

    def ancestors(self) -> Iterator[_Family]:
        """What led to it, the nearest first."""
        above = self.cause
        while above:
            yield above
            above = above.cause


class Joins:
    """The families of one run.

    :param fire: told of each step run that joins, with the names that templates may use then.
    :param prefix: how many characters the names of steps have more than in their workflow.
    """

    def __init__(
        self, fire: Callable[[StepRun, str, Field, Mapping[str, Any]], None], prefix: int = 0
    ) -> None:
        self._fire = fire
        self._prefix = prefix
        self._families: dict[str, _Family] = {}

    def begin(self, run: StepRun, cause: StepRun | None) -> None:
        """``cause`` has led to ``run``; ``None``: nobody has."""
        family = self._families[run.id] = _Family(run, self._families[cause.id] if cause else None)
        for above in family.ancestors():
            above.led_to.append(run)
            above.open += 1

    def expect(self, source: StepRun, starts: Sequence[Candidate], times: int = 1) -> None:
        """``source`` may lead to something that is not decided on yet; −1: it has been decided on."""
        waiting = sum(not start.after_all for start in starts) * times
        family = self._families[source.id]
        for each in (family, *family.ancestors()):
            each.open += waiting
            self._look(each)

    def end(self, run: StepRun) -> None:
        """A step run has ended, and has started what it starts."""
        family = self._families[run.id]
        self._look(family)
        for above in family.ancestors():
            above.open -= 1
            self._look(above)

    def _look(self, family: _Family) -> None:
        run = family.run
        if family.joined or family.open or run.status != "finished":
            return
        led_to = [each for each in family.led_to if not each.withdrawn]
        if any(each.status == "canceled" for each in led_to):
            return  # the run is being stopped, and nothing starts any more
        family.joined = True
        value = [
            {"step": each.plan.name[self._prefix :], "root": each.root, "status": each.status}
            for each in led_to
        ]
        failed = sum(each.status == "failed" for each in led_to)
        self._fire(run, JOINED, Field(run.root, value), {"failed": failed})
