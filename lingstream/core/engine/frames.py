"""How what a step writes becomes frames of the run's log, and events for who waits.

The names and the order of the events are Ling's: ``string-response`` and ``object-response`` as values
settle, ``inference-done`` when the work is done, ``response`` when everything is in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from lingstream.core.document import jsonuri
from lingstream.core.document.filters import UriFilter
from lingstream.core.document.ops import Closed, Op
from lingstream.core.document.shared import SharedDocument
from lingstream.core.exceptions import ConflictError, LingError
from lingstream.core.log.frames import Kind
from lingstream.core.parsing.output import Output

from .events import FIELD_EVENTS, REPLACED, Field
from .meter import Meter
from .plan import StepPlan

__all__ = ["StepFrames", "WriterHost"]


class WriterHost(Protocol):
    """Where it goes."""

    shared: SharedDocument
    meter: Meter

    def write(self, kind: Kind, body: Any) -> None:
        """Append a frame to the run's log."""


class StepFrames:
    """Writes the frames of one step run.

    :param instance: of the step, ``details#3``.
    :param root: uri below which it writes.
    :param settle: told of each value that settles, numbers and literals too.
    :param emit: told of Ling's events.
    """

    def __init__(
        self,
        host: WriterHost,
        plan: StepPlan,
        instance: str,
        root: str,
        settle: Callable[[Field], None],
        emit: Callable[[str, Field], None],
    ) -> None:
        self._host = host
        self._plan = plan
        self._names = {"bot": instance, "step": plan.name, "root": root}
        self._settled = settle
        self._emit = emit
        self._filter = UriFilter(root, plan.only, plan.exclude) if plan.only or plan.exclude else None

    def open(self, root: str) -> None:
        """Claim ``root`` for this step run, and make the containers above it."""
        if not self._plan.quiet and (ops := self._host.shared.begin(self._names["bot"], root)):
            self._host.write("ops", ops)

    def settle(self, output: Output, root: str) -> None:
        """Write what came, then tell who waits for it.

        :param root: uri below which it came.
        """
        if output.ops:
            self.write(output.ops, root)
        if output.preamble:
            self.note("preamble", output.preamble)
        if output.reasoning:
            self.note("reasoning", output.reasoning)
        for item in output.settled:
            if type(item) is Closed:
                self._close(item)
            else:
                self._emit(REPLACED, Field(item.uri, item.value))

    def silence(self) -> None:
        """Write nothing from now on; others may write where it was writing."""
        self._plan = replace(self._plan, quiet=True)
        self._host.shared.finish(self._names["bot"])

    def write(self, ops: list[Op], root: str) -> None:
        """Write ops as far as they may go into the shared document.

        :raises ConflictError: another step is writing there.
        """
        if self._plan.quiet:
            return
        host = self._host
        if self._filter:
            ops = self._filter(ops)
        try:
            ops = host.shared.admit(self._names["bot"], root, ops)
        except ConflictError as error:
            if error.admitted:
                host.write("ops", error.admitted)
            raise
        if ops:
            host.write("ops", ops)

    def event(self, event: str, uri: str, **more: Any) -> None:
        """Tell viewers."""
        if not self._plan.quiet:
            self._host.write("event", {"event": event, **self._names, "uri": uri, **more})

    def inferred(self, finish: str | None) -> None:
        """Tell viewers that the work is done, and why if that is worth telling."""
        more = {} if finish in (None, "stop") else {"data": {"finish": finish}}
        self.event("inference-done", self._names["root"], **more)

    def response(self) -> None:
        """Tell viewers that all of it is in the log."""
        self.event("response", self._names["root"])

    def forward(self, body: dict[str, Any]) -> None:
        """Tell viewers of an event from inside this step, whose uris are relative to its root."""
        if self._plan.quiet or body["event"] == "started":
            return
        at = self._names["root"]
        body = {**body, **{key: jsonuri.concat(at, body[key]) for key in ("root", "uri") if key in body}}
        shown = self._filter if body["event"] in FIELD_EVENTS else None
        if not shown or shown.shows(body["uri"], body["event"] == "object-response"):
            self._host.write("event", body)

    def note(self, event: str, text: str) -> None:
        """Tell viewers of text beside the document."""
        if not self._plan.quiet and (event != "reasoning" or self._plan.show_reasoning):
            self._host.write("event", {"event": event, **self._names, "data": text})

    def error(self, error: LingError) -> None:
        """Tell viewers that it failed."""
        self._host.write("error", {**error.to_wire(), "bot": self._names["bot"]})

    def _close(self, closed: Closed) -> None:
        uri, value, cut = closed
        field = Field(uri, value, cut=cut)
        self._settled(field)
        container = isinstance(value, (dict, list))
        if container or isinstance(value, str):
            event = "object-response" if container else "string-response"
            if not self._filter or self._filter.shows(uri, container):
                self.event(event, uri, **({"cut": True} if cut else {}))
            self._emit(event, field)
