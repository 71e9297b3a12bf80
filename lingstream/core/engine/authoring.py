"""What a workflow in Python may do with its run."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Message

from .bot import Bot, Deferred
from .data import json_data
from .host import Host
from .journal import CallResult
from .making import bot_plan, step_plan
from .rendering import prepared
from .step import StepRun

__all__ = ["Authoring"]


class Authoring(Host):
    """The part of a run that a function sees."""

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
        plan = bot_plan(self.plan, step, name, provider, settings)
        template, names = prompt, variables
        if step:
            template, names = plan.prompt, {**plan.variables, **(variables or {})}
        context = {"input": self.input, "document": self.document, "history": list(self.history)}
        told: list[Message] | Deferred = [{"role": "system", "content": template}] if template else []
        if names is not None:
            told = prepared(template, plan.messages, {**context, **names})
        instance = self.place.instance(plan.name)
        bot = self.new_step(plan, instance, jsonuri.normalize(root or ""), told=told)
        assert isinstance(bot, Bot)  # noqa: S101  # what a plan of this class is executed by
        return bot

    def step(
        self, kind: str, input: Any = None, /, *, name: str = "", root: str = "", **given: Any
    ) -> StepRun:
        """Start a step of another kind; ``await`` gives what it has written at its root.

        :param kind: its name: ``http``, ``compute``, or that of a function with ``@step``.
        :param input: JSON data.
        :param name: its step name on the wire; the kind's unless given.
        :param root: uri below which it writes; ``quiet=True`` writes nothing where viewers see it.
        :param given: further fields of :class:`StepPlan` (``quiet``, ``optional``, ``timeout``, ``retries``,
            ``format``, ``schema``, ``only``, ``exclude``), and the kind's own options; as they are, not as
            templates.
        :raises UsageError: an unknown kind, options that do not fit it, or data that are no JSON.
        :raises LimitExceeded: the run has started all the steps that it may.
        """
        plan, data, place = step_plan(kind, name, given), json_data(input), jsonuri.normalize(root)
        instance = self.place.instance(plan.name)
        return self.new_step(plan, instance, place).start(data, plan.options)

    def send_event(self, name: str, data: Any = None) -> None:
        """Push a status of your own to the viewers: an event frame with this name and JSON data.

        :raises UsageError: ``data`` is no JSON data.
        """
        self.write("event", {"event": name, "data": json_data(data)})

    def set(self, uri: str, value: Any) -> None:
        """Set a value of the document; missing containers above it are created.

        :raises ConflictError: a bot is writing there, or the place cannot exist.
        :raises UsageError: ``value`` is no JSON data.
        """
        self.write("ops", self.shared.set(uri, json_data(value)))

    def decline(self) -> None:
        """Say nothing after all: a turn in which the bot began is hidden when it ends.

        A turn in which a person spoke is shown all the same.
        """
        self.declined = True

    async def once(self, name: str, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Return what ``await function(*arguments)`` gives, done once in the life of the run.

        Executed again after a crash, the run gets the stored value: so a query, a request or the time of day
        may decide what a workflow does. What raises is not stored, and is done again.

        :param name: of the work, up to 200 characters; the same name with the same arguments is counted.
        :param arguments: JSON data.
        :returns: JSON data, a copy of what the function gave.
        :raises UsageError: arguments or a result that are none, or a function that is not async.
        """
        if not 0 < len(name) <= 200:
            message = Phrase("expected a name of 1 to 200 characters, got %(got)s", got=f"{name!r:.80}")
            raise UsageError(message)
        call = self.place.once(name, json_data(list(arguments)))
        if recorded := self.journal.recorded(call):
            return recorded.result
        await self.ready()  # whoever has lost the run must not act in its name
        work = function(*arguments)
        if not inspect.isawaitable(work):
            message = Phrase(
                "expected an async function for %(name)r, got %(got)s", name=name, got=f"{function!r}"
            )
            raise UsageError(message)
        value = json_data(await work)
        await self.journal.finish(call, CallResult("finished", result=value))
        return value
