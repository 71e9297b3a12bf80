"""Runs and what belongs to them: conversations, bot runs, runner processes."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from lingstream.core.lifecycle import ended

from .fields import JSONTextField

__all__ = ["OPEN", "BotRun", "Conversation", "Run", "Runner", "owner_key"]


def owner_key(owner_id: Any, session_key: str) -> str:
    """Return who owns a row, as one string that an index and a unique constraint can use."""
    if owner_id is not None:
        return f"user:{owner_id}"
    return f"session:{session_key}" if session_key else "anyone"


class Owned(models.Model):
    """Rows that belong to a user, to a session or to nobody."""

    # CASCADE, not SET_NULL: what a person asked and was told goes when the account goes, and a run that
    # lost its owner would look like one that never had any.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
    )
    session_key = models.CharField(_("session"), max_length=100, blank=True)
    scope = models.CharField(
        _("scope"),
        max_length=200,
        blank=True,
        help_text=_("Free for a site with tenants: the tenant's name."),
    )
    owner_key = models.CharField(_("owner key"), max_length=255, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.owner_key = owner_key(self.owner_id, self.session_key)
        if (fields := kwargs.get("update_fields")) is not None and {"owner", "session_key"} & set(fields):
            kwargs["update_fields"] = {*fields, "owner_key"}
        super().save(*args, **kwargs)


class Conversation(Owned):
    """A series of runs with one owner and a history."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(_("title"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering = ["-updated_at"]
        indexes = [models.Index(fields=["owner_key", "-updated_at"], name="lingstream_conv_owner")]

    def __str__(self) -> str:
        return self.title or str(self.pk)


class Runner(models.Model):
    """One process that executes runs; runs whose runner is silent are taken over."""

    class Kind(models.TextChoices):
        INLINE = "inline", _("web process")
        WORKER = "worker", _("worker")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.INLINE)
    hostname = models.CharField(_("host"), max_length=255, blank=True)
    pid = models.PositiveIntegerField(_("process"), default=0)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    heartbeat_at = models.DateTimeField(_("last heartbeat"), default=timezone.now, db_index=True)
    stopped_at = models.DateTimeField(_("stopped"), null=True, blank=True)

    class Meta:
        verbose_name = _("runner")
        verbose_name_plural = _("runners")
        ordering = ["-heartbeat_at"]

    def __str__(self) -> str:
        return f"{self.kind} {self.hostname}:{self.pid}"


class Run(Owned):
    """One execution of a workflow."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        FINISHED = "finished", _("finished")
        FAILED = "failed", _("failed")
        CANCELED = "canceled", _("canceled")
        LOST = "lost", _("lost")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workflow = models.CharField(_("workflow"), max_length=100, db_index=True)
    key = models.CharField(
        _("key"),
        max_length=200,
        blank=True,
        help_text=_("Given by who starts it: the same key and owner give the same run."),
    )
    conversation = models.ForeignKey(
        Conversation,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        db_index=False,  # covered by lingstream_run_conv
        related_name="runs",
        verbose_name=_("conversation"),
    )
    counted_for = models.CharField(
        _("counted for"),
        max_length=255,
        blank=True,
        editable=False,
        help_text=_(
            "Whose open run it is: the owner key, or a digest of the address where there is no owner."
        ),
    )
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.QUEUED)
    epoch = models.PositiveIntegerField(
        _("epoch"),
        default=0,
        help_text=_("Executions so far; a claim adds one, which fences the one before."),
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    language = models.CharField(
        _("language"), max_length=20, blank=True, help_text=_("Active where it was started.")
    )
    plan = JSONTextField(_("plan"), default=dict)
    plan_version = models.PositiveSmallIntegerField(_("plan version"), default=1, db_default=1)
    kinds = models.TextField(
        _("needs"),
        default="",
        db_default="",
        blank=True,
        editable=False,
        help_text=_("What a process must know to execute it, beside bots: kinds of steps, its function."),
    )
    input = JSONTextField(_("input"), null=True, default=None)
    document = JSONTextField(_("document"), null=True, default=None)
    log_id = models.CharField(
        _("stored up to"),
        max_length=32,
        blank=True,
        help_text=_("Id of the last frame in the stored document."),
    )
    usage = JSONTextField(_("usage"), default=dict)
    errors = JSONTextField(_("errors"), default=list)
    runner = models.ForeignKey(
        Runner,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="runs",
        verbose_name=_("runner"),
    )
    cancel_requested_at = models.DateTimeField(_("cancel requested"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    checkpoint_at = models.DateTimeField(_("document stored"), null=True, blank=True)

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ["-created_at"]
        permissions = [("cancel_run", "Can cancel runs of others")]
        indexes = [
            models.Index(fields=["owner_key", "-created_at"], name="lingstream_run_owner"),
            models.Index(fields=["status", "created_at"], name="lingstream_run_claim"),
            models.Index(fields=["conversation", "created_at"], name="lingstream_run_conv"),
            models.Index(fields=["finished_at"], name="lingstream_run_end"),
            models.Index(fields=["workflow", "finished_at"], name="lingstream_run_keep"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "owner_key", "key"], condition=~Q(key=""), name="lingstream_run_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.workflow} {self.pk}"

    @property
    def ended(self) -> bool:
        """Whether nothing will be added to the run."""
        return ended(self.status)

    @property
    def failure(self) -> dict[str, Any] | None:
        """Why the run failed or was lost, as a snapshot tells it: the error that decided."""
        if self.status not in (Run.Status.FAILED, Run.Status.LOST) or not self.errors:
            return None
        return {key: value for key, value in self.errors[0].items() if key != "bot"}


#: The statuses after which something follows.
OPEN = tuple(status for status in Run.Status if not ended(status))


class BotRun(models.Model):
    """One call that a run made: of a model, or of a function that a workflow in Python wants done once.

    A finished one is replayed, not repeated, when its run is executed again. ``request`` and ``result`` are
    those of functions; what a bot was told and said has columns of its own.

    What a model can have written (``root``, ``output``, ``reasoning``, …) is JSON text, because PostgreSQL
    refuses NUL in text. ``replay_key`` stands for (step, root, digest, occurrence) in the unique constraint:
    a root is as long as a model makes it, and an index entry is not.
    """

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        FINISHED = "finished", _("finished")
        FAILED = "failed", _("failed")
        CANCELED = "canceled", _("canceled")

    run = models.ForeignKey(
        Run,
        on_delete=models.CASCADE,
        db_index=False,  # covered by lingstream_bot_replay
        related_name="bot_runs",
        verbose_name=_("run"),
    )
    kind = models.CharField(
        _("kind"),
        max_length=50,
        default="bot",
        db_default="bot",
        help_text=_("A kind of steps (“bot” asked a model), or “once”: a function of a workflow in Python."),
    )
    step = models.CharField(_("step"), max_length=200)
    instance = models.CharField(_("instance"), max_length=220)
    root = JSONTextField(_("root"), default=str)
    digest = models.CharField(_("digest"), max_length=64, help_text=_("SHA-256 of what was asked."))
    occurrence = models.PositiveIntegerField(_("occurrence"), default=0)
    replay_key = models.CharField(_("replay key"), max_length=64, editable=False)
    epoch = models.PositiveIntegerField(_("epoch"), default=0)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.RUNNING)
    messages = JSONTextField(_("messages"), default=list)
    provider = models.CharField(_("provider"), max_length=200, blank=True)
    model = models.CharField(_("model"), max_length=200, blank=True)
    params = JSONTextField(_("parameters"), default=dict)
    prompt_version = models.CharField(_("prompt version"), max_length=250, blank=True)
    output = JSONTextField(_("output"), default=str)
    reasoning = JSONTextField(_("reasoning"), default=str)
    request = JSONTextField(_("request"), null=True, default=None)
    result = JSONTextField(_("result"), null=True, default=None)
    repairs = JSONTextField(_("repairs"), default=list)
    usage = JSONTextField(_("usage"), default=dict)
    error = JSONTextField(_("error"), null=True, default=None)
    finish = models.CharField(
        _("finish reason"),
        max_length=50,
        blank=True,
        help_text=_("Why the model stopped, in its provider's word: stop, length, …"),
    )
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("step run")
        verbose_name_plural = _("step runs")
        ordering = ["run", "id"]
        constraints = [models.UniqueConstraint(fields=["run", "replay_key"], name="lingstream_bot_replay")]

    def __str__(self) -> str:
        return self.instance

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.replay_key = self.make_replay_key(self.step, self.root, self.digest, self.occurrence)
        super().save(*args, **kwargs)

    @staticmethod
    def make_replay_key(step: str, root: str, digest: str, occurrence: int) -> str:
        """Return the value of ``replay_key``; ``save`` sets it, ``bulk_create`` needs it given."""
        return hashlib.sha256(json.dumps([step, root, digest, occurrence]).encode()).hexdigest()
