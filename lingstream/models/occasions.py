"""When the bot of a workflow speaks first."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from asgiref.sync import sync_to_async
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from lingstream.core import templates
from lingstream.core.engine import occasions
from lingstream.core.engine.chat import NO_CHAT
from lingstream.core.engine.registry import declared

from .crontab import planned, validate_schedule
from .phrases import translated
from .secrets import derived_secret
from .workflows import Workflow

if TYPE_CHECKING:
    from .conversations import Conversation
    from .runs import Run

__all__ = ["Occasion", "OccasionSet"]

#: What an occasion's template and condition may use.
_NAMES = frozenset({"occasion", "conversation", "data", "now"})

_DAY = 86_400
_NUDGES, _SCHEDULED = 3, 100
_NEEDS = {"silence": "after", "schedule": "schedule"}


class OccasionSet(models.QuerySet["Occasion"]):
    """Queries for the occasions of a workflow, be it in the admin or in Python alone."""

    def of(self, workflow: str) -> Self:
        """Return those of the workflow with this slug."""
        return self.filter(Q(workflow__slug=workflow) | Q(workflow=None, slug=workflow))


class Occasion(models.Model):
    """Something on which the bot begins: in a conversation of its workflow, without a person's message.

    It belongs to a workflow's row, or, of one that is in Python and has no row, to a ``slug``.
    """

    class Kind(models.TextChoices):
        GREETING = "greeting", _("a conversation is opened for the first time")
        SILENCE = "silence", _("nobody has said anything for a while")
        SCHEDULE = "schedule", _("a time has come")
        SIGNAL = "signal", _("the site's code says so")
        WEBHOOK = "webhook", _("another system says so")
        CONNECTED = "connected", _("somebody has come back")
        DISCONNECTED = "disconnected", _("everybody has left")

    class Audience(models.TextChoices):
        USUAL = "", _("of a schedule who has the conversation open, else anybody")
        PRESENT = "present", _("who has the conversation open")
        ABSENT = "absent", _("who has not")
        ANY = "any", _("anybody")

    class Source(models.TextChoices):
        ADMIN = "admin", _("the admin")
        CODE = "code", _("the workflow's code")

    workflow = models.ForeignKey(
        Workflow,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="occasions",
        verbose_name=_("workflow"),
    )
    slug = models.CharField(
        _("workflow in Python"),
        max_length=100,
        blank=True,
        default="",
        editable=False,
        db_index=True,
        help_text=_("Of one without a row."),
    )
    source = models.CharField(
        _("comes from"), max_length=10, choices=Source.choices, default=Source.ADMIN, editable=False
    )
    kind = models.CharField(_("when"), max_length=20, choices=Kind.choices)
    name = models.SlugField(_("name"), max_length=100, help_text=_("Each name once in a workflow."))
    enabled = models.BooleanField(_("enabled"), default=True)
    input = models.TextField(
        _("input"),
        blank=True,
        help_text=_(
            "Template of what stands in the place of a message; it may use occasion, conversation, data and "
            "now. Empty: an instruction in English."
        ),
    )
    condition = models.CharField(
        _("condition"),
        max_length=1000,
        blank=True,
        help_text=_("Expression with the same names that must hold, for example data.total > 20."),
    )
    audience = models.CharField(
        _("for"), max_length=10, choices=Audience.choices, blank=True, default=Audience.USUAL
    )
    after = models.PositiveIntegerField(
        _("after"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(365 * _DAY)],
        help_text=_("Silence: seconds from the end of the last turn."),
    )
    factor = models.FloatField(
        _("factor"),
        default=2.0,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("Silence: each further pause is so many times as long."),
    )
    at_most = models.PositiveSmallIntegerField(
        _("at most"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1_000)],
        help_text=_(
            "Silence: so often, until the person says something; empty: 3. Schedule: so many conversations "
            "at a time; empty: 100."
        ),
    )
    daily = models.PositiveSmallIntegerField(
        _("a day"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("How often the bot may begin in one conversation, on all occasions. Empty: no bound."),
    )
    min_gap = models.PositiveIntegerField(
        _("pause"),
        default=0,
        validators=[MaxValueValidator(365 * _DAY)],
        help_text=_("Seconds for which a bot that has begun does not begin again."),
    )
    quiet_from = models.TimeField(
        _("quiet from"), null=True, blank=True, help_text=_("By the person's clock, else by the site's.")
    )
    quiet_to = models.TimeField(_("quiet until"), null=True, blank=True)
    schedule = models.CharField(
        _("schedule"),
        max_length=100,
        blank=True,
        validators=[validate_schedule],
        help_text=_("Five fields as in a crontab, in the site's time zone: 0 9 * * MON-FRI."),
    )
    within_days = models.PositiveSmallIntegerField(
        _("within"),
        default=30,
        validators=[MinValueValidator(1)],
        help_text=_("Schedule: only where something was said within so many days."),
    )
    next_at = models.DateTimeField(_("next time"), null=True, blank=True, editable=False)
    reached = models.UUIDField(_("reached"), null=True, editable=False)
    skipped = models.PositiveIntegerField(
        _("skipped"),
        default=0,
        editable=False,
        help_text=_("Times of a schedule that passed while no process lived."),
    )
    secret_version = models.PositiveIntegerField(_("secret"), default=1, editable=False)

    objects = OccasionSet.as_manager()

    class Meta:
        verbose_name = _("occasion")
        verbose_name_plural = _("occasions")
        ordering = ["workflow", "slug", "id"]
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(next_at__isnull=False), name="lingstream_occasion_due"
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(workflow__isnull=False, slug="") | (Q(workflow=None) & ~Q(slug="")),
                name="lingstream_occasion_whose",
            ),
            models.UniqueConstraint(
                fields=["workflow", "name"],
                condition=Q(workflow__isnull=False),
                name="lingstream_occasion_name",
                violation_error_message=_("Expected a name that no other occasion of the workflow has."),
            ),
            models.UniqueConstraint(
                fields=["slug", "name"], condition=~Q(slug=""), name="lingstream_occasion_slug_name"
            ),
            models.UniqueConstraint(
                fields=["workflow"],
                condition=Q(kind="silence", workflow__isnull=False),
                name="lingstream_occasion_silence",
                violation_error_message=_("Expected at most one occasion of silence in a workflow."),
            ),
            models.UniqueConstraint(
                fields=["slug"],
                condition=Q(kind="silence") & ~Q(slug=""),
                name="lingstream_occasion_slug_silence",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store it; a schedule's next time is that of its crontab as it is now."""
        self.next_at = self._next() if self.kind == self.Kind.SCHEDULE and self.schedule else None
        self.reached = None
        if (fields := kwargs.get("update_fields")) is not None:
            kwargs["update_fields"] = {*fields, "next_at", "reached"}
        super().save(*args, **kwargs)

    @property
    def workflow_slug(self) -> str:
        """The slug of its workflow."""
        return self.workflow.slug if self.workflow else self.slug

    @property
    def most(self) -> int:
        """How often a silence is broken, or in how many conversations a schedule comes, at most."""
        return self.at_most or (_SCHEDULED if self.kind == self.Kind.SCHEDULE else _NUDGES)

    @property
    def whom(self) -> str:
        """Its audience: ``present``, ``absent`` or ``any``."""
        usual = self.Audience.PRESENT if self.kind == self.Kind.SCHEDULE else self.Audience.ANY
        return self.audience or usual

    @property
    def instruction(self) -> str:
        """The template of what stands in the place of a message."""
        return self.input or occasions.INSTRUCTIONS[self.kind]

    @property
    def refusal(self) -> str:
        """What its workflow's input schema has against the input that it gives; ``""``: nothing."""
        schema = self.workflow.input_schema if self.workflow else {}
        row = getattr(self.workflow, "chat", None)
        chat = row or declared(self.workflow_slug).chat or NO_CHAT
        return occasions.refusal(schema, self.kind, self.name, chat.input_uri, self.instruction)

    def clean(self) -> None:
        """Refuse what this kind cannot do without, texts that are no templates, and what cannot ever fire.

        :raises ValidationError: names each field.
        """
        faults: dict[str, Any] = {}
        needed = _NEEDS.get(self.kind, "")
        if needed and not getattr(self, needed):
            faults[needed] = _("This kind of occasion needs it.")
        quiet = [each and (each.hour, each.minute) for each in (self.quiet_from, self.quiet_to)]
        if any(quiet) and (None in quiet or quiet[0] == quiet[1]):
            faults["quiet_to"] = _("Expected two different times, or none.")
        checks = (("input", templates.check), ("condition", templates.check_condition))
        for field, check in checks:
            if (text := getattr(self, field)) and (problems := check(text, _NAMES)):
                faults[field] = [translated(problem.text) for problem in problems]
        if not faults and self.enabled and self.kind and (why := self.refusal):
            faults[NON_FIELD_ERRORS] = _(
                "Expected the workflow's input schema to take what this occasion gives: %(why)s."
            ) % {"why": translated(why)}
        if faults:
            raise ValidationError(faults)

    def secret(self, scope: str = "") -> str:
        """Return what a webhook's requests are signed with, one for each tenant.

        :param scope: the tenant.
        """
        return derived_secret("lingstream.hook", self, *filter(None, [scope]))

    def fire(self, conversation: Conversation, *, key: str = "", data: Any = None) -> Run | None:
        """Let the bot begin in a conversation: a signal of the site's own code.

        The run is stored in the caller's transaction, and begins with its commit.

        :param key: the same key of the occasion and the conversation is the same run.
        :param data: JSON data, ``data`` in the template and in the condition.
        :returns: the run; ``None`` where the occasion's condition, audience or bounds are against it.
        :raises UsageError: the conversation is not one of its workflow; a key or data that cannot be.
        :raises LingError: ``no-runner``; see :func:`lingstream.start`.
        """
        return _speech().fire(self, conversation, key=key, data=data)  # type: ignore[no-any-return]

    async def afire(self, conversation: Conversation, *, key: str = "", data: Any = None) -> Run | None:
        """As :meth:`fire`, for code in an event loop."""
        return await sync_to_async(self.fire)(conversation, key=key, data=data)

    def _next(self) -> datetime | None:
        return next(planned(self.schedule, timezone.now()), None)


def _speech() -> Any:
    """What starts runs stands above the rows, which import nothing of it."""
    return import_module("lingstream.conversations.occasions")
