"""Where in a run a workflow is executed: on its own, or inside a step of another one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lingstream.core.document import jsonuri

from .events import Field
from .journal import Call, Occurrences
from .plan import StepPlan

if TYPE_CHECKING:
    from .step import StepRun

__all__ = ["Place"]

_LONGEST = 200  # characters of a step's name, as rows have it


@dataclass(frozen=True)
class Place:
    """The place of a workflow; what is not given is that of one on its own.

    :param prefix: of the names of its steps, where others see them.
    :param root: the absolute uri below which all of it is written.
    :param depth: how many triggers led there.
    :param numbers: the instances of each step that the run has had.
    :param calls: counts the calls of the run.
    :param ready: returns when the log of the run is open.
    :param hear: told of what settles and happens in its steps.
    :param step: the instance of the step inside which it is executed, or ``""``.
    :param begun: the step runs of the whole run, each with the absolute uri below which it writes.
    """

    prefix: str = ""
    root: str = ""
    depth: int = 0
    numbers: Counter[str] = field(default_factory=Counter)
    calls: Occurrences = field(default_factory=Occurrences)
    ready: Callable[[], Awaitable[None]] | None = None
    hear: Callable[[str, Field], None] | None = None
    step: str = ""
    begun: list[tuple[str, StepRun]] = field(default_factory=list)

    def inside(
        self,
        step: StepPlan,
        root: str,
        depth: int,
        ready: Callable[[], Awaitable[None]],
        hear: Callable[[str, Field], None],
        instance: str,
    ) -> Place:
        """Return the place inside a step of this one.

        :param step: as the whole run knows it.
        :param root: below this place's.
        :param instance: of the step.
        """
        return replace(
            self,
            prefix=f"{step.name}.",
            root=jsonuri.concat(self.root, root),
            depth=depth,
            ready=ready,
            hear=hear,
            step=instance,
        )

    def name(self, step: str) -> str:
        """Return the name of a step in the whole run; one that is too long ends in a digest."""
        name = self.prefix + step
        if len(name) <= _LONGEST:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        return f"{name[: _LONGEST - 17]}~{digest}"

    def instance(self, step: str) -> str:
        """Return the name of the next instance of a step."""
        name = self.name(step)
        self.numbers[name] += 1
        return f"{name}#{self.numbers[name]}"

    def plan(self, step: StepPlan) -> StepPlan:
        """Return a step as the whole run knows it."""
        return replace(step, name=self.name(step.name)) if self.prefix else step

    def call(
        self, instance: str, plan: StepPlan, root: str, input: Any, options: Mapping[str, Any], asked: Any
    ) -> Call:
        """See :meth:`Occurrences.call`."""
        return self.calls.call(instance, plan, jsonuri.concat(self.root, root), input, options, asked)

    def once(self, name: str, arguments: Sequence[Any]) -> Call:
        """See :meth:`Occurrences.once`."""
        return self.calls.once(self.name(name), arguments, self.root)
