"""Steps are started here: those that nothing waits for at the beginning, the others as fields settle.

1. A trigger that matches starts its target in the same turn of the loop, unless its templates take long:
   those are rendered in a thread.
2. What one source starts begins in the order in which it was started, however long templates take.
3. An instance has its number before rendering leaves the loop, so that numbers do not depend on threads.
4. What is started by a field is withdrawn, with all that it led to, when the field settles again or is gone:
   a model that says a key twice, or takes back a draft, means what it said last.
5. Triggers with ``otherwise`` are decided on together with the others of the same event and uri.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from lingstream.core import templates
from lingstream.core.document import jsonuri
from lingstream.core.provider import Message

from .bot import Bot, Deferred
from .events import ENDED, FIELD_EVENTS, REPLACED, Field
from .joins import Joins
from .place import Place
from .plan import JOINED, Plan, StepPlan, TriggerPlan
from .rendering import Candidate, Rendered, Stamp, frozen, rendered
from .step import StepRun
from .trace import Origin
from .withdrawing import Begun, Start

__all__ = ["Starter", "Triggers"]


class Starter(Protocol):
    """What makes the step runs."""

    stamp: Stamp

    def context(self, field: Field) -> dict[str, Any]:
        """The names that templates may use."""
        ...

    def new_step(
        self, plan: StepPlan, instance: str, root: str, depth: int, told: Sequence[Message] | Deferred = ()
    ) -> StepRun:
        """Make one.

        :param told: the messages of a bot's prompt.
        :raises LimitExceeded: too many steps, or too many triggers in a row.
        """
        ...

    def spawn(self, work: Awaitable[None]) -> None:
        """Do something beside the rest."""


@dataclass(slots=True, eq=False)
class _Late:
    """Starts that wait for their texts, or for those before them."""

    instances: Sequence[tuple[Candidate, str]]
    uri: str
    texts: Callable[[], Sequence[Rendered | None]]
    withdrawn: bool = False

    def withdraw(self) -> None:
        """Let them not begin."""
        self.withdrawn = True


class Triggers:
    """The steps of one run.

    :param plan: with its triggers.
    :param starter: the run.
    :param place: where in the run they are.
    """

    def __init__(self, plan: Plan, starter: Starter, place: Place) -> None:
        self._plan = plan
        self._starter = starter
        self._place = place
        self._late: dict[str, deque[_Late]] = {}  # by what started them
        self._begun = Begun()
        self._waiting: dict[tuple[str, str], list[TriggerPlan]] = {}
        for trigger in plan.triggers:
            self._waiting.setdefault((place.name(trigger.source), trigger.event), []).append(trigger)
        joined = any(trigger.event == JOINED for trigger in plan.triggers)
        self._joins = Joins(self.fire, len(place.prefix)) if joined else None

    @property
    def rendering(self) -> bool:
        """Whether a start waits for templates that are rendered in a thread."""
        return bool(self._late)

    def begin(self, input: Any) -> None:
        """Start what nothing waits for."""
        for step in self._plan.entry_steps:
            self._start([Candidate(step)], Field("", input), None)

    def fire(self, run: StepRun, event: str, field: Field, more: Mapping[str, Any] | None = None) -> None:
        """Start what waits for this event.

        :param more: names that templates may use beside the usual ones.
        """
        if event == ENDED and self._joins:
            self._joins.end(run)
        if event in FIELD_EVENTS or event == REPLACED:
            self._begun.replace(run.id, field)
        matching = list[Candidate]()
        for trigger in self._waiting.get((run.plan.name, event), ()):
            if field.cut and not trigger.partial:
                continue
            found = jsonuri.match(trigger.pattern, field.uri) if trigger.pattern else ()
            if found is not None:
                matching.append(Candidate(self._plan.step(trigger.target), trigger, found))
        if any(each.otherwise for each in matching):
            self._start(matching, field, run, more)
        else:
            for each in matching:
                self._start([each], field, run, more)

    def _start(
        self,
        candidates: Sequence[Candidate],
        field: Field,
        source: StepRun | None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Start the candidates whose conditions hold; a template that fails is its step's failure."""
        context = {**self._starter.context(field), **(more or {})}
        try:
            texts = rendered(candidates, context, self._starter.stamp, brief=True)
        except templates.TooLong:
            late = partial(rendered, candidates, frozen(context), self._starter.stamp, brief=False)
            self._start_later(candidates, field.uri, source, late)
            return
        if _name(source) in self._late:
            self._start_later(candidates, field.uri, source, lambda: texts)
            return
        for each, text in zip(candidates, texts, strict=True):
            if text:
                self._begin(each, self._place.instance(each.step.name), field.uri, text, source)

    def _start_later(
        self,
        candidates: Sequence[Candidate],
        uri: str,
        source: StepRun | None,
        texts: Callable[[], Sequence[Rendered | None]],
    ) -> None:
        late = _Late([(each, self._place.instance(each.step.name)) for each in candidates], uri, texts)
        self._note(late, candidates[0], uri, source)
        if self._joins and source:
            self._joins.expect(source, candidates)
        if _name(source) in self._late:
            self._late[_name(source)].append(late)
            return
        self._late[_name(source)] = deque([late])
        self._starter.spawn(self._begin_late(source))

    async def _begin_late(self, source: StepRun | None) -> None:
        waiting = self._late[_name(source)]
        try:
            while waiting:
                late = waiting[0]
                texts = await asyncio.to_thread(late.texts)
                for (each, instance), text in zip(late.instances, texts, strict=True):
                    if text and not late.withdrawn:
                        self._begin(each, instance, late.uri, text, source)
                waiting.popleft()
                if self._joins and source:
                    self._joins.expect(source, [each for each, _ in late.instances], -1)
        finally:
            del self._late[_name(source)]

    def _begin(
        self, start: Candidate, instance: str, uri: str, texts: Rendered, source: StepRun | None
    ) -> None:
        depth = source.depth + 1 if source else self._place.depth
        run = self._starter.new_step(start.step, instance, texts.root, depth, texts.told)
        if source:
            run.origin = Origin(source.id, start.trigger.event if start.trigger else "")
        run.observe(self.fire)
        self._note(run, start, uri, source)
        if self._joins:
            self._joins.begin(run, None if start.after_all else source)
        if texts.fault:
            run.fail(texts.fault)
        elif isinstance(run, Bot):
            run.chat(texts.input)
        else:
            run.start(texts.input, texts.options)

    def _note(self, begun: Start, start: Candidate, uri: str, source: StepRun | None) -> None:
        if source and start.trigger:
            self._begun.add(begun, source.id, uri if start.trigger.event in FIELD_EVENTS else None)


def _name(source: StepRun | None) -> str:
    return source.id if source else ""
