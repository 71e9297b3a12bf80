"""Rows of knowledge: what is searched, where it comes from, and what was found of it."""

from .citations import Citation
from .collections import SEVERAL, Collection, Embedder
from .documents import Chunk, Document, DocumentText
from .questions import Evaluation, Question
from .sources import Source, Sync
from .uploads import Upload
from .vectors import EmbeddingCache, Vector

__all__ = [
    "SEVERAL",
    "Chunk",
    "Citation",
    "Collection",
    "Document",
    "DocumentText",
    "Embedder",
    "EmbeddingCache",
    "Evaluation",
    "Question",
    "Source",
    "Sync",
    "Upload",
    "Vector",
]
