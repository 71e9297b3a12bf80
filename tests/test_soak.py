"""``make soak``: runs a suite again and again, and keeps what a failure said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .chaos.patience import scaled
from .soak import commit_of, passed

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
    (record,) = tmp_path.iterdir()
    rounds = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(each["suite"], each["result"]) for each in rounds] == [("providers", "passed")] * 2


def test_resumed_it_counts_what_passed_since_the_last_failure_of_the_same_files(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    results = [("chaos", "passed"), ("hubs", "FAILED"), ("chaos", "FAILED"), *[("chaos", "passed")] * 2]
    rounds = [{"suite": suite, "key": "", "commit": "a", "result": result} for suite, result in results]
    rounds += [{**rounds[0], "commit": "b"}, {**rounds[0], "key": "one"}]
    assert passed(record, {"suite": "chaos", "key": "", "commit": "a"}) == 0
    record.write_text("".join(f"{json.dumps(each)}\n" for each in rounds))
    assert passed(record, {"suite": "chaos", "key": "", "commit": "a"}) == 2
    assert passed(record, {"suite": "hubs", "key": "", "commit": "a"}) == 0


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_files_that_have_changed_are_those_of_no_commit(tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(tmp_path)]
    for command in (["init"], ["commit", "--allow-empty", "--message", "one"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    assert commit_of(tmp_path / "..").startswith("no commit with changes")
    commit = commit_of(tmp_path)
    assert len(commit) == 40 and commit_of(tmp_path) == commit
    (tmp_path / "file").touch()
    assert commit_of(tmp_path).startswith(f"{commit} with changes")


def test_the_first_failure_ends_it_and_its_output_is_kept(tmp_path: Path) -> None:
    done = soak("providers", "--times", 2, "--key", "no_test_has_this_name", "--logs", tmp_path)
    assert done.returncode == 1
    assert "providers 1/2: FAILED" in done.stdout and "2/2" not in done.stdout
    (log,) = tmp_path.glob("*.log")
    assert log.name == "providers-1-failed.log" and "deselected" in log.read_text()


def test_an_unknown_suite_is_refused() -> None:
    done = soak("cores")
    assert done.returncode == 2
    assert "expected suites of core, chaos, hubs, browser, providers, rest" in done.stderr


@pytest.mark.soak
def test_what_is_marked_is_run_by_it_alone() -> None:
    assert os.environ["SOAK"] == "1"
