"""The process that reads files, one after the other, and may be lost: ``python -m …extract.child``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, BinaryIO

from lingstream.core.phrases import Phrase, parts_of

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
        return _refusal(error)
    except MemoryError:
        message = Phrase("expected a file that %(most)s bytes of memory suffice for", most=MEMORY)
        return _refusal(ExtractionError("too-large", message))
    except Exception as error:  # of any library that reads files
        message = Phrase("the file could not be read: %(why)s", why=f"{error!r:.300}")
        return _refusal(ExtractionError("crashed", message))
    return {"found": asdict(found)}


def _refusal(error: ExtractionError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "phrase": parts_of(error.message)}


if __name__ == "__main__":
    main()
