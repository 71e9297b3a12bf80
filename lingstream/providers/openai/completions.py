"""Chat completions, streamed or whole, as the many servers send them that call themselves compatible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lingstream.core.provider import Chunk, ToolCall, Usage

from .decoder import Decoder
from .eventstream import LONGEST_EVENT
from .failures import failure_in
from .fields import content_of, logprobs_of, usage_of
from .finish import read_finish
from .said import Said
from .toolcalls import ToolCalls

__all__ = ["CompletionDecoder"]

PLAIN = ("content", "role")
THOUGHTS = (
    *("reasoning_content", "reasoning", "thinking", "reasoning_details"),
    *("reasoning_text", "thinking_blocks", "thinking_content", "thought"),
)
ENVELOPES = ("data", "output", "result")
THOUGHT, END_OF_THOUGHT = "<thought>", "</thought>"


class CompletionDecoder(Decoder):
    """Decodes a chat completion. Of several choices the first is read, and no other."""

    def __init__(self, longest: int = LONGEST_EVENT) -> None:
        super().__init__(longest)
        self._text = Said()
        self._reasoning = Said()
        self._calls = ToolCalls()
        self._in_thought = False

    def _plain(self, event: Any) -> str | None:
        try:
            choice = event["choices"][0]
            delta = choice["delta"]
            text: str = delta["content"]
            if (
                not text
                or len(text) >= self._text.room
                or choice.get("finish_reason") is not None
                or choice.get("index")
                or choice.get("logprobs")
                or choice.get("error")
                or event.get("error")
                or event.get("usage")
                or (len(delta) > 1 and not _has_only_text(delta))
            ):
                return None
            self._text.write(text)
        except (LookupError, TypeError):
            return None
        return text

    def _read(self, event: Mapping[str, Any], name: str) -> Chunk:
        inner = None
        if _first(event.get("choices")) is None:
            inner = next((inner for name in ENVELOPES if _is_chunk(inner := event.get(name))), None)
        if inner is None:
            return self._chunk(event)
        chunk = self._chunk(inner)
        self.error = self.error or failure_in(event, has_choices=True)
        return chunk if chunk.usage else chunk._replace(usage=_usage(event, {}))

    def _chunk(self, event: Mapping[str, Any]) -> Chunk:
        choices = event.get("choices")
        choice = _first(choices)
        if choice is None:
            self.error = failure_in(event, has_choices=bool(choices))
            return Chunk(usage=_usage(event, {}))
        finish, failure = read_finish(choice.get("finish_reason"), event)
        groq = event.get("x_groq")
        told = (event, choice, groq if isinstance(groq, Mapping) else {})
        self.error = next(filter(None, (failure_in(each, has_choices=True) for each in told)), failure)
        self.finished = self.finished or finish is not None
        text, reasoning = self._said(choice, last=bool(finish))
        logprobs = logprobs_of(choice.get("logprobs"))
        return Chunk(text, reasoning, _usage(event, choice), finish, self._tool_calls(choice), logprobs)

    def _withheld(self) -> Chunk:
        return Chunk(self._text.end(), self._reasoning.end())

    def _said(self, choice: Mapping[str, Any], *, last: bool) -> tuple[str, str]:
        text, reasoning = choice.get("text"), ""  # of a completion that is no chat
        delta, message = choice.get("delta"), choice.get("message")
        if isinstance(delta, Mapping):
            more, reasoning = self._content(delta)
            text = more or text
        text = self._text.add(text, last=last) if isinstance(text, str) else ""
        reasoning = self._reasoning.add(reasoning, last=last)
        if isinstance(message, Mapping):
            whole, thought = self._content(message)
            text += self._text.add_whole(whole, last=last)
            reasoning += self._reasoning.add_whole(thought, last=last)
        return text, reasoning

    def _tool_calls(self, choice: Mapping[str, Any]) -> tuple[ToolCall, ...]:
        delta, message = choice.get("delta"), choice.get("message")
        calls = self._calls.read(delta) if isinstance(delta, Mapping) else ()
        if isinstance(message, Mapping) and not self._calls:
            calls = self._calls.read(message)
        return calls

    def _content(self, said: Mapping[str, Any]) -> tuple[str, str]:
        """The text and the reasoning of a delta or a message."""
        text, reasoning = content_of(said.get("content") or said.get("refusal"))
        thought = next((thought for name in THOUGHTS if (thought := said.get(name))), None)
        reasoning = "".join(content_of(thought)) + reasoning
        if _is_thought(said.get("extra_content")):
            self._in_thought, self._text.room = True, 0  # the next text may begin with the end of it
            return "", reasoning + text.removeprefix(THOUGHT).removesuffix(END_OF_THOUGHT)
        if text and self._in_thought:
            self._in_thought, text = False, text.removeprefix(END_OF_THOUGHT)
        return text, reasoning


def _has_only_text(delta: Mapping[str, Any]) -> bool:
    return (len(delta) == 2 and "role" in delta) or not any(
        value for name, value in delta.items() if name not in PLAIN
    )


def _first(choices: Any) -> Mapping[str, Any] | None:
    """The choice with the index 0, or without one; the others are asked for by ``n``."""
    if isinstance(choices, Mapping):
        choices = [choices]
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, Mapping) and choice.get("index") in (0, None, "", "0"):
            return choice
    return None


def _usage(event: Mapping[str, Any], choice: Mapping[str, Any]) -> Usage | None:
    groq = event.get("x_groq")
    return (
        usage_of(event.get("usage"))
        or usage_of(choice.get("usage"))  # Moonshot
        or (usage_of(groq.get("usage")) if isinstance(groq, Mapping) else None)
    )


def _is_chunk(inner: Any) -> bool:
    """Whether it is an event that a gateway has put into an envelope."""
    if not isinstance(inner, Mapping):
        return False
    return isinstance(inner.get("choices"), list | Mapping) or _usage(inner, {}) is not None


def _is_thought(extra: Any) -> bool:
    """Gemini marks the pieces of what it thought, and puts tags around them."""
    said = (extra.get("google"), extra.get("vertex")) if isinstance(extra, Mapping) else ()
    return any(isinstance(each, Mapping) and each.get("thought") for each in said)
