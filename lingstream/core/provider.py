"""The port to a model: messages and options in, chunks of text out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NotRequired, Protocol, TypedDict

__all__ = ["ChatOptions", "Chunk", "Message", "Provider", "Usage", "estimated_tokens"]


_PER_FILE = 800  # tokens of a picture, give or take


class Message(TypedDict):
    """One chat message; ``content`` is text or a list of content parts as the OpenAI protocol has them."""

    role: str
    content: str | list[dict[str, Any]]
    name: NotRequired[str]


class Usage(NamedTuple):
    """Tokens of one call; ``estimated`` marks a guess of about four characters a token."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: object) -> Usage:
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.estimated or other.estimated,
        )

    def to_wire(self) -> dict[str, Any]:
        """Return prompt, completion and total tokens, with ``"estimated": true`` on a guess."""
        wire: dict[str, Any] = {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }
        return {**wire, "estimated": True} if self.estimated else wire


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


class Chunk(NamedTuple):
    """What one piece of the model's stream held; usage and finish reason come with the last ones."""

    text: str = ""
    reasoning: str = ""
    usage: Usage | None = None
    finish: str | None = None


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
