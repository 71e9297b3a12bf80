"""What the servers of tests and measurements listen at, and how long they keep who is connected."""

from __future__ import annotations

import contextlib
import random
import socket
import sys

__all__ = ["KEEP_ALIVE", "PORTS", "free_port", "server_options"]

# Below those that systems give to connections by themselves: of such a port a server that is being restarted
# may find that somebody's connection has it, even one of a client that tries to reach it.
PORTS = range(20_000, 32_000)

# Seconds that uvicorn keeps a connection on which nothing is asked. Its own 5 are httpx's too: a request may
# meet the end of its connection, which browsers try again and httpx does not.
KEEP_ALIVE = 600

_reserved: list[socket.socket] = []


def server_options(server: str, application: str, port: int) -> list[str]:
    """Return what comes behind ``python -m uvicorn`` or ``daphne`` to serve an application at ``port``."""
    if server == "daphne":
        return ["-p", str(port), application]
    options = {"port": port, "timeout-keep-alive": KEEP_ALIVE, "timeout-graceful-shutdown": 1}
    return [application, *(f"--{name}={value}" for name, value in options.items())]


def free_port() -> int:
    """Return a port that nobody listens at, and that this function gives to nobody else on this machine.

    :raises RuntimeError: there is none.
    """
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with contextlib.suppress(OSError):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
            _reserve(port)
            return port
    raise RuntimeError(f"expected a free port in {PORTS}, all are taken")


def _reserve(port: int) -> None:
    """Keep others from it until this process ends.

    :raises OSError: somebody else has reserved it.
    """
    if sys.platform != "linux":  # no names of sockets that go when their process does
        return
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0lingstream port {port}")
    except OSError:
        name.close()
        raise
    _reserved.append(name)
