"""Vectors without a model server: the mean of word vectors that come in the package ``wordllama``.

Of the package only its files are used: its own loader looks for the tokenizer where it is not and downloads
it, and its import sets up logging for the whole process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from lingstream.core.exceptions import ConfigurationError, UsageError
from lingstream.core.phrases import Phrase

from .port import EmbeddingPlan, Purpose

__all__ = ["StaticEmbedding"]

PACKAGES = ("numpy", "safetensors", "tokenizers", "wordllama")
WEIGHTS = "weights/l2_supercat_256.safetensors"
TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
#: What the vectors may be cut to: they were trained so that their first numbers say most.
SIZES = (64, 128, 256)
#: Tokens whose vectors are summed at a time.
SLICE = 4_096


class StaticEmbedding:
    """Word vectors of English, offline: a thousand passages in a second. Chinese they know little of.

    :raises ConfigurationError: ``package-missing``.
    :raises UsageError: dimensions that the vectors cannot be cut to.
    """

    def __init__(self, plan: EmbeddingPlan) -> None:
        self.dimensions = plan.dimensions or SIZES[-1]
        if self.dimensions not in SIZES:
            raise UsageError(
                Phrase("expected dimensions among %(sizes)s, got %(got)s", sizes=SIZES, got=plan.dimensions)
            )
        _folder()
        self._plan = plan

    async def embed(self, texts: Sequence[str], kind: Purpose) -> list[bytes]:
        """See :meth:`.port.Embedding.embed`; it works in a thread."""
        return await asyncio.to_thread(self._embed, self._plan.prepared(texts, kind))

    async def aclose(self) -> None:
        """Nothing is open."""

    def _embed(self, texts: Sequence[str]) -> list[bytes]:
        model = _model()
        return [_vector(model, text, self.dimensions) for text in texts]


class _Model(NamedTuple):
    np: Any
    tokenizer: Any
    vectors: Any


_lock = Lock()
_loaded: list[_Model] = []


def _model() -> _Model:
    """Return the one model of this process, which the first thread to ask loads (half a second, 33 MB)."""
    with _lock:
        if not _loaded:
            import numpy as np
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer

            folder = _folder()
            vectors = load_file(folder / WEIGHTS)["embedding.weight"].astype(np.float32)
            _loaded.append(_Model(np, Tokenizer.from_file(str(folder / TOKENIZER)), vectors))
        return _loaded[0]


def _folder() -> Path:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    found = None if missing else find_spec("wordllama")
    folders = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    for folder in folders:
        if (folder / WEIGHTS).is_file() and (folder / TOKENIZER).is_file():
            return folder
    message = Phrase(
        "embeddings of the kind %(kind)s need %(package)s: %(command)s",
        kind="'static'",
        package=", ".join(missing) or Phrase("the files of wordllama"),
        command="pip install 'lingstream[knowledge]'",
    )
    raise ConfigurationError(message, code="package-missing")


def _vector(model: _Model, text: str, dimensions: int) -> bytes:
    np = model.np
    tokens = model.tokenizer.encode(text, add_special_tokens=False).ids
    total = np.zeros(dimensions, dtype=np.float64)
    for start in range(0, len(tokens), SLICE):
        places = np.minimum(tokens[start : start + SLICE], len(model.vectors) - 1)
        total += model.vectors[places, :dimensions].sum(axis=0, dtype=np.float64)
    length = np.linalg.norm(total)
    unit: bytes = (total / length if length else total).astype("<f4").tobytes()
    return unit
