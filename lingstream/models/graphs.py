"""The graph of a workflow, judged by what the kinds of steps emit that this process knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lingstream.core.engine.graph import Fault, Graph, faults
from lingstream.core.engine.kinds import events_of, step_kinds
from lingstream.core.engine.plan import JOINED

from .phrases import translated

__all__ = ["graph_faults"]


def graph_faults(
    graph: Graph, documents: Mapping[str, Any] | None = None, input: Mapping[str, Any] | None = None
) -> list[Fault]:
    """Return what is wrong with a workflow, in its reader's language.

    See :func:`lingstream.core.engine.graph.faults`.
    """
    emitted = {name: (*events_of(name), JOINED) for name in step_kinds()}
    found = faults(graph, events=emitted, documents=documents, input=input)
    return [fault._replace(message=translated(fault.message)) for fault in found]
