"""What a token costs on its way from the model to the page: ``python bench/stream.py``.

One table: added latency (sent by the model → read by the client) and CPU per token of the server, for streams
of 50 tokens a second, beside a hand-written Django view (a) and a bare socket proxy (b). Model, server and
client are processes of their own; the configurations take turns, and each figure is the median of the rounds.
``--quick`` takes a minute and is good for a rough look. ``--trial`` adds what the admin's panel “Try it”
starts and follows: a trial should cost what a real run costs.

``--busy`` measures only where (a) on uvicorn uses 70 % of a core; ``--check`` fails there if the p99 of
lingstream on uvicorn is above that of (a).

``--against HEAD~1`` measures lingstream alone, beside another commit of it: a token should not cost more than
before. Both are served all the time and take turns, who is first too; each round has a ratio of its own, so
what else the machine does meanwhile is in both of its sides. ``--check`` fails if the median of a row's
ratios is above ``DEARER``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from load import Result, Spec, cpu_seconds, measure_apart, stop
from servers import OURS, ROOT, Site

RATE = 50  # tokens a second in each stream
BUSY = 0.7  # of a core: where latencies are compared, peer (a) uses that much
DEARER = 1.05  # × another commit


@dataclass(frozen=True)
class Config:
    """One row of the table for each load.

    :param revision: of which it is, ``""`` is the work tree.
    """

    name: str
    server: str
    application: str
    transport: str
    path: str
    revision: str = ""


VIEW, PROXY = "bench.peers.django_view", "bench.peers.socket_proxy"
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
    """The processes, and the measurements that were made with them.

    :param trees: of each revision, where it is.
    """

    def __init__(self, seconds: float, trees: Mapping[str, Path], *, trial: bool = False) -> None:
        self.seconds = seconds
        self.results: dict[tuple[Config, int], list[Result]] = {}
        self._stack = contextlib.ExitStack()
        self._sites = {revision: Site(RATE, tree, trial=trial) for revision, tree in trees.items()}

    def __enter__(self) -> Bench:
        with self._stack:
            for site in self._sites.values():
                self._stack.enter_context(site)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, configs: Sequence[Config]) -> None:
        """Start the servers of ``configs``, and let each answer once."""
        for config in configs:
            self._sites[config.revision].serve(config.server, config.application)
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
        site = self._sites[config.revision]
        pid, port = site.serve(config.server, config.application)
        pids = {"server": pid, "model": site.model_pid}
        self._quiet(pid, site.model_port)
        return measure_apart(
            Spec(config.transport, config.path, port, site.model_port, streams, seconds, pids)
        )

    def _quiet(self, pid: int, model_port: int) -> None:
        """Wait until the server has nothing to do: one that was overloaded has a backlog."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            stop(model_port)
            before = cpu_seconds(pid)
            time.sleep(0.3)
            if cpu_seconds(pid) - before < 0.015:
                return


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers must not stay behind
    options.seconds = options.seconds or (2.0 if options.quick else 4.0)
    options.rounds = options.rounds or (1 if options.quick else 5)
    known = (*CONFIGS, *TRIALS) if options.trial else CONFIGS
    configs = [config for config in known if not options.only or options.only in _label(config)]
    if options.against:
        _compare(options, [config for config in configs if config.application == OURS])
    else:
        _measure_peers(options, configs if PEER in configs else [*configs, PEER])


def _measure_peers(options: argparse.Namespace, configs: Sequence[Config]) -> None:
    with Bench(options.seconds, {"": ROOT}, trial=options.trial) as bench:
        bench.start(configs)
        loads = options.streams or ([] if options.busy else [1, 50, 100])
        for _ in range(options.rounds):
            for streams in loads:
                bench.round(configs, streams)
        compared = 0
        if not options.streams:
            compared = bench.load_of(PEER, BUSY)
            for _ in range(options.rounds):
                bench.round(configs, compared)
        rows = {key: Row.of(results) for key, results in bench.results.items()}
        print("\n".join(_table(rows, compared)))
    if options.check and (late := _late(rows, compared)):
        sys.exit(f"p99 above that of (a): {'; '.join(late)}")


def _late(rows: Mapping[tuple[Config, int], Row], compared: int) -> list[str]:
    """The rows of lingstream, beside (a), whose p99 is above its own where it is about to be full."""
    bound = rows[PEER, compared].p99 if compared else math.inf
    return [
        f"{_label(config)}, {row.p99:.1f} ms beside {bound:.1f}"
        for (config, streams), row in rows.items()
        if streams == compared
        and config.application == OURS
        and config.server == PEER.server
        # NaN, of a server that sent nothing, is late too.
        and not row.p99 <= bound
    ]


# -- beside another commit -----------------------------------------------------------------------------


def _compare(options: argparse.Namespace, configs: Sequence[Config]) -> None:
    before = [replace(config, revision=options.against) for config in configs]
    with tempfile.TemporaryDirectory(prefix="lingstream-") as folder:
        _extract(options.against, Path(folder))
        trees = {"": ROOT, options.against: Path(folder)}
        with Bench(options.seconds, trees, trial=options.trial) as bench:
            bench.start([*configs, *before])
            for number in range(options.rounds):
                for streams in options.streams or [1, 50]:
                    for pair in zip(configs, before, strict=True):
                        bench.round(pair if number % 2 else pair[::-1], streams)
            ratios = {
                (config, streams): [
                    cpu_per_token(mine) / cpu_per_token(other)
                    for mine, other in zip(
                        bench.results[config, streams],
                        bench.results[replace(config, revision=options.against), streams],
                        strict=True,
                    )
                ]
                for config, streams in bench.results
                if not config.revision
            }
            rows = {key: Row.of(results) for key, results in bench.results.items()}
    print("\n".join(_pairs(rows, ratios, options.against)))
    # NaN, of a server that sent nothing, is dearer too.
    dearer = [key for key, each in ratios.items() if not median(each) <= DEARER]
    if options.check and dearer:
        names = (f"{streams} streams, {_label(config)}" for config, streams in dearer)
        sys.exit(f"more than {DEARER} × {options.against}: {'; '.join(names)}")


def _extract(revision: str, folder: Path) -> None:
    """Write the files of a commit."""
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        sys.exit(f"expected a commit, got {revision!r}: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")


def _pairs(
    rows: Mapping[tuple[Config, int], Row],
    ratios: Mapping[tuple[Config, int], Sequence[float]],
    against: str,
) -> Iterator[str]:
    yield (
        f"| streams | server | what | CPU ms/token | at {against} | × it | least | most | p50 ms "
        f"| at {against} |"
    )
    yield "|--:|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for (config, streams), each in sorted(ratios.items(), key=lambda item: item[0][1]):
        now, before = rows[config, streams], rows[replace(config, revision=against), streams]
        yield (
            f"| {streams} | {config.server} | {config.name} {now.fault}| {now.cpu:.3f} "
            f"| {before.cpu:.3f} {before.fault}| {median(each):.2f} | {min(each):.2f} | {max(each):.2f} "
            f"| {now.p50:.2f} | {before.p50:.2f} |"
        )


def cpu_per_token(result: Result) -> float:
    """Milliseconds of the server's CPU for each token that the client got."""
    return result.cpu["server"] * 1000 / result.tokens if result.tokens else math.nan


def _table(rows: Mapping[tuple[Config, int], Row], compared: int) -> Iterator[str]:
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
    parser.add_argument(
        "--busy", action="store_true", help=f"only where (a) uses {BUSY:.0%} of a core".replace("%", "%%")
    )
    parser.add_argument("--trial", action="store_true", help="trials too, as the admin's panel starts them")
    parser.add_argument("--only", help="part of a row's server and name, such as 'uvicorn lingstream'")
    parser.add_argument("--against", metavar="COMMIT", help="measure beside this one, and without the peers")
    parser.add_argument(
        "--check",
        action="store_true",
        help=f"fail if it costs more than {DEARER} × that, or is later than (a)",
    )
    return parser


if __name__ == "__main__":
    main()
