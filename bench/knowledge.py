"""Knowledge beside its peers: ``python bench/knowledge.py [find index unchanged] [--check]``.

*find*: a question with its eight best passages, texts and titles included, of a collection of Python's own
help texts (``pydoc_data.topics``); the vectors are the same for all, 256 numbers of a text's words. Ours is
the whole search: words and vectors of SQLite's rows, what another tenant has kept out, one fused ranking, and
the rows of the hits. The peers, in an environment of their own (``bench/peers/knowledge.txt``), compare
vectors that they hold in memory.

*index*: 400 documents of three passages, for the first time, again without a change, and with one of a
hundred changed and one gone. Ours is a pass over a folder, with rows that survive a crash, words, languages
and the text itself; the peers are given texts that are cut already, and hold what they make of them in
memory.

*unchanged*: a pass over a folder of 10,000 documents that are as they were.

Each contender and size is a process of its own; the figures are the best of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = HERE / ".peers" / "knowledge"
WANTED = HERE / "peers" / "knowledge.txt"

__all__ = ["main"]

Figures: TypeAlias = dict[str, float]

NAMES = {
    "lingstream": "lingstream",
    "langchain": "LangChain",
    "llamaindex": "LlamaIndex",
    "haystack": "Haystack",
}
PARTS = ["find", "index", "unchanged"]
FINDING = ("lingstream", "langchain", "llamaindex")
#: What a search may cost at most beside a peer's, by passages; and in ms, whatever others do.
RATIOS = {10_000: 0.2}
MILLISECONDS = {50_000: 60.0}
#: Passages that may be embedded: none is twice, and of a changed document no more than have changed.
EMBEDDED = {"again": 0, "changed": 8}
DOCUMENTS = 400
#: Documents that are as they were; ms of CPU that a pass over them may take, and statements per thousand.
UNCHANGED = 10_000
UNCHANGED_CPU, UNCHANGED_STATEMENTS = 2_000.0, 15.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and with ``--check`` end with an error where a bound is passed."""
    options = _parser().parse_args(arguments)
    python = _install()
    missed = []
    if "find" in options.parts:
        missed += _find(options.sizes, options.rounds, python)
    if "index" in options.parts:
        missed += _index(options.rounds, python)
    if "unchanged" in options.parts:
        missed += _unchanged()
    if missed and options.check:
        sys.exit("\n".join(missed))


def _find(sizes: Sequence[int], rounds: int, python: Path) -> list[str]:
    print("| passages | what | CPU ms | wall ms | × LangChain | × LlamaIndex |\n|--:|---|--:|--:|--:|--:|")
    missed = []
    for size in sizes:
        figures = {}
        for name in FINDING:
            peer = [str(python), str(HERE / "peers" / "knowledge_stores.py"), name]
            own = [sys.executable, "-m", "bench.project.finding"]
            figures[name] = _measured([*(own if name == "lingstream" else peer), str(size), str(rounds)])
        for name, of in figures.items():
            ratios = [f"{of['cpu'] / figures[peer]['cpu']:.2f}" for peer in FINDING[1:]]
            row = [f"{size:,}", NAMES[name], f"{of['cpu']:.2f}", f"{of['wall']:.2f}", *ratios]
            print(f"| {' | '.join(row)} |", flush=True)
        missed += _slow(size, figures)
    return missed


def _slow(size: int, figures: dict[str, Figures]) -> list[str]:
    """What is worse than it should be."""
    ours = figures["lingstream"]
    missed = [
        f"{size:,} passages: {ours['cpu'] / figures[peer]['cpu']:.2f} × {NAMES[peer]}, at most {RATIOS[size]}"
        for peer in FINDING[1:]
        if size in RATIOS and ours["cpu"] > RATIOS[size] * figures[peer]["cpu"]
    ]
    if ours["wall"] > MILLISECONDS.get(size, ours["wall"]):
        missed.append(f"{size:,} passages: {ours['wall']:.1f} ms, at most {MILLISECONDS[size]}")
    return missed


def _index(rounds: int, python: Path) -> list[str]:
    print("| what | first, CPU ms | again | 1 % changed | embedded |\n|---|--:|--:|--:|--:|")
    missed = []
    for name, title in NAMES.items():
        command = [str(python), str(HERE / "peers" / "knowledge_index.py"), name, str(DOCUMENTS)]
        if name == "lingstream":
            command = [sys.executable, "-m", "bench.project.indexing", str(DOCUMENTS)]
        runs = [_measured(command) for _ in range(rounds)]
        costs = [f"{min(run[each]['cpu'] for run in runs):,.0f}" for each in ("first", "again", "changed")]
        embedded = {each: runs[0][each]["embedded"] for each in ("first", "again", "changed")}
        print(f"| {' | '.join([title, *costs, ', '.join(f'{each:,}' for each in embedded.values())])} |")
        if name == "lingstream":
            missed += [
                f"{each}: {embedded[each]} passages embedded, at most {most}"
                for each, most in EMBEDDED.items()
                if embedded[each] > most
            ]
            missed += ["the index is not as a fresh one"] if not all(run["equal"] for run in runs) else []
    return missed


def _unchanged() -> list[str]:
    of = _measured([sys.executable, "-m", "bench.project.indexing", str(UNCHANGED), "unchanged"])
    each = 1_000 * of["statements"] / UNCHANGED
    print("| documents as they were | CPU ms | wall ms | statements per 1,000 |\n|--:|--:|--:|--:|")
    print(f"| {UNCHANGED:,} | {of['cpu']:,.0f} | {of['wall']:,.0f} | {each:.1f} |")
    missed = []
    if of["cpu"] > UNCHANGED_CPU:
        missed.append(f"{UNCHANGED:,} unchanged: {of['cpu']:,.0f} ms, at most {UNCHANGED_CPU:,.0f}")
    if each > UNCHANGED_STATEMENTS:
        missed.append(
            f"{UNCHANGED:,} unchanged: {each:.1f} statements per 1,000, at most {UNCHANGED_STATEMENTS}"
        )
    return missed


def _measured(command: Sequence[str]) -> Any:
    """Run one contender in a process of its own; return what it printed last."""
    with tempfile.TemporaryDirectory() as folder:
        # One thread each: what BLAS's others spend waiting for work is nobody's work.
        environment = os.environ | {
            "BENCH_DATABASE": str(Path(folder) / "bench.sqlite3"),
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
        }
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def _install() -> Path:
    """Make the peers' environment, unless it is there; return its interpreter."""
    python, made = PEERS / "bin" / "python", PEERS / "made-from.txt"
    if not made.exists() or made.read_text("utf-8") != WANTED.read_text("utf-8"):
        venv.create(PEERS, clear=True, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(WANTED)], check=True)
        made.write_text(WANTED.read_text("utf-8"), "utf-8")
    return python


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_200, 10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="fail where a bound is passed")
    return parser


if __name__ == "__main__":
    main()
