"""The engine: executes a plan, or a workflow written in Python, as one task group.

There is no polling: bots call their observers as fields settle, a trigger that matches starts the next bot
at once, and the group ends when nothing is left to do.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from lingstream.core import templates
from lingstream.core.document import jsonuri
from lingstream.core.document.canonical import crc32
from lingstream.core.document.ops import Document, copy_json
from lingstream.core.document.shared import SharedDocument
from lingstream.core.exceptions import Fenced, InternalError, LimitExceeded, LingError, UsageError
from lingstream.core.log.frames import Kind
from lingstream.core.log.ports import RunLog
from lingstream.core.provider import Message, Provider, Usage
from lingstream.core.validation import compile_schema

from .bot import Bot, Deferred, Field
from .epoch import EpochLog
from .journal import Journal, NullJournal, Occurrences
from .plan import NO_PROVIDER, BotPlan, Limits, Plan, ProviderPlan, TriggerPlan

__all__ = [
    "Declared",
    "Run",
    "RunResult",
    "WorkflowFunction",
    "declared",
    "done_body",
    "registered",
    "workflow",
]

logger = logging.getLogger("lingstream")

_MOST_ERRORS = 100  # kept of one run; a run has as many bots as its limits allow
_CLEAN_UP = 10.0  # seconds that work which was stopped gets to end; then the run ends without it


class RunResult(NamedTuple):
    """How a run ended.

    :param status: ``finished``, ``failed`` or ``canceled``.
    :param errors: the bodies of its error frames, at most 100; those of optional bots come last.
    """

    status: str
    document: Any
    usage: Usage
    errors: tuple[dict[str, Any], ...] = ()


WorkflowFunction = Callable[["Run"], Awaitable[None]]
_functions: dict[str, WorkflowFunction] = {}


class Declared(NamedTuple):
    """What a workflow in Python says of itself; a row with its slug decides in its place.

    :param access: who may start it: ``anyone``, ``authenticated`` or ``permission``; ``""`` for the site's
        ``DEFAULT_ACCESS``.
    :param show_reasoning: its viewers get what the models think.
    """

    access: str = ""
    show_reasoning: bool = False


_declared: dict[str, Declared] = {}
_ACCESS = ("", "anyone", "authenticated", "permission")


def workflow(
    slug: str, *, access: str = "", show_reasoning: bool = False
) -> Callable[[WorkflowFunction], WorkflowFunction]:
    """Register an async function of a :class:`Run` as the workflow ``slug``.

    It is executed again after a crash, so apart from its bots it must be deterministic: the same input
    starts the same bots in the same order.

    :param access: as in :class:`Declared`.
    :param show_reasoning: as in :class:`Declared`.
    :raises UsageError: another function has that slug, the function is not async, or no such access.
    """
    if access not in _ACCESS:
        raise UsageError(f"expected access among {', '.join(_ACCESS[1:])} for {slug!r}, got {access!r}")

    def register(function: WorkflowFunction) -> WorkflowFunction:
        if not asyncio.iscoroutinefunction(function):
            raise UsageError(f"expected an async function for workflow {slug!r}, got {function!r}")
        known = _functions.setdefault(slug, function)
        if (known.__module__, known.__qualname__) != (function.__module__, function.__qualname__):
            raise UsageError(f"workflow {slug!r} is {known.__module__}.{known.__qualname__} already")
        _functions[slug], _declared[slug] = function, Declared(access, show_reasoning)
        return function

    return register


def registered() -> Mapping[str, WorkflowFunction]:
    """Return the workflows written in Python, by slug."""
    return _functions


def declared(slug: str) -> Declared:
    """Return what the workflow in Python called ``slug`` says of itself; nothing, if there is none."""
    return _declared.get(slug, Declared())


class Run:
    """One execution of a workflow: what a function gets, and what :meth:`execute` drives.

    :param plan: what to do.
    :param input: the run's input, JSON data.
    :param log: where frames go.
    :param providers: returns the provider for a plan's settings, with its key.
    :param journal: keeps finished calls; the default forgets them.
    :param history: earlier messages of the conversation.
    :param epoch: which execution of the run this is, from 1.
    :param end: awaited with the result before ``done`` is written.
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
    ) -> None:
        self.plan = plan
        self.input = input
        self.epoch = epoch
        self.history = history
        self.journal: Journal = journal or NullJournal()
        self.occurrences = Occurrences()
        self._log = EpochLog(log, epoch, self._opened)
        self.shared = SharedDocument(self._log.document)
        self.bots: list[Bot] = []
        self._providers = providers
        self._end = end
        self._group: asyncio.TaskGroup
        self._worker: asyncio.Task[None] | None = None
        self._left = False
        self._overdue: asyncio.Future[None]
        self._names: Counter[str] = Counter()
        self._characters = 0
        self._rendering = 0  # templates that are rendered in threads
        self._canceled = False
        self._worked = False
        self._error: LingError | None = None
        self._errors: list[dict[str, Any]] = []

    # -- for authors of workflows ------------------------------------------------------------------

    def bot(
        self,
        prompt: str = "",
        *,
        step: str = "",
        name: str = "",
        root: str | None = None,
        variables: Mapping[str, Any] | None = None,
        provider: str = "",
        **settings: Any,
    ) -> Bot:
        """Create a bot; ``chat()`` starts it.

        :param prompt: the system message. It is taken as it is; with ``variables`` it is a Jinja2 template.
        :param step: take prompt, model and settings from this step of the workflow's admin page instead.
        :param name: its step name on the wire; instances are numbered (``details#2``).
        :param root: uri below which it writes; build one from data with ``jsonuri.join``.
        :param provider: name of a provider; the site's default one unless given.
        :param settings: further fields of :class:`BotPlan` (``model``, ``params``,
            ``format``, ``only``, ``exclude``, ``quiet``, ``optional``, ``history``, ``schema``,
            ``show_reasoning``).
        :raises UsageError: an unknown step, provider or setting, a root that is no uri, or a schema that
            cannot be used.
        :raises LimitExceeded: the run has started all the bots that it may.
        """
        template, names = prompt, variables
        if step:
            base = self.plan.step(step)
            template, names = base.prompt, {**base.variables, **(variables or {})}
        else:
            provider_plan = self._provider_plan("")
            base = BotPlan(name or "bot", provider=provider_plan, show_reasoning=self.plan.show_reasoning)
        if provider:
            settings["provider"] = self._provider_plan(provider)
        try:
            plan = replace(base, name=name or base.name, **settings)
        except TypeError as error:
            raise UsageError(f"expected settings of a bot, got {sorted(settings)}: {error}") from error
        plan = replace(
            plan, only=tuple(plan.only), exclude=tuple(plan.exclude), model=plan.model or plan.provider.model
        )
        if plan.schema:
            compile_schema(plan.schema)  # before the model is asked
        context = {"input": self.input, "document": self.document, "history": list(self.history)}
        system: str | Deferred = template
        if names is not None:
            system = self._render_prompt(template, {**context, **names})
        return self._new_bot(plan, jsonuri.normalize(root or ""), system)

    def send_event(self, name: str, data: Any = None) -> None:
        """Push a status of your own to the viewers: an event frame with this name and JSON data.

        :raises UsageError: ``data`` is no JSON data.
        """
        self.write("event", {"event": name, "data": _json(data)})

    def set(self, uri: str, value: Any) -> None:
        """Set a value of the document; missing containers above it are created.

        :raises ConflictError: a bot is writing there, or the place cannot exist.
        :raises UsageError: ``value`` is no JSON data.
        """
        self.write("ops", self.shared.set(uri, _json(value)))

    @property
    def document(self) -> Any:
        """The document as it is now: to be read, not changed."""
        return self._log.document.value

    # -- for bots ----------------------------------------------------------------------------------

    def write(self, kind: Kind, body: Any) -> None:
        """Append a frame to the log; see :class:`BotHost`."""
        if kind == "error" and len(self._errors) < _MOST_ERRORS:
            self._errors.append(body)
        self._log.write(kind, body)

    async def flush(self) -> None:
        """Return when the log holds everything that was written."""
        await self._log.flush()

    def charge(self, characters: int) -> None:
        """Count model output.

        :raises LimitExceeded: more than ``limits.characters``.
        """
        self._characters += characters
        if self._characters > self.limits.characters:
            raise LimitExceeded(f"the run's bots wrote more than {self.limits.characters} characters")

    def provider(self, plan: ProviderPlan) -> Provider:
        """Return the provider for these settings."""
        return self._providers(plan)

    async def ready(self) -> None:
        """Return when the log is open for this epoch; bots call it before they call a model."""
        await self._log.open(lambda: self._rendering > 0 or any(bot.replaying for bot in self.bots))

    def spawn(self, work: Awaitable[None]) -> None:
        """Run ``work`` in the run's task group."""
        self._group.create_task(self._guard(work))

    # -- for the runner ----------------------------------------------------------------------------

    @property
    def limits(self) -> Limits:
        """The run's bounds."""
        return self.plan.limits

    @property
    def ending(self) -> bool:
        """Whether the work is over, however it went: what is left is to write the end."""
        return self._worked

    @property
    def usage(self) -> Usage:
        """Tokens of all bots so far."""
        return sum((bot.usage for bot in self.bots), Usage())

    def cancel(self) -> None:
        """Stop: providers' streams are closed, what arrived is kept, the run ends as ``canceled``.

        Once the work is done it is too late: nothing may keep the end of the log from being written.
        """
        if self._worked or self._canceled:
            return
        self._canceled = True
        if self._worker:
            self._worker.cancel()
            asyncio.get_running_loop().call_later(_CLEAN_UP, self._overdue.cancel)

    async def execute(self) -> RunResult:
        """Do the work from the opening snapshot to ``done``.

        :raises Fenced: another runner has taken the run; nothing more was written.
        :raises CancelledError: the task was cancelled from outside; the log stays open for a later epoch.
        """
        if self.epoch == 1:
            await self.ready()
        try:
            await self._work()
        finally:
            self._worked = True
        await self.ready()  # where every bot has been replayed, this is when the epoch opens
        result = self._result()
        await self._log.flush()
        await self._store(result)
        self.write("done", done_body(result.status, result.usage.to_wire(), result.document))
        await self._log.flush()
        return result

    async def _store(self, result: RunResult) -> None:
        """Store the result before the log says ``done``: who asks the database then must find it."""
        if self._end:
            try:
                await self._end(result)
            except Fenced:
                raise
            except Exception:
                logger.exception("the result of a run of %s is not stored", self.plan.workflow)
                self.write("error", LingError("the result could not be stored", code="not-stored").to_wire())

    async def _work(self) -> None:
        """Do the work in a task of its own, so that who cancels ours is not taken for what ends the work.

        What a task group leaves in ``Task.cancelling()`` differs between versions of Python.

        :raises CancelledError: the task was cancelled from outside, whatever a clean-up made of that.
        """
        if self._canceled:
            return
        self._overdue = asyncio.get_running_loop().create_future()
        self._worker = worker = asyncio.create_task(self._run_group())
        try:
            # Not for ever: what was stopped may not end.
            most = self.limits.seconds + _CLEAN_UP
            await asyncio.wait([worker, self._overdue], timeout=most, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._left = not self._canceled
            worker.cancel()
            await asyncio.wait([worker], timeout=_CLEAN_UP)
        if not worker.done():
            self._abandon(worker)
        if self._left or (worker.cancelled() and not self._canceled):
            raise asyncio.CancelledError
        if worker.done() and not worker.cancelled():
            worker.result()

    def _abandon(self, worker: asyncio.Task[None]) -> None:
        """Go on without work that was stopped and does not end."""
        logger.error("workflow %s: a clean-up took more than %g s", self.plan.workflow, _CLEAN_UP)
        worker.cancel()
        worker.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody asks for it
        if not (self._left or self._canceled):
            self._stop(self._too_slow())

    async def _run_group(self) -> None:
        """Run the task group to its end; what ends it early is kept for the result."""
        deadline = asyncio.timeout(self.limits.seconds)
        try:
            async with deadline, asyncio.TaskGroup() as self._group:
                if self.plan.python:
                    self.spawn(self._call())
                for step in self.plan.entry_steps if not self.plan.python else ():
                    self._start(step, None, Field("", self.input), 0)
        except TimeoutError:
            self._stop(self._too_slow())
        except BaseExceptionGroup as group:
            faults = _leaves(group)
            if self._left:
                # A write that was fenced is why it was left, and no fault of a clean-up.
                faults = [fault for fault in faults if not isinstance(fault, Fenced)]
                self._log_faults("a clean-up failed while the run was left to others", faults)
                return
            for fault in faults:
                if isinstance(fault, Fenced):
                    raise fault from group
            if deadline.expired():
                self._log_faults("a clean-up failed when the time was up", faults)
                self._stop(self._too_slow())
            else:
                self._blame(faults)

    def _too_slow(self) -> LimitExceeded:
        return LimitExceeded(f"the run took more than {self.limits.seconds:g} seconds")

    def _blame(self, faults: Sequence[BaseException]) -> None:
        """Say of each fault that it ended the run, once where several bots met the same one."""
        known = [fault for fault in faults if isinstance(fault, LingError)]
        strange = [fault for fault in faults if not isinstance(fault, LingError)]
        self._log_faults("failed", strange)
        for error in {(error.code, error.message): error for error in known}.values():
            self._stop(error)
        if strange:
            self._stop(InternalError("the workflow"))

    def _log_faults(self, what: str, faults: Sequence[BaseException]) -> None:
        for fault in faults:
            logger.error("workflow %s: %s", self.plan.workflow, what, exc_info=fault)

    async def _call(self) -> None:
        function = _functions.get(self.plan.workflow)
        if function is None:
            raise UsageError(f"expected a Python workflow called {self.plan.workflow!r}, found none")
        await function(self)

    async def _guard(self, work: Awaitable[None]) -> None:
        """A bot's failure that nobody caught ends who waited for the bot, not the bot's siblings."""
        try:
            await work
        except (LingError, ExceptionGroup) as error:
            faults = _leaves(error) if isinstance(error, ExceptionGroup) else [error]
            failures = [bot.error for bot in self.bots]
            for fault in faults:
                if isinstance(fault, (LimitExceeded, Fenced)) or not any(
                    fault is known for known in failures
                ):
                    raise

    def _opened(self, document: Document) -> None:
        self.shared.document = document
        self.write("event", {"event": "started", "data": {"workflow": self.plan.workflow}})

    def _stop(self, error: LingError) -> None:
        self._error = self._error or error
        self.write("error", error.to_wire())

    def _result(self) -> RunResult:
        failed = self._error or any(bot.error and not bot.plan.optional for bot in self.bots)
        status = "canceled" if self._canceled else "failed" if failed else "finished"
        optional = {bot.id for bot in self.bots if bot.plan.optional}
        errors = sorted(self._errors, key=lambda error: error.get("bot") in optional)
        return RunResult(status, self.document, self.usage, tuple(errors))

    # -- steps and triggers ------------------------------------------------------------------------

    def _start(self, step: BotPlan, trigger: TriggerPlan | None, field: Field, depth: int) -> None:
        """Start a bot for ``step`` if the trigger's condition holds; a template that fails is its failure.

        Nearly always at once; templates that take longer are rendered beside the loop.

        :raises LimitExceeded: too many bots, or too many triggers in a row.
        """
        context = self._context(field)
        try:
            self._begin(step, _rendered(step, trigger, context, brief=True), depth)
        except templates.TooLong:
            frozen = {
                name: copy_json(value) for name, value in context.items()
            }  # a thread must not see it grow
            self.spawn(self._start_later(step, trigger, frozen, depth))

    async def _start_later(
        self, step: BotPlan, trigger: TriggerPlan | None, context: dict[str, Any], depth: int
    ) -> None:
        self._rendering += 1
        try:
            texts = await asyncio.to_thread(_rendered, step, trigger, context, brief=False)
            self._begin(step, texts, depth)
        finally:
            self._rendering -= 1

    def _begin(self, step: BotPlan, texts: _Texts | None, depth: int) -> None:
        """Start the bot; ``None``: the condition does not hold."""
        if texts is None:
            return
        bot = self._new_bot(step, texts.root, texts.system, depth).observe(self._fire)
        if texts.fault:
            bot.fail(texts.fault)
        else:
            bot.chat(texts.message)

    def _render_prompt(self, template: str, context: dict[str, Any]) -> str | Deferred:
        """The text, or where that takes longer what makes it, in a thread, once the bot is asked."""
        try:
            return templates.render(template, context, brief=True)
        except templates.TooLong:
            frozen = {name: copy_json(value) for name, value in context.items()}
            return lambda: templates.render(template, frozen)

    def _fire(self, bot: Bot, event: str, field: Field) -> None:
        """Start what waits for this event."""
        for trigger in self.plan.triggers:
            if trigger.source != bot.plan.name or trigger.event != event:
                continue
            if field.cut and not trigger.partial:
                continue
            found = jsonuri.match(trigger.pattern, field.uri) if trigger.pattern else ()
            if found is not None:
                target = self.plan.step(trigger.target)
                self._start(target, trigger, field._replace(match=found), bot.depth + 1)

    def _context(self, field: Field) -> dict[str, Any]:
        return {
            "input": self.input,
            "value": field.value,
            "uri": field.uri,
            "match": field.match,
            "document": self.document,
            "history": list(self.history),
        }

    def _new_bot(self, plan: BotPlan, root: str, system: str | Deferred, depth: int = 0) -> Bot:
        if depth > self.limits.depth:
            raise LimitExceeded(
                f"more than {self.limits.depth} triggers followed from one another: {plan.name}"
            )
        if len(self.bots) >= self.limits.bots:
            raise LimitExceeded(f"the run started more than {self.limits.bots} bots")
        self._names[plan.name] += 1
        bot = Bot(self, plan, f"{plan.name}#{self._names[plan.name]}", root, system, depth)
        self.bots.append(bot)
        return bot

    def _provider_plan(self, name: str) -> ProviderPlan:
        """The provider called ``name``, or the first one, which is the site's default."""
        for plan in self.plan.providers:
            if plan.name == name or not name:
                return plan
        if not self.plan.providers:
            raise UsageError(NO_PROVIDER, code="no-provider")
        known = ", ".join(plan.name for plan in self.plan.providers)
        raise UsageError(f"expected one of the providers {known}, got {name!r}")


class _Texts(NamedTuple):
    """What a step's templates came to, or the fault of one of them."""

    root: str = ""
    system: str = ""
    message: str = ""
    fault: UsageError | None = None


def _rendered(
    step: BotPlan, trigger: TriggerPlan | None, context: dict[str, Any], *, brief: bool
) -> _Texts | None:
    """Render the templates of a step; ``None`` where the trigger's condition does not hold.

    :raises TooLong: they were to be brief.
    """
    root = system = ""
    try:
        if trigger and not templates.holds(trigger.condition, context, brief=brief):
            return None
        names = {**step.variables, **context}
        root_template = step.root if trigger is None or trigger.root is None else trigger.root
        root = jsonuri.normalize(templates.render_uri(root_template, names, brief=brief))
        system = templates.render(step.prompt, names, brief=brief)
        template = trigger.input if trigger and trigger.input else step.input
        return _Texts(root, system, templates.render(template, names, brief=brief))
    except UsageError as error:
        return _Texts(root, system, fault=error)


def done_body(status: str, usage: dict[str, Any], document: Any) -> dict[str, Any]:
    """Return the body of the ``done`` frame; ``usage`` as :meth:`Usage.to_wire` writes it."""
    return {"status": status, "usage": usage, "crc32": crc32(document)}


def _json(value: Any) -> Any:
    """Return a copy of ``value`` as JSON has it, so that later changes by the caller do not reach the log."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(f"expected JSON data, got {type(value).__name__}: {error}") from error


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for item in group.exceptions:
        found.extend(_leaves(item) if isinstance(item, BaseExceptionGroup) else [item])
    return found
