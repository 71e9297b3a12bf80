"""How a workflow is talked to, where an editor has a say in it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from lingstream.core.document import jsonuri
from lingstream.core.engine import chat

from ..access.policy import parse_rate
from ..core.engine.origins import check_origin
from ..core.exceptions import ConfigurationError, JsonUriError, UsageError
from .fields import JSONTextField
from .phrases import translated
from .prompts import Provider
from .secrets import derived_secret
from .validators import validate_object
from .workflows import Workflow

__all__ = ["Chat"]


def validate_uri(uri: str) -> None:
    """Refuse what names no place of a document."""
    try:
        jsonuri.split(uri)
    except JsonUriError as error:
        raise ValidationError(translated(error.message)) from error


def validate_greeting(value: Any) -> None:
    """Refuse what is not texts by language."""
    validate_object(value)
    if not all(isinstance(text, str) for text in value.values()):
        raise ValidationError(_('Expected texts by language, like {"en": "Hello!"}.'))


def validate_rate(text: str) -> None:
    """Refuse what is no rate."""
    try:
        parse_rate(text)
    except ConfigurationError as error:
        raise ValidationError(translated(error.message)) from error


def validate_origins(value: Any) -> None:
    """Refuse what is no list of origins."""
    if not isinstance(value, list) or not all(isinstance(origin, str) for origin in value):
        raise ValidationError(_('Expected a list like ["https://shop.example"].'))
    try:
        for origin in value:
            check_origin(origin)
    except UsageError as error:
        raise ValidationError(translated(error.message)) from error


class Chat(models.Model):
    """What :class:`lingstream.core.engine.chat.Chat` says, of one workflow; it decides in place of code."""

    class Attachments(models.TextChoices):
        NONE = "none", _("nothing")
        IMAGES = "images", _("images")
        FILES = "files", _("files of all kinds")

    class OnAbort(models.TextChoices):
        CONTINUE = "continue", _("go on")
        CANCEL = "cancel", _("cancel")

    workflow = models.OneToOneField(
        Workflow, on_delete=models.CASCADE, related_name="chat", verbose_name=_("workflow")
    )
    enabled = models.BooleanField(
        _("enabled"),
        default=True,
        db_default=True,
        help_text=_("Off: no conversation begins or goes on; those that there are can be read."),
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
    suggestions_uri = models.CharField(
        _("suggestions are at"),
        max_length=200,
        blank=True,
        default="related_question",
        db_default="related_question",
        validators=[validate_uri],
        help_text=_("A list of texts that the chat page offers as what to say next. Empty: none."),
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
    helper = models.ForeignKey(
        Provider,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("helper"),
        help_text=_("The provider that writes summaries and titles. Empty for the site's default provider."),
    )
    attachments = models.CharField(
        _("attachments"), max_length=10, choices=Attachments.choices, default=Attachments.NONE
    )
    max_files = models.PositiveSmallIntegerField(_("most files"), default=5, help_text=_("Of one message."))
    max_size = models.PositiveIntegerField(
        _("largest file"),
        default=chat.MOST_IN_MESSAGE,
        validators=[MaxValueValidator(chat.MOST_IN_MESSAGE)],
        help_text=_("In bytes, up to 2,500,000: all files of a message may have no more together."),
    )
    rate = models.CharField(
        _("messages"),
        max_length=20,
        blank=True,
        default="20/m",
        db_default="20/m",
        validators=[validate_rate],
        help_text=_("Of one visitor or address: 20/m (s, m, h or d). Empty: as many as the site allows."),
    )
    longest = models.PositiveIntegerField(
        _("longest message"), default=20_000, db_default=20_000, help_text=_("In characters.")
    )
    origins = JSONTextField(
        _("other sites"),
        default=list,
        db_default=[],
        blank=True,
        validators=[validate_origins],
        help_text=_('Whose pages may show this chat: ["https://shop.example", "https://*.example.com"].'),
    )
    secret_version = models.PositiveIntegerField(_("secret"), default=1, db_default=1, editable=False)
    on_abort = models.CharField(
        _("when the sender closes the answer"),
        max_length=20,
        choices=OnAbort.choices,
        default=OnAbort.CONTINUE,
        db_default=OnAbort.CONTINUE.value,
        help_text=_("While the turn is streamed in it. A reload and a lost connection close it too."),
    )
    greeting = JSONTextField(
        _("greeting"),
        default=dict,
        db_default={},
        blank=True,
        validators=[validate_greeting],
        help_text=_(
            "A text above the first turn, for which no model is asked, by language: "
            '{"en": "Hello!", "zh": "你好！"}.'
        ),
    )

    class Meta:
        verbose_name = _("chat")
        verbose_name_plural = _("chats")

    def __str__(self) -> str:
        return str(self.workflow)

    def embed_secret(self, scope: str = "") -> str:
        """Return the key with which other sites sign who their visitor is: a tenant's, until renewed."""
        return derived_secret("lingstream.embed", self, scope)

    def to_chat(self) -> chat.Chat:
        """Return it as the engine knows it."""
        columns = {each.name: getattr(self, each.name) for each in fields(chat.Chat)}
        # A process of the version before may have stored more, in the midst of a deploy.
        columns["max_size"] = min(self.max_size, chat.MOST_IN_MESSAGE)
        return chat.Chat(**{**columns, "helper": self.helper.name if self.helper else ""})
