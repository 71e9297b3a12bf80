"""Who executes a run, under load: ``python bench/ownership.py [--runs 500] [--burn 3] [--kill one] …``.

Many runs of ten bots at once in three workers with default timings, on PostgreSQL and Redis, some of them
watched from their beginning; the model server remembers each call. Counted is what should not be: runs that
were lost, or moved though their worker lived, calls that were paid twice, workers that were silent, viewers
without an end. Faults strike when a third of all calls has been answered.

``--check`` fails if an aim is missed; ``--json`` prints the figures for a program; ``--logs`` keeps what the
processes said. ``--soak`` measures all that ``SOAK`` lists, a quarter of an hour on a machine of its own, and
fails if any aim is missed. ``tests/chaos/test_load.py`` is the short form, without what goes by the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from calls import Calls
from faults import Harm, Load, hurt
from fleet import Fleet
from observer import Observer, connect, spent
from watchers import Watcher

from tests.chaos.patience import scaled

__all__ = ["SOAK", "Load", "Report", "aims", "answer", "measure", "table"]

# Bots; of fewer, what processes ask when they start, and viewers, is a good part of all statements, and runs
# that began together are still in step: a kill meets none of their answers on its way, or a fifth of all.
MANY = 5000
# A process that wants a CPU as long as we live.
BURN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))"
AT_ONCE = 8  # runs in one claim
GRACE = 30.0  # seconds in which viewers are told the end after the last run has ended


SOAK = [
    Load(runs=500),
    Load(runs=500, burn=3),
    Load(runs=500, kill="one"),
    Load(kill="one"),
    Load(kill="each"),
    Load(freeze=30.0),
    Load(rolling=True),
    Load(database_stop=20.0),
    Load(database_restart=True, redis_restart=True),
    Load(redis_restart=True),
    Load(clock=3600.0),
    Load(clock=3600.0, kill="one"),
]


@dataclass
class Report:
    """What came of it; see :func:`aims` for what should.

    :param repeated: calls with the name of an earlier one; ``again``: of them, after an answer.
    :param moved: runs that were executed by more than one; ``strangers``: of them, those whose worker was
        not touched; ``twice``: those that moved more than once; ``late``: seconds until the last one moved.
    :param answered: calls that the killed or frozen workers had answered until then; ``held``: of them,
        those of runs that had not ended.
    :param silence: the longest one of a worker that lived.
    :param statements: per bot, without ``BEGIN`` and ``COMMIT``; ``transactions``, ``sessions`` likewise
        counted in the server's log, of the workers and the web process.
    :param stored: seconds from the last byte that the model sent until the commit of the bot's row.
    :param wrong: finished runs whose document is not what the model said.
    :param blind: viewers that got no ``done``; ``elsewhere``: of them, those that were told ``elsewhere``.
    :param differ: viewers whose document is not the stored one.
    :param stuck: workers that did not end when they were told to.
    :param shares: runs that each worker had at last, the most first; ``share``: the first of them.
    :param notes: what is known of each worker that is stuck, each run that failed, and each viewer that is
        blind or differs.
    """

    load: dict[str, Any]
    finished: int = 0
    lost: int = 0
    failed: int = 0
    unfinished: int = 0
    calls: int = 0
    repeated: int = 0
    again: int = 0
    moved: int = 0
    strangers: int = 0
    twice: int = 0
    late: float = 0.0
    answered: int = 0
    held: int = 0
    silence: float = 0.0
    seconds: float = 0.0
    statements: float = 0.0
    transactions: float = 0.0
    sessions: int = 0
    asked_by: dict[str, dict[str, int]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    stored_mean: float = 0.0
    stored_max: float = 0.0
    unstored: int = 0
    wrong: int = 0
    viewers: int = 0
    told: int = 0
    elsewhere: int = 0
    blind: int = 0
    differ: int = 0
    stuck: int = 0
    shares: list[int] = field(default_factory=list)
    share: int = 0
    notes: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


async def measure(load: Load, logs: Path | None = None) -> Report:
    """Start it all, do it once, and end it all.

    :param logs: a folder to keep what the processes say in.
    """
    settings = {"DEAD_AFTER": load.dead_after, "HEARTBEAT_EVERY": load.heartbeat_every}
    with Fleet(load.bots, load.deltas, load.seconds, logs, **settings) as fleet:
        for number in range(load.workers):
            ahead = {0: load.clock, 1: -load.clock}.get(number, 0.0)
            await asyncio.to_thread(fleet.work, 1, load.concurrency, ahead)
        for _ in range(load.burn):
            fleet.start("burner", "-c", BURN)
        observer = Observer(fleet, load.runs)
        observer.start()
        try:
            return await _watched(load, fleet, observer)
        finally:
            observer.stop()


async def _watched(load: Load, fleet: Fleet, observer: Observer) -> Report:
    watchers = [Watcher(fleet.web_port, f"r{number}") for number in range(min(load.watch, load.runs))]
    names = [f"r{number}" for number in range(len(watchers), load.runs)]
    queued = asyncio.create_task(asyncio.to_thread(fleet.enqueue, names))
    watching = [asyncio.create_task(watcher.watch()) for watcher in watchers]
    begun = time.monotonic()
    harm = Harm()
    try:
        await queued
        hurting = asyncio.create_task(hurt(load, fleet, harm))
        while time.monotonic() < begun + scaled(load.bound) and (observer.open or not hurting.done()):
            await asyncio.sleep(0.1)
        hurting.cancel()
        await asyncio.gather(hurting, return_exceptions=True)
        if not hurting.cancelled() and (fault := hurting.exception()):
            raise fault
        # A viewer's end may have to be written by others, after its worker has been silent for long enough.
        await asyncio.wait(watching, timeout=scaled(GRACE)) if watching else None
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    return await asyncio.to_thread(_report, load, fleet, observer, watchers, harm)


# -- what came of it -----------------------------------------------------------------------------------


def _report(load: Load, fleet: Fleet, observer: Observer, watchers: Sequence[Watcher], harm: Harm) -> Report:
    report = Report(
        asdict(load), silence=observer.silence, answered=harm.answered, held=harm.held, stuck=len(harm.stuck)
    )
    report.notes += harm.stuck
    with connect(fleet) as connection:
        runs = {
            row["id"]: row | {"document": json.loads(row["document"] or "null")}
            for row in connection.execute(
                "SELECT id::text, input::json->>'question' AS name, status, epoch, document, created_at, "
                "runner_id, errors "
                "FROM lingstream_run"
            )
        }
        bots = connection.execute(
            "SELECT messages, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at "
            "FROM lingstream_botrun WHERE status = 'finished'"
        ).fetchall()
    statuses = Counter(run["status"] for run in runs.values())
    report.finished, report.lost = statuses["finished"], statuses["lost"]
    report.unfinished = load.runs - len(runs) + statuses["queued"] + statuses["running"]
    report.failed = load.runs - report.finished - report.lost - report.unfinished
    began = min(run["created_at"] for run in runs.values()).timestamp()
    report.seconds = (observer.ended or time.time()) - began
    others = [run for run in runs.values() if run["status"] in ("failed", "canceled")]
    report.notes += [f"{run['name']} {run['status']}: {run['errors']}" for run in others]
    finished = [run for run in runs.values() if run["status"] == "finished"]
    report.wrong = sum(run["document"] != _expected(load, run["name"]) for run in finished)
    report.shares = sorted(Counter(run["runner_id"] for run in runs.values()).values(), reverse=True)
    report.share = max(report.shares)
    _count_calls(report, fleet.calls(), bots)
    _count_moves(report, observer, harm)
    _count_viewers(report, watchers, runs)
    _count_costs(report, fleet, observer, load.runs * load.bots)
    report.missed = list(aims(load, report))
    return report


def _count_calls(
    report: Report, calls: Sequence[tuple[str, float, float | None]], rows: Sequence[dict[str, Any]]
) -> None:
    made: dict[str, list[tuple[float, float | None]]] = defaultdict(list)
    for name, asked, answered in calls:
        made[name].append((asked, answered))
    report.calls = len(calls)
    report.repeated = len(calls) - len(made)
    for times in made.values():
        for asked, _ in times[1:]:
            report.again += any(answered is not None and answered < asked for _, answered in times)
    at = {
        next(message["content"] for message in json.loads(row["messages"]) if message["role"] == "user"): row[
            "at"
        ]
        for row in rows
    }
    delays = [
        at[name] - answered
        for name, ((_, answered), *more) in made.items()
        if answered is not None and name in at and not more
    ]
    report.stored_mean = mean(delays) if delays else 0.0
    report.stored_max = max(delays, default=0.0)
    report.unstored = len(made.keys() - at.keys())


def _count_moves(report: Report, observer: Observer, harm: Harm) -> None:
    moved = {run for run, _ in observer.moves}
    report.moved = len(moved)
    report.strangers = 0 if harm.everybody else len(moved - harm.runs)
    report.twice = len({run for run, epoch in observer.moves if epoch > 2})
    mine = [at for (run, _), at in observer.moves.items() if run in harm.runs]
    report.late = max(mine) - harm.at if mine else 0.0


def _count_viewers(report: Report, watchers: Sequence[Watcher], runs: dict[str, Any]) -> None:
    report.viewers = len(watchers)
    for watcher in watchers:
        report.told += watcher.told
        report.blind += not watcher.done
        report.elsewhere += watcher.told and not watcher.done
        run = runs.get(watcher.run, {"status": "unknown", "epoch": 0, "document": None})
        differs = bool(watcher.done) and watcher.document != run["document"]
        report.differ += differs
        if differs or not watcher.done:
            report.notes.append(f"{watcher}; its run is {run['status']} in epoch {run['epoch']}")


def _count_costs(report: Report, fleet: Fleet, observer: Observer, bots: int) -> None:
    asked = spent(fleet)
    report.statements = asked.statements.total() / bots
    report.transactions = asked.transactions.total() / bots
    report.sessions = asked.sessions.total()
    report.asked_by = {name: dict(counter) for name, counter in vars(asked).items()}
    for member in fleet.members:
        member.look()
        report.cpu[member.name] = report.cpu.get(member.name, 0.0) + member.cpu
    report.cpu["postgres"] = observer.postgres_cpu


def _expected(load: Load, name: str) -> Any:
    said = Calls(load.bots, load.deltas, load.seconds)
    outline = json.loads("".join(said.answer(name)))
    for item in outline["outline"]:
        item["details"] = "".join(said.answer(item["topic"]))
    return outline


def aims(load: Load, report: Report, *, timed: bool = True) -> Iterator[str]:
    """Yield each aim that was missed.

    :param timed: also of those that a machine which is slow or shared misses by itself.
    """
    limits = dict.fromkeys(sorted(_never(load)), 0.0) | _share(load) | (_most(load, report) if timed else {})
    for name, limit in limits.items():
        if (got := getattr(report, name)) > limit:
            yield f"{name}: {got:.6g}, at most {limit:.6g}"


def _never(load: Load) -> set[str]:
    """What may not happen at all."""
    hurt = set(load.faults)
    never = {"lost", "failed", "unfinished", "wrong", "blind", "differ", "stuck", "strangers"}
    if hurt <= {"redis_restart"}:
        never |= {"repeated", "moved"}
    if not hurt & {"kill", "freeze"}:
        never |= {"again"}
    if hurt in ({"kill"}, {"freeze"}) and load.kill != "each":
        never |= {"twice"}
    return never


def _share(load: Load) -> dict[str, float]:
    """How many runs one worker may have, if nobody is hurt: half as many again as its part, and one claim.

    Each claims a few at a time, and the slower the more it has. Of 60 runs workers that claimed all they
    had room for, without a pause, had 45, 9 and 6, and as they are 23, 19 and 18.
    """
    return {} if load.faults else {"share": 1.5 * load.runs / load.workers + AT_ONCE}


def _most(load: Load, report: Report) -> dict[str, float]:
    """What takes time, or costs."""
    hurt = set(load.faults)
    most: dict[str, float] = {}
    if not hurt:
        most |= {"seconds": 45.0, "silence": 2 * load.heartbeat_every, "stored_mean": 0.5, "stored_max": 2.0}
        if load.runs * load.bots >= MANY:
            most |= {"statements": 1.0, "transactions": 0.4, "sessions": 150.0}
    if hurt == {"kill"} and load.kill == "one":
        if load.runs * load.bots >= MANY:
            most |= {"again": 0.05 * report.answered}
        if load.runs <= load.concurrency * (load.workers - 1):  # else a run waits for room
            most |= {"late": load.dead_after + 5}
    return most


# -- to people -----------------------------------------------------------------------------------------

COLUMNS = {
    "lost": lambda report: report.lost,
    "failed, open": lambda report: f"{report.failed}, {report.unfinished}",
    "moved": lambda report: report.moved,
    "of each worker": lambda report: ", ".join(map(str, report.shares)),
    "calls again (answered)": lambda report: f"{report.repeated} ({report.again}) of {report.calls}",
    "longest silence": lambda report: f"{report.silence:.1f} s",
    "all done": lambda report: f"{report.seconds:.0f} s",
    "stored": lambda report: f"{report.stored_mean:.2f}, ≤ {report.stored_max:.2f} s",
    "statements, transactions a bot": lambda report: f"{report.statements:.2f}, {report.transactions:.2f}",
    "PG sessions, CPU": lambda report: f"{report.sessions}, {report.cpu['postgres']:.1f} s",
    "workers' CPU": lambda report: f"{report.cpu['worker']:.0f} s",
    "viewers without `done` (`elsewhere`)": lambda report: f"{report.blind} ({report.elsewhere})",
}


def answer(loads: Sequence[Load]) -> Iterator[str]:
    """Do runs stay with their workers under load?"""
    yield from table([asyncio.run(measure(load)) for load in loads])


def table(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield f"| load | {' | '.join(COLUMNS)} |"
    yield "|---|" + "--:|" * len(COLUMNS)
    for report in reports:
        name = title(Load(**report.load))
        yield f"| {name} | {' | '.join(str(column(report)) for column in COLUMNS.values())} |"


def title(load: Load) -> str:
    """Return what is special about a load."""
    plain = asdict(Load())
    changed = {name: value for name, value in asdict(load).items() if value != plain[name]}
    more = [
        f"{name.replace('_', ' ')} {value}" for name, value in changed.items() if name not in ("runs", "bots")
    ]
    return ", ".join([f"{load.runs} × {load.bots}", *more])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = vars(_parser().parse_args(arguments))
    check, as_json, soak, logs = (options.pop(name) for name in ("check", "json", "soak", "logs"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of the exit stack
    missed: list[str] = []
    for number, load in enumerate(SOAK if soak else [Load(**options)]):
        report = asyncio.run(measure(load, logs and logs / str(number)))
        missed += [f"{title(load)}: {aim}" for aim in report.missed]
        print(json.dumps(asdict(report)) if as_json else "\n".join(_text(report)), flush=True)
    if missed and (check or soak):
        sys.exit("missed:\n" + "\n".join(missed))


def _text(report: Report) -> Iterator[str]:
    yield f"{os.cpu_count()} cores, {os.getloadavg()[0]:.1f} processes wanted them in the minute before\n"
    yield from table([report])
    yield ""
    yield from (f"{name}: {value}" for name, value in asdict(report).items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    plain = Load()
    for name, kind in {
        "runs": int,
        "bots": int,
        "watch": int,
        "workers": int,
        "concurrency": int,
        "deltas": int,
        "seconds": float,
        "bound": float,
        "dead-after": float,
        "heartbeat-every": float,
        "burn": int,
        "freeze": float,
        "database-stop": float,
        "clock": float,
    }.items():
        default = getattr(plain, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=kind, default=default, help="(%(default)s)")
    parser.add_argument("--kill", choices=["one", "each"], default="", help="kill -9")
    for name in ("rolling", "database-restart", "redis-restart"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--soak", action="store_true", help="measure all that SOAK lists, and check")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--logs", type=Path, help="a folder to keep what the processes say in")
    parser.add_argument("--check", action="store_true", help="fail if an aim is missed")
    return parser


if __name__ == "__main__":
    main()
