"""``make soak``: every suite many times in a row, because a suite that passes once says little.

Stops at the first failure, and keeps its output. Each round is a line of ``record.jsonl``; with ``RESUME=1``
those count that have passed before, since the last one of the suite that failed, of the same files. Only
``PROSE`` may have changed since: twenty rounds say how steady code and tests are, and one is enough for
a page that is wrong::

    make soak                              # everything, 20 times
    make soak SUITES="chaos hubs" TIMES=5
    make soak SUITES=chaos KEY="told_to_stop"
    make soak RESUME=1                     # goes on where it was interrupted

What takes too long for ``make test`` (long rows of chaos, fuzz and load) belongs to a suite too, and is run
in its first round: mark a test with ``@pytest.mark.soak``, which is skipped elsewhere, or add a command to
``COMMANDS``. The other rounds are what ``make test`` runs; who asks by a key gets all of it each time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("core", "chaos", "hubs", "browser", "providers")
PROSE = ("docs", "README.md", "CHANGELOG.md", "LICENSE")

COMMANDS: dict[str, list[str]] = {
    "ownership": ["bench/ownership.py", "--soak"],
    "idle": ["bench/idle.py", "--check"],
    "starts": ["bench/starts.py", "--check"],
    "starts-postgresql": ["bench/starts.py", "--check", "--postgresql"],
    "decoder": ["tests/fuzz.py", "--only", "decoder", "--seconds", "600"],
    "fuzz": ["tests/fuzz.py", "--seconds", "1200"],
}
"""What is no test of pytest, and long enough to be run once: what comes after ``python``; one that fails does
not return 0."""

LONG = {"SOAK": "1", "LINGSTREAM_RELOADS": "200"}
"""The environment of a round that takes all the time it needs."""


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
    parser.add_argument("--resume", action="store_true", help="count rounds that passed in earlier sessions")
    asked = parser.parse_args()
    if unknown := [suite for suite in asked.suites if suite not in names]:
        parser.error(f"expected suites of {', '.join(names)}, got {', '.join(unknown)}")
    asked.logs.mkdir(parents=True, exist_ok=True)
    record = asked.logs / "record.jsonl"
    for suite in asked.suites:
        times = 1 if suite in COMMANDS else asked.times
        what = {"suite": suite, "key": asked.key, "files": files_of(ROOT)}
        green = passed(record, what) if asked.resume else 0
        if green:
            print(f"{suite}: {min(green, times)} of {times} have passed before", flush=True)
        for number in range(green + 1, times + 1):
            log = asked.logs / f"{suite}.log"
            commit = git(ROOT, "rev-parse", "HEAD") or "no commit"
            begun = time.monotonic()
            code = run(arguments_of(suite, asked.key), log, LONG if number == 1 or asked.key else {})
            took = time.monotonic() - begun
            result = "FAILED" if code else "passed"
            print(f"{suite} {number}/{times}: {result}, {took:.0f} s", flush=True)
            with record.open("a") as lines:
                date = datetime.now(UTC).isoformat(timespec="seconds")
                about = {"commit": commit, "result": result, "seconds": round(took), "date": date}
                if files_of(ROOT) != what["files"]:
                    about["files"] = "changed meanwhile"
                print(json.dumps({**what, **about}), file=lines)
            if code:
                kept = log.rename(asked.logs / f"{suite}-{number}-failed.log")
                print(f"{tail(kept)}\nthe whole is in {kept}")
                return 1
            log.unlink()
    return 0


def files_of(folder: Path) -> str:
    """Return a digest of the files in ``folder`` but ``PROSE``; uncommitted ones are never the same again."""
    tree = git(folder, "ls-tree", "--full-tree", "HEAD")
    changed = git(folder, "status", "--porcelain", "--", ":/", *(f":!/{name}" for name in PROSE))
    if tree is None or changed != "":  # a copy without its history has neither
        return f"changes of {time.time():.0f}"
    kept = [line for line in tree.splitlines() if line.partition("\t")[2] not in PROSE]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()


def git(folder: Path, *command: str) -> str | None:
    """Return what a command of git says in ``folder``; ``None`` if it fails, as where no commit is."""
    try:
        done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def passed(record: Path, what: dict[str, Any]) -> int:
    """Return how many rounds of ``what`` have passed in a row, up to the last line."""
    count = 0
    for line in record.read_text().splitlines() if record.exists() else ():
        try:
            round_ = json.loads(line)
        except ValueError:  # a machine has gone down while it was written
            continue
        if what.items() <= round_.items():
            count = count + 1 if round_["result"] == "passed" else 0
    return count


def run(arguments: list[str], log: Path, more: dict[str, str]) -> int:
    """Run Python with ``arguments`` and ``more`` environment, its output in ``log``; return its code."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **more},
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
