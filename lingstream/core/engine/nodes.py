"""A workflow as data of a graph: steps, the triggers between them, and where and how steps can start."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias

from lingstream.core.document import jsonuri
from lingstream.core.exceptions import JsonUriError

from .events import FIELD_EVENTS
from .plan import EVENTS, JOINED, BotPlan, Limits, Plan, StepPlan, TriggerPlan
from .reach import Budget

__all__ = ["Fault", "Graph", "Known", "Level", "Node", "Start", "stars_of"]

Level: TypeAlias = Literal["error", "warning"]


class Fault(NamedTuple):
    """One thing that is wrong with a workflow.

    :param step: the name of the step that it is about, or ``""``.
    :param trigger: the number of the trigger that it is about, in the graph's order.
    :param field: which field of that step or trigger to look at, or ``""``.
    """

    code: str
    message: str
    level: Level = "error"
    step: str = ""
    trigger: int | None = None
    field: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the graph.

    :param events: what each kind of step emits.
    :param documents: by the name of a step the last document that it helped to write.
    :param input: the JSON schema of what the workflow is started with.
    """

    events: Mapping[str, Collection[str]] = field(default_factory=lambda: {"bot": (*EVENTS, JOINED)})
    documents: Mapping[str, Any] = field(default_factory=dict)
    input: Mapping[str, Any] = field(default_factory=dict)
    states: Budget = field(default_factory=lambda: Budget(20_000))  # of schemas, for a whole workflow
    places: Budget = field(default_factory=lambda: Budget(100_000))  # of documents, likewise


@dataclass(frozen=True, slots=True)
class Node:
    """What the graph has to know of a step; the fields are those of :class:`StepPlan`, and a bot's prompt."""

    name: str
    kind: str = "bot"
    prompt: str = ""
    input: str = ""
    root: str = ""
    format: str = "json"
    schema: dict[str, Any] | None = None
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    quiet: bool = False
    history: bool = False

    @classmethod
    def of(cls, step: StepPlan) -> Node:
        """Return the node of a step of a plan."""
        is_bot = step.kind == "bot"
        return cls(
            name=step.name,
            kind=step.kind,
            prompt=step.prompt if isinstance(step, BotPlan) else "",
            input=step.input,
            root=step.root,
            # Other kinds may put what they like beside what they say as text.
            format=step.format if is_bot else "json",
            schema=step.schema if is_bot else None,
            only=step.only,
            exclude=step.exclude,
            quiet=step.quiet,
            history=isinstance(step, BotPlan) and step.history,
        )


class Start(NamedTuple):
    """One way in which a step starts, with the templates that are rendered then.

    :param trigger: the number of the trigger, or ``None`` where the step starts with the run.
    """

    node: Node
    trigger: int | None
    root: str
    input: str


@dataclass(frozen=True)
class Graph:
    """Steps and triggers of one workflow.

    :param depth: how many triggers of a run may follow from one another.
    """

    nodes: tuple[Node, ...]
    triggers: tuple[TriggerPlan, ...] = ()
    depth: int = Limits().depth

    @classmethod
    def of(cls, plan: Plan) -> Graph:
        """Return the graph of a plan."""
        return cls(tuple(map(Node.of, plan.steps)), plan.triggers, plan.limits.depth)

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """The steps by their names."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def entries(self) -> tuple[Node, ...]:
        """The steps that start with the run, as :attr:`Plan.entry_steps` has them."""
        targets = {trigger.target for trigger in self.triggers}
        return tuple(node for node in self.nodes if node.name not in targets)

    @cached_property
    def starts(self) -> tuple[Start, ...]:
        """Every way in which a step starts, those with the run first."""
        return (*(Start(node, None, node.root, node.input) for node in self.entries), *self._triggered())

    @cached_property
    def reached(self) -> frozenset[str]:
        """The steps that can start, directly or through others."""
        return self._follow((node.name for node in self.entries), range(len(self.triggers)))

    @cached_property
    def repeated(self) -> frozenset[str]:
        """The steps that one run may start several times, because a pattern can match several fields.

        Those that only go round in a circle are not among them: there one ends before the next begins.
        """
        many, one_each = list[str](), list[int]()
        for number, trigger in enumerate(self.triggers):
            if self._meets_several(trigger):
                many.append(trigger.target)
            elif is_open(trigger.pattern):
                one_each.append(number)
        return self._follow(many, one_each)

    def depends(self, trigger: TriggerPlan) -> bool:
        """Whether a trigger that matches may start nothing all the same: as others do, or by a condition."""
        return bool(trigger.condition.strip()) or (
            trigger.otherwise
            and any(
                (each.source, each.event, each.otherwise) == (trigger.source, trigger.event, False)
                for each in self.triggers
            )
        )

    def repeats(self, trigger: TriggerPlan) -> bool:
        """Whether a trigger may fire several times."""
        open_once = is_open(trigger.pattern) and trigger.source in self.repeated
        return open_once or self._meets_several(trigger)

    def _meets_several(self, trigger: TriggerPlan) -> bool:
        """Whether one execution of the source may fire a trigger several times: text is one field."""
        source = self.by_name.get(trigger.source)
        fields = trigger.event in FIELD_EVENTS and source is not None and source.format != "text"
        return fields and is_open(trigger.pattern)

    def starts_of(self, name: str) -> list[Start]:
        """The ways in which one step starts."""
        return self._by_step.get(name, [])

    @cached_property
    def _by_step(self) -> dict[str, list[Start]]:
        found: dict[str, list[Start]] = {}
        for start in self.starts:
            found.setdefault(start.node.name, []).append(start)
        return found

    def _triggered(self) -> Iterator[Start]:
        for number, trigger in enumerate(self.triggers):
            if node := self.by_name.get(trigger.target):
                root = node.root if trigger.root is None else trigger.root
                yield Start(node, number, root, trigger.input or node.input)

    def _follow(self, names: Iterable[str], numbers: Sequence[int]) -> frozenset[str]:
        """Return ``names`` and all that the triggers with these numbers lead to from there."""
        targets: dict[str, list[str]] = {}
        for trigger in map(self.triggers.__getitem__, numbers):
            targets.setdefault(trigger.source, []).append(trigger.target)
        reached, pending = set[str](), list(names)
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending += targets.get(name, [])
        return frozenset(reached)


def is_open(pattern: str) -> bool:
    """Whether a pattern can match more than one uri."""
    return not pattern or stars_of(pattern) > 0


def stars_of(pattern: str) -> int:
    """How many stars a pattern has; none, if it is no pattern."""
    try:
        return jsonuri.stars(pattern)
    except JsonUriError:
        return 0
