"""What a search should find."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from lingstream.models.fields import JSONTextField

from .collections import Collection

__all__ = ["Evaluation", "Question"]


class Question(models.Model):
    """A golden question: what a search of the collection should find."""

    collection = models.ForeignKey(
        Collection, on_delete=models.CASCADE, related_name="questions", verbose_name=_("collection")
    )
    text = models.TextField(_("question"))
    expected = JSONTextField(
        _("expected documents"),
        default=list,
        help_text=_("Keys of documents, as a JSON list; one is enough."),
    )
    language = models.CharField(_("language"), max_length=20, blank=True)
    rank = models.PositiveIntegerField(
        _("rank"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Of the first passage that was expected, when it was asked last; 0: it did not come."),
    )
    found = JSONTextField(
        _("what came"),
        db_default=[],
        default=list,
        editable=False,
        help_text=_("Of each passage: its document's key and title, and its headings."),
    )
    asked_at = models.DateTimeField(_("asked"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("golden question")
        verbose_name_plural = _("golden questions")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text[:80]


class Evaluation(models.Model):
    """What came of a collection's golden questions once: figures, and of what it was then."""

    collection = models.ForeignKey(
        Collection, on_delete=models.CASCADE, related_name="evaluations", verbose_name=_("collection")
    )
    at = models.DateTimeField(_("evaluated"), db_default=Now())
    questions = models.PositiveIntegerField(_("questions"))
    first = models.FloatField(_("in first 3"))
    all = models.FloatField(_("in first 8"))
    mrr = models.FloatField(_("MRR"))
    revision = models.PositiveBigIntegerField(_("revision"))
    pipeline = models.CharField(
        _("rules"), max_length=64, blank=True, help_text=_("A digest of how documents are cut and embedded.")
    )

    class Meta:
        verbose_name = _("evaluation")
        verbose_name_plural = _("evaluations")
        default_permissions = ()
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.collection} {self.at:%Y-%m-%d %H:%M}"
