"""Providers and prompts: who may answer, and what they are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Max, ProtectedError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from lingstream.core.engine.plan import ProviderPlan

from ..conf import app_settings
from ..core import templates
from ..core.exceptions import UsageError
from ..providers import kind_names
from ..providers.policy import check_provider, look_up_provider
from .fields import JSONTextField
from .validators import validate_object, validate_variables

__all__ = ["Prompt", "PromptLabel", "PromptVersion", "Provider"]

# Where an error of a provider's settings is shown; the others are about its address.
_FIELDS = {"kind": "kind", "key-not-listed": "key_name", "option": "options"}


class Provider(models.Model):
    """Where a model lives.

    Its add, change, delete and view permissions are its own: a prompt editor who may change steps chooses a
    provider by name, and can neither see its address nor send a key anywhere else.
    """

    name = models.SlugField(
        _("name"),
        max_length=100,
        unique=True,
        help_text=_("Steps and Python workflows name the provider by it."),
    )
    kind = models.CharField(
        _("kind"),
        max_length=50,
        default="openai",
        help_text=_("“openai” speaks to every OpenAI-compatible server; “scripted” plays recorded answers."),
    )
    base_url = models.CharField(
        _("base URL"),
        max_length=500,
        blank=True,
        help_text=_(
            "Address of the API, for example https://api.openai.com/v1 or http://localhost:11434/v1."
        ),
    )
    key_name = models.CharField(
        _("key name"),
        max_length=200,
        blank=True,
        help_text=_(
            "Name of the environment variable that holds the key; the key itself is never stored. Only names "
            "listed in the setting LINGSTREAM['PROVIDER_KEYS'], and only for the addresses listed there. "
            "Empty for a server that needs no key, such as Ollama."
        ),
    )
    default_model = models.CharField(
        _("default model"), max_length=200, blank=True, help_text=_("Used by steps that name no model.")
    )
    options = JSONTextField(
        _("options"),
        default=dict,
        blank=True,
        validators=[validate_object],
        help_text=_(
            'Passed to the provider, for example {"timeout": 30, "max_retries": 2} or, for Azure, '
            '{"api_version": "2025-04-01-preview", "azure": true}.'
        ),
    )
    max_concurrency = models.PositiveIntegerField(
        _("max. concurrent calls"),
        null=True,
        blank=True,
        help_text=_("Calls that one process makes at the same time; further ones wait. Empty for no bound."),
    )

    class Meta:
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        kinds = kind_names(app_settings().provider_kinds)
        if self.kind not in kinds:
            raise ValidationError(
                {
                    "kind": _("Expected one of %(kinds)s, got “%(got)s”.")
                    % {"kinds": ", ".join(kinds), "got": self.kind}
                }
            )
        if not isinstance(self.options, dict):
            return  # the validator of the column says so
        try:
            plan = self.to_plan()
            check_provider(plan)
            look_up_provider(plan)
        except UsageError as error:
            field = {"kind": "kind", "key-not-listed": "key_name", "option": "options"}.get(
                error.code, "base_url"
            )
            raise ValidationError({field: error.message}) from error

    def to_plan(self) -> ProviderPlan:
        """Return the row as the core sees it."""
        return ProviderPlan(
            name=self.name,
            kind=self.kind,
            base_url=self.base_url,
            key_name=self.key_name,
            model=self.default_model,
            max_concurrency=self.max_concurrency,
            options=dict(self.options),
        )


class Prompt(models.Model):
    """A named prompt; its text lives in numbered versions that never change."""

    slug = models.SlugField(
        _("slug"), max_length=100, unique=True, help_text=_("Name in steps and in Python.")
    )
    name = models.CharField(_("name"), max_length=200, blank=True, help_text=_("Title for people."))
    description = models.TextField(_("description"), blank=True, help_text=_("What the prompt is for."))
    variables = JSONTextField(
        _("declared variables"),
        default=dict,
        blank=True,
        validators=[validate_variables],
        help_text=_(
            "Names the text may use beside the built-in ones, with their default values: "
            '{"tone": "friendly"}. A step may override them.'
        ),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("prompt")
        verbose_name_plural = _("prompts")
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name or self.slug

    @property
    def newest(self) -> PromptVersion | None:
        """The version with the highest number, if there is one."""
        return self.versions.order_by("-number").first()

    def check_text(self, text: str) -> list[templates.Problem]:
        """Return what is wrong with ``text`` as a version of this prompt."""
        return templates.check(text, self.variables if isinstance(self.variables, dict) else ())


class _ImmutableQuerySet(models.QuerySet):  # type: ignore[type-arg]
    def update(self, **kwargs: Any) -> NoReturn:
        _refuse("update")

    def delete(self) -> NoReturn:
        _refuse("delete")


def _refuse(what: str) -> NoReturn:
    raise UsageError(
        f"a prompt version never changes, so that a run can say which text it used; "
        f"expected a new version, got {what}()",
        code="immutable",
    )


class PromptVersion(models.Model):
    """One text of a prompt. Rows are written once: a change is the next version.

    Versions go when their prompt goes, and only then.
    """

    prompt = models.ForeignKey(
        Prompt, on_delete=models.CASCADE, related_name="versions", verbose_name=_("prompt")
    )
    number = models.PositiveIntegerField(_("number"), editable=False)
    text = models.TextField(
        _("text"),
        blank=True,
        help_text=_(
            "The system message, a Jinja2 template. It may use input, value, uri, match, document, history "
            "and the declared variables: {{ input.question }}, {% if value %}…{% endif %}."
        ),
    )
    note = models.CharField(_("note"), max_length=200, blank=True, help_text=_("What changed, and why."))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = _ImmutableQuerySet.as_manager()

    class Meta:
        verbose_name = _("prompt version")
        verbose_name_plural = _("prompt versions")
        ordering = ["prompt", "-number"]
        constraints = [models.UniqueConstraint(fields=["prompt", "number"], name="lingstream_version_number")]

    def __str__(self) -> str:
        return f"{self.prompt.slug} v{self.number}" if self.number else self.prompt.slug

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the version under the prompt's next number.

        :raises UsageError: the version is stored already.
        """
        if not self._state.adding:
            _refuse("save")
        with transaction.atomic(using=kwargs.get("using")):
            # A write, because it locks the prompt on every database; SQLite ignores select_for_update.
            Prompt.objects.filter(pk=self.prompt_id).update(updated_at=timezone.now())
            last = PromptVersion.objects.filter(prompt=self.prompt_id).aggregate(last=Max("number"))["last"]
            self.number = (last or 0) + 1
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        _refuse("delete")

    def clean(self) -> None:
        problems = self.prompt.check_text(self.text)
        if problems:
            raise ValidationError({"text": [str(problem) for problem in problems]})


class _LabelQuerySet(models.QuerySet):  # type: ignore[type-arg]
    def update(self, **kwargs: Any) -> int:
        if {"name", "prompt", "prompt_id"} & set(kwargs):
            self._refuse_live()
        return super().update(**kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        self._refuse_live()
        return super().delete()

    def _refuse_live(self) -> None:
        for label in self.select_related("prompt"):
            label.refuse_live()


class PromptLabel(models.Model):
    """A name that points at one version: steps ask for the label, so moving it is how a prompt goes live."""

    prompt = models.ForeignKey(
        Prompt, on_delete=models.CASCADE, related_name="labels", verbose_name=_("prompt")
    )
    name = models.SlugField(
        _("label"), max_length=50, help_text=_("Steps ask for “production” unless they say otherwise.")
    )
    version = models.ForeignKey(
        PromptVersion,
        on_delete=models.RESTRICT,
        related_name="labels",
        verbose_name=_("version"),
        help_text=_("The version that runs use from now on."),
    )
    updated_at = models.DateTimeField(_("moved"), auto_now=True)

    objects = _LabelQuerySet.as_manager()

    class Meta:
        verbose_name = _("prompt label")
        verbose_name_plural = _("prompt labels")
        ordering = ["prompt", "name"]
        constraints = [models.UniqueConstraint(fields=["prompt", "name"], name="lingstream_label_name")]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the label.

        :raises ProtectedError: it was renamed, and enabled workflows use it under its old name.
        """
        if stored := self._abandoned():
            stored.refuse_live()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the label.

        :raises ProtectedError: enabled workflows use it.
        """
        self.refuse_live()
        return super().delete(*args, **kwargs)

    def clean(self) -> None:
        if self.version_id and self.prompt_id and self.version.prompt_id != self.prompt_id:
            raise ValidationError({"version": _("Expected a version of this prompt, got one of another.")})
        stays = PromptLabel.objects.filter(pk=self.pk, version=self.version_id).exists()
        problems = self.prompt.check_text(self.version.text) if self.version_id and not stays else []
        if problems:
            raise ValidationError({"version": [f"v{self.version.number}: {problem}" for problem in problems]})
        if (stored := self._abandoned()) and (users := stored.users()):
            raise ValidationError({"name": stored.in_use(users)})

    def users(self) -> list[Any]:
        """The steps of enabled workflows that ask for this label."""
        steps = self.prompt.steps.filter(label=self.name, workflow__enabled=True)
        return list(steps.select_related("workflow").order_by("workflow__slug", "name"))

    def in_use(self, users: Iterable[Any]) -> str:
        """Say why the label stays."""
        names = ", ".join(f"{step.workflow.slug}/{step.name}" for step in users)
        text = _(
            "The label “%(label)s” of the prompt “%(prompt)s” is in use: %(steps)s. Have these steps ask for "
            "another label, or switch their workflows off, before it goes."
        )
        return text % {"label": self.name, "prompt": self.prompt, "steps": names}

    def refuse_live(self) -> None:
        """Do nothing, unless enabled workflows use the label.

        :raises ProtectedError: they do.
        """
        if users := self.users():
            raise ProtectedError(self.in_use(users), set(users))

    def _abandoned(self) -> PromptLabel | None:
        """The row as it is stored, if this one is to take its place under another name."""
        stored = PromptLabel.objects.filter(pk=self.pk).select_related("prompt").first() if self.pk else None
        is_same = stored is None or (stored.prompt_id, stored.name) == (self.prompt_id, self.name)
        return None if is_same else stored
