"""Where documents come from, and the passes over it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from lingstream.core.exceptions import UsageError
from lingstream.core.validation import check_options
from lingstream.models import Run
from lingstream.models.crontab import validate_schedule
from lingstream.models.fields import JSONTextField
from lingstream.models.phrases import PhraseField, translated
from lingstream.models.secrets import derived_secret
from lingstream.models.validators import validate_object

from ..hosts import HostDates
from .collections import Collection
from .quiet import WithSources

__all__ = ["Source", "Sync"]


class Source(WithSources):
    """One place that documents come from: how to list it, how often, and what happens to what vanishes."""

    class State(models.TextChoices):
        NEW = "new", _("not looked at yet")
        OK = "ok", _("in order")
        DEGRADED = "degraded", _("not all of it, for now")
        FAILED = "failed", _("stopped by an error")
        CONFIRM = "needs-confirmation", _("deletions wait for a confirmation")

    class OnFailure(models.TextChoices):
        SKIP = "skip", _("keep the document as it was, and go on")
        FAIL = "fail", _("stop the source")

    collection = models.ForeignKey(
        Collection, on_delete=models.CASCADE, related_name="sources", verbose_name=_("collection")
    )
    slug = models.SlugField(_("slug"), max_length=100, unique=True)
    kind = models.CharField(_("kind"), max_length=50)
    config = JSONTextField(_("configuration"), default=dict, blank=True, validators=[validate_object])
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner of its documents"),
        help_text=_("Empty: they are everybody's who may search the collection."),
    )
    scope = models.CharField(_("scope of its documents"), max_length=200, blank=True)
    every = models.PositiveIntegerField(
        _("every"),
        null=True,
        blank=True,
        validators=[MinValueValidator(30), MaxValueValidator(365 * 86_400)],
        help_text=_("In seconds."),
    )
    cron = models.CharField(
        _("schedule"),
        max_length=200,
        blank=True,
        validators=[validate_schedule],
        help_text=_("Five fields, as in a crontab."),
    )
    next_at = models.DateTimeField(_("next pass"), null=True, blank=True, editable=False)
    paused = models.BooleanField(_("paused"), default=False)
    on_failure = models.CharField(
        _("a document that fails"), max_length=10, choices=OnFailure.choices, default=OnFailure.SKIP
    )
    retries = models.PositiveIntegerField(_("retries"), default=3, validators=[MaxValueValidator(20)])
    max_documents = models.PositiveIntegerField(
        _("documents"), default=1_000, validators=[MinValueValidator(1), MaxValueValidator(1_000_000)]
    )
    max_depth = models.PositiveIntegerField(_("depth"), default=10, validators=[MaxValueValidator(100)])
    max_bytes = models.PositiveBigIntegerField(
        _("bytes"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Of all documents that one pass reads. Empty: no bound."),
    )
    max_seconds = models.PositiveIntegerField(
        _("seconds"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("That one pass works. Empty: no bound."),
    )
    delete_after = models.PositiveIntegerField(
        _("gone after"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Complete passes without a document until it is deleted. Empty: as the kind has it."),
    )
    secret_version = models.PositiveIntegerField(default=0, editable=False)
    state = models.CharField(
        _("state"), max_length=20, choices=State.choices, default=State.NEW, editable=False
    )
    problem = PhraseField(_("problem"), blank=True, editable=False)
    watched = models.CharField(
        default="",
        db_default="",
        max_length=64,
        blank=True,
        editable=False,
        help_text=_("Its state when it was looked at last."),
    )
    number = models.PositiveIntegerField(
        _("pass"), default=0, editable=False, help_text=_("The last one that has begun.")
    )
    epoch = models.PositiveBigIntegerField(
        default=0, editable=False, help_text=_("Grows with each claim: who has an older one writes nothing.")
    )
    holder = models.CharField(
        max_length=100, blank=True, editable=False, help_text=_("The run or command that works on it.")
    )
    held_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("Then its holder counts as dead.")
    )
    confirmed = models.PositiveIntegerField(
        default=0, editable=False, help_text=_("The pass whose deletions somebody has confirmed.")
    )
    failures = models.PositiveIntegerField(
        _("failures in a row"), default=0, editable=False, help_text=_("Of those that may pass.")
    )
    probe_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("After many failures: not before.")
    )

    dates = JSONTextField(
        null=True,
        editable=False,
        help_text=_(
            "By host: of pages that were as before, how many it said to have changed, and how many not."
        ),
    )

    class Meta:
        verbose_name = _("source")
        verbose_name_plural = _("sources")
        ordering = ["slug"]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(paused=False), name="lingstream_source_due"),
        ]

    def __str__(self) -> str:
        return self.slug

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store it; one that has a schedule, and no time yet, is due at once."""
        if self.next_at is None and (self.every or self.cron):
            self.next_at = timezone.now()
            if (fields := kwargs.get("update_fields")) is not None:
                kwargs["update_fields"] = {*fields, "next_at"}
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Refuse a kind that nobody knows, and a configuration that leads nowhere."""
        from ..sources.port import source_kind  # the kinds know this module

        try:
            kind = source_kind(self.kind)
            check_options(kind.config_schema, self.config)
            kind.check(self.config)
        except UsageError as error:
            field = "kind" if error.code == "unknown-kind" else "config"
            raise ValidationError({field: translated(error.message)}) from error

    @property
    def distrusted(self) -> list[str]:
        """Hosts whose dates are not believed."""
        return HostDates(self.dates).distrusted

    def secret(self) -> str:
        """Return what the requests that send it documents are signed with; ``secret_version`` renews it."""
        return derived_secret("lingstream.source", self)


class Sync(models.Model):
    """One pass over a source, or over those of its documents that somebody has asked for."""

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", _("schedule")
        MANUAL = "manual", _("by hand")
        WEBHOOK = "webhook", _("webhook")
        MODEL = "model", _("a saved row")

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        FINISHED = "finished", _("finished")
        STOPPED = "stopped", _("stopped")
        FAILED = "failed", _("failed")

    source = models.ForeignKey(
        Source, on_delete=models.CASCADE, related_name="syncs", verbose_name=_("source")
    )
    run = models.ForeignKey(
        Run, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("run")
    )
    number = models.PositiveIntegerField(
        _("number"), null=True, help_text=_("None: it lists nothing, and looks at what was asked for.")
    )
    trigger = models.CharField(_("trigger"), max_length=10, choices=Trigger.choices, default=Trigger.SCHEDULE)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.RUNNING)
    started_at = models.DateTimeField(_("started"), db_default=Now())
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    listed = models.BooleanField(
        _("listed"), default=False, help_text=_("The listing has ended, completely or not.")
    )
    complete = models.BooleanField(
        _("complete"), default=False, help_text=_("All that there is was listed: what is missing is gone.")
    )
    seen = models.PositiveIntegerField(_("seen"), default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    deleted = models.PositiveIntegerField(_("deleted"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)
    bytes = models.PositiveBigIntegerField(
        _("read"), default=0, db_default=0, help_text=_("Bytes of documents.")
    )
    seconds = models.FloatField(
        default=0, db_default=0, editable=False, help_text=_("Of work, and not of waiting.")
    )
    problem = PhraseField(_("problem"), blank=True)

    class Meta:
        verbose_name = _("pass")
        verbose_name_plural = _("passes")
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(fields=["source", "number"], name="lingstream_sync_number"),
            models.UniqueConstraint(
                fields=["source"], condition=Q(status="running"), name="lingstream_sync_running"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.number or self.get_trigger_display()}"
