"""The process that reads files, one after the other, and may be lost: ``python -m …extract.child``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, BinaryIO

from ...children.inside import serve
from . import ExtractionError, extract

__all__ = ["main"]

#: Bytes of address space.
MEMORY = 1 << 30
#: Seconds of computing for one file.
CPU = 50


def main() -> None:
    """Answer for each file with its text, or with what is wrong with it."""
    serve(_answer, memory=MEMORY, seconds=CPU)


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


if __name__ == "__main__":
    main()
