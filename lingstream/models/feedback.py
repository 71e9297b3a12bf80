"""What people think of an answer."""

from __future__ import annotations

import hashlib
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import JSONTextField
from .owned import Owned
from .runs import Run

__all__ = ["Feedback"]


class Feedback(Owned):
    """One person's word about a run, or about a field of its document.

    ``uri_digest`` stands for the uri in the unique constraint: it is as long as a model makes it.
    """

    run = models.ForeignKey(
        Run,
        on_delete=models.CASCADE,
        db_index=False,  # covered by lingstream_feedback_once
        related_name="feedback",
        verbose_name=_("run"),
    )
    uri = JSONTextField(_("field"), default=str, help_text=_("Empty: the whole of it."))
    uri_digest = models.CharField(_("digest of the field"), max_length=64, editable=False)
    value = models.SmallIntegerField(
        _("value"), validators=[MinValueValidator(-1), MaxValueValidator(1)], help_text=_("1 or -1.")
    )
    reason = models.CharField(_("reason"), max_length=100, blank=True)
    comment = models.TextField(_("comment"), blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("feedback")
        verbose_name_plural = _("feedback")
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["-created_at"], name="lingstream_feedback_new")]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "owner_key", "uri_digest"], name="lingstream_feedback_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.value:+d} {self.run_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.uri_digest = self.digest_of(self.uri)
        super().save(*args, **kwargs)

    @staticmethod
    def digest_of(uri: str) -> str:
        """Return the value of ``uri_digest``."""
        return hashlib.sha256(uri.encode("utf-8", "surrogatepass")).hexdigest()
