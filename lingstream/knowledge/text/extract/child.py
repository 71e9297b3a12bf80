"""The process that reads files, one after the other, and may be lost: ``python -m …extract.child``.

It gets a file by its standard input and answers by its standard output. It has no environment of its
parent's but the way to its modules, so no keys; it connects to nobody, starts nothing and writes no file.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import Any, BinaryIO

from . import ExtractionError, extract, wire

__all__ = ["main"]

#: Bytes of address space.
MEMORY = 1 << 30
#: Seconds of computing for one file.
CPU = 50

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


def main() -> None:
    """Answer until the input ends; one answer for each file, with its text or with what is wrong with it."""
    # Whatever a library prints goes nowhere: the real output is for answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _bound_memory()
    sys.addaudithook(_refuse)
    answer: dict[str, Any] = {"ready": True}
    while True:
        answers.write(wire.pack(answer))
        answers.flush()
        asked = wire.read(sys.stdin.buffer)
        if asked is None:
            return
        _bound_time()
        answer = _answer(asked, sys.stdin.buffer)


def _answer(asked: dict[str, Any], files: BinaryIO) -> dict[str, Any]:
    try:
        found = extract(files.read(asked["size"]), asked["mime"], asked["url"])
    except ExtractionError as error:
        return {"code": error.code, "message": error.message}
    except MemoryError:
        return {"code": "too-large", "message": f"expected a file that {MEMORY} bytes of memory suffice for"}
    except Exception as error:  # of any library that reads files
        return {"code": "crashed", "message": f"the file could not be read: {error!r:.300}"}
    return {"found": asdict(found)}


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _FORBIDDEN:
        raise PermissionError(f"who reads files does no {event}")


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has none; there the parent's clock is the only bound
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _bound_time() -> None:
    """Give the next file its seconds: the system counts those of the whole process."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU, hard))


if __name__ == "__main__":
    main()
