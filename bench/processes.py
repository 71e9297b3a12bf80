"""The servers of a measurement: to wait until one listens, and its end."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time

__all__ = ["end", "listens"]


def listens(port: int, server: subprocess.Popen, patience: float = 30.0) -> bool:
    """Wait until the server listens at ``port``; false if it ends before, or takes longer than that."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False


def end(process: subprocess.Popen) -> None:
    """Ask a process to end, and see that it does."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
