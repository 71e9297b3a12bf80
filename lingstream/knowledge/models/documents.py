"""Documents as they are indexed: their state, their text, and its passages."""

from __future__ import annotations

import uuid
import zlib

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from lingstream.models.fields import JSONTextField
from lingstream.models.phrases import PhraseField

from .collections import Collection
from .sources import Source

__all__ = ["Chunk", "Document", "DocumentText"]


class Document(models.Model):
    """One page, file or row; it is its own dead letter where it fails."""

    class Status(models.TextChoices):
        PENDING = "pending", _("to be looked at")
        INDEXED = "indexed", _("indexed")
        EMPTY = "empty", _("without text")
        SKIPPED = "skipped", _("left out")
        FAILED = "failed", _("failed")

    source = models.ForeignKey(
        Source, on_delete=models.CASCADE, related_name="documents", verbose_name=_("source")
    )
    key = models.CharField(_("key"), max_length=500, help_text=_("Its name within its source."))
    url = models.CharField(_("address"), max_length=2_000, blank=True)
    title = models.CharField(_("title"), max_length=500, blank=True)
    language = models.CharField(_("language"), max_length=20, blank=True)
    mime = models.CharField(_("type"), max_length=100, blank=True)
    size = models.PositiveBigIntegerField(_("size"), default=0, help_text=_("In bytes."))
    metadata = JSONTextField(_("metadata"), default=dict, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
    )
    owner_key = models.CharField(
        max_length=255, blank=True, editable=False, help_text=_("Empty: everybody's.")
    )
    scope = models.CharField(_("scope"), max_length=200, blank=True)

    etag = models.CharField(max_length=500, blank=True, editable=False)
    modified = models.CharField(max_length=100, blank=True, editable=False)
    raw_hash = models.CharField(max_length=64, blank=True, editable=False)
    text_hash = models.CharField(max_length=64, blank=True, editable=False)
    pipeline = models.CharField(
        max_length=64, blank=True, editable=False, help_text=_("Fingerprint of how it was cut and embedded.")
    )

    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.PENDING)
    depth = models.PositiveIntegerField(_("depth"), default=0)
    asked = models.PositiveBigIntegerField(
        default=0, editable=False, help_text=_("How often somebody wanted it to be looked at.")
    )
    seen = models.PositiveIntegerField(_("seen"), default=0, help_text=_("The last pass that listed it."))
    misses = models.PositiveIntegerField(_("misses"), default=0, help_text=_("Complete passes without it."))
    missed = models.PositiveIntegerField(default=0, editable=False, help_text=_("The last pass without it."))
    links = JSONTextField(
        default=list, editable=False, help_text=_("What it leads to within its source: keys and addresses.")
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    retry_at = models.DateTimeField(_("next try"), null=True, blank=True)
    check_at = models.DateTimeField(_("next look"), null=True, blank=True)
    check_every = models.PositiveIntegerField(
        default=0, editable=False, help_text=_("Seconds between two looks, by how often it has changed.")
    )
    error_code = models.CharField(_("error"), max_length=50, blank=True)
    error = PhraseField(_("message"), blank=True)
    version = models.PositiveIntegerField(
        _("version"), default=0, help_text=_("Grows whenever its text changes.")
    )
    created_at = models.DateTimeField(
        _("created"), db_default=Now(), editable=False, help_text=_("By the database's clock.")
    )
    changed_at = models.DateTimeField(_("changed"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("document")
        verbose_name_plural = _("documents")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["source", "key"], name="lingstream_document_key"),
        ]
        indexes = [
            models.Index(fields=["source", "status", "retry_at"], name="lingstream_document_due"),
            models.Index(fields=["source", "seen"], name="lingstream_document_seen"),
            # For the list's filters, which find each value behind the last one.
            models.Index(
                fields=["error_code", "id"], condition=~Q(error_code=""), name="lingstream_document_error"
            ),
            models.Index(
                fields=["language", "id"], condition=~Q(language=""), name="lingstream_document_language"
            ),
            models.Index(fields=["scope", "id"], condition=~Q(scope=""), name="lingstream_document_scope"),
        ]

    def __str__(self) -> str:
        return self.title or self.key


class DocumentText(models.Model):
    """The text that passages are cut out of: another way to cut it needs no request, nor an extraction."""

    document = models.OneToOneField(
        Document, on_delete=models.CASCADE, primary_key=True, related_name="text", verbose_name=_("document")
    )
    packed = models.BinaryField(help_text=_("UTF-8, by zlib."))

    class Meta:
        verbose_name = _("text of a document")
        verbose_name_plural = _("texts of documents")

    def __str__(self) -> str:
        return str(self.document_id)

    @staticmethod
    def pack(text: str) -> bytes:
        """Return ``text`` as it is stored; it may hold what no encoding has."""
        return zlib.compress(text.encode("utf-8", "surrogatepass"))

    @staticmethod
    def unpack(packed: bytes | memoryview) -> str:
        """Return the text that :meth:`pack` was given."""
        return zlib.decompress(packed).decode("utf-8", "surrogatepass")


class Chunk(models.Model):
    """A passage of a document; what bounds a search stands in it, so that one table is filtered."""

    uid = models.UUIDField(
        unique=True,
        default=uuid.uuid4,
        editable=False,
        help_text=_("By document, text and which of its like it is: the same passage keeps it."),
    )
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks")
    position = models.PositiveIntegerField(_("position"))
    heading = JSONTextField(_("headings"), default=list, help_text=_("The path of headings above it."))
    start = models.PositiveIntegerField(_("start"), help_text=_("In code points of the document's text."))
    end = models.PositiveIntegerField(_("end"))
    text = models.TextField(_("text"))
    text_hash = models.CharField(max_length=64, editable=False)
    tokens = models.PositiveIntegerField(_("tokens"), default=0, help_text=_("Estimated."))
    language = models.CharField(_("language"), max_length=20, blank=True)
    owner_key = models.CharField(max_length=255, blank=True, editable=False)
    scope = models.CharField(max_length=200, blank=True, editable=False)

    class Meta:
        verbose_name = _("passage")
        verbose_name_plural = _("passages")
        ordering = ["document", "position"]
        indexes = [
            models.Index(fields=["collection", "scope", "owner_key"], name="lingstream_chunk_whose"),
            models.Index(fields=["document", "position"], name="lingstream_chunk_position"),
        ]

    def __str__(self) -> str:
        return self.text[:80]
