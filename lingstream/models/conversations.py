"""Conversations: a person's turns with bots, as a tree of runs."""

from __future__ import annotations

import uuid
from importlib import import_module
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from .fields import JSONTextField
from .owned import Owned

if TYPE_CHECKING:
    from .runs import Run

__all__ = ["Conversation"]


class Conversation(Owned):
    """A series of runs with one owner and a history.

    Each turn is a run, and has the one before it as its ``parent``; ``leaf`` is the last turn of the path
    that is shown. Who changes any of it holds the row's lock and counts ``seq`` up.
    """

    class TitleBy(models.TextChoices):
        NOBODY = "", _("nobody")
        AUTO = "auto", _("a model")
        USER = "user", _("its owner")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workflow = models.CharField(
        _("workflow"),
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text=_("Whose input a message becomes."),
    )
    external_id = models.CharField(
        _("external id"),
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text=_("As a client or another system knows it; an owner has each once."),
    )
    leaf = models.ForeignKey(
        "lingstream.Run",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("last turn shown"),
    )
    seq = models.PositiveBigIntegerField(
        _("changes"), default=0, db_default=0, help_text=_("How often anything of it has changed.")
    )
    count = models.PositiveIntegerField(
        _("turns"), default=0, db_default=0, help_text=_("How many have begun; their numbers.")
    )
    read_number = models.PositiveIntegerField(
        _("read up to"),
        default=0,
        db_default=0,
        help_text=_("Number of the last turn its owner has seen."),
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    title_by = models.CharField(
        _("title by"), max_length=10, choices=TitleBy.choices, blank=True, default="", db_default=""
    )
    summary = JSONTextField(
        _("summary"),
        null=True,
        blank=True,
        default=None,
        help_text=_('What was said up to a turn: {"text", "until": the id of its run}.'),
    )
    data = JSONTextField(
        _("data"), default=dict, db_default={}, blank=True, help_text=_("Free for the site and its client.")
    )
    timezone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text=_("Of its owner, like Europe/Berlin. Empty: the site's."),
    )
    last_user_at = models.DateTimeField(_("person spoke"), null=True, blank=True, editable=False)
    last_bot_at = models.DateTimeField(_("bot began"), null=True, blank=True, editable=False)
    typing_at = models.DateTimeField(_("person typed"), null=True, blank=True, editable=False)
    nudge_at = models.DateTimeField(
        _("silent until"), null=True, blank=True, editable=False, help_text=_("Then the bot says something.")
    )
    nudges = models.PositiveSmallIntegerField(
        _("nudges"),
        default=0,
        db_default=0,
        editable=False,
        help_text=_("How often it has, since the person last spoke."),
    )
    nudged_on = models.DateField(_("day of them"), null=True, blank=True, editable=False)
    nudged_today = models.PositiveSmallIntegerField(
        _("begun that day"),
        default=0,
        db_default=0,
        editable=False,
        help_text=_("How often the bot has begun on that day, on all occasions."),
    )
    created_at = models.DateTimeField(_("created"), default=now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)
    archived_at = models.DateTimeField(_("archived"), null=True, blank=True)
    deleted_at = models.DateTimeField(
        _("deleted"), null=True, blank=True, help_text=_("Hidden at once; the rows go with the next pruning.")
    )

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering = ["-updated_at"]
        indexes = [
            models.Index(fields=["owner_key", "-updated_at"], name="lingstream_conv_owner"),
            models.Index(fields=["owner_key", "workflow", "-updated_at"], name="lingstream_conv_list"),
            models.Index(
                fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="lingstream_conv_deleted"
            ),
            models.Index(
                fields=["nudge_at"], condition=Q(nudge_at__isnull=False), name="lingstream_conv_nudge"
            ),
            models.Index(fields=["workflow", "-updated_at"], name="lingstream_conv_active"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "owner_key", "external_id"],
                condition=~Q(external_id=""),
                name="lingstream_conv_external",
            )
        ]

    def __str__(self) -> str:
        # Not the title: that is made of what was said, and whoever sees rows may not see that.
        return f"{self.workflow} {str(self.pk)[:8]}".strip()

    def say(self, workflow: str, input: Any, *, key: str = "") -> Run:
        """Let the bot begin: start a run of ``workflow`` as the next turn, in which no person has spoken.

        As :func:`lingstream.start`, on behalf of the conversation's owner.

        :param input: JSON data for the workflow.
        :param key: the same key returns the same run.
        """
        return _speech().say(self, workflow, input, key=key)  # type: ignore[no-any-return]

    async def asay(self, workflow: str, input: Any, *, key: str = "") -> Run:
        """As :meth:`say`, for code in an event loop."""
        return await sync_to_async(self.say)(workflow, input, key=key)

    def ask(self, text: str, *, input: Any = None, key: str = "") -> Run:
        """Ask the conversation's workflow in its owner's name, as a message does.

        :param text: goes where the workflow's chat says: unless it does, into ``question`` of the input.
        :param input: what the workflow gets beside it.
        :param key: the same key returns the same run.
        """
        return _speech().ask(self, text, input=input, key=key)  # type: ignore[no-any-return]

    async def aask(self, text: str, *, input: Any = None, key: str = "") -> Run:
        """As :meth:`ask`, for code in an event loop."""
        return await sync_to_async(self.ask)(text, input=input, key=key)

    def turns(self) -> list[Run]:
        """Return the turns that are shown now, from the first to the last; three queries."""
        return _speech().turns(self)  # type: ignore[no-any-return]

    async def aturns(self) -> list[Run]:
        """As :meth:`turns`, for code in an event loop."""
        return await sync_to_async(self.turns)()


def _speech() -> Any:
    """What starts runs stands above the rows, which import nothing of it."""
    return import_module("lingstream.conversations.speech")
