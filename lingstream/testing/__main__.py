"""``python -m lingstream.testing``: the model server by itself."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from . import OpenAIServer, Reply, stamped


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
