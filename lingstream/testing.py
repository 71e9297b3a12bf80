"""What a project needs to test, or to measure, with lingstream: public, and without Django.

``python -m lingstream.testing --rate 40`` runs the model server by itself and prints its base URL.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterable, Iterator, Sequence
from pathlib import Path

from lingstream.core.provider import ChatOptions, Chunk, Message, Provider

from ._model_reply import STAMP, Reply, stamp_age, stamped
from ._model_server import OpenAIServer, Request
from .providers.scripted import Call, ScriptedProvider, text_of
from .testing_log import RunLogContract, Viewer

__all__ = [
    "STAMP",
    "Call",
    "OpenAIServer",
    "Reply",
    "Request",
    "RunLogContract",
    "ScriptedProvider",
    "Viewer",
    "collect",
    "collect_chunks",
    "split_everywhere",
    "stamp_age",
    "stamped",
    "text_of",
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
    """Return a whole answer as one chunk: all text, all reasoning, the last usage and finish reason.

    :param source: a provider, which is asked ``messages``, or what its ``stream()`` returned.
    """
    chunks = await collect_chunks(source, messages)
    return Chunk(
        text="".join(chunk.text for chunk in chunks),
        reasoning="".join(chunk.reasoning for chunk in chunks),
        usage=next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None),
        finish=next((chunk.finish for chunk in reversed(chunks) if chunk.finish), None),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the model server until it is interrupted."""
    options = _parser().parse_args(arguments)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(_reply(options), options.port))


async def _serve(reply: Reply, port: int) -> None:
    async with OpenAIServer(reply, port=port) as server:
        print(server.base_url, flush=True)
        await server.serve_forever()


def _reply(options: argparse.Namespace) -> Reply:
    if options.stamp:
        return stamped(options.stamp, options.rate)
    text = options.answer_file.read_text(encoding="utf-8") if options.answer_file else '{"answer": "hello"}'
    return Reply(text, chunk=options.chunk, rate=options.rate)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m lingstream.testing", description="A local model server.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--rate", type=float, default=40.0, help="tokens a second; 0 for as fast as possible")
    parser.add_argument("--chunk", type=int, default=4, help="characters in a token")
    parser.add_argument("--answer-file", type=Path, help="the text to answer with")
    parser.add_argument(
        "--stamp", type=int, metavar="N", help="answer N tokens that hold their time of sending"
    )
    return parser


if __name__ == "__main__":
    main()
