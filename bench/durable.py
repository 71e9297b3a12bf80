"""What a stored step costs: ``python bench/durable.py [--workflows 500] [--steps 10] [--rounds 3]``.

Many workflows at once in one process, whose steps wait 0.2 s and return 1 KB that is stored before the next
begins: ours through the journal that runs use, beside DBOS with its defaults. One after the other, each in a
database of its own of the same PostgreSQL. The window begins when all workflows are stored, and ends when all
have ended; one that takes no time at all for storing makes ``workflows / 0.2`` steps a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = HERE / ".peers"
sys.path.insert(0, str(ROOT))

from tests.chaos.services import Postgres  # noqa: E402

__all__ = ["Figures", "main"]


@dataclass(frozen=True)
class Figures:
    """Of one measurement: CPU is Python's, ``postgres`` PostgreSQL's."""

    steps: int
    seconds: float
    cpu: float
    postgres: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parser().parse_args(arguments)
    python = _install()
    shape = [str(options.workflows), str(options.steps)]
    results: dict[str, list[Figures]] = {"lingstream": [], "DBOS": []}
    postgres = Postgres(max_connections=200)
    try:
        postgres.start()
        for number in range(options.rounds):
            for name, of in results.items():
                database = f"{name.lower()}_{number}"
                postgres.rows(f'CREATE DATABASE "{database}"')
                of.append(_measure(postgres, _command(name, python, postgres, database, shape), database))
    finally:
        postgres.close()
    print(f"{options.workflows} workflows × {options.steps} steps of 0.2 s, {os.cpu_count()} cores\n")
    print("| what | stored steps/s | ms of Python CPU a step | ms of PostgreSQL's |")
    print("|---|--:|--:|--:|")
    for name, of in results.items():
        rate = median(figures.steps / figures.seconds for figures in of)
        cpu, server = (
            median(getattr(figures, which) / figures.steps * 1e3 for figures in of)
            for which in ("cpu", "postgres")
        )
        print(f"| {name} | {rate:.0f} | {cpu:.2f} | {server:.2f} |")


def _command(name: str, python: Path, postgres: Postgres, database: str, shape: list[str]) -> list[str]:
    if name == "DBOS":
        url = f"postgresql://postgres@127.0.0.1:{postgres.port}/{database}"
        return [str(python), str(HERE / "peers/dbos_steps.py"), url, *shape]
    return [sys.executable, "-m", "bench.project.steps", *shape]


def _measure(postgres: Postgres, command: list[str], database: str) -> Figures:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "bench.project.many",
        "BENCH_MODEL": "",
        "BENCH_DATABASE": database,
        "BENCH_POSTGRES": str(postgres.port),
        "BENCH_LINGSTREAM": "{}",
    }
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        try:
            _line(process, "ready")
            before = _cpu(postgres)
            print(file=process.stdin, flush=True)
            figures = json.loads(_line(process, "{"))
            return Figures(**figures, postgres=_cpu(postgres) - before)
        finally:
            process.kill()


def _line(process: subprocess.Popen[str], begins: str) -> str:
    assert process.stdout
    for line in process.stdout:
        if line.startswith(begins):
            return line
    raise RuntimeError(f"{process.args} ended before it said {begins!r}")


def _cpu(postgres: Postgres) -> float:
    """CPU of the server, of sessions that have ended and of those that are open."""
    server = psutil.Process(postgres.pid)
    used = sum(server.cpu_times()[:4])
    for session in server.children():
        try:
            used += sum(session.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return used


def _install() -> Path:
    """Make the peer's environment, unless it is there; return its interpreter."""
    python = PEERS / "bin" / "python"
    wanted = (HERE / "peers/requirements.txt").read_text("utf-8")
    made = PEERS / "requirements.txt"
    if not made.exists() or made.read_text("utf-8") != wanted:
        venv.create(PEERS, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "-r", str(HERE / "peers/requirements.txt")]
        subprocess.run(command, check=True)
        made.write_text(wanted, "utf-8")
    return python


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workflows", type=int, default=500)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    return parser


if __name__ == "__main__":
    main()
