"""What goes between a process and its child: JSON with its length before it, then bytes.

JSON and not pickle: who takes over the child with a file or a text shall not get the parent with it.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

__all__ = ["HEAD", "LONGEST_ANSWER", "head_size", "pack", "parsed", "read"]

HEAD = struct.Struct(">I")
#: Bytes of an answer: all the text that there may be, every character of it escaped, and links.
LONGEST_ANSWER = 64_000_000


def pack(value: Any) -> bytes:
    """Return ``value`` as it is sent."""
    data = json.dumps(value).encode()
    return HEAD.pack(len(data)) + data


def head_size(head: bytes) -> int:
    """Return how many bytes follow.

    :raises ValueError: more than any answer has.
    """
    size: int = HEAD.unpack(head)[0]
    if size > LONGEST_ANSWER:
        raise ValueError(f"expected up to {LONGEST_ANSWER} bytes, got {size}")
    return size


def parsed(data: bytes) -> dict[str, Any]:
    """Return what was packed.

    :raises ValueError: it is no object.
    """
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("expected an object")
    return value


def read(stream: BinaryIO) -> dict[str, Any] | None:
    """Return the next object, ``None`` at the end."""
    head = stream.read(HEAD.size)
    return parsed(stream.read(head_size(head))) if len(head) == HEAD.size else None
