"""What bots and triggers need of the run that they belong to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from lingstream.core.document.ops import Document
from lingstream.core.document.shared import SharedDocument
from lingstream.core.exceptions import LingError
from lingstream.core.log.frames import Kind
from lingstream.core.log.ports import RunLog
from lingstream.core.provider import Message, Provider, Usage

from .bot import Bot, Deferred, Field
from .epoch import EpochLog
from .group import Work
from .journal import Journal, NullJournal, Occurrences
from .meter import LimitsMeter, Meter
from .observers import Observers, RunInfo
from .plan import BotPlan, Plan, ProviderPlan
from .triggers import Triggers

__all__ = ["Host", "RunResult"]

_MOST_ERRORS = 100  # kept of one run; a run has as many bots as its limits allow


class RunResult(NamedTuple):
    """How a run ended.

    :param status: ``finished``, ``failed`` or ``canceled``.
    :param errors: the bodies of its error frames, at most 100; those of optional bots come last.
    """

    status: str
    document: Any
    usage: Usage
    errors: tuple[dict[str, Any], ...] = ()


class Host:
    """The state of one execution of a run.

    :param plan: what to do.
    :param input: the run's input, JSON data.
    :param log: where frames go.
    :param providers: returns the provider for a plan's settings, with its key.
    :param journal: keeps finished calls; the default forgets them.
    :param history: earlier messages of the conversation.
    :param epoch: which execution of the run this is, from 1.
    :param end: awaited with the result before ``done`` is written.
    :param observers: hear what it does.
    :param name: its id, for them.
    :param meter: what the run may spend; the plan's limits unless given.
    """

    def __init__(
        self,
        plan: Plan,
        input: Any,
        *,
        log: RunLog,
        providers: Callable[[ProviderPlan], Provider],
        journal: Journal | None = None,
        history: Sequence[Message] = (),
        epoch: int = 1,
        end: Callable[[RunResult], Awaitable[None]] | None = None,
        meter: Meter | None = None,
        observers: Observers | None = None,
        name: str = "",
    ) -> None:
        self.plan = plan
        self.input = input
        self.epoch = epoch
        self.history = history
        self.journal: Journal = journal or NullJournal()
        self.meter: Meter = meter or LimitsMeter(plan.limits)
        self.observers = observers or Observers()
        self.info = RunInfo(name, plan.workflow, epoch)
        self.occurrences = Occurrences()
        self.bots: list[Bot] = []
        self.error: LingError | None = None
        self.errors: list[dict[str, Any]] = []
        self._providers = providers
        self._end = end
        self._log = EpochLog(log, epoch, self._opened)
        self.shared = SharedDocument(self._log.document)
        self._triggers = Triggers(plan, self)
        self._work = Work(plan.workflow, plan.limits.seconds, self._stop, self._failures)

    @property
    def document(self) -> Any:
        """The document as it is now: to be read, not changed."""
        return self._log.document.value

    @property
    def usage(self) -> Usage:
        """Tokens of all bots so far."""
        return sum((bot.usage for bot in self.bots), Usage())

    @property
    def ending(self) -> bool:
        """Whether the work is over, however it went: what is left is to write the end."""
        return self._work.over

    def cancel(self) -> None:
        """Stop: providers' streams are closed, what arrived is kept, the run ends as ``canceled``.

        Once the work is done it is too late: nothing may keep the end of the log from being written.
        """
        self._work.cancel()

    # -- for bots ----------------------------------------------------------------------------------

    def write(self, kind: Kind, body: Any) -> None:
        """Append a frame to the log; see :class:`BotHost`."""
        if kind == "error" and len(self.errors) < _MOST_ERRORS:
            self.errors.append(body)
        self._log.write(kind, body)

    async def flush(self) -> None:
        """Return when the log holds everything that was written."""
        await self._log.flush()

    def provider(self, plan: ProviderPlan) -> Provider:
        """Return the provider for these settings."""
        return self._providers(plan)

    async def ready(self) -> None:
        """Return when the log is open for this epoch; bots call it before they call a model."""
        await self._log.open(lambda: self._triggers.rendering or any(bot.replaying for bot in self.bots))

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

    def new_bot(self, plan: BotPlan, instance: str, root: str, system: str | Deferred, depth: int = 0) -> Bot:
        """See :class:`Starter`."""
        self.meter.begin(plan, depth)
        bot = Bot(self, plan, instance, root, system, depth)
        self.bots.append(bot)
        return bot

    def _failures(self) -> list[LingError | None]:
        return [bot.error for bot in self.bots]

    def _opened(self, document: Document) -> None:
        self.shared.document = document
        self.write("event", {"event": "started", "data": {"workflow": self.plan.workflow}})

    def _stop(self, error: LingError) -> None:
        self.error = self.error or error
        self.write("error", error.to_wire())
