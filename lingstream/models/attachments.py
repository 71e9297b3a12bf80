"""Files that people attach to their messages."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from django.conf import settings
from django.core.files.storage import Storage, default_storage, storages
from django.db import models, transaction
from django.db.models import Q
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .conversations import Conversation
from .owned import Owned
from .runs import Run

__all__ = ["Attachment"]


def attachment_storage() -> Storage:
    """Return where files lie: ``STORAGES["lingstream"]``, or the site's default storage."""
    return storages["lingstream"] if "lingstream" in settings.STORAGES else default_storage


def random_name(attachment: Attachment, name: str) -> str:
    """Return a name that nobody guesses and that says nothing of the file."""
    return f"lingstream/{uuid.uuid4().hex}"


class Attachment(Owned):
    """One file; what its type is was seen in it, and is not what its name says."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(
        Conversation,
        on_delete=models.CASCADE,
        related_name="attachments",
        verbose_name=_("conversation"),
    )
    run = models.ForeignKey(
        Run,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="attachments",
        verbose_name=_("turn"),
        help_text=_("The first one whose message has it. Empty: it waits for its message, for a day."),
    )
    file = models.FileField(_("file"), upload_to=random_name, storage=attachment_storage, max_length=200)
    name = models.CharField(_("name"), max_length=255)
    content_type = models.CharField(_("type"), max_length=100)
    size = models.PositiveBigIntegerField(_("size"), help_text=_("In bytes."))
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["created_at"], condition=Q(run=None), name="lingstream_file_waits"),
        ]

    def __str__(self) -> str:
        return self.name


@receiver(post_delete, sender=Attachment, dispatch_uid="lingstream.attachments")
def _delete_file(sender: Any, instance: Attachment, using: str, **kwargs: Any) -> None:
    """A row that goes takes its file along, once that is committed."""
    name, storage = instance.file.name, instance.file.storage
    if name:
        transaction.on_commit(partial(storage.delete, name), using=using, robust=True)
