"""What the model server of :mod:`lingstream.testing` answers when it is asked for embeddings."""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Mapping
from typing import Any
from zlib import crc32

__all__ = ["embeddings", "vector_of"]


def vector_of(text: str, dimensions: int = 64) -> list[float]:
    """Return a vector of unit length for a text: each word counts at a place of its own.

    Texts that share words are alike, in every process and for ever; what a model knows it knows nothing of.
    """
    vector = [0.0] * dimensions
    for word in re.findall(r"\w+", text.casefold()) or [""]:
        vector[crc32(word.encode("utf-8", "replace")) % dimensions] += 1.0
    length = math.hypot(*vector)
    return [value / length for value in vector]


def embeddings(request: Mapping[str, Any], dimensions: int | None = None) -> dict[str, Any]:
    """Return the body that answers a request for embeddings, in the encoding that it asks for.

    :param dimensions: whatever the request says; by default what it asks for, or 64.
    """
    given = request["input"]
    texts = [given] if isinstance(given, str) else given
    size = dimensions or request.get("dimensions") or 64
    packed = request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector_of(text, size), packed)}
        for index, text in enumerate(texts)
    ]
    tokens = sum(len(text.split()) for text in texts)
    return {
        "object": "list",
        "data": data,
        "model": request.get("model", ""),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _written(vector: list[float], packed: bool) -> Any:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if packed else vector
