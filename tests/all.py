"""``make test``: all tests, in two processes side by side.

Those of ``tests/chaos`` mostly wait, until a process counts as dead or a server is back, and take a tenth of
a CPU in ten minutes; the others take one whole.
"""

from __future__ import annotations

import subprocess
import sys

from .soak import ROOT, end

__all__ = ["main"]

WAITING = "tests/chaos"
LOG = ROOT / "build" / "chaos.log"


def main() -> int:
    """Run both; return 0 if both have passed."""
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("wb") as output:
        command = pytest(WAITING)
        chaos = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
        try:
            codes = [subprocess.call(pytest(f"--ignore={WAITING}"), cwd=ROOT), chaos.wait()]
        finally:  # also when we are interrupted
            end(chaos)
    print(f"\n{WAITING}:\n{LOG.read_text(errors='replace')}", flush=True)
    return int(any(codes))


def pytest(*arguments: str) -> list[str]:
    """What to call."""
    return [sys.executable, "-m", "pytest", *arguments]


if __name__ == "__main__":
    sys.exit(main())
