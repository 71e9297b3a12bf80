"""The port to a model: messages and options in, chunks of text out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NotRequired, Protocol, TypedDict

__all__ = [
    "ChatOptions",
    "Chunk",
    "Message",
    "Provider",
    "TokenLogprob",
    "ToolCall",
    "Usage",
    "estimated_tokens",
    "merged_calls",
]


_PER_FILE = 800  # tokens of a picture, give or take


class Message(TypedDict):
    """One chat message; ``content`` is text or a list of content parts as the OpenAI protocol has them."""

    role: str
    content: str | list[dict[str, Any]]
    name: NotRequired[str]


class Usage(NamedTuple):
    """Tokens of one call; ``estimated`` marks a guess of about four characters a token.

    ``reasoning_tokens`` are those of the completion that nobody reads, where the server tells.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    reasoning_tokens: int = 0

    def __add__(self, other: object) -> Usage:
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.estimated or other.estimated,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    def to_wire(self) -> dict[str, Any]:
        """Return prompt, completion and total tokens, with ``"estimated": true`` on a guess.

        ``reasoning_tokens`` is there only where the server told of some.
        """
        wire: dict[str, Any] = {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }
        if self.reasoning_tokens:
            wire["reasoning_tokens"] = self.reasoning_tokens
        return {**wire, "estimated": True} if self.estimated else wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Usage:
        """Return what :meth:`to_wire` made of one; what is missing is nothing."""
        return cls(
            wire.get("prompt_tokens", 0),
            wire.get("completion_tokens", 0),
            bool(wire.get("estimated", False)),
            wire.get("reasoning_tokens", 0),
        )


def estimated_tokens(*contents: str | list[dict[str, Any]]) -> int:
    """Return about how many tokens texts and content parts have, rounded up.

    Four ASCII characters make one, OpenAI's rule of thumb, and so does each other character.
    """
    quarters = sum(_quarters(content) for content in contents)
    return -(-quarters // 4)


def _quarters(content: str | list[dict[str, Any]]) -> int:
    if isinstance(content, str):
        return 4 * len(content) - 3 * len(content.encode("ascii", "ignore"))
    texts: list[str] = [part["text"] for part in content if isinstance(part.get("text"), str)]
    files = [part for part in content if part.get("type") != "text"]
    return sum(map(_quarters, texts)) + 4 * _PER_FILE * len(files)


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """How a model is asked.

    :param model: the model's name at the provider.
    :param response_format: ``{"type": "json_object"}`` and the like, sent where the provider supports it.
    :param params: any further parameter of the chat completions call (``temperature``, ``max_tokens``, …).
    """

    model: str = ""
    response_format: Mapping[str, Any] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model wants made, or the next piece of one: pieces of one ``index`` are one call.

    ``arguments`` is JSON text, and complete only with the last piece; ``id`` and ``name`` come with the
    first.
    """

    index: int = 0
    id: str = ""
    name: str = ""
    arguments: str = ""


class TokenLogprob(NamedTuple):
    """A token of the text, the logarithm of its probability, and those of the likeliest in its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class Chunk(NamedTuple):
    """What one piece of the model's stream held; usage and finish reason come with the last ones.

    Reasoning comes before the text of the same chunk.
    """

    text: str = ""
    reasoning: str = ""
    usage: Usage | None = None
    finish: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


def merged_calls(pieces: Iterable[ToolCall]) -> tuple[ToolCall, ...]:
    """Return pieces of calls with those of one index put together, in the order of their beginning."""
    calls: dict[int, list[ToolCall]] = {}
    for piece in pieces:
        calls.setdefault(piece.index, []).append(piece)
    return tuple(
        ToolCall(
            index,
            next((piece.id for piece in found if piece.id), ""),
            "".join(piece.name for piece in found),
            "".join(piece.arguments for piece in found),
        )
        for index, found in calls.items()
    )


class Provider(Protocol):
    """Where a model lives.

    Implementations import their SDK; the core only iterates. Closing the iterator closes the connection,
    which is how a model is stopped.
    """

    def stream(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Chunk, None]:
        """Yield the answer as it comes.

        :raises ProviderError: before or in mid-stream, with ``code`` and ``retryable``.
        """
        ...

    async def aclose(self) -> None:
        """Release connections; the provider is not used afterwards."""
        ...
