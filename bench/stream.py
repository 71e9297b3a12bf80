"""What a token costs on its way from the model to the page: ``python bench/stream.py``.

One table: added latency (sent by the model → read by the client) and CPU per token of the server, for streams
of 50 tokens a second, beside a hand-written Django view (a) and a bare socket proxy (b). Model, server and
client are processes of their own; the configurations take turns, and each figure is the median of the rounds.
``--quick`` takes a minute and is good for a rough look. ``--trial`` adds what the admin's panel “Try it”
starts and follows: a trial should cost what a real run costs.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from load import Result, Spec, cpu_seconds, measure_apart, stop
from processes import end, listens

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.ports import free_port  # noqa: E402

RATE = 50  # tokens a second in each stream
BUSY = 0.7  # of a core: where latencies are compared, peer (a) uses that much
UVICORN = ("uvicorn", "--host", "127.0.0.1", "--log-level", "error", "--no-access-log", "--port")
DAPHNE = ("daphne", "-b", "127.0.0.1", "-v", "0", "-p")


@dataclass(frozen=True)
class Config:
    """One row of the table for each load."""

    name: str
    server: str
    application: str
    transport: str
    path: str

    @property
    def process(self) -> tuple[str, str]:
        """Configurations with the same one share a process."""
        return self.server, self.application


VIEW, PROXY, OURS = "bench.peers.django_view", "bench.peers.socket_proxy", "bench.project.asgi"
RUNS = "/ling/workflows/clock/runs/"
PEER = Config("(a) hand-written view", "uvicorn", VIEW, "get", "/stream")
TRIAL = "/admin/lingstream/workflow/1/change/"
TRIALS = (
    Config("lingstream trial, in the admin's panel", "uvicorn", OURS, "trial", TRIAL),
    Config("lingstream trial, in the admin's panel", "daphne", OURS, "trial", TRIAL),
)
CONFIGS = (
    Config("lingstream SSE", "uvicorn", OURS, "post", RUNS),
    Config("lingstream WebSocket", "uvicorn", OURS, "socket", "/ws/ling/"),
    PEER,
    Config("(b) bare socket proxy", "uvicorn", PROXY, "get", "/"),
    Config("lingstream SSE", "daphne", OURS, "post", RUNS),
    Config("lingstream WebSocket", "daphne", OURS, "socket", "/ws/ling/"),
    Config("(a) hand-written view", "daphne", VIEW, "get", "/stream"),
)


@dataclass(frozen=True)
class Row:
    """The medians of one configuration at one load."""

    p50: float
    p99: float
    cpu: float
    busy: dict[str, float]
    fault: str

    @classmethod
    def of(cls, results: Sequence[Result]) -> Row:
        """Return the medians."""
        busy = {
            name: median(result.cpu[name] / result.seconds for result in results) for name in results[0].cpu
        }
        return cls(
            p50=median(result.p50 for result in results),
            p99=median(result.p99 for result in results),
            cpu=median(cpu_per_token(result) for result in results),
            busy=busy,
            fault=_fault(results),
        )


class Bench:
    """The processes, and the measurements that were made with them."""

    def __init__(self, seconds: float, *, trial: bool = False) -> None:
        self.seconds = seconds
        self._trial = {"BENCH_TRIAL": "1"} if trial else {}
        self.results: dict[tuple[Config, int], list[Result]] = {}
        self._stack = contextlib.ExitStack()
        self._servers: dict[tuple[str, str], tuple[int, int]] = {}

    def __enter__(self) -> Bench:
        command = [sys.executable, str(ROOT / "bench/model.py"), str(RATE)]
        model = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._stack.callback(end, model)
        self._model_pid, self._model_port = model.pid, int(model.stdout.readline())
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._environment = os.environ | {
            "BENCH_MODEL": f"http://127.0.0.1:{self._model_port}/v1",
            "BENCH_KEY": "bench",
            "BENCH_DATABASE": f"{folder}/bench.sqlite3",
            **self._trial,
        }
        self._errors = Path(folder, "errors.txt")
        self._run("bench.project.prepare").wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, configs: Sequence[Config]) -> None:
        """Start the servers of ``configs``, and let each answer once."""
        for config in configs:
            if config.process not in self._servers:
                port = free_port()
                command = UVICORN if config.server == "uvicorn" else DAPHNE
                server = self._run(*command, str(port), f"{config.application}:application")
                self._stack.callback(end, server)
                self._servers[config.process] = server.pid, port
                if not listens(port, server):
                    raise RuntimeError(f"{config} did not start:\n{self._errors.read_text()}")
        for config in configs:
            self._measure(config, 5, 0.5)

    def round(self, configs: Sequence[Config], streams: int) -> None:
        """Measure each of ``configs`` once, one after the other."""
        for config in configs:
            result = self._measure(config, streams, self.seconds)
            self.results.setdefault((config, streams), []).append(result)

    def load_of(self, config: Config, busy: float) -> int:
        """Find the number of streams that keep the server of ``config`` busy for this share of a core."""
        streams = 50
        for _ in range(5):
            result = self._measure(config, streams, self.seconds)
            used = result.cpu["server"] / result.seconds
            if busy - 0.05 <= used <= busy:
                break
            streams = max(1, int(streams * (busy - 0.02) / used))
        return streams

    def _measure(self, config: Config, streams: int, seconds: float) -> Result:
        pid, port = self._servers[config.process]
        pids = {"server": pid, "model": self._model_pid}
        self._quiet(pid)
        return measure_apart(
            Spec(config.transport, config.path, port, self._model_port, streams, seconds, pids)
        )

    def _quiet(self, pid: int) -> None:
        """Wait until the server has nothing to do: one that was overloaded has a backlog."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            stop(self._model_port)
            before = cpu_seconds(pid)
            time.sleep(0.3)
            if cpu_seconds(pid) - before < 0.015:
                return

    def _run(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, *arguments]
        # Django under daphne logs a traceback for each client that leaves.
        with self._errors.open("ab") as errors:
            return subprocess.Popen(command, cwd=ROOT, env=self._environment, stderr=errors)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers must not stay behind
    known = (*CONFIGS, *TRIALS) if options.trial else CONFIGS
    configs = [config for config in known if not options.only or options.only in _label(config)]
    configs = configs if PEER in configs else [*configs, PEER]
    with Bench(options.seconds or (2.0 if options.quick else 4.0), trial=options.trial) as bench:
        bench.start(configs)
        rounds = options.rounds or (1 if options.quick else 5)
        loads = options.streams or [1, 50, 100]
        for _ in range(rounds):
            for streams in loads:
                bench.round(configs, streams)
        compared = 0
        if not options.streams:
            compared = bench.load_of(PEER, BUSY)
            for _ in range(rounds):
                bench.round(configs, compared)
        rows = {key: Row.of(results) for key, results in bench.results.items()}
        print("\n".join(_table(rows, compared)))


def cpu_per_token(result: Result) -> float:
    """Milliseconds of the server's CPU for each token that the client got."""
    return result.cpu["server"] * 1000 / result.tokens if result.tokens else math.nan


def _table(rows: dict[tuple[Config, int], Row], compared: int) -> Iterator[str]:
    yield "| streams | server | what | p50 ms | p99 ms | CPU ms/token | × (a) | server | model | client |"
    yield "|--:|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for (config, streams), row in sorted(rows.items(), key=lambda item: item[0][1]):
        mark = f"{streams}*" if streams == compared else str(streams)
        times = row.cpu / rows[PEER, streams].cpu
        busy = " | ".join(f"{row.busy[name]:.0%}" for name in ("server", "model", "client"))
        yield (
            f"| {mark} | {config.server} | {config.name} {row.fault}| {row.p50:.2f} | {row.p99:.2f} | "
            f"{row.cpu:.3f} | {times:.2f} | {busy} |"
        )
    if compared:
        yield ""
        yield f"\\* where (a) on uvicorn uses about {BUSY:.0%} of a core"


def _fault(results: Sequence[Result]) -> str:
    """What went wrong: too much for the server, or tokens that never came."""
    if silent := max(result.silent for result in results):
        return f"**overloaded, {silent} streams did not begin** "
    lost = sum(result.lost for result in results)
    return f"**{lost} tokens lost** " if lost else ""


def _label(config: Config) -> str:
    return f"{config.server} {config.name}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, help="how often each configuration is measured")
    parser.add_argument("--seconds", type=float, help="length of each measurement")
    parser.add_argument("--streams", type=int, nargs="+", help="loads to measure")
    parser.add_argument("--trial", action="store_true", help="trials too, as the admin's panel starts them")
    parser.add_argument("--only", help="part of a row's server and name, such as 'uvicorn lingstream'")
    return parser


if __name__ == "__main__":
    main()
