"""The ordinary site as a process, on PostgreSQL, under either server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.services import Postgres
from tests.ports import free_port, server_options

__all__ = ["SERVERS", "prepared", "served"]

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ["uvicorn", "daphne"]
PATIENCE = 60.0  # seconds that a start may take on a busy machine


@contextmanager
def prepared(folder: Path) -> Iterator[tuple[Postgres, dict[str, str]]]:
    """Start the database and fill it; yield it and the environment of the site's processes."""
    database = Postgres()
    try:
        database.start()
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.ordinary.settings",
            "ORDINARY_DATABASE": json.dumps(database.database),
            "ORDINARY_FOLDER": str(folder),
        }
        command = [sys.executable, "-m", "tests.ordinary.prepare"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=180)
        yield database, environment
    finally:
        database.close()


@contextmanager
def served(server: str, environment: dict[str, str]) -> Iterator[str]:
    """Run the site under ``server``; yield its address."""
    port = free_port()
    options = server_options(server, "tests.ordinary.asgi:application", port)
    log = Path(environment["ORDINARY_FOLDER"]) / f"{server}.log"
    with log.open("w") as file:
        command = [sys.executable, "-m", server, *options]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
        try:
            _wait(port, process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            print(log.read_text())  # pytest shows it where a test failed


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/site/en/ask/sse/", timeout=PATIENCE):
                return
        except OSError:
            time.sleep(0.1)  # a server that is not there yet has no event to wait for
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")
