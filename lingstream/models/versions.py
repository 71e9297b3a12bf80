"""Drafts and published versions of workflows.

1. The rows of a workflow are its draft. A version is what a draft was: all that a plan is made from, with
   prompts by their slugs and labels, never by their texts. It never changes.
2. Runs start from the published version, and from nothing else where there is one.
3. A workflow without a published version starts from its rows, as code has made them: unless it is
   ``draft_only``, which the admin's form makes of a new one; then it does not start.
4. What no plan has (who may start it, whether it is switched off, the chat, the occasions) is in force when
   it is saved.
5. Nothing is lost: a draft that is replaced is kept as a version, if it is not one already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Max
from django.utils import timezone
from django.utils.translation import gettext as now_in_words
from django.utils.translation import gettext_lazy as _

from ..core.exceptions import UsageError
from .drafts import SETTINGS, completed, data_of, problems_of
from .fields import JSONTextField, encode
from .immutable import ImmutableQuerySet, refuse_change
from .prompts import Prompt, Provider

__all__ = ["PublishedStep", "Versioned", "WorkflowVersion"]

_MOST_PROBLEMS = 5  # that a message tells of
_LATEST = 50  # versions among which a draft is looked for
_AUTOMATIC = _("The draft that v%d took the place of")


class Versioned(models.Model):
    """The part of a workflow that knows of its versions."""

    if TYPE_CHECKING:
        input_schema: Any
        steps: Any
        triggers: Any
        versions: Any
        published_steps: Any

    published = models.ForeignKey(
        "lingstream.WorkflowVersion",
        on_delete=models.RESTRICT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("published"),
        help_text=_("What runs start from. Empty: the rows as they are, unless it is a draft only."),
    )
    draft_only = models.BooleanField(
        _("draft only"),
        default=False,
        db_default=False,
        editable=False,
        help_text=_("It has not been published yet, and does not start before."),
    )

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the row; of one that is there all but what is live, others may have published meanwhile."""
        usual = kwargs.get("update_fields") is None and not (args or kwargs.get("force_insert"))
        if usual and not self._state.adding:
            columns = {field.name for field in self._meta.concrete_fields if not field.primary_key}
            kwargs["update_fields"] = columns - {"published", "draft_only"}
        super().save(*args, **kwargs)

    @property
    def schema_in_force(self) -> dict[str, Any]:
        """The input schema of runs that start now."""
        schema: dict[str, Any] = self.published.plan["input_schema"] if self.published else self.input_schema
        return schema

    def draft(self) -> dict[str, Any]:
        """Return the stored rows as JSON data."""
        return data_of(self)

    def live(self) -> dict[str, Any] | None:
        """Return the published version as JSON data, with the names that prompts and providers have now."""
        if self.published is None:
            return None
        now = {step.name: step.names for step in self.published_steps.select_related("prompt", "provider")}
        data = self.published.data
        return {**data, "steps": [{**step, **now[step["name"]]} for step in data["steps"]]}

    @property
    def differs(self) -> bool:
        """Whether the draft is another one than what is published; without a version it never is."""
        live = self.live()
        return live is not None and encode(live) != encode(self.draft())

    def publish(self, *, by: Any = None, note: str = "") -> WorkflowVersion:
        """Make a version of the draft, from which runs start from now on.

        :param by: the user who does so.
        :raises UsageError: ``unchanged``: it is published as it is; ``draft``: it cannot work.
        """
        with transaction.atomic():
            self._lock()
            if self.published and not self.differs:
                raise UsageError(
                    now_in_words("The draft is published as it is, as v%d.") % self.published.number,
                    code="unchanged",
                )
            self._check()
            version = self._keep(by, note)
            self._put_live(version)
        return version

    def roll_back(self, number: int, *, by: Any = None) -> WorkflowVersion:
        """Have runs start from a version that there is; the draft is that one then, too.

        :raises UsageError: ``unknown-version``; ``unknown-prompt``, ``unknown-provider``: what it names has
            gone; ``draft``: it cannot work any more.
        """
        with transaction.atomic():
            version = self.take_up(number, by=by)
            self._check()
            self._put_live(version)
        return version

    def take_up(self, number: int, *, by: Any = None) -> WorkflowVersion:
        """Make a version the draft; what was that before is kept.

        :raises UsageError: as :meth:`roll_back`.
        """
        with transaction.atomic():
            self._lock()
            version: WorkflowVersion | None = self.versions.filter(number=number).first()
            if version is None:
                raise UsageError(
                    now_in_words("Expected a version of the workflow, got v%d.") % number,
                    code="unknown-version",
                )
            # The version that is live may name by an old name what has another one now.
            is_live = self.published is not None and version.pk == self.published.pk
            data = (self.live() if is_live else None) or version.data
            self.restore(data, by=by, note=str(_AUTOMATIC) % number)
        return version

    def restore(self, data: Mapping[str, Any], *, by: Any = None, note: str = "") -> None:
        """Make the rows what the data says; steps that keep their names stay the same rows.

        :param data: of the shape of a version's.
        :param by: the user who does so.
        :param note: of the version that keeps what was the draft before.
        :raises UsageError: ``unknown-prompt``, ``unknown-provider``, ``unknown-step``.
        """
        data = completed(data)
        with transaction.atomic():
            self._lock()
            if self._would_be_lost(data):
                self._keep(by, note)
            for name in SETTINGS:
                setattr(self, name, data[name])
            self.save(update_fields=[*SETTINGS, "updated_at"])  # type: ignore[misc]  # the workflow's
            steps = self._write_steps(data["steps"])
            self._write_triggers(data["triggers"], steps)

    def _lock(self) -> None:
        """Have others wait who publish or save: a write, as SQLite ignores ``select_for_update``."""
        type(self)._default_manager.filter(pk=self.pk).update(slug=F("slug"))  # type: ignore[misc]
        self.refresh_from_db(fields=["published", "draft_only", *SETTINGS])

    def _check(self) -> None:
        if problems := problems_of(self):
            raise UsageError("\n".join(map(str, problems[:_MOST_PROBLEMS])), code="draft")

    def _would_be_lost(self, data: Mapping[str, Any]) -> bool:
        """Whether no version is what the draft is, which is to become what the data says."""
        if not (self.differs if self.published else self.steps.exists()):
            return False
        draft = self.draft()
        return encode(draft) != encode(data) and not self._is_version(draft)

    def _is_version(self, draft: Mapping[str, Any]) -> bool:
        text = encode(draft)
        return any(encode(version.data) == text for version in self.versions.all()[:_LATEST])

    def _keep(self, by: Any, note: str) -> WorkflowVersion:
        last = self.versions.aggregate(last=Max("number"))["last"] or 0
        version = WorkflowVersion(number=last + 1, plan=self.draft(), note=note[:200], created_by=by)
        version.workflow_id = self.pk
        version.save()
        return version

    def _put_live(self, version: WorkflowVersion) -> None:
        """Runs start from this version, which the draft is: it has the rows that the version names."""
        self.published, self.draft_only = version, False
        self.save(update_fields=["published", "draft_only"])
        self.published_steps.all().delete()
        columns = ("name", "prompt_id", "label", "pinned", "provider_id")
        PublishedStep.objects.bulk_create(
            PublishedStep(workflow_id=self.pk, **dict(zip(columns, values, strict=True)))
            for values in self.steps.values_list(*columns)
        )

    def _write_steps(self, wanted: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        stored = {step.name: step for step in self.steps.all()}
        names = [data["name"] for data in wanted]
        self.steps.exclude(name__in=names).delete()
        found = {}
        for position, data in enumerate(wanted):
            step = stored.get(data["name"]) or self.steps.model(workflow=self)
            for column, value in {**data, **_related(data)}.items():
                setattr(step, column, value)
            step.position = position
            step.save()
            found[step.name] = step
        return found

    def _write_triggers(self, wanted: Iterable[Mapping[str, Any]], steps: Mapping[str, Any]) -> None:
        stored = list(self.triggers.order_by("position", "pk"))
        for position, data in enumerate(wanted):
            trigger = stored.pop(0) if stored else self.triggers.model(workflow=self)
            ends = {end: _step(steps, data[end]) for end in ("source", "target")}
            for column, value in {**data, **ends, "position": position}.items():
                setattr(trigger, column, value)
            trigger.save()
        self.triggers.filter(pk__in=[each.pk for each in stored]).delete()


class WorkflowVersion(models.Model):
    """What a workflow's draft was. Rows are written once: a change is the next version.

    Versions go when their workflow goes, and only then.

    :param plan: the columns of steps and triggers and :data:`.drafts.SETTINGS`; prompts by slug and label.
    """

    workflow = models.ForeignKey(
        "lingstream.Workflow",
        on_delete=models.CASCADE,
        related_name="versions",
        verbose_name=_("workflow"),
    )
    number = models.PositiveIntegerField(_("number"))
    plan = JSONTextField(_("plan"))
    note = models.CharField(_("note"), max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)

    objects = ImmutableQuerySet.as_manager()

    class Meta:
        verbose_name = _("workflow version")
        verbose_name_plural = _("workflow versions")
        default_permissions = ()  # who may view the workflow may view them
        ordering = ["workflow", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "number"], name="lingstream_workflow_number")
        ]

    def __str__(self) -> str:
        return f"{self.workflow.slug} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the version.

        :raises UsageError: it is stored already.
        """
        if not self._state.adding:
            refuse_change(type(self), "save")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        refuse_change(type(self), "delete")

    @property
    def data(self) -> dict[str, Any]:
        """The plan with all columns that steps and triggers have today."""
        return completed(self.plan)

    def related(self) -> dict[str, dict[str, Any]]:
        """Return the prompt and the provider of each step, by its name: those that are called so today.

        :raises UsageError: ``unknown-prompt``, ``unknown-provider``.
        """
        return {step["name"]: _related(step) for step in self.data["steps"]}


class PublishedStep(models.Model):
    """What a step of a published version asks for, which may be renamed meanwhile and may not be deleted."""

    workflow = models.ForeignKey(
        "lingstream.Workflow",
        on_delete=models.CASCADE,
        related_name="published_steps",
        verbose_name=_("workflow"),
    )
    name = models.CharField(_("name"), max_length=100)
    prompt = models.ForeignKey(
        Prompt,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="published_steps",
        verbose_name=_("prompt"),
    )
    label = models.SlugField(_("label"), max_length=50)
    pinned = models.PositiveIntegerField(_("pinned version"), null=True, blank=True)
    provider = models.ForeignKey(
        Provider,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="published_steps",
        verbose_name=_("provider"),
    )

    class Meta:
        verbose_name = _("published step")
        verbose_name_plural = _("published steps")
        default_permissions = ()
        ordering = ["workflow", "name"]
        constraints = [models.UniqueConstraint(fields=["workflow", "name"], name="lingstream_published_step")]

    def __str__(self) -> str:
        return f"{self.workflow.slug}/{self.name}"

    @property
    def names(self) -> dict[str, str | None]:
        """What the rows are called now that it asks for."""
        return {
            "prompt": self.prompt.slug if self.prompt else None,
            "provider": self.provider.name if self.provider else None,
        }


def _related(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "prompt": _found(Prompt, "slug", data.get("prompt"), data["name"]),
        "provider": _found(Provider, "name", data.get("provider"), data["name"]),
    }


def _found(model: Any, column: str, name: str | None, step: str) -> Any:
    if name is None:
        return None
    row = model.objects.filter(**{column: name}).first()
    if row is None:
        kind = model._meta.model_name
        texts = {
            "prompt": _("The step “%(step)s” asks for the prompt “%(name)s”, and there is none."),
            "provider": _("The step “%(step)s” asks for the provider “%(name)s”, and there is none."),
        }
        raise UsageError(str(texts[kind]) % {"step": step, "name": name}, code=f"unknown-{kind}")
    return row


def _step(steps: Mapping[str, Any], name: str) -> Any:
    if name not in steps:
        text = now_in_words("Expected a trigger between steps of the workflow, got “%s”.") % name
        raise UsageError(text, code="unknown-step")
    return steps[name]
