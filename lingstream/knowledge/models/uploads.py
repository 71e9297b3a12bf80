"""Files that people give to a source of the kind ``upload``: they are nowhere else."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .sources import Source

__all__ = ["Upload"]


class Upload(models.Model):
    """One file; its name is the key of its document."""

    source = models.ForeignKey(
        Source, on_delete=models.CASCADE, related_name="uploads", verbose_name=_("source")
    )
    name = models.CharField(_("name"), max_length=500)
    title = models.CharField(_("title"), max_length=500, blank=True)
    mime = models.CharField(_("type"), max_length=100, blank=True)
    body = models.BinaryField()
    digest = models.CharField(max_length=64, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
        help_text=_("Empty: the source's."),
    )
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["source", "name"], name="lingstream_upload_name")]

    def __str__(self) -> str:
        return self.name
