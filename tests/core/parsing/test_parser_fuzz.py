"""A bounded run of the fuzz target, from the repair cases as its corpus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .support import repair_cases

pytest.importorskip("atheris", reason="atheris has no wheel for this Python")


def test_fuzzing_finds_nothing(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for case in [*repair_cases(), *repair_cases("repair_more"), *repair_cases("repair_kinds")]:
        (corpus / case["id"]).write_bytes(b"\x40\x80" + case["input"].encode("utf-8", "surrogatepass"))
    run = subprocess.run(
        [
            sys.executable,
            *("-m", "tests.core.parsing.fuzz_parser", str(corpus)),
            *("-seed=1", "-runs=2500", "-max_total_time=8", "-max_len=200", f"-artifact_prefix={tmp_path}/"),
        ],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
