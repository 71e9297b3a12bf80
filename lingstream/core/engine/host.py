"""What steps and triggers need of the run that they belong to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from lingstream.core.document.ops import Document
from lingstream.core.document.shared import SharedDocument
from lingstream.core.exceptions import LingError
from lingstream.core.log.frames import Kind
from lingstream.core.provider import Message, Usage

from .bot import Deferred, Field
from .epoch import EpochLog, Frames
from .group import Work
from .journal import Journal, NullJournal
from .kinds import NOBODY, Identity, Services
from .meter import LimitsMeter, Meter
from .observers import Observers, RunInfo
from .place import Place
from .plan import Plan, StepPlan
from .rendering import Stamp
from .step import StepRun
from .triggers import Triggers

__all__ = ["Host", "RunResult"]

_MOST_ERRORS = 100  # kept of one run; a run has as many steps as its limits allow


class RunResult(NamedTuple):
    """How a run ended.

    :param status: ``finished``, ``failed`` or ``canceled``.
    :param errors: the bodies of its error frames, at most 100; those of optional steps come last.
    :param declined: the bot had nothing to say: :meth:`Authoring.decline`, or a document ``{"say": false}``.
    :param trace: its step runs in the order of their beginning; see :func:`.trace.trace_of`.
    """

    status: str
    document: Any
    usage: Usage
    errors: tuple[dict[str, Any], ...] = ()
    declined: bool = False
    trace: tuple[dict[str, Any], ...] = ()


class Host(ABC):
    """The state of one execution of a run.

    :param plan: what to do.
    :param input: the run's input, JSON data.
    :param log: where frames go.
    :param services: what step kinds may ask of the site, models among it.
    :param journal: keeps finished calls; the default forgets them.
    :param history: earlier messages of the conversation.
    :param epoch: which execution of the run this is, from 1.
    :param end: awaited with the result before ``done`` is written.
    :param observers: hear what it does.
    :param name: its id, for them.
    :param identity: returns who has started it; nobody unless given.
    :param place: where in another run it is executed, if it is.
    :param began: when it was started, ISO 8601; now unless given.
    :param meter: what the run may spend; the plan's limits unless given.
    """

    def __init__(
        self,
        plan: Plan,
        input: Any,
        *,
        log: Frames,
        services: Services,
        journal: Journal | None = None,
        history: Sequence[Message] = (),
        epoch: int = 1,
        end: Callable[[RunResult], Awaitable[None]] | None = None,
        meter: Meter | None = None,
        observers: Observers | None = None,
        name: str = "",
        identity: Callable[[], Awaitable[Identity]] | None = None,
        place: Place | None = None,
        began: str = "",
    ) -> None:
        self.plan = plan
        self.acts = plan.acts
        self.input = input
        self.epoch = epoch
        self.history = history
        self.journal: Journal = journal or NullJournal()
        self.meter: Meter = meter or LimitsMeter(plan.limits)
        self.observers = observers or Observers()
        self.info = RunInfo(name, plan.workflow, epoch)
        self.place = place or Place()
        where = f"{name}/{self.place.prefix}{self.place.root}"
        self.stamp = Stamp(where, began or datetime.now(UTC).isoformat())
        self.steps: list[StepRun] = []
        self.error: LingError | None = None
        self.declined = False
        self.errors: list[dict[str, Any]] = []
        self.services = services
        self._end = end
        self._identity = identity
        self._log = EpochLog(log, epoch, self._opened)
        self.shared = SharedDocument(self._log.document)
        self._triggers = Triggers(plan, self, self.place)
        self._work = Work(plan.workflow, plan.limits.seconds, self._stop, self._failures)

    @property
    def document(self) -> Any:
        """The document as it is now: to be read, not changed."""
        return self._log.document.value

    @property
    def usage(self) -> Usage:
        """Tokens of all steps so far."""
        return sum((step.usage for step in self.steps), Usage())

    @property
    def ending(self) -> bool:
        """Whether the work is over, however it went: what is left is to write the end."""
        return self._work.over

    @property
    def replaying(self) -> bool:
        """Whether something still plays back what it said before a crash."""
        # What was started when the work was stopped may never have begun: nobody may wait for that.
        waiting = self._triggers.rendering or any(step.replaying for step in self.steps)
        return waiting and not self._work.over

    def cancel(self) -> None:
        """Stop: providers' streams are closed, what arrived is kept, the run ends as ``canceled``.

        Once the work is done it is too late: nothing may keep the end of the log from being written.
        """
        self._work.cancel()

    # -- for steps ---------------------------------------------------------------------------------

    def write(self, kind: Kind, body: Any) -> None:
        """Append a frame to the log; see :class:`StepHost`."""
        if kind == "error" and len(self.errors) < _MOST_ERRORS:
            self.errors.append(body)
        self._log.write(kind, body)

    async def flush(self) -> None:
        """Return when the log holds everything that was written."""
        await self._log.flush()

    async def identity(self) -> Identity:
        """Return who has started the run."""
        return await self._identity() if self._identity else NOBODY

    async def ready(self) -> None:
        """Return when the log is open for this epoch; steps call it before they call anybody."""
        await self._log.open(lambda: self.replaying)
        if self.place.ready:
            await self.place.ready()

    def spawn(self, work: Awaitable[None]) -> None:
        """Run ``work`` in the run's task group."""
        self._work.spawn(work)

    # -- for triggers ------------------------------------------------------------------------------

    def context(self, field: Field) -> dict[str, Any]:
        """See :class:`Starter`."""
        return {
            "input": self.input,
            "value": field.value,
            "uri": field.uri,
            "match": field.match,
            "document": self.document,
            "history": list(self.history),
        }

    @abstractmethod
    def new_step(
        self,
        plan: StepPlan,
        instance: str,
        root: str,
        depth: int | None = None,
        told: Sequence[Message] | Deferred = (),
    ) -> StepRun:
        """See :class:`Starter`; ``None`` for the depth of the workflow itself."""

    def _failures(self) -> list[LingError | None]:
        return [step.error for step in self.steps]

    def _opened(self, document: Document) -> None:
        self.shared.document = document
        self.write("event", {"event": "started", "data": {"workflow": self.plan.workflow}})

    def _stop(self, error: LingError) -> None:
        self.error = self.error or error
        self.write("error", error.to_wire())
