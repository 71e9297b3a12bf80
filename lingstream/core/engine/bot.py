"""A bot: the step that asks a model, prompt + provider → text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Protocol, Self

from lingstream.core.exceptions import LingError, UsageError
from lingstream.core.provider import ChatOptions, Chunk, Message, Provider, Usage

from .events import Field
from .journal import Call, Occurrences
from .lifecycle import advance
from .plan import BotPlan, ProviderPlan
from .step import StepHost, StepRun

__all__ = ["Bot", "BotHost", "Deferred", "Field"]

_CHARACTERS_PER_TOKEN = 4  # OpenAI's rule of thumb, for usage that a provider does not report

#: Makes a text that takes too long for the event loop; called in a thread, once.
Deferred = Callable[[], str]


class BotHost(StepHost, Protocol):
    """What a bot needs beside what every step run does."""

    occurrences: Occurrences
    history: Sequence[Message]

    def provider(self, plan: ProviderPlan) -> Provider:
        """Return the provider, with its key."""
        ...


class Bot(StepRun):
    """One execution of a bot: made by ``run.bot(…)``, started by :meth:`chat`.

    :param system: the system message, rendered or to be rendered; ``""`` sends none.

    The other arguments are those of :class:`StepRun`.
    """

    def __init__(
        self,
        host: BotHost,
        plan: BotPlan,
        instance: str,
        root: str = "",
        system: str | Deferred = "",
        depth: int = 0,
    ) -> None:
        super().__init__(host, plan, instance, root, depth)
        self._host = host
        self._system = system
        self._history: list[Message] = []

    def add_history(self, messages: Sequence[Message]) -> Self:
        """Put ``messages`` between the prompt and what is asked; return the bot."""
        self._history.extend(messages)
        return self

    def chat(self, message: str | list[dict[str, Any]] = "") -> Self:
        """Ask the model; returns at once, with the bot at work.

        :param message: the user message, text or OpenAI content parts; ``""`` sends none.
        :raises UsageError: the bot has been started before.
        """
        if self.status != "waiting":
            raise UsageError(f"expected a new bot, but {self.id} is {self.status}: each chat needs its own")
        self._begin()
        if isinstance(self._system, str):
            self._host.spawn(self._ask(self._system, message))
        else:
            self._host.spawn(self._prepare(self._system, message))
        return self

    async def _prepare(self, system: Deferred, message: str | list[dict[str, Any]]) -> None:
        """Render the prompt beside the loop, then ask."""
        try:
            text = await asyncio.to_thread(system)
        except LingError as error:
            self.fail(error)
            return
        except asyncio.CancelledError:
            self.status = advance(self.status, "canceled")
            self._end()
            raise
        await self._ask(text, message)

    async def _ask(self, system: str, message: str | list[dict[str, Any]]) -> None:
        messages = self._messages(system, message)
        options = ChatOptions(self.plan.model, _response_format(self.plan), self.plan.params)
        call = self._host.occurrences.call(self.id, self.plan, self.root, messages, options)

        def source() -> AsyncGenerator[Chunk, None]:
            return self._host.provider(self.plan.provider).stream(messages, options)

        await self._perform(call, source)

    def _messages(self, system: str, message: str | list[dict[str, Any]]) -> list[Message]:
        messages: list[Message] = []
        if system:
            messages.append({"role": "system", "content": system})
        if self.plan.history:
            messages.extend(self._host.history)
        messages.extend(self._history)
        if message:
            messages.append({"role": "user", "content": message})
        return messages

    def _estimate(self, call: Call) -> Usage:
        asked = sum(len(message["content"]) for message in call.messages)
        said = len(self.text) + len(self._writer.reasoning)
        return Usage(asked // _CHARACTERS_PER_TOKEN, -(-said // _CHARACTERS_PER_TOKEN), estimated=True)


def _response_format(plan: BotPlan) -> dict[str, Any] | None:
    if plan.schema is None or plan.format != "json":
        return None
    name = "".join(char if char.isalnum() or char in "_-" else "_" for char in plan.name)[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "schema": plan.schema}}
