"""``make soak``: runs a suite again and again, and keeps what a failure said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from . import soak as soak_file
from .chaos.patience import scaled
from .soak import files_of, passed

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
    rounds = [{"suite": suite, "key": "", "files": "a", "result": result} for suite, result in results]
    rounds += [{**rounds[0], "files": "b"}, {**rounds[0], "key": "one"}]
    assert passed(record, {"suite": "chaos", "key": "", "files": "a"}) == 0
    record.write_text("".join(f"{json.dumps(each)}\n" for each in rounds))
    assert passed(record, {"suite": "chaos", "key": "", "files": "a"}) == 2
    assert passed(record, {"suite": "hubs", "key": "", "files": "a"}) == 0


def test_resumed_it_runs_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["soak.py", "chaos", "--logs", str(tmp_path), *arguments])
        assert soak_file.main() == 0
        return capsys.readouterr().out.splitlines()

    rounds: list[dict[str, str]] = []
    monkeypatch.setattr(soak_file, "files_of", lambda folder: "a")
    monkeypatch.setattr(
        soak_file, "run", lambda arguments, log, more: rounds.append(more) or log.write_text("")
    )
    assert told("--times", "2") == ["chaos 1/2: passed, 0 s", "chaos 2/2: passed, 0 s"]
    assert told("--times", "3", "--resume") == ["chaos: 2 of 3 have passed before", "chaos 3/3: passed, 0 s"]
    monkeypatch.setattr(soak_file, "files_of", lambda folder: "b")
    assert told("--times", "1", "--resume") == ["chaos 1/1: passed, 0 s"]
    told("--times", "2", "--key", "one")
    assert [bool(more) for more in rounds] == [True, False, False, True, True, True]  # the long ones


@pytest.fixture
def work_tree(tmp_path: Path) -> Callable[..., str]:
    """Writes files into a work tree, commits them if told to, and returns the digest of what is there."""

    def git(*command: str) -> None:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        subprocess.run(["git", *who, *command], cwd=tmp_path, check=True, capture_output=True)

    def write(files: dict[str, str], *, commit: bool) -> str:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        if commit:
            git("add", ".")
            git("commit", "--message", "x")
        return files_of(tmp_path)

    git("init")
    return write


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("docs/a.md", False),
        ("docs/images/b.png", False),
        ("README.md", False),
        ("CHANGELOG.md", False),
        ("lingstream/a.py", True),
        ("lingstream/docs/a.md", True),
        ("tests/cases/README.md", True),
        ("bench/new.py", True),
        ("docs.py", True),
    ],
)
def test_rounds_count_for_files_that_differ_in_nothing_but_prose(
    work_tree: Callable[..., str], name: str, differs: bool, commit: bool
) -> None:
    before = work_tree({"lingstream/a.py": "1", "docs/a.md": "1"}, commit=True)
    after = work_tree({name: "2"}, commit=commit)
    assert (after != before) is differs
    assert after.startswith("changes of") is (differs and not commit)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_files_count_not_the_commit(work_tree: Callable[..., str]) -> None:
    before, between, after = (work_tree({"lingstream/a.py": text}, commit=True) for text in "121")
    assert before == after != between


def test_a_copy_without_its_history_is_never_the_same_again(tmp_path: Path) -> None:
    assert files_of(tmp_path).startswith("changes of")


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
