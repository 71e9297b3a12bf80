"""The model and the servers of a measurement on SQLite, with logs in memory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from processes import end, listens

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.ports import free_port  # noqa: E402

__all__ = ["COMMANDS", "OURS", "ROOT", "Site"]

OURS = "bench.project.asgi"
COMMANDS = {
    "uvicorn": ("uvicorn", "--host", "127.0.0.1", "--log-level", "error", "--no-access-log", "--port"),
    "daphne": ("daphne", "-b", "127.0.0.1", "-v", "0", "-p"),
}


class Site:
    """Starts the model at once, and servers when they are asked for.

    :param rate: tokens a second in each stream of the model.
    :param tree: what the servers are of; the model is always of here.
    :param settings: changes to ``LINGSTREAM``.
    """

    def __init__(self, rate: float, tree: Path = ROOT, *, trial: bool = False, **settings: object) -> None:
        self._rate = rate
        self._tree = tree
        self._trial = {"BENCH_TRIAL": "1"} if trial else {}
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self._servers: dict[tuple[str, str], tuple[int, int]] = {}

    def __enter__(self) -> Self:
        with self._stack:
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def serve(self, server: str, application: str) -> tuple[int, int]:
        """Return process and port of a server, which is started when it is asked for first."""
        if (server, application) not in self._servers:
            port = free_port()
            process = self._run(*COMMANDS[server], str(port), f"{application}:application")
            self._stack.callback(end, process)
            self._servers[server, application] = process.pid, port
            if not listens(port, process):
                raise RuntimeError(f"{server} did not start {application}:\n{self._errors.read_text()}")
        return self._servers[server, application]

    def _start(self) -> None:
        command = [sys.executable, str(ROOT / "bench/model.py"), str(self._rate)]
        model = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._stack.callback(end, model)
        assert model.stdout
        self.model_pid, self.model_port = model.pid, int(model.stdout.readline())
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.database = folder / "bench.sqlite3"
        self._errors = folder / "errors.txt"
        self._environment = os.environ | {
            "PYTHONPATH": str(self._tree),  # not where this tree is
            "BENCH_MODEL": f"http://127.0.0.1:{self.model_port}/v1",
            "BENCH_KEY": "bench",
            "BENCH_DATABASE": str(self.database),
            "BENCH_LINGSTREAM": json.dumps(self._settings),
            **self._trial,
        }
        if self._run("bench.project.prepare").wait():
            raise RuntimeError(f"no database of {self._tree}:\n{self._errors.read_text()}")

    def _run(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, *arguments]
        # Django under daphne logs a traceback for each client that leaves.
        with self._errors.open("ab") as errors:
            return subprocess.Popen(command, cwd=self._tree, env=self._environment, stderr=errors)
