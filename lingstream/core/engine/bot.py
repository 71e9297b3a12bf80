"""A bot: the step that asks a model, prompt + provider → text."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Self

from lingstream.core.exceptions import LingError
from lingstream.core.lifecycle import advance
from lingstream.core.parsing import REASONING
from lingstream.core.provider import ChatOptions, Message, Usage, estimated_tokens

from .events import Field
from .journal import Call
from .kinds import Said, StepCall, StepKind, register_kind
from .plan import BotPlan
from .step import StepHost, StepRun

__all__ = ["Bot", "BotKind", "Deferred", "Field"]

_MARKS = "|".join(map(re.escape, REASONING))

#: Makes messages, which takes too long for the event loop; called in a thread, once.
Deferred = Callable[[], list[Message]]


class BotKind(StepKind):
    """Asks a model: its input are messages, its options those of the call."""

    kind = "bot"
    title = "Bot: ask a model"
    asks_who = False  # a model is told what its prompt says
    options_schema: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "images": {
                "title": "Images",
                "description": "Origins whose images HTML may show, such as "
                "“same-origin https://cdn.example”: an address can carry what the model knows.",
                "type": "string",
                "pattern": r"^(same-origin|https?://[a-z0-9.:-]+)?( (same-origin|https?://[a-z0-9.:-]+))*$",
            },
            "reasoning": {
                "title": "Marks of reasoning",
                "description": "Those that are looked for in the model’s text, such as “<think> [THINK]”, "
                "or “none”; all that are known where this is empty.",
                "type": "string",
                "pattern": rf"^(none|({_MARKS})( ({_MARKS}))*)?$",
            },
            "trailing_characters": {
                "title": "Characters behind JSON",
                "description": "The model is stopped when so many have come behind the end of its "
                "document; 1,000 where this is empty.",
                "type": "integer",
                "minimum": 1,
            },
            "trailing_seconds": {
                "title": "Seconds behind JSON",
                "description": "The model is stopped when it goes on for so long behind the end of its "
                "document; 5 where this is empty.",
                "type": "number",
                "exclusiveMinimum": 0,
            },
        },
        "additionalProperties": False,
    }

    def run(self, call: StepCall) -> AsyncIterator[Said]:
        """See :meth:`StepKind.run`: the model's own stream."""
        assert isinstance(call.plan, BotPlan)  # noqa: S101  # what plans of this kind are
        return call.services.provider(call.plan.provider).stream(call.input, ChatOptions(**call.options))

    def asked(self, input: Any, options: Mapping[str, Any]) -> Any:
        """See :meth:`StepKind.asked`."""
        return {"messages": list(input), **options}


_KIND = register_kind(BotKind())


class Bot(StepRun):
    """One execution of a bot: made by ``run.bot(…)``, started by :meth:`chat`.

    :param told: the messages of its prompt, rendered or to be rendered: the system message and examples.

    The other arguments are those of :class:`StepRun`.
    """

    plan: BotPlan

    def __init__(
        self,
        host: StepHost,
        plan: BotPlan,
        instance: str,
        root: str = "",
        told: Sequence[Message] | Deferred = (),
        depth: int = 0,
    ) -> None:
        super().__init__(host, plan, instance, root, depth)
        self._host = host
        self._told = told
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
        self._begin()
        if callable(self._told):
            self._host.spawn(self._prepare(self._told, message))
        else:
            self._host.spawn(self._ask(self._told, message))
        return self

    async def _prepare(self, told: Deferred, message: str | list[dict[str, Any]]) -> None:
        """Render the prompt beside the loop, then ask."""
        try:
            messages = await asyncio.to_thread(told)
        except LingError as error:
            self.fail(error)
            return
        except asyncio.CancelledError:
            self.status = advance(self.status, "canceled")
            self._end()
            raise
        await self._ask(messages, message)

    async def _ask(self, told: Sequence[Message], message: str | list[dict[str, Any]]) -> None:
        plan, messages = self.plan, self._messages(told, message)
        options = {
            "model": plan.model,
            "params": dict(plan.params),
            "response_format": _response_format(plan),
        }
        place = self._host.place
        call = place.call(self.id, plan, self.root, messages, options, _KIND.asked(messages, options))
        await self._perform(call)

    def _messages(self, told: Sequence[Message], message: str | list[dict[str, Any]]) -> list[Message]:
        messages = [*told]
        if self.plan.history:
            messages.extend(self._host.history)
        messages.extend(self._history)
        if message:
            messages.append({"role": "user", "content": message})
        return messages

    def _estimate(self, call: Call) -> Usage:
        asked = estimated_tokens(*(message["content"] for message in call.input))
        return Usage(asked, estimated_tokens(self.text, self.writer.reasoning), estimated=True)


def _response_format(plan: BotPlan) -> dict[str, Any] | None:
    if plan.schema is None or plan.format != "json":
        return None
    name = "".join(char if char.isalnum() or char in "_-" else "_" for char in plan.name)[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "schema": plan.schema}}
