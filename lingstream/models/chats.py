"""How a workflow is talked to, where an editor has a say in it."""

from __future__ import annotations

from dataclasses import fields

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from lingstream.core.document import jsonuri
from lingstream.core.engine import chat

from ..core.exceptions import JsonUriError
from .workflows import Workflow

__all__ = ["Chat"]


def validate_uri(uri: str) -> None:
    """Refuse what names no place of a document."""
    try:
        jsonuri.split(uri)
    except JsonUriError as error:
        raise ValidationError(error.message) from error


class Chat(models.Model):
    """What :class:`lingstream.core.engine.chat.Chat` says, of one workflow; it decides in place of code."""

    class Attachments(models.TextChoices):
        NONE = "none", _("nothing")
        IMAGES = "images", _("images")
        FILES = "files", _("files of all kinds")

    workflow = models.OneToOneField(
        Workflow, on_delete=models.CASCADE, related_name="chat", verbose_name=_("workflow")
    )
    input_uri = models.CharField(
        _("message goes to"),
        max_length=200,
        blank=True,
        default="question",
        validators=[validate_uri],
        help_text=_("Where a message's text goes in the input. Empty: the text is the input."),
    )
    answer_uri = models.CharField(
        _("answer is at"),
        max_length=200,
        blank=True,
        default="answer",
        validators=[validate_uri],
        help_text=_("The field that is remembered of an answer; a document without it is, as JSON."),
    )
    anonymous = models.BooleanField(
        _("visitors too"),
        default=True,
        help_text=_("Without a login, where they may start the workflow at all."),
    )
    history_tokens = models.PositiveIntegerField(
        _("history"),
        default=8_000,
        help_text=_("Tokens of the conversation that bots with history get, about."),
    )
    summarize = models.BooleanField(
        _("summaries"), default=True, help_text=_("A model sums up what is too long for the history.")
    )
    titles = models.BooleanField(
        _("titles"), default=True, help_text=_("A model gives a title after the first turn.")
    )
    attachments = models.CharField(
        _("attachments"), max_length=10, choices=Attachments.choices, default=Attachments.NONE
    )
    max_files = models.PositiveSmallIntegerField(_("most files"), default=5, help_text=_("Of one message."))
    max_size = models.PositiveIntegerField(_("largest file"), default=5_000_000, help_text=_("In bytes."))

    class Meta:
        verbose_name = _("chat")
        verbose_name_plural = _("chats")

    def __str__(self) -> str:
        return str(self.workflow)

    def to_chat(self) -> chat.Chat:
        """Return it as the engine knows it."""
        return chat.Chat(**{each.name: getattr(self, each.name) for each in fields(chat.Chat)})
