"""Splitting beside LlamaIndex: a function for the bench of knowledge, which has the peers' environment."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Splitting", "splitting"]

SCRIPT = Path(__file__).resolve().parent / "peers" / "split_topics.py"


@dataclass(frozen=True)
class Splitting:
    """What splitting the topics of Python's manual takes, in CPU seconds."""

    pieces: int
    cpu: float


def splitting(peers: Path) -> dict[str, Splitting]:
    """Measure both, each in a process of its own.

    :param peers: the interpreter of an environment that has ``llama-index-core`` (0.14.25).
    """
    interpreters = {"lingstream": Path(sys.executable), "llamaindex": peers}
    return {name: _measure(python, name) for name, python in interpreters.items()}


def _measure(python: Path, name: str) -> Splitting:
    command = [str(python), str(SCRIPT), name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    return Splitting(**json.loads(done.stdout.splitlines()[-1]))
