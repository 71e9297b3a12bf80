"""Vectors of passages, and those that were paid for before."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .collections import Collection, Embedder
from .documents import Chunk

__all__ = ["EmbeddingCache", "Vector"]


class Vector(models.Model):
    """What an embedder made of a passage: float32, little endian, of unit length."""

    chunk = models.ForeignKey(Chunk, on_delete=models.CASCADE, related_name="vectors")
    embedder = models.ForeignKey(Embedder, on_delete=models.CASCADE, related_name="+")
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    revision = models.PositiveBigIntegerField(
        default=0,
        help_text=_("Of the collection, when it was written: what is in memory is renewed from there."),
    )
    data = models.BinaryField()

    class Meta:
        verbose_name = _("vector")
        verbose_name_plural = _("vectors")
        constraints = [
            models.UniqueConstraint(fields=["chunk", "embedder"], name="lingstream_vector_chunk"),
        ]
        indexes = [
            models.Index(fields=["collection", "embedder", "revision"], name="lingstream_vector_revision"),
        ]

    def __str__(self) -> str:
        return str(self.chunk_id)


class EmbeddingCache(models.Model):
    """A vector by what it was made of: the same text is paid for once."""

    fingerprint = models.CharField(max_length=64)
    text_hash = models.CharField(max_length=64)
    data = models.BinaryField()
    used_at = models.DateTimeField(_("used"), db_default=Now(), db_index=True)

    class Meta:
        verbose_name = _("kept vector")
        verbose_name_plural = _("kept vectors")
        constraints = [
            models.UniqueConstraint(fields=["fingerprint", "text_hash"], name="lingstream_embedding_text"),
        ]

    def __str__(self) -> str:
        return self.text_hash
