"""Who has a conversation open, one row for each process that serves its pages."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .conversations import Conversation
from .runs import Runner

__all__ = ["Presence"]


class Presence(models.Model):
    """The tabs in which one process shows a conversation; it lives as long as its runner's heart beats.

    As long as a conversation has any, somebody counts as there.
    """

    conversation = models.ForeignKey(
        Conversation,
        on_delete=models.CASCADE,
        db_index=False,  # covered by lingstream_presence_once
        related_name="presences",
        verbose_name=_("conversation"),
    )
    runner = models.ForeignKey(Runner, on_delete=models.CASCADE, related_name="+", verbose_name=_("runner"))
    tabs = models.PositiveIntegerField(_("tabs"), default=0)
    seen_at = models.DateTimeField(_("last change"), default=timezone.now)

    class Meta:
        verbose_name = _("presence")
        verbose_name_plural = _("presences")
        constraints = [
            models.UniqueConstraint(fields=["conversation", "runner"], name="lingstream_presence_once")
        ]

    def __str__(self) -> str:
        return f"{self.conversation_id}: {self.tabs}"
