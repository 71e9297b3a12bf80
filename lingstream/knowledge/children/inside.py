"""A child's own side: it gets pieces of work by its standard input and answers by its standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from . import wire

__all__ = ["serve"]

_FORBIDDEN = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.forkpty",
)


def serve(work: Callable[[dict[str, Any], BinaryIO], dict[str, Any]], *, memory: int, seconds: int) -> None:
    """Answer until the input ends: once to say that it is ready, then once for each piece of work.

    :param work: gets what is asked, and the input to read more of it from; returns the answer.
    :param memory: bytes of address space.
    :param seconds: of computing for one piece.
    """
    # Whatever a library prints goes nowhere: the real output is for answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _bound_memory(memory)
    sys.addaudithook(_refuse)
    answer: dict[str, Any] = {"ready": True}
    while True:
        answers.write(wire.pack(answer))
        answers.flush()
        asked = wire.read(sys.stdin.buffer)
        if asked is None:
            return
        _bound_time(seconds)
        answer = work(asked, sys.stdin.buffer)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _FORBIDDEN:
        raise PermissionError(f"a child does no {event}")


def _bound_memory(most: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has none; there the parent's clock is the only bound
        return
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _bound_time(seconds: int) -> None:
    """Give the next piece its seconds: the system counts those of the whole process."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))
