"""What turns texts into vectors, a module for each kind. Only these import a vendor's package.

1. A vector is float32, little endian, of unit length: likeness is a product, in every store.
2. Two embedders with the same fingerprint make the same vectors; whatever changes one changes it.
"""

from __future__ import annotations

from .port import Embedding, EmbeddingPlan, Purpose
from .registry import EmbeddingKind, build_embedding, embedding_kinds, fingerprint, register_embedding

__all__ = [
    "Embedding",
    "EmbeddingKind",
    "EmbeddingPlan",
    "Purpose",
    "build_embedding",
    "embedding_kinds",
    "fingerprint",
    "register_embedding",
]
