"""Runs that are started by the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from random import uniform
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from lingstream.core.engine.inputs import check_input
from lingstream.core.engine.registry import registered

from ..core.exceptions import UsageError
from .conversations import Conversation
from .crontab import planned, validate_schedule
from .fields import JSONTextField
from .phrases import PhraseField, translated
from .workflows import Workflow

__all__ = ["Schedule"]

_DAY = 86_400
_LEAST = 10  # seconds: the timer looks every few


class Schedule(models.Model):
    """Starts runs of a workflow, be it in the admin or in Python: every so many seconds, or by a crontab.

    A time that it names is a slot, and starts one run, ``jitter`` seconds later at most. Slots that pass
    while no process lives start one run together, as soon as one does.
    """

    name = models.CharField(_("name"), max_length=100, unique=True)
    enabled = models.BooleanField(
        _("enabled"),
        default=True,
        help_text=_("Off: no run starts, and none is made up for afterwards."),
    )
    workflow = models.CharField(_("workflow"), max_length=100, help_text=_("Its slug."))
    input = JSONTextField(
        _("input"), default=dict, blank=True, help_text=_("What each run is started with, as JSON.")
    )
    every = models.PositiveIntegerField(
        _("every"),
        null=True,
        blank=True,
        validators=[MinValueValidator(_LEAST), MaxValueValidator(365 * _DAY)],
        help_text=_("Seconds from one run to the next. Either this or a crontab."),
    )
    cron = models.CharField(
        _("crontab"),
        max_length=100,
        blank=True,
        validators=[validate_schedule],
        help_text=_("Five fields as in a crontab, in the site's time zone: 0 9 * * MON-FRI."),
    )
    jitter = models.PositiveIntegerField(
        _("jitter"),
        default=0,
        validators=[MaxValueValidator(_DAY)],
        help_text=_("Seconds over which starts are spread by chance, so that not all begin at once."),
    )
    conversation = models.ForeignKey(
        Conversation,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("conversation"),
        help_text=_("Each run is a turn that the bot begins in it, and belongs to whom it belongs to."),
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
        help_text=_("Whose the runs are: their steps see what this person may see. Empty: nobody's."),
    )
    scope = models.CharField(
        _("scope"),
        max_length=200,
        blank=True,
        help_text=_("For a site with tenants: the tenant's name."),
    )
    slot_at = models.DateTimeField(_("slot"), null=True, editable=False)
    next_at = models.DateTimeField(_("next time"), null=True, editable=False)
    last_at = models.DateTimeField(_("last time"), null=True, editable=False)
    last_run = models.UUIDField(_("last run"), null=True, editable=False)
    last_error = PhraseField(_("last error"), blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        ordering = ["name"]
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(next_at__isnull=False), name="lingstream_schedule_due"
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(every__isnull=False, cron="") | (Q(every=None) & ~Q(cron="")),
                name="lingstream_schedule_when",
                violation_error_message=_("Expected either seconds or a crontab."),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store it; its next slot is the first one from now on."""
        self.slot_at, self.next_at = self.following(timezone.now()) if self.enabled else (None, None)
        if (fields := kwargs.get("update_fields")) is not None:
            kwargs["update_fields"] = {*fields, "slot_at", "next_at"}
        super().save(*args, **kwargs)

    def slots(self, after: datetime) -> Iterator[datetime]:
        """Yield the times that it names behind ``after``; by seconds they are counted from its making."""
        if self.cron:
            return planned(self.cron, after)
        step = timedelta(seconds=self.every or _DAY)
        passed = max((after - self.created_at) // step, -1)
        return (self.created_at + step * number for number in count(passed + 1))

    def following(self, after: datetime) -> tuple[datetime | None, datetime | None]:
        """Return its next slot, and when that is due: by chance, up to ``jitter`` seconds later."""
        slot = next(self.slots(after), None)
        spread = timedelta(seconds=uniform(0, self.jitter))  # noqa: S311  # a pace, not a secret
        return slot, slot and slot + spread

    def clean(self) -> None:
        """Refuse what would fail each time.

        :raises ValidationError: names each field.
        """
        faults: dict[str, Any] = {}
        row = Workflow.objects.filter(slug=self.workflow).first()
        if row is None and self.workflow not in registered():
            faults["workflow"] = _("Expected the slug of a workflow.")
        try:
            check_input(row.schema_in_force if row else {}, self.input)
        except UsageError as error:
            faults["input"] = translated(error.message)
        if self.every and self.jitter > self.every:
            faults["jitter"] = _("Expected no more than the seconds from one run to the next.")
        if self.conversation and (self.owner or self.scope not in ("", self.conversation.scope)):
            faults["conversation"] = _("Expected no owner and no other scope: the runs are its owner's.")
        if faults:
            raise ValidationError(faults)
