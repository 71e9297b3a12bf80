"""The admin of knowledge: sources are written and watched here, documents are read, searches are tried."""

from __future__ import annotations

from .citations import CitationInline
from .collections import CollectionAdmin, EmbedderAdmin
from .documents import DocumentAdmin
from .questions import QuestionAdmin
from .sources import SourceAdmin

__all__ = [
    "CitationInline",
    "CollectionAdmin",
    "DocumentAdmin",
    "EmbedderAdmin",
    "QuestionAdmin",
    "SourceAdmin",
]
