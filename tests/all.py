"""``make test``: all tests, in five processes side by side.

Each waits for much of its time, for a browser, for PostgreSQL, or until a process counts as dead or a server
is back: so five keep two CPUs busy. Those of knowledge, which are through first, give way to the others. They
share a session: Linux may give each of those an equal share.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from .node import peers
from .soak import ROOT, end

__all__ = ["main"]

ONCE_MORE = "tests/chaos/test_postgresql.py"  # of all tests the longest
BESIDE = {"tests/chaos": [f"--ignore={ONCE_MORE}"], ONCE_MORE: [], "tests/browser": [], "tests/knowledge": []}
GIVES_WAY = {"tests/knowledge": ["nice", "-n", "5"]}  # a third of what others get
LOGS = ROOT / "build" / "tests"


def main() -> int:
    """Run all; return 0 if all have passed. What goes on beside the rest is printed when that is through."""
    LOGS.mkdir(parents=True, exist_ok=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each of 350 processes compiles us anew
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of the exit stack
    peers()  # once, for who of them comes first
    with ExitStack() as running:
        beside = {part: _start(part, running) for part in BESIDE}
        codes = [subprocess.call(_pytest(*(f"--ignore={part}" for part in BESIDE)), cwd=ROOT)]
        for part, process in beside.items():
            codes.append(process.wait())
            print(f"\n{part}:\n{_log(part).read_text(errors='replace')}", flush=True)
    return int(any(codes))


def _start(part: str, running: ExitStack) -> subprocess.Popen[bytes]:
    with _log(part).open("wb") as output:
        command = [*GIVES_WAY.get(part, ()), *_pytest(part, *BESIDE[part])]
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, process_group=0)
    running.callback(end, process)  # also when we are interrupted
    return process


def _log(part: str) -> Path:
    return LOGS / f"{part.replace('/', '-')}.log"


def _pytest(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "--durations=12", *arguments]


if __name__ == "__main__":
    sys.exit(main())
