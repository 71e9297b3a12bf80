"""Steps are started here: those that nothing waits for at the beginning, the others as fields settle.

1. A trigger that matches starts its target in the same turn of the loop, unless its templates take long:
   those are rendered in a thread.
2. What one source starts begins in the order in which it was started, however long templates take.
3. An instance has its number before rendering leaves the loop, so that numbers do not depend on threads.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from lingstream.core import templates
from lingstream.core.document import jsonuri
from lingstream.core.document.ops import copy_json
from lingstream.core.exceptions import UsageError

from .bot import Bot, Deferred, Field
from .plan import BotPlan, Plan, TriggerPlan

__all__ = ["Starter", "Triggers", "render_prompt"]


class Starter(Protocol):
    """What makes the bots."""

    def context(self, field: Field) -> dict[str, Any]:
        """The names that templates may use."""
        ...

    def new_bot(self, plan: BotPlan, instance: str, root: str, system: str | Deferred, depth: int) -> Bot:
        """Make one.

        :raises LimitExceeded: too many bots, or too many triggers in a row.
        """
        ...

    def spawn(self, work: Awaitable[None]) -> None:
        """Do something beside the rest."""


class _Late(NamedTuple):
    """A start that waits for its texts, or for those before it."""

    step: BotPlan
    instance: str
    depth: int
    texts: Callable[[], _Texts | None]


class Triggers:
    """The steps of one run.

    :param plan: with its triggers.
    :param starter: the run.
    """

    def __init__(self, plan: Plan, starter: Starter) -> None:
        self._plan = plan
        self._starter = starter
        self._numbers: Counter[str] = Counter()
        self._late: dict[str, deque[_Late]] = {}  # by what started them

    @property
    def rendering(self) -> bool:
        """Whether a start waits for templates that are rendered in a thread."""
        return bool(self._late)

    def begin(self, input: Any) -> None:
        """Start what nothing waits for."""
        for step in self._plan.entry_steps:
            self._start(step, None, Field("", input), 0, "")

    def instance(self, step: str) -> str:
        """Return the name of the next instance of a step."""
        self._numbers[step] += 1
        return f"{step}#{self._numbers[step]}"

    def fire(self, bot: Bot, event: str, field: Field) -> None:
        """Start what waits for this event."""
        for trigger in self._plan.triggers:
            if trigger.source != bot.plan.name or trigger.event != event:
                continue
            if field.cut and not trigger.partial:
                continue
            found = jsonuri.match(trigger.pattern, field.uri) if trigger.pattern else ()
            if found is not None:
                target = self._plan.step(trigger.target)
                self._start(target, trigger, field._replace(match=found), bot.depth + 1, bot.id)

    def _start(
        self, step: BotPlan, trigger: TriggerPlan | None, field: Field, depth: int, source: str
    ) -> None:
        """Start a bot if the trigger's condition holds; a template that fails is its failure."""
        context = self._starter.context(field)
        try:
            texts = _rendered(step, trigger, context, brief=True)
        except templates.TooLong:
            frozen = _frozen(context)
            self._start_later(step, depth, source, lambda: _rendered(step, trigger, frozen, brief=False))
            return
        if texts is None:
            return
        if source in self._late:
            self._start_later(step, depth, source, lambda: texts)
        else:
            self._begin(step, self.instance(step.name), texts, depth)

    def _start_later(
        self, step: BotPlan, depth: int, source: str, texts: Callable[[], _Texts | None]
    ) -> None:
        late = _Late(step, self.instance(step.name), depth, texts)
        if source in self._late:
            self._late[source].append(late)
            return
        self._late[source] = deque([late])
        self._starter.spawn(self._begin_late(source))

    async def _begin_late(self, source: str) -> None:
        waiting = self._late[source]
        try:
            while waiting:
                step, instance, depth, texts = waiting[0]
                self._begin(step, instance, await asyncio.to_thread(texts), depth)
                waiting.popleft()
        finally:
            del self._late[source]

    def _begin(self, step: BotPlan, instance: str, texts: _Texts | None, depth: int) -> None:
        """Start the bot; ``None``: the condition does not hold."""
        if texts is None:
            return
        bot = self._starter.new_bot(step, instance, texts.root, texts.system, depth).observe(self.fire)
        if texts.fault:
            bot.fail(texts.fault)
        else:
            bot.chat(texts.message)


class _Texts(NamedTuple):
    """What a step's templates came to, or the fault of one of them."""

    root: str = ""
    system: str = ""
    message: str = ""
    fault: UsageError | None = None


def render_prompt(template: str, context: dict[str, Any]) -> str | Deferred:
    """The text, or where that takes longer what makes it, in a thread, once the bot is asked."""
    try:
        return templates.render(template, context, brief=True)
    except templates.TooLong:
        frozen = _frozen(context)
        return lambda: templates.render(template, frozen)


def _frozen(context: dict[str, Any]) -> dict[str, Any]:
    """A copy: a thread must not see the document grow."""
    return {name: copy_json(value) for name, value in context.items()}


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
