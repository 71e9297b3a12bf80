"""``make soak``: runs a suite again and again, and keeps what a failure said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .chaos.patience import scaled

ROOT = Path(__file__).resolve().parents[1]


def soak(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tests/soak.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=scaled(120))


def test_a_suite_that_passes_is_run_as_often_as_asked(tmp_path: Path) -> None:
    done = soak("providers", "--times", 2, "--key", "test_events_of_one_packet", "--logs", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == [
        "providers 1/2: passed",
        "providers 2/2: passed",
    ]
    assert list(tmp_path.iterdir()) == []


def test_the_first_failure_ends_it_and_its_output_is_kept(tmp_path: Path) -> None:
    done = soak("providers", "--times", 2, "--key", "no_test_has_this_name", "--logs", tmp_path)
    assert done.returncode == 1
    assert "providers 1/2: FAILED" in done.stdout and "2/2" not in done.stdout
    (log,) = tmp_path.iterdir()
    assert log.name == "providers-1-failed.log" and "deselected" in log.read_text()


def test_an_unknown_suite_is_refused() -> None:
    done = soak("cores")
    assert done.returncode == 2
    assert "expected suites of core, chaos, hubs, browser, providers, rest" in done.stderr


@pytest.mark.soak
def test_what_is_marked_is_run_by_it_alone() -> None:
    assert os.environ["SOAK"] == "1"
