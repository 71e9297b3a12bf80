"""What a run holds while its model says nothing."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.soak import ROOT

MANY = 500
_MOST = 30.0  # KB; ``bench/idle.py`` has 4,000, and a bound that is a little closer


def test_a_run_that_waits_takes_little() -> None:
    command = [sys.executable, "-m", "bench.project.waiting", str(MANY)]
    said = json.loads(subprocess.check_output(command, cwd=ROOT, text=True))
    assert said["ended"] == MANY
    assert (said["during"] - said["before"]) / MANY <= _MOST
