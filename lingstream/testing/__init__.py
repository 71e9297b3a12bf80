"""What a project needs to test, or to measure, with lingstream: public, and without Django.

``python -m lingstream.testing --rate 40`` runs the model server by itself and prints its base URL.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator, Sequence

from lingstream.core.provider import ChatOptions, Chunk, Message, Provider, merged_calls
from lingstream.providers.scripted import Call, ScriptedProvider, text_of

from .hub_contract import HubContract
from .log_contract import RunLogContract, Viewer
from .model_reply import STAMP, Reply, stamp_age, stamped
from .model_server import OpenAIServer, Request
from .model_vectors import embeddings, vector_of
from .notices_contract import NoticesContract
from .step_contract import StepContract

__all__ = [
    "STAMP",
    "Call",
    "HubContract",
    "NoticesContract",
    "OpenAIServer",
    "Reply",
    "Request",
    "RunLogContract",
    "ScriptedProvider",
    "StepContract",
    "Viewer",
    "collect",
    "collect_chunks",
    "embeddings",
    "split_everywhere",
    "stamp_age",
    "stamped",
    "text_of",
    "vector_of",
]

HELLO: Sequence[Message] = ({"role": "user", "content": "hello"},)


def split_everywhere(text: str) -> Iterator[list[str]]:
    """Yield every way to get ``text`` in two pieces, then character by character.

    For ``n`` characters that is ``n - 1`` cuts in two and one list of ``n`` single characters: a parser that
    gives the same result for each of them keeps its state in all places. An empty text has no cut: one empty
    list comes.
    """
    for cut in range(1, len(text)):
        yield [text[:cut], text[cut:]]
    yield list(text)


async def collect_chunks(
    source: Provider | AsyncIterable[Chunk], messages: Sequence[Message] = HELLO
) -> list[Chunk]:
    """Return all chunks of an iterator, or of a provider that is asked ``messages``."""
    if not isinstance(source, AsyncIterable):
        source = source.stream(messages, ChatOptions())
    return [chunk async for chunk in source]


async def collect(source: Provider | AsyncIterable[Chunk], messages: Sequence[Message] = HELLO) -> Chunk:
    """Return a whole answer as one chunk: all text, reasoning and calls, the last usage and finish reason.

    :param source: a provider, which is asked ``messages``, or what its ``stream()`` returned.
    """
    chunks = await collect_chunks(source, messages)
    return Chunk(
        text="".join(chunk.text for chunk in chunks),
        reasoning="".join(chunk.reasoning for chunk in chunks),
        usage=next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None),
        finish=next((chunk.finish for chunk in reversed(chunks) if chunk.finish), None),
        tool_calls=merged_calls(call for chunk in chunks for call in chunk.tool_calls),
        logprobs=tuple(token for chunk in chunks for token in chunk.logprobs),
    )
