"""What is wrong with a workflow, seen as a graph, before anything runs.

An *error* cannot work, whatever the models write: who saves a workflow with one is refused. A *warning* can
work and mostly is a mistake: it is told, and saved. Nothing is guessed: what a template, a schema or a
document leaves open is no fault. Patterns, schemas and templates are an editor's, so every check takes time
linear in them, or counts what it looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from operator import itemgetter
from typing import Any

from lingstream.core.phrases import Phrase

from . import asked, writes
from .nodes import Fault, Graph, Known, Node
from .plan import EVENTS, JOINED, TriggerPlan

__all__ = ["CODES", "Fault", "Graph", "Node", "faults"]

_SURE = ("inference-done", "response", JOINED)  # come whenever a step has ended well


def faults(
    graph: Graph,
    *,
    events: Mapping[str, Collection[str]] | None = None,
    documents: Mapping[str, Any] | None = None,
    input: Mapping[str, Any] | None = None,
    codes: Collection[str] | None = None,
) -> list[Fault]:
    """Return what is wrong with a workflow, in the order of :data:`CODES`.

    :param events: what each kind of step emits; by default what a bot does. Unknown kinds are not judged.
    :param documents: by the name of a step the last document that it helped to write.
    :param input: the JSON schema of what the workflow is started with.
    :param codes: look for these only.
    """
    known = Known({"bot": (*EVENTS, JOINED)} if events is None else events, documents or {}, input or {})
    wanted = CODES if codes is None else codes
    return [fault for code in CODES if code in wanted for fault in _CHECKS[code](graph, known)]


def _nothing_starts(graph: Graph, known: Known) -> Iterator[Fault]:
    if graph.nodes and not graph.entries:
        waiting = ", ".join(node.name for node in graph.nodes)
        message = Phrase(
            "nothing starts: expected a step that no trigger starts, but each of %(waiting)s waits for one",
            waiting=waiting,
        )
        yield Fault("nothing-starts", message)


def _unreachable(graph: Graph, known: Known) -> Iterator[Fault]:
    if not graph.entries:
        return  # said once, and not of every step
    begin = ", ".join(node.name for node in graph.entries)
    for node in graph.nodes:
        if node.name not in graph.reached:
            message = Phrase(
                "%(step)s never starts: expected triggers that lead to it from %(begin)s, got none",
                step=node.name,
                begin=begin,
            )
            yield Fault("unreachable", message, step=node.name, field="name")


def _cycle(graph: Graph, known: Known) -> Iterator[Fault]:
    """Circles on which no trigger has a condition.

    A circle is a way to work (write, judge, write again), and a condition says when it is over. Without one
    it is over when a model happens not to write a field, or has failed; and where not even that can be, every
    run fails at its limits.
    """
    free = {
        number: trigger
        for number, trigger in enumerate(graph.triggers)
        if trigger.source in graph.reached and not graph.depends(trigger)
    }
    sure = {n: each for n, each in free.items() if each.event in _SURE and each.pattern in ("", "**")}
    bound = Phrase(
        "the run fails when more than %(depth)s triggers have followed from one another", depth=graph.depth
    )
    for ring, last in sorted(_rings(sure), key=itemgetter(1)):
        message = Phrase(
            "goes round without an end: %(ring)s; expected a condition on one of these triggers, or "
            "%(bound)s",
            ring=ring,
            bound=bound,
        )
        yield Fault("cycle", message, trigger=last, field="condition")
        free = {n: each for n, each in free.items() if n not in sure}
    for ring, last in sorted(_rings(free), key=itemgetter(1)):
        message = Phrase("goes round: %(ring)s, and no condition ends it; %(bound)s", ring=ring, bound=bound)
        yield Fault("cycle", message, "warning", trigger=last, field="condition")


def _rings(triggers: Mapping[int, TriggerPlan]) -> Iterator[tuple[str, int]]:
    """Circles that share no trigger, each with the number of the last of its triggers."""
    left = dict(triggers)
    while True:
        before: dict[str, set[str]] = {}
        for trigger in left.values():
            before.setdefault(trigger.target, set()).add(trigger.source)
        try:
            TopologicalSorter(before).prepare()
            return
        except CycleError as error:
            ring = error.args[1]
        steps = set(pairwise(ring))
        on_it = [number for number, each in left.items() if (each.source, each.target) in steps]
        yield " → ".join(ring), max(on_it)
        for number in on_it:
            del left[number]


def _unknown_event(graph: Graph, known: Known) -> Iterator[Fault]:
    for number, trigger in enumerate(graph.triggers):
        source = graph.by_name.get(trigger.source)
        emitted = known.events.get(source.kind) if source else None
        if source and emitted is not None and trigger.event not in emitted:
            message = Phrase(
                "expected an event that %(step)s emits (%(events)s), got %(got)s",
                step=source.name,
                events=", ".join(emitted),
                got=trigger.event,
            )
            yield Fault("unknown-event", message, trigger=number, field="event")


_CHECKS: Mapping[str, Callable[[Graph, Known], Iterator[Fault]]] = {
    "nothing-starts": _nothing_starts,
    "unreachable": _unreachable,
    "cycle": _cycle,
    "root-without-match": writes.root_without_match,
    "match-beyond": writes.match_beyond,
    "shared-root": writes.shared_root,
    "unknown-event": _unknown_event,
    "pattern": writes.pattern,
    "nothing-asked": asked.nothing_asked,
    "value-at-start": asked.value_at_start,
}
#: What is looked for.
CODES = tuple(_CHECKS)
