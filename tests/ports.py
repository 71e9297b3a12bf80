"""Ports for the servers of tests and measurements: each is one's own, also while its server is away."""

from __future__ import annotations

import contextlib
import random
import socket
import sys

__all__ = ["PORTS", "free_port"]

# Below those that systems give to connections by themselves: of such a port a server that is being restarted
# may find that somebody's connection has it, even one of a client that tries to reach it.
PORTS = range(20_000, 32_000)

_reserved: list[socket.socket] = []


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
