"""``make soak``: every suite many times in a row, because a suite that passes once says little.

Stops at the first failure, and keeps its output::

    make soak                              # everything, 20 times
    make soak SUITES="chaos hubs" TIMES=5
    make soak SUITES=chaos KEY="told_to_stop"

What takes too long for ``make test`` (long rows of chaos, fuzz and load) belongs to a suite too: mark a test
with ``@pytest.mark.soak``, which is skipped elsewhere, or add a command to ``COMMANDS``.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("core", "chaos", "hubs", "browser", "providers")

COMMANDS: dict[str, list[str]] = {
    "ownership": ["bench/ownership.py", "--soak"],
    "decoder": ["tests/fuzz.py", "--only", "decoder", "--seconds", "600"],
    "fuzz": ["tests/fuzz.py", "--seconds", "1200"],
}
"""What is no test of pytest, and long enough to be run once: what comes after ``python``; one that fails does
not return 0."""


def arguments_of(suite: str, key: str) -> list[str]:
    """Return what to call Python with for one round of ``suite``.

    :param key: an expression for pytest's ``-k``; ``""`` takes all tests.
    """
    if suite in COMMANDS:
        return COMMANDS[suite]
    chosen = ["-k", key] if key else []
    return ["-m", "pytest", "--durations=5", *chosen, *paths_of(suite)]


def paths_of(suite: str) -> list[str]:
    """Return what pytest is told to collect: a folder, or for ``rest`` all that is in none of them."""
    if suite in PARTS:
        return [f"tests/{suite}"]
    return ["tests", *(f"--ignore=tests/{part}" for part in PARTS)]


def main() -> int:
    names = [*PARTS, "rest", *COMMANDS]
    parser = argparse.ArgumentParser(description="run each suite many times in a row")
    parser.add_argument("suites", nargs="*", default=names, metavar="SUITE", help=f"of {', '.join(names)}")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--key", default="", help="an expression for pytest's -k")
    parser.add_argument("--logs", type=Path, default=ROOT / "build" / "soak", help="a folder for the output")
    asked = parser.parse_args()
    if unknown := [suite for suite in asked.suites if suite not in names]:
        parser.error(f"expected suites of {', '.join(names)}, got {', '.join(unknown)}")
    asked.logs.mkdir(parents=True, exist_ok=True)
    for suite in asked.suites:
        times = 1 if suite in COMMANDS else asked.times
        for number in range(1, times + 1):
            log = asked.logs / f"{suite}.log"
            begun = time.monotonic()
            code = run(arguments_of(suite, asked.key), log)
            took = time.monotonic() - begun
            result = "FAILED" if code else "passed"
            print(f"{suite} {number}/{times}: {result}, {took:.0f} s", flush=True)
            if code:
                kept = log.rename(asked.logs / f"{suite}-{number}-failed.log")
                print(f"{tail(kept)}\nthe whole is in {kept}")
                return 1
            log.unlink()
    return 0


def run(arguments: list[str], log: Path) -> int:
    """Run Python with ``arguments``, its output in ``log``; return its code."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, "SOAK": "1", "LINGSTREAM_RELOADS": "200"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            return process.wait()
        finally:  # also when we are interrupted: nothing of it outlives its round
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-60:])


if __name__ == "__main__":
    sys.exit(main())
