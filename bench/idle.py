"""What a process holds that waits: ``python bench/idle.py [--viewers 1000] [--runs 400] [--core 4000]``.

Questions of one server with SQLite and logs in memory, whose model begins every answer and then says no more:
what do viewers cost who wait over SSE for one run, what do runs cost that wait for their models at the same
time, and what is left of as many runs that came one after the other? And what do such runs cost without a
site: the core, a parser and a log each, no sockets? Each viewer has to be told the end at last, and each run
has to finish. Figures are of memory and CPU, which other work on the machine changes little.

``--check`` fails if one of them is above its bound, or an end is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from load import cpu_seconds, look, stop
from servers import OURS, ROOT, Site

from tests.chaos.patience import scaled

__all__ = ["Figures", "hold_core", "hold_runs", "hold_viewers", "missed", "pass_runs"]

RATE = 1e-6  # tokens a second of the model: one in eleven days
AT_ONCE = 20  # connections that start runs, or are opened, at the same time
WARM = (20, 100)  # runs or viewers before: what is loaded and allocated once
PATIENCE = 120.0
LOOK = 20.0  # seconds that all wait: viewers get a comment every 15

# KB for each that waits, threads more, what is left as a share of what was there, share of a core.
BOUNDS = {
    "viewers": {"each": 100.0, "threads": 1.0, "left": 0.05, "busy": 0.1},
    "runs": {"each": 100.0, "threads": 1.0, "left": 0.05, "busy": 0.1},
    "passing runs": {"left": 0.05},
    "runs of the core": {"each": 28.0},
}


@dataclass(frozen=True)
class Look:
    """A process at one moment: KB of memory, threads, CPU seconds so far."""

    memory: int
    threads: int
    cpu: float
    at: float

    @classmethod
    def of(cls, pid: int) -> Look:
        """Look now."""
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        memory, threads = (int(lines[name].split()[0]) for name in ("VmRSS", "Threads"))
        return cls(memory, threads, cpu_seconds(pid), time.monotonic())


@dataclass(frozen=True)
class Figures:
    """What came of it.

    :param ended: how many had their end.
    :param after: when they have gone; ``again``: when as many more have come and gone.
    :param busy: share of a core while all waited.
    """

    what: str
    count: int
    ended: int
    before: Look
    during: Look
    after: Look
    again: Look
    busy: float = 0.0

    @property
    def each(self) -> float:
        """KB of memory for each."""
        return (self.during.memory - self.before.memory) / self.count

    @property
    def threads(self) -> int:
        """Threads more than before."""
        return self.again.threads - self.before.threads

    @property
    def left(self) -> float:
        """Memory that the second time has added, as a share: the first takes what the allocator keeps."""
        return self.again.memory / self.after.memory - 1


async def hold_viewers(count: int, server: str = "uvicorn", seconds: float = LOOK) -> Figures:
    """Let SSE viewers of one run wait."""
    with Site(RATE, HEARTBEAT=seconds * 0.75) as site:
        return await _held("viewers", count, server, seconds, site, _watched)


async def hold_runs(count: int, server: str = "uvicorn", seconds: float = LOOK) -> Figures:
    """Let runs wait for their models."""
    with Site(RATE, MAX_RUNS=count) as site:
        return await _held("runs", count, server, seconds, site, _executed)


async def pass_runs(count: int, server: str = "uvicorn") -> Figures:
    """Have as many runs one after the other, an eighth of them at a time."""
    at_once = max(1, count // 8)
    with Site(RATE) as site:
        pid, port = site.serve(server, OURS)
        looks, ended = [await _rested(pid)], 0
        for first in range(0, count, at_once):
            few = min(at_once, count - first)
            ended += (await _executed(site, pid, port, few, 0.0))[2]
            looks.append(await _rested(pid))
        # In the first half the process keeps logs, up to as many as it keeps.
        middle = looks[(len(looks) + 1) // 2]
        return Figures("passing runs", count, ended, looks[0], looks[-1], middle, looks[-1])


def hold_core(count: int) -> Figures:
    """Let runs wait for their models, without a site."""
    command = [sys.executable, "-m", "bench.project.waiting", str(count)]
    said = json.loads(subprocess.check_output(command, cwd=ROOT, text=True))
    before, during = (Look(said[name], 1, 0.0, 0.0) for name in ("before", "during"))
    return Figures("runs of the core", count, said["ended"], before, during, during, during)


def missed(figures: Figures) -> Iterator[str]:
    """Yield what is above its bound."""
    if figures.ended < figures.count:
        yield f"{figures.what}: {figures.ended} of {figures.count} had their end"
    for name, most in BOUNDS[figures.what].items():
        if (got := getattr(figures, name)) > most:
            yield f"{figures.what}, {name}: {got:.4g}, at most {most:g}"


async def _held(
    what: str, count: int, server: str, seconds: float, site: Site, hold: Callable[..., Any]
) -> Figures:
    pid, port = site.serve(server, OURS)
    for few in WARM:
        await hold(site, pid, port, min(few, count), 0.0)
    before = await _rested(pid)
    during, busy, ended = await hold(site, pid, port, count, seconds)
    after = await _rested(pid)
    await hold(site, pid, port, count, 0.0)
    return Figures(what, count, ended, before, during, after, await _rested(pid), busy)


async def _watched(site: Site, pid: int, port: int, count: int, seconds: float) -> tuple[Look, float, int]:
    """Have viewers of a run, and end it."""
    started = await _start(port)
    await _until(lambda: look(site.model_port).streams == 1)
    viewers = [Viewer(port, started) for _ in range(count)]
    waiting = iter(viewers)

    async def begin() -> None:
        for viewer in waiting:
            await viewer.begin()

    await asyncio.gather(*(begin() for _ in range(AT_ONCE)))
    during, busy = await _wait(pid, seconds)
    stop(site.model_port)
    ended = await asyncio.gather(*(viewer.end(waited=seconds > 0) for viewer in viewers))
    return during, busy, sum(ended)


async def _executed(site: Site, pid: int, port: int, count: int, seconds: float) -> tuple[Look, float, int]:
    """Have runs, and end them."""
    with closing(sqlite3.connect(site.database, timeout=PATIENCE)) as database:

        def finished() -> int:
            sql = "SELECT count(*) FROM lingstream_run WHERE status = 'finished'"
            return int(database.execute(sql).fetchone()[0])

        known, left = finished(), iter(range(count))

        async def begin() -> None:
            for _ in left:
                await _start(port)

        await asyncio.gather(*(begin() for _ in range(AT_ONCE)))
        await _until(lambda: look(site.model_port).streams == count)
        during, busy = await _wait(pid, seconds)

        def end() -> bool:
            stop(site.model_port)
            return finished() == known + count

        with suppress(TimeoutError):
            await _until(end)
        return during, busy, finished() - known


async def _wait(pid: int, seconds: float) -> tuple[Look, float]:
    """See what a process does while all wait."""
    first = await _rested(pid)
    await asyncio.sleep(seconds)
    last = Look.of(pid)
    return last, (last.cpu - first.cpu) / (last.at - first.at)


async def _rested(pid: int) -> Look:
    """Look a little later: what ended in this moment has not been cleared up."""
    await asyncio.sleep(1)
    return Look.of(pid)


async def _until(holds: Callable[[], bool]) -> None:
    """Wait for what nobody tells of."""
    async with asyncio.timeout(scaled(PATIENCE)):
        while not holds():
            await asyncio.sleep(0.1)


async def _start(port: int) -> dict[str, str]:
    """Start a run; return what is said of it."""
    body = json.dumps({"input": {"question": "hi"}})
    head = ["POST /ling/workflows/clock/runs/ HTTP/1.1", "Accept: application/json"]
    head += ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
    reader, writer = await _request(port, head, body)
    async with asyncio.timeout(scaled(PATIENCE)):
        answer = await reader.read()
    writer.close()
    if b" 202 " not in answer.partition(b"\r\n")[0]:
        raise RuntimeError(f"expected 202, got {answer!r}")
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def _request(
    port: int, head: Sequence[str], body: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([*head, f"Host: 127.0.0.1:{port}", "", body]).encode())
    return reader, writer


class Viewer:
    """Somebody who follows a run over SSE."""

    def __init__(self, port: int, started: dict[str, str]) -> None:
        self._port = port
        self._path = f"{started['events']}?token={quote(started['share'])}"

    async def begin(self) -> None:
        """Connect, and read what is there."""
        head = [f"GET {self._path} HTTP/1.1", "Accept: text/event-stream", "Connection: close"]
        self._reader, self._writer = await _request(self._port, head)
        async with asyncio.timeout(scaled(PATIENCE)):
            await self._reader.readuntil(b"event: snapshot")

    async def end(self, *, waited: bool) -> bool:
        """Read to the end; return whether there was one, and a comment before it if there was time for it."""
        async with asyncio.timeout(scaled(PATIENCE)):
            rest = await self._reader.read()
        self._writer.close()
        said, _, done = rest.partition(b"event: done")
        return bool(done) and (b"\n:" in said or not waited)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers must not stay behind
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = []
    print(
        "| what waits | server | MB before | MB | KB each | MB after | twice | threads | more | of a core |"
    )
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for figures in _measured(options):
        found += missed(figures)
        print(_row(figures, options.server), flush=True)
    print(*found, sep="\n", file=sys.stderr)
    if options.check and found:
        sys.exit(1)


def _measured(options: argparse.Namespace) -> Iterator[Figures]:
    if options.viewers:
        yield asyncio.run(hold_viewers(options.viewers, options.server, options.seconds))
    if options.runs:
        yield asyncio.run(hold_runs(options.runs, options.server, options.seconds))
        yield asyncio.run(pass_runs(options.runs, options.server))
    if options.core:
        yield hold_core(options.core)


def _row(figures: Figures, server: str) -> str:
    looks = (figures.before, figures.during, figures.after, figures.again)
    before, during, after, again = (f"{look.memory / 1024:.0f}" for look in looks)
    return (
        f"| {figures.count:,} {figures.what} | {server} | {before} | {during} | {figures.each:.1f} | {after} "
        f"| {again} | {figures.before.threads} | {figures.threads} | {figures.busy:.1%} |"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--viewers", type=int, default=1000, help="(%(default)s)")
    parser.add_argument("--runs", type=int, default=400, help="(%(default)s)")
    parser.add_argument("--core", type=int, default=4000, help="runs without a site (%(default)s)")
    parser.add_argument("--server", choices=["uvicorn", "daphne"], default="uvicorn", help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=LOOK, help="for which all wait (%(default)s)")
    parser.add_argument("--check", action="store_true", help="fail if a bound is passed")
    return parser


if __name__ == "__main__":
    main()
