"""Runs and what belongs to them: bot runs, runner processes."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from lingstream.core.lifecycle import ended

from .conversations import Conversation
from .fields import JSONTextField
from .owned import Owned
from .seldom import Seldom

__all__ = ["FIRST", "OPEN", "PERSON", "QUIET", "BotRun", "Run", "Runner", "error_code"]


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


class RunQuerySet(models.QuerySet["Run"]):
    """Runs, and which of them are not there to try something."""

    def real(self) -> Self:
        """Return those that are no trials: whatever counts runs, or shows them to people, means these."""
        return self.exclude(trial=True)

    def open(self) -> Self:
        """Return those that have not ended; however many have, they are found by an index."""
        return self.filter(Seldom(Q(status__in=OPEN)))

    def running(self) -> Self:
        """Return those that some process executes, or has left; found by an index as well."""
        return self.filter(Seldom(Q(status=Run.Status.RUNNING)))


class Run(Owned):
    """One execution of a workflow.

    A trial is one that staff start in the admin to see what would come of a draft. It has neither key nor
    conversation, which the database sees to, so that what asks for either meets none; whatever else counts
    or offers runs asks for :meth:`RunQuerySet.real`.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        FINISHED = "finished", _("finished")
        FAILED = "failed", _("failed")
        CANCELED = "canceled", _("canceled")
        LOST = "lost", _("lost")

    class Cause(models.TextChoices):
        """Who or what made it begin: a person (the first three), an occasion, the site, the end of a turn."""

        USER = "user", _("a message")
        EDIT = "edit", _("an edited message")
        REGENERATE = "regenerate", _("the same message again")
        GREETING = "greeting", _("a greeting")
        SILENCE = "silence", _("silence")
        SCHEDULE = "schedule", _("a schedule")
        SIGNAL = "signal", _("a signal")
        WEBHOOK = "webhook", _("a webhook")
        PRESENCE = "presence", _("somebody came or went")
        CODE = "code", _("the site's code")
        SUMMARY = "summary", _("summary of a conversation")
        TITLE = "title", _("title of a conversation")

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
    number = models.PositiveIntegerField(
        _("number"),
        default=0,
        db_default=0,
        help_text=_("Which turn of its conversation it is, in the order of their beginning; 0: none."),
    )
    parent = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="children",
        verbose_name=_("turn before"),
        help_text=_("What stood before it in its conversation. Turns with the same one are alternatives."),
    )
    cause = models.CharField(
        _("cause"), max_length=20, choices=Cause.choices, default=Cause.USER, db_default=Cause.USER.value
    )
    message = JSONTextField(
        _("message"),
        null=True,
        default=None,
        help_text=_("What the person sent, as parts. Empty: it is the input, or the bot spoke first."),
    )
    message_id = models.CharField(
        _("message id"),
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text=_("As its client calls it."),
    )
    context = JSONTextField(
        _("context"),
        null=True,
        default=None,
        help_text=_("What its bots remember: messages, as they were before its first call."),
    )
    hidden = models.BooleanField(
        _("hidden"), default=False, db_default=False, help_text=_("No turn that people see.")
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
    trial = models.BooleanField(
        _("trial"),
        default=False,
        db_default=False,
        help_text=_("Staff tried something. It is for staff only, never counted, and goes after a day."),
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
    published = models.PositiveIntegerField(
        _("version"),
        default=0,
        db_default=0,
        editable=False,
        help_text=_("The number of the workflow's version that its plan is; 0: of none."),
    )
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
    # What lists and figures need of the above, in columns of its own: written with the end.
    error_code = models.CharField(
        _("error code"),
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text=_("Of the error that decided."),
    )
    prompt_tokens = models.PositiveBigIntegerField(_("tokens asked"), default=0, db_default=0)
    completion_tokens = models.PositiveBigIntegerField(_("tokens answered"), default=0, db_default=0)
    cost = models.DecimalField(
        _("cost"),
        max_digits=14,
        decimal_places=6,
        null=True,
        blank=True,
        help_text=_("By the prices that stood at its providers when it ended."),
    )
    repaired = models.PositiveIntegerField(
        _("repaired"), default=0, db_default=0, help_text=_("Places of its answers that had to be mended.")
    )
    first_token = models.FloatField(
        _("first token"),
        null=True,
        blank=True,
        help_text=_("Seconds from the beginning of its execution until a step said something."),
    )
    trace = JSONTextField(
        _("trace"),
        default=list,
        db_default=[],
        help_text=_("The step runs of its last execution, of all kinds: what started each, and when."),
    )
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

    objects = RunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ["-created_at"]
        permissions = [("cancel_run", "Can cancel runs of others")]
        indexes = [
            models.Index(fields=["owner_key", "-created_at"], name="lingstream_run_owner"),
            models.Index(fields=["status", "created_at"], name="lingstream_run_claim"),
            models.Index(fields=["conversation", "created_at"], name="lingstream_run_conv"),
            models.Index(fields=["conversation", "message_id"], name="lingstream_run_message"),
            models.Index(fields=["finished_at"], name="lingstream_run_end"),
            models.Index(fields=["workflow", "finished_at"], name="lingstream_run_keep"),
            # For lists, newest first: of all, a tenant, a workflow, what came of its runs, its versions, an
            # error, and of what was repaired.
            models.Index(fields=["-created_at"], name="lingstream_run_date"),
            models.Index(fields=["scope", "-created_at"], name="lingstream_run_scope"),
            models.Index(fields=["workflow", "-created_at"], name="lingstream_run_flow"),
            models.Index(fields=["workflow", "status", "-created_at"], name="lingstream_run_outcome"),
            models.Index(fields=["workflow", "published", "-created_at"], name="lingstream_run_version"),
            models.Index(
                fields=["error_code", "-created_at"], condition=~Q(error_code=""), name="lingstream_run_error"
            ),
            models.Index(fields=["-created_at"], condition=Q(repaired__gt=0), name="lingstream_run_mended"),
            models.Index(fields=["created_at"], condition=Q(trial=True), name="lingstream_run_trial"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "owner_key", "key"], condition=~Q(key=""), name="lingstream_run_key"
            ),
            models.UniqueConstraint(
                fields=["conversation", "number"],
                condition=Q(conversation__isnull=False, number__gt=0),
                name="lingstream_run_number",
            ),
            models.CheckConstraint(
                condition=Q(trial=False) | Q(conversation__isnull=True, key=""),
                name="lingstream_run_trial_alone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workflow} {self.pk}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding:
            self.published = self.plan.get("published", 0)
        super().save(*args, **kwargs)

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


def error_code(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return the code of the error that decided, as the column has it; ``""`` without errors."""
    return str(errors[0].get("code", ""))[:100] if errors else ""


#: The statuses after which something follows.
OPEN = tuple(status for status in Run.Status if not ended(status))

#: The causes of turns that a person began. All others that are shown count as unread until they are seen.
PERSON = (Run.Cause.USER, Run.Cause.EDIT, Run.Cause.REGENERATE)

#: The causes of turns in which the bot spoke first, on an occasion.
FIRST = (
    Run.Cause.GREETING,
    Run.Cause.SILENCE,
    Run.Cause.SCHEDULE,
    Run.Cause.SIGNAL,
    Run.Cause.WEBHOOK,
    Run.Cause.PRESENCE,
)

#: The causes of runs that are no turns of their conversation: they go beside its turns, and nobody waits.
QUIET = (Run.Cause.SUMMARY, Run.Cause.TITLE)


class BotRunQuerySet(models.QuerySet["BotRun"]):
    """Calls, and which of them count."""

    def real(self) -> Self:
        """Return those of real runs, as :meth:`RunQuerySet.real` has them."""
        return self.exclude(run__trial=True)


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
    first_token = models.FloatField(
        _("first token"),
        null=True,
        blank=True,
        help_text=_("Seconds until it said something."),
    )
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = BotRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("step run")
        verbose_name_plural = _("step runs")
        ordering = ["run", "id"]
        indexes = [models.Index(fields=["prompt_version", "-started_at"], name="lingstream_bot_prompt")]
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
