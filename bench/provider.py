"""What reading a model's stream costs, without anything behind it: ``python bench/provider.py``.

Milliseconds of the reading process's CPU per token, for streams of 50 tokens a second from
``bench/model.py``. Each reader runs in a process of its own, and readers take turns. ``--with PATH`` measures
a second checkout in the same turns.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median

from processes import end

ROOT = Path(__file__).resolve().parent.parent
RATE = 50  # tokens a second in each stream
STAMP_BYTES = 9  # of a token
ASK = [{"role": "user", "content": "What time is it?"}]

Count = Callable[[int], None]
Reader = Callable[[int, int, Count], Awaitable[None]]


async def ours(port: int, streams: int, count: Count) -> None:
    """The provider: decoded chunks."""
    from lingstream.core.provider import ChatOptions
    from lingstream.providers.openai.provider import OpenAIProvider

    provider = OpenAIProvider(f"http://127.0.0.1:{port}/v1", "bench", model="bench")

    async def read() -> None:
        async for chunk in provider.stream(ASK, ChatOptions()):
            count(len(chunk.text) // STAMP_BYTES)

    await asyncio.gather(*(read() for _ in range(streams)))


async def objects(port: int, streams: int, count: Count) -> None:
    """The SDK's stream of objects."""
    import openai

    client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="bench")

    async def read() -> None:
        async for chunk in await client.chat.completions.create(model="bench", messages=ASK, stream=True):
            count(len(chunk.choices[0].delta.content or "") // STAMP_BYTES)

    await asyncio.gather(*(read() for _ in range(streams)))


async def raw(port: int, streams: int, count: Count) -> None:
    """The SDK's response, its bytes not even decoded."""
    import httpx2
    import openai

    client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="bench")

    async def read() -> None:
        body = {"model": "bench", "messages": ASK, "stream": True}
        response = await client.post(
            "/chat/completions",
            body=body,
            cast_to=httpx2.Response,
            stream=True,
            stream_cls=openai.AsyncStream,
        )
        async for data in response.aiter_raw():
            count(data.count(b"data: "))

    await asyncio.gather(*(read() for _ in range(streams)))


async def sockets(port: int, streams: int, count: Count) -> None:
    """asyncio's own streams, without HTTP and not decoded: the floor."""

    async def read() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        while data := await reader.read(65536):
            count(data.count(b"data: "))

    await asyncio.gather(*(read() for _ in range(streams)))


READERS: dict[str, Reader] = {
    "the SDK's stream of objects": objects,
    "the SDK's response, aiter_raw, not decoded": raw,
    "OpenAIProvider": ours,
    "asyncio.open_connection, not decoded": sockets,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parser().parse_args(arguments)
    if options.child:
        print(_run(options.child, options.port, options.streams, options.seconds, options.loop))
        return
    readers = [(name, ROOT) for name in READERS if not options.only or options.only in name]
    if options.other:
        readers.append(("OpenAIProvider", options.other))
    found: dict[tuple[str, Path], list[float]] = {}
    for _ in range(options.rounds):
        for name, root in readers:
            found.setdefault((name, root), []).append(_measure(name, root, options))
    print(f"| {options.streams} streams, {options.loop} | best | median |\n|---|--:|--:|")
    for (name, root), costs in found.items():
        where = "" if root == ROOT else f" of {root}"
        print(f"| {name}{where} | {min(costs):.4f} | {median(costs):.4f} |")


def _measure(name: str, root: Path, options: argparse.Namespace) -> float:
    """Milliseconds of CPU per token of one reader in a process of its own, whose packages are ``root``'s."""
    model = subprocess.Popen(
        [sys.executable, str(ROOT / "bench/model.py"), str(RATE)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert model.stdout is not None
        port = int(model.stdout.readline())
        told = ["--child", name, "--port", str(port), "--streams", str(options.streams)]
        told += ["--seconds", str(options.seconds), "--loop", options.loop]
        command = [sys.executable, str(ROOT / "bench/provider.py"), *told]
        environment = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return float(done.stdout)
    finally:
        end(model)


def _run(name: str, port: int, streams: int, seconds: float, loop: str) -> float:
    if loop == "uvloop":
        import uvloop

        uvloop.install()
    return asyncio.run(_cost(READERS[name], port, streams, seconds))


async def _cost(reader: Reader, port: int, streams: int, seconds: float) -> float:
    tokens = 0

    def count(number: int) -> None:
        nonlocal tokens
        tokens += number

    task = asyncio.ensure_future(reader(port, streams, count))
    while tokens < 5 * streams:  # all have begun, and what is done once is done
        await asyncio.sleep(0.1)
    before, used = tokens, time.process_time()
    await asyncio.sleep(seconds)
    cost = (time.process_time() - used) * 1000 / (tokens - before)
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    return cost


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5, help="how often each reader is measured")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop", help="the event loop")
    parser.add_argument("--only", help="part of a reader's name")
    parser.add_argument("--with", dest="other", type=Path, help="a second checkout to measure in turns")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
